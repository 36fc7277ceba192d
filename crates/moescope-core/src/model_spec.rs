//! What an analysis must know of the model that made a trace.

use serde::{Deserialize, Serialize};

use crate::LayerId;

/// A mixture-of-experts model as its routing sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelSpec {
    /// The family's name as in `config.json`'s `model_type`, e.g. `mixtral`.
    pub family: String,
    /// Decoder layers, dense ones included.
    pub num_layers: u16,
    /// The layers with a router, ascending.
    pub moe_layers: Vec<LayerId>,
    /// Routed experts per MoE layer.
    pub num_experts: u16,
    /// Experts chosen per token and layer.
    pub top_k: u16,
    /// Experts that every token passes; described here, never listed in a trace.
    pub num_shared_experts: u16,
    /// Width of the residual stream; unknown for most imports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden_size: Option<u32>,
    /// Entries of the vocabulary; unknown for most imports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vocab_size: Option<u32>,
    /// What each recorded score means.
    pub gating: Gating,
}

/// How a router turns logits into a choice and into weights.
///
/// z = logits, s = `score_function`(z), selection key p = s (+ correction bias), chosen = the `top_k` largest p,
/// weight = s of the chosen, normalised as `normalization` says, times `scaling`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gating {
    /// From logits to scores.
    pub score_function: ScoreFunction,
    /// Whether a bias is added for selection only.
    pub has_correction_bias: bool,
    /// How the chosen scores become weights.
    pub normalization: WeightNormalization,
    /// Factor on the weights after normalisation.
    pub scaling: f32,
}

impl Gating {
    /// Mixtral's gating: softmax over all experts, top-k, weights renormalised to 1 (arXiv 2401.04088, §2.1).
    #[must_use]
    pub fn softmax_top_k() -> Self {
        Self {
            score_function: ScoreFunction::Softmax,
            has_correction_bias: false,
            normalization: WeightNormalization::SumOfSelected,
            scaling: 1.0,
        }
    }
}

/// The function from router logits to scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScoreFunction {
    /// exp(z) / Σ exp(z) over all experts.
    Softmax,
    /// 1 / (1 + exp(−z)), expert by expert.
    Sigmoid,
    /// The logits themselves select.
    Identity,
}

/// How the selected scores become the weights of the experts' outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WeightNormalization {
    /// The scores as they are; their sum is below 1.
    None,
    /// Divided by their sum.
    SumOfSelected,
    /// Softmax over the selected logits.
    SoftmaxOfSelected,
}
