//! `OLMoE` (arXiv 2409.02060) and `FlexOlmo` (arXiv 2507.07024).
//!
//! An RMS norm over whole query and key projections; softmax over all experts whose top-k weights are not renormalised
//! unless the configuration asks for it. `OLMoE` may clip queries, keys and values; `FlexOlmo` has its norms after
//! attention and experts instead of before.

use moescope_core::WeightNormalization;

use super::{Family, TensorNames};
use crate::{
    config::{BlockOrder, ConfigJson, DecoderConfig, QkNorm, QkNormScope, Standard},
    error::EngineError,
};

pub(super) const OLMOE: Family = Family {
    model_types: &["olmoe"],
    describe: olmoe,
    names: &TensorNames::STANDARD,
};

pub(super) const FLEX_OLMO: Family = Family {
    model_types: &["flex_olmo"],
    describe: flex_olmo,
    names: &TensorNames {
        norms: ["post_attention_layernorm", "post_feedforward_layernorm"],
        ..TensorNames::STANDARD
    },
};

const STANDARD: Standard = Standard {
    rms_norm_eps: 1e-5,
    expert_width: &["intermediate_size"],
    ..Standard::DEFAULT
};

fn olmoe(json: &ConfigJson) -> Result<DecoderConfig, EngineError> {
    let mut config = common(json, &STANDARD)?;
    #[expect(clippy::cast_possible_truncation, reason = "activations are f32")]
    let clip = json.number_opt(&["clip_qkv"])?.map(|clip| clip as f32);
    config.attention.clip_qkv = clip;
    Ok(config)
}

fn flex_olmo(json: &ConfigJson) -> Result<DecoderConfig, EngineError> {
    let standard = Standard {
        rope_theta: 5e5,
        rms_norm_eps: 1e-6,
        ..STANDARD
    };
    let mut config = common(json, &standard)?;
    config.block = BlockOrder::PostNorm;
    Ok(config)
}

fn common(json: &ConfigJson, standard: &Standard) -> Result<DecoderConfig, EngineError> {
    let mut config = standard.describe(json)?;
    let has_bias = json.flag(&["attention_bias"])?;
    config.attention.has_qkv_bias = has_bias;
    config.attention.has_output_bias = has_bias;
    config.attention.qk_norm = Some(QkNorm {
        scope: QkNormScope::Projection,
        is_after_rope: false,
        eps: config.norm_eps,
    });
    if !json.flag(&["norm_topk_prob"])? {
        config.router.gating.normalization = WeightNormalization::None;
    }
    Ok(config)
}
