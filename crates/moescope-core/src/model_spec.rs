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
    /// Whether the shared experts' output is multiplied by a sigmoid gate of its own, one number per token.
    #[serde(default, skip_serializing_if = "is_false")]
    pub has_shared_expert_gate: bool,
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
/// z = logits, s = `score_function`(z), selection key p = s (+ correction bias), restricted to the best `groups` where
/// experts are grouped; chosen = the `top_k` largest p; weight = s of the chosen, normalised as `normalization` says,
/// times `scaling`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gating {
    /// From logits to scores.
    pub score_function: ScoreFunction,
    /// Whether a bias is added for selection only.
    pub has_correction_bias: bool,
    /// The groups of experts that a token is limited to; absent where all experts compete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<ExpertGroups>,
    /// How the chosen scores become weights.
    pub normalization: WeightNormalization,
    /// The order p of the norm, for [`WeightNormalization::PNormOfSelected`] alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub norm_order: Option<f32>,
    /// The threshold ε, for [`WeightNormalization::Sparsemixer`] alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sparsemixer_threshold: Option<f32>,
    /// Factor on the weights after normalisation.
    pub scaling: f32,
    /// What a weight multiplies.
    #[serde(default, skip_serializing_if = "is_output")]
    pub weight_target: WeightTarget,
}

impl Gating {
    /// Mixtral's gating: softmax over all experts, top-k, weights renormalised to 1 (arXiv 2401.04088, §2.1).
    #[must_use]
    pub fn softmax_top_k() -> Self {
        Self {
            score_function: ScoreFunction::Softmax,
            has_correction_bias: false,
            groups: None,
            normalization: WeightNormalization::SumOfSelected,
            norm_order: None,
            sparsemixer_threshold: None,
            scaling: 1.0,
            weight_target: WeightTarget::Output,
        }
    }

    /// The top-k largest logits, weighted by the softmax over them alone.
    #[must_use]
    pub fn top_k_softmax() -> Self {
        Self {
            score_function: ScoreFunction::Identity,
            normalization: WeightNormalization::SoftmaxOfSelected,
            ..Self::softmax_top_k()
        }
    }

    /// Score of one expert, of a logit and of the logits' ln Σ exp.
    #[must_use]
    pub(crate) fn score(&self, logit: f32, logsumexp: f64) -> f64 {
        let z = f64::from(logit);
        match self.score_function {
            ScoreFunction::Softmax => (z - logsumexp).exp(),
            ScoreFunction::Sigmoid => 1.0 / (1.0 + (-z).exp()),
            ScoreFunction::Identity => z,
        }
    }
}

/// Experts in equal groups, of which a token uses only the best few (group-limited routing, arXiv 2405.04434, §2.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpertGroups {
    /// Number of groups; it divides the number of experts.
    pub count: u16,
    /// Groups that a token may use.
    pub kept: u16,
    /// What ranks a group.
    pub ranked_by: GroupScore,
}

/// What ranks a group of experts for one token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupScore {
    /// The largest selection key in the group.
    Max,
    /// The sum of its two largest selection keys.
    SumOfTopTwo,
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

/// How the selected scores become the weights of the experts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WeightNormalization {
    /// The scores as they are; their sum is below 1 for a softmax.
    None,
    /// Divided by their sum.
    SumOfSelected,
    /// Divided by their p-norm; p is [`Gating::norm_order`].
    PNormOfSelected,
    /// Softmax over the selected logits.
    SoftmaxOfSelected,
    /// Sigmoid of each selected logit.
    SigmoidOfSelected,
    /// Each of two experts by a softmax over the experts whose logits are within 2ε of its own, relatively
    /// (arXiv 2409.12136, §2); the two weights may sum to more than 1. ε is [`Gating::sparsemixer_threshold`].
    Sparsemixer,
}

/// What a routing weight multiplies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WeightTarget {
    /// The expert's output.
    #[default]
    Output,
    /// The expert's input.
    Input,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands over a reference"
)]
fn is_false(value: &bool) -> bool {
    !value
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands over a reference"
)]
fn is_output(target: &WeightTarget) -> bool {
    *target == WeightTarget::Output
}
