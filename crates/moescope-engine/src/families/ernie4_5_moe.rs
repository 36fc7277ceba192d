//! ERNIE 4.5 (technical report, Baidu 2025): rotation of neighbouring pairs, experts between a first and a last layer at
//! an interval, softmax scores with a bias for selection, and shared experts.

use super::{Family, TensorNames};
use crate::{
    config::{ConfigJson, DecoderConfig, RopeLayout, SharedExpertConfig, Standard},
    error::EngineError,
};

pub(super) const ERNIE4_5_MOE: Family = Family {
    model_types: &["ernie4_5_moe"],
    describe,
    names: &TensorNames {
        correction_bias: "mlp.moe_statics.e_score_correction_bias",
        ..TensorNames::STANDARD
    },
};

fn describe(json: &ConfigJson) -> Result<DecoderConfig, EngineError> {
    let standard = Standard {
        rope_theta: 5e5,
        rope_layout: RopeLayout::Pairs,
        rms_norm_eps: 1e-5,
        ties_word_embeddings: true,
        ..Standard::DEFAULT
    };
    let mut config = standard.describe(json)?;
    let interval = json.size_opt(&["moe_layer_interval"])?.unwrap_or(1);
    let first = json.count_opt(&["moe_layer_start_index"])?.unwrap_or(1);
    let last = match json.number_opt(&["moe_layer_end_index"])? {
        Some(index) if index >= 0.0 => json.count_opt(&["moe_layer_end_index"])?,
        _ => None,
    };
    let last = last.unwrap_or(config.num_layers - 1);
    config.moe_layers = (0..config.num_layers)
        .map(|layer| (layer + 1).is_multiple_of(interval) && (first..=last).contains(&layer))
        .collect();
    let has_bias = json.flag(&["use_bias"])?;
    if has_bias {
        return Err(EngineError::Config(
            "config.json: use_bias is not supported for ERNIE 4.5; no published model has biases"
                .to_owned(),
        ));
    }
    config.router.gating.has_correction_bias = true;
    config.router.least_weight_sum = json.number_opt(&["moe_norm_min"])?.unwrap_or(1e-12);
    config.shared_expert = Some(json.count_opt(&["moe_num_shared_experts"])?.unwrap_or(2))
        .filter(|count| *count > 0)
        .map(|count| SharedExpertConfig {
            count,
            intermediate_size: config.experts.intermediate_size * count,
            has_gate: false,
        });
    Ok(config)
}
