//! A model's weights on its device; fields carry the checkpoint's names.

use burn::tensor::Tensor;

use crate::matrix::Matrix;

/// All weights of a decoder. Matrices are `[out, in]`.
#[derive(Debug)]
pub(crate) struct DecoderWeights {
    pub(crate) embed_tokens: Tensor<2>,
    pub(crate) layers: Vec<LayerWeights>,
    pub(crate) norm: NormWeights,
    /// The embedding table where the two are one.
    pub(crate) lm_head: Matrix,
    pub(crate) lm_head_bias: Option<Tensor<1>>,
}

/// The weights of one layer.
#[derive(Debug)]
pub(crate) struct LayerWeights {
    pub(crate) attention_norm: NormWeights,
    pub(crate) attention: AttentionWeights,
    pub(crate) feed_forward_norm: NormWeights,
    pub(crate) feed_forward: FeedForwardWeights,
}

/// Weight and bias of a norm, `[width]` each.
#[derive(Debug)]
pub(crate) struct NormWeights {
    pub(crate) weight: Tensor<1>,
    pub(crate) bias: Option<Tensor<1>>,
}

/// A matrix with its bias.
#[derive(Debug)]
pub(crate) struct LinearWeights {
    pub(crate) weight: Matrix,
    pub(crate) bias: Option<Tensor<1>>,
}

/// The weights of one attention layer.
#[derive(Debug)]
pub(crate) struct AttentionWeights {
    pub(crate) projection: ProjectionWeights,
    /// Weights of an RMS norm on queries and keys.
    pub(crate) qk_norm: Option<[Tensor<1>; 2]>,
    /// One logit per head, `[heads]`.
    pub(crate) sinks: Option<Tensor<1>>,
}

/// From the hidden state to queries, keys and values, and back.
#[derive(Debug)]
pub(crate) enum ProjectionWeights {
    Grouped(Box<GroupedWeights>),
    Latent(Box<LatentWeights>),
    MixtureOfHeads(Box<HeadMixtureWeights>),
}

/// Grouped-query attention.
#[derive(Debug)]
pub(crate) struct GroupedWeights {
    pub(crate) q: LinearWeights,
    pub(crate) k: LinearWeights,
    pub(crate) v: LinearWeights,
    pub(crate) o: LinearWeights,
}

/// Multi-head latent attention.
#[derive(Debug)]
pub(crate) struct LatentWeights {
    /// The queries' way through a latent: down, its norm.
    pub(crate) q_down: Option<(Matrix, Tensor<1>)>,
    /// From the latent, or from the hidden state where there is none, to queries.
    pub(crate) q_up: Matrix,
    /// `[kv_lora_rank + rope, hidden]`.
    pub(crate) kv_down: Matrix,
    pub(crate) kv_norm: Tensor<1>,
    /// `[heads · (nope + value), kv_lora_rank]`.
    pub(crate) kv_up: Matrix,
    pub(crate) o: Matrix,
}

/// A mixture of attention heads.
#[derive(Debug)]
pub(crate) struct HeadMixtureWeights {
    pub(crate) router: Matrix,
    /// `[kv_heads · D, hidden]` each.
    pub(crate) input: Vec<Matrix>,
    /// `[hidden, kv_heads · D]` each.
    pub(crate) output: Vec<Matrix>,
    pub(crate) bias: Tensor<1>,
    pub(crate) k: Matrix,
    pub(crate) v: Matrix,
}

/// What follows attention.
#[derive(Debug)]
pub(crate) enum FeedForwardWeights {
    Dense(Box<GluWeights>),
    Sparse(Box<SparseWeights>),
}

/// gate, up `[I, H]` and down `[H, I]` of one feed-forward part.
#[derive(Debug)]
pub struct GluWeights {
    /// `[intermediate, hidden]`.
    pub gate: Matrix,
    /// `[intermediate, hidden]`.
    pub up: Matrix,
    /// `[hidden, intermediate]`.
    pub down: Matrix,
}

/// A router and its experts.
#[derive(Debug)]
pub(crate) struct SparseWeights {
    pub(crate) router: LinearWeights,
    /// Added to the scores for selection only, `[num_experts]`, on the device and on the host.
    pub(crate) correction_bias: Option<(Tensor<1>, Vec<f32>)>,
    pub(crate) experts: ExpertWeights,
    pub(crate) shared: Option<GluWeights>,
    /// `[1, hidden]`.
    pub(crate) shared_gate: Option<Matrix>,
    /// Added to the sum of the experts, `[hidden]`.
    pub(crate) bias: Option<Tensor<1>>,
}

/// The matrices of a layer's experts, one tensor per expert, in whatever layout the checkpoint had them.
#[derive(Debug)]
pub struct ExpertWeights {
    /// `[intermediate, hidden]` each.
    pub gate: Vec<Matrix>,
    /// `[intermediate, hidden]` each.
    pub up: Vec<Matrix>,
    /// `[hidden, intermediate]` each.
    pub down: Vec<Matrix>,
    /// Their biases, where they have them.
    pub biases: Option<ExpertBiases>,
}

/// The biases of a layer's experts, f32.
#[derive(Debug)]
pub struct ExpertBiases {
    /// `[num_experts, intermediate]`.
    pub gate: Tensor<2>,
    /// `[num_experts, intermediate]`.
    pub up: Tensor<2>,
    /// `[num_experts, hidden]`.
    pub down: Tensor<2>,
}
