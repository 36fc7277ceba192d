//! Granite-3 MoE, with a shared expert or without.
//!
//! Multipliers on embeddings, attention scores, residual branches and logits; the top-k logits select and their softmax
//! weighs; fused expert matrices.

use moescope_core::Gating;

use super::{ExpertNames, Family, GluNames, TensorNames};
use crate::{
    config::{ConfigJson, DecoderConfig, SharedExpertConfig, Standard},
    error::EngineError,
};

pub(super) const GRANITEMOE: Family = Family {
    model_types: &["granitemoe", "granitemoeshared"],
    describe,
    names: &TensorNames {
        router: &["block_sparse_moe.router.layer", "mlp.gate"],
        experts: &[
            ExpertNames::Fused {
                gate_up: "block_sparse_moe.input_linear.weight",
                down: "block_sparse_moe.output_linear.weight",
            },
            super::names::FUSED_EXPERTS,
        ],
        shared: GluNames::Fused(["shared_mlp.input_linear", "shared_mlp.output_linear"]),
        ..TensorNames::STANDARD
    },
};

fn describe(json: &ConfigJson) -> Result<DecoderConfig, EngineError> {
    let standard = Standard {
        expert_width: &["intermediate_size"],
        ..Standard::DEFAULT
    };
    let mut config = standard.describe(json)?;
    #[expect(clippy::cast_possible_truncation, reason = "arithmetic is f32")]
    let multiplier =
        |key: &str| Ok::<f32, EngineError>(json.number_opt(&[key])?.unwrap_or(1.0) as f32);
    config.embedding_multiplier = multiplier("embedding_multiplier")?;
    config.residual_multiplier = multiplier("residual_multiplier")?;
    config.logits_divisor = multiplier("logits_scaling")?;
    config.attention.scale = multiplier("attention_multiplier")?;
    let has_bias = json.flag(&["attention_bias"])?;
    config.attention.has_qkv_bias = has_bias;
    config.attention.has_output_bias = has_bias;
    config.router.gating = Gating::top_k_softmax();
    config.shared_expert = json
        .count_opt(&["shared_intermediate_size"])?
        .filter(|width| *width > 0)
        .map(|intermediate_size| SharedExpertConfig {
            count: 1,
            intermediate_size,
            has_gate: false,
        });
    Ok(config)
}
