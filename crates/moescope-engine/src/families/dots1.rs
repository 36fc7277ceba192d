//! dots.llm1 (arXiv 2506.05767): DeepSeek-V3's router and dense rule over grouped-query attention with an RMS norm on
//! each query and key head.

use super::{
    Family, TensorNames,
    deepseek::{corrected_sigmoid, dense_first_and_shared},
};
use crate::{
    config::{
        ConfigJson, DecoderConfig, LayerAttention, QkNorm, QkNormScope, Standard,
        masks_of_layer_types,
    },
    error::EngineError,
};

pub(super) const DOTS1: Family = Family {
    model_types: &["dots1"],
    describe,
    names: &TensorNames::STANDARD,
};

fn describe(json: &ConfigJson) -> Result<DecoderConfig, EngineError> {
    let mut config = Standard::DEFAULT.describe(json)?;
    dense_first_and_shared(json, &mut config)?;
    let has_bias = json.flag(&["attention_bias"])?;
    config.attention.has_qkv_bias = has_bias;
    config.attention.has_output_bias = has_bias;
    config.attention.qk_norm = Some(QkNorm {
        scope: QkNormScope::Head,
        is_after_rope: false,
        eps: config.norm_eps,
    });
    let window = json.size_opt(&["sliding_window"])?;
    if let Some(masks) = masks_of_layer_types(json, config.num_layers, window, None)? {
        config.attention.layers = masks.into_iter().map(LayerAttention::with_rope).collect();
    }
    config.router.gating = corrected_sigmoid(json, false)?;
    Ok(config)
}
