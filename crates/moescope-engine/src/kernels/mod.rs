//! The computations that decide the engine's speed, behind one trait.
//!
//! [`PlainKernels`] state the meaning with burn's operators, run on every device and are the test oracle.
//! [`CpuKernels`] do the same on the CPU with the weights as stored, many times faster, and bit for bit independent
//! of the batch.

mod cpu;
mod gpu;
mod plain;

use std::fmt;

use burn::tensor::{Int, Tensor};

pub(crate) use cpu::token_stats;
pub use cpu::{CpuKernels, InstructionSet};
pub use gpu::GpuKernels;
pub use plain::PlainKernels;

use moescope_core::WeightTarget;

use crate::{
    config::{ExpertFunction, RopeLayout, RouterConfig},
    decoder::{ExpertWeights, GluWeights},
    matrix::Matrix,
    routing::Routing,
};

/// The keys that one query may see: rows `first..end` of the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyRange {
    /// First row.
    pub first: usize,
    /// One past the last row.
    pub end: usize,
}

impl KeyRange {
    /// Number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.end - self.first
    }

    /// Whether no key is visible.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.end == self.first
    }
}

/// The fixed sizes of an attention layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttentionShape {
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Width of a query or key head.
    pub head_dim: usize,
    /// Width of a value head.
    pub value_dim: usize,
    /// Factor on q·k before the softmax.
    pub scale: f32,
}

/// Rows of new tokens in a cache: `len` rows from `token` of the batch go to `row` of the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheSpan {
    /// First token in the batch.
    pub token: usize,
    /// First row in the cache.
    pub row: usize,
    /// Number of tokens.
    pub len: usize,
}

/// Cosine and sine of every token's rotary angles, each `[tokens, rotary_dims / 2]`, attention factor included.
#[derive(Clone, Debug)]
pub struct RotaryAngles {
    /// Cosines.
    pub cos: Tensor<2>,
    /// Sines.
    pub sin: Tensor<2>,
    /// Which dimensions of a head are rotated together.
    pub layout: RopeLayout,
}

/// From hidden states to next-token logits.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// `[vocab, hidden]`.
    pub weight: &'a Matrix,
    /// `[vocab]`.
    pub bias: Option<&'a Tensor<1>>,
}

/// What the decoder computes with. All tensors are on the device that the kernels were made for.
pub trait Kernels: Send + Sync + fmt::Debug {
    /// A short name for manifests and benchmarks.
    fn name(&self) -> String;

    /// Rows of `table [vocab, hidden]` for `ids` → `[ids, hidden]`.
    fn embed(&self, table: &Tensor<2>, ids: &[u32]) -> Tensor<2>;

    /// `x [tokens, in] · weightᵀ`, `weight [out, in]` → `[tokens, out]`.
    fn linear(&self, x: &Tensor<2>, weight: &Matrix) -> Tensor<2>;

    /// x / √(mean(x²) + eps) · weight, row by row, in f32.
    fn rms_norm(&self, x: &Tensor<2>, weight: &Tensor<1>, eps: f64) -> Tensor<2>;

    /// (x − mean) / √(variance + eps) · weight + bias, row by row, in f32.
    fn layer_norm(
        &self,
        x: &Tensor<2>,
        weight: &Tensor<1>,
        bias: Option<&Tensor<1>>,
        eps: f64,
    ) -> Tensor<2>;

    /// Rotates the first dimensions of every head of `x [tokens, heads · D]`, as many as there are angles for.
    fn rotate(&self, x: Tensor<2>, heads: usize, angles: &RotaryAngles) -> Tensor<2>;

    /// Puts rows of `new [tokens, width]` into `cache [rows, width]`.
    fn write_cache(&self, cache: Tensor<2>, new: Tensor<2>, spans: &[CacheSpan]) -> Tensor<2>;

    /// softmax(q · kᵀ · scale) · v over each query's own range of rows → `[tokens, heads · value_dim]`.
    ///
    /// `sinks [heads]` join each row of the softmax as one more logit whose probability is dropped.
    fn attention(
        &self,
        queries: Tensor<2>,
        keys: &Tensor<2>,
        values: &Tensor<2>,
        sinks: Option<&Tensor<1>>,
        ranges: &[KeyRange],
        shape: AttentionShape,
    ) -> Tensor<2>;

    /// Selects experts from `router_logits [tokens, num_experts]` and weighs them; `bias [num_experts]` steers the
    /// choice alone.
    fn route(
        &self,
        router_logits: Tensor<2>,
        bias: Option<&Tensor<1>>,
        config: &RouterConfig,
    ) -> Routing;

    /// down(f(gate(x), up(x))) → `[tokens, hidden]`.
    fn glu(&self, x: &Tensor<2>, weights: &GluWeights, function: ExpertFunction) -> Tensor<2>;

    /// Σ over the selected experts of weight · expert(x), or of expert(weight · x) → `[tokens, hidden]`; an expert is
    /// [`Self::glu`] with its biases.
    fn experts(
        &self,
        x: &Tensor<2>,
        routing: &Routing,
        experts: &ExpertWeights,
        function: ExpertFunction,
        target: WeightTarget,
    ) -> Tensor<2>;

    /// For each row of `hidden [tokens, hidden]`: surprisal in nats of `next` (NaN where there is none) and arg max of
    /// the next-token distribution, both `[tokens]`.
    fn token_stats(
        &self,
        hidden: &Tensor<2>,
        head: Head<'_>,
        next: &[Option<u32>],
    ) -> (Tensor<1>, Tensor<1, Int>);
}
