//! Phi-3.5-MoE (arXiv 2404.14219): layer norms with biases, biases in attention and head, `LongRoPE`, and the sparsemixer
//! router of GRIN (arXiv 2409.12136), whose two weights may sum to more than 1.

use moescope_core::{Gating, ScoreFunction, WeightNormalization};

use super::{Family, mixtral};
use crate::{
    config::{ConfigJson, DecoderConfig, KeyMask, NormKind, same_in_all_layers},
    error::EngineError,
};

pub(super) const PHIMOE: Family = Family {
    model_types: &["phimoe"],
    describe,
    names: mixtral::MIXTRAL.names,
};

fn describe(json: &ConfigJson) -> Result<DecoderConfig, EngineError> {
    let mut config = mixtral::STANDARD.describe(json)?;
    config.norm = NormKind::Layer { has_bias: true };
    let has_bias = json.flag_or(&["attention_bias"], true)?;
    config.attention.has_qkv_bias = has_bias;
    config.attention.has_output_bias = has_bias;
    config.has_lm_head_bias = json.flag_or(&["lm_head_bias"], true)?;
    if let Some(window) = json.size_opt(&["sliding_window"])? {
        config.attention.layers = same_in_all_layers(config.num_layers, KeyMask::Sliding(window))?;
    }
    #[expect(clippy::cast_possible_truncation, reason = "logits are f32")]
    let threshold = json.number_opt(&["router_jitter_noise"])?.unwrap_or(0.01) as f32;
    config.router.gating = Gating {
        score_function: ScoreFunction::Identity,
        normalization: WeightNormalization::Sparsemixer,
        sparsemixer_threshold: Some(threshold),
        ..Gating::softmax_top_k()
    };
    Ok(config)
}
