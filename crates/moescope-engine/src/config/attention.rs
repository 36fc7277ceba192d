//! Attention as a description.

use super::Rope;

/// Attention, the same in every layer but for masks and positions.
#[derive(Clone, Debug, PartialEq)]
pub struct AttentionConfig {
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Width of a query or key head.
    pub head_dim: usize,
    /// Width of a value head.
    pub value_dim: usize,
    /// How queries, keys and values come from the hidden state.
    pub projection: Projection,
    /// Whether the query, key and value projections have a bias.
    pub has_qkv_bias: bool,
    /// Whether the output projection has a bias.
    pub has_output_bias: bool,
    /// A norm on queries and keys.
    pub qk_norm: Option<QkNorm>,
    /// Bound on the absolute value of queries, keys and values, applied after a norm and before the rotation.
    pub clip_qkv: Option<f32>,
    /// Factor on q·k before the softmax.
    pub scale: f32,
    /// Whether each head has one more logit in its softmax whose probability is dropped (arXiv 2309.17453).
    pub has_sinks: bool,
    /// Rotary positions.
    pub rope: Rope,
    /// A factor on the queries of layers without rotary positions that grows with the position.
    pub temperature: Option<QueryTemperature>,
    /// Mask and positions of each layer.
    pub layers: Vec<LayerAttention>,
}

impl AttentionConfig {
    /// The widest sliding window or chunk of any layer, where every layer has one.
    #[must_use]
    pub fn longest_window(&self) -> Option<usize> {
        self.layers
            .iter()
            .map(|layer| match layer.mask {
                KeyMask::Full => None,
                KeyMask::Sliding(window) | KeyMask::Chunked(window) => Some(window),
            })
            .collect::<Option<Vec<usize>>>()?
            .into_iter()
            .max()
    }
}

/// How queries, keys and values come from the hidden state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Projection {
    /// One matrix each.
    Grouped,
    /// Through a low-rank latent (multi-head latent attention, arXiv 2405.04434, §2.1).
    Latent(LatentAttention),
    /// Queries and outputs through experts of their own (mixture of attention heads, arXiv 2210.05144).
    MixtureOfHeads(MixtureOfHeads),
}

/// Widths of multi-head latent attention.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LatentAttention {
    /// Rank of the queries' latent; absent where queries have a full matrix.
    pub q_lora_rank: Option<usize>,
    /// Rank of the latent of keys and values.
    pub kv_lora_rank: usize,
    /// Width of a head's part without positions.
    pub nope_dim: usize,
    /// Width of a head's rotated part; all heads share its key.
    pub rope_dim: usize,
}

/// Sizes of a mixture of attention heads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MixtureOfHeads {
    /// Experts.
    pub num_experts: usize,
    /// Experts per token; each brings `kv_heads` query heads.
    pub top_k: usize,
}

/// An RMS norm on queries and keys.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QkNorm {
    /// What is normalised together, and with which weights.
    pub scope: QkNormScope,
    /// Whether it comes after the rotation.
    pub is_after_rope: bool,
    /// The norm's ε.
    pub eps: f64,
}

/// What an RMS norm on queries and keys normalises together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QkNormScope {
    /// Each head, with a weight `[head_dim]`.
    Head,
    /// The whole projection before it is split into heads, with a weight of its width.
    Projection,
    /// Each head without a weight, on layers with rotary positions only.
    HeadUnweighted,
}

/// q · (1 + scale · ln(1 + ⌊(position + 1) / floor⌋)) on layers without rotary positions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QueryTemperature {
    /// Positions per step of the growth.
    pub floor: f64,
    /// Strength of the growth.
    pub scale: f64,
}

/// What differs between layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerAttention {
    /// The keys that a query sees.
    pub mask: KeyMask,
    /// Whether queries and keys are rotated.
    pub has_rope: bool,
}

impl LayerAttention {
    /// A layer with rotary positions.
    #[must_use]
    pub fn with_rope(mask: KeyMask) -> Self {
        Self {
            mask,
            has_rope: true,
        }
    }
}

/// The keys that a query at position q sees; never later ones than itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyMask {
    /// All.
    Full,
    /// The last W, itself included.
    Sliding(usize),
    /// Those of its own chunk of C positions.
    Chunked(usize),
}

impl KeyMask {
    /// The first position that a query at `position` sees.
    #[must_use]
    pub fn first(self, position: usize) -> usize {
        match self {
            Self::Full => 0,
            Self::Sliding(window) => (position + 1).saturating_sub(window),
            Self::Chunked(chunk) => position / chunk * chunk,
        }
    }
}
