//! The description of a model for traces that a test makes by hand.

use moescope_core::{Gating, LayerId, ModelSpec};

/// A model with routers at layers 1, 3, 5, … and dense layers between; it has no weights.
#[must_use]
pub fn model_spec(routers: u16, num_experts: u16, top_k: u16) -> ModelSpec {
    ModelSpec {
        family: "test".into(),
        num_layers: 2 * routers,
        moe_layers: (0..routers).map(|router| LayerId(2 * router + 1)).collect(),
        num_experts,
        top_k,
        num_shared_experts: 0,
        has_shared_expert_gate: false,
        hidden_size: None,
        vocab_size: None,
        gating: Gating::softmax_top_k(),
    }
}
