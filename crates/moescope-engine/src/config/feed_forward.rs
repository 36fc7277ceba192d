//! Routers and experts as a description.

use moescope_core::Gating;

use super::Activation;

/// How a router selects and weighs.
#[derive(Clone, Debug, PartialEq)]
pub struct RouterConfig {
    /// Routed experts.
    pub num_experts: usize,
    /// Experts per token.
    pub top_k: usize,
    /// From logits to choice and weights.
    pub gating: Gating,
    /// Whether the router's matrix has a bias, which is part of the logits.
    pub has_bias: bool,
    /// The least divisor of a normalisation by the sum.
    pub least_weight_sum: f64,
}

impl RouterConfig {
    /// A router without bias.
    #[must_use]
    pub fn new(num_experts: usize, top_k: usize, gating: Gating) -> Self {
        Self {
            num_experts,
            top_k,
            gating,
            has_bias: false,
            least_weight_sum: 1e-20,
        }
    }
}

/// The routed experts of a MoE layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExpertConfig {
    /// Width of an expert.
    pub intermediate_size: usize,
    /// What an expert computes between its matrices.
    pub function: ExpertFunction,
    /// Whether its three matrices have biases.
    pub has_bias: bool,
}

/// From an expert's gate and up projections to the input of its down projection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ExpertFunction {
    /// act(gate) · up (arXiv 2002.05202).
    Glu(Activation),
    /// gate = min(gate, limit), up = clamp(up, ±limit); (up + 1) · gate · σ(α · gate) (gpt-oss).
    ClampedSwiglu {
        /// Steepness α of the sigmoid.
        alpha: f32,
        /// Bound on gate and up.
        limit: f32,
    },
}

impl ExpertFunction {
    /// The function of one pair of numbers.
    #[must_use]
    pub fn apply(self, gate: f32, up: f32) -> f32 {
        match self {
            Self::Glu(activation) => activation.apply(gate) * up,
            Self::ClampedSwiglu { alpha, limit } => {
                let gate = gate.min(limit);
                let up = up.clamp(-limit, limit);
                (up + 1.0) * gate / (1.0 + (-alpha * gate).exp())
            }
        }
    }
}

/// The experts that every token passes, computed as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedExpertConfig {
    /// How many the checkpoint counts; they lie side by side in one set of matrices.
    pub count: usize,
    /// Width of all of them together.
    pub intermediate_size: usize,
    /// Whether their output is multiplied by σ(x · gate).
    pub has_gate: bool,
}
