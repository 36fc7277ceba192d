//! A model's weights on its device; fields carry the checkpoint's names.

use burn::tensor::Tensor;

/// All weights of a decoder. Matrices are `[out, in]`.
#[derive(Debug)]
pub(crate) struct DecoderWeights {
    pub(crate) embed_tokens: Tensor<2>,
    pub(crate) layers: Vec<LayerWeights>,
    pub(crate) norm: Tensor<1>,
    /// Absent where the head is the embedding table.
    pub(crate) lm_head: Option<Tensor<2>>,
}

/// The weights of one layer.
#[derive(Debug)]
pub(crate) struct LayerWeights {
    pub(crate) input_layernorm: Tensor<1>,
    pub(crate) q_proj: Tensor<2>,
    pub(crate) k_proj: Tensor<2>,
    pub(crate) v_proj: Tensor<2>,
    pub(crate) o_proj: Tensor<2>,
    pub(crate) post_attention_layernorm: Tensor<1>,
    pub(crate) router: Tensor<2>,
    pub(crate) experts: ExpertWeights,
}

/// The matrices of a layer's experts, one tensor per expert, in whatever layout the checkpoint had them.
#[derive(Debug)]
pub struct ExpertWeights {
    /// `[intermediate, hidden]` each.
    pub gate: Vec<Tensor<2>>,
    /// `[intermediate, hidden]` each.
    pub up: Vec<Tensor<2>>,
    /// `[hidden, intermediate]` each.
    pub down: Vec<Tensor<2>>,
}
