//! In which types a model's weights are kept and computed with.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How the large matrices of a model are kept: attention, experts, dense layers and the head.
///
/// Routers, norms, biases and embeddings are always kept as stored, since a router's decisions are what is measured.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum WeightType {
    /// As in the files.
    #[default]
    Stored,
    /// Blocks of 32 eight-bit integers with one scale: 8.5 bits a weight (ggml's `Q8_0`).
    Q8,
    /// Blocks of 32 four-bit integers with one scale: 4.5 bits a weight (ggml's `Q4_0`).
    Q4,
}

impl WeightType {
    /// All types, the most faithful first.
    pub const ALL: [Self; 3] = [Self::Stored, Self::Q8, Self::Q4];

    /// Its name on the command line and in manifests.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Q8 => "q8",
            Self::Q4 => "q4",
        }
    }
}

impl fmt::Display for WeightType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The type of the numbers that go into matrix products. Sums, norms, softmax and routing weights are always f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ComputeType {
    /// Activations keep the precision of f32; weights are used exactly as they are kept.
    #[default]
    F32,
    /// Activations, and weights of a wider type, are rounded to bf16 before each product with weights.
    ///
    /// With AVX2 alone and with VNNI, unless there are tiles, activations that are multiplied with blocks are rounded to
    /// integers of 16 bits with a scale for every 32 instead, which is finer.
    Bf16,
}

impl ComputeType {
    /// Its name on the command line and in manifests.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        }
    }
}

impl fmt::Display for ComputeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How a model is loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadOptions {
    /// How the large matrices are kept.
    pub weights: WeightType,
    /// The type of the arithmetic.
    pub compute: ComputeType,
    /// Draw every router's weights at random with this seed, normal with the standard deviation of the trained ones and without
    /// biases: the baseline that tells what routers learned from what their inputs alone give.
    pub untrained_routers: Option<u64>,
}
