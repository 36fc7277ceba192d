//! GLM-4.5 (arXiv 2508.06471): DeepSeek-V3's router and dense rule over grouped-query attention.
//!
//! Biases on queries, keys and values, rotation of half of each head, and in some models an RMS norm on each query and
//! key head.

use super::{
    Family, TensorNames,
    deepseek::{corrected_sigmoid, dense_first_and_shared},
};
use crate::{
    config::{ConfigJson, DecoderConfig, QkNorm, QkNormScope, Standard},
    error::EngineError,
};

pub(super) const GLM4_MOE: Family = Family {
    model_types: &["glm4_moe"],
    describe,
    names: &TensorNames::STANDARD,
};

fn describe(json: &ConfigJson) -> Result<DecoderConfig, EngineError> {
    let standard = Standard {
        partial_rotary_factor: 0.5,
        rms_norm_eps: 1e-5,
        ..Standard::DEFAULT
    };
    let mut config = standard.describe(json)?;
    dense_first_and_shared(json, &mut config)?;
    config.attention.has_qkv_bias = json.flag(&["attention_bias"])?;
    config.attention.qk_norm = json.flag(&["use_qk_norm"])?.then_some(QkNorm {
        scope: QkNormScope::Head,
        is_after_rope: false,
        eps: config.norm_eps,
    });
    config.router.gating = corrected_sigmoid(json, true)?;
    Ok(config)
}
