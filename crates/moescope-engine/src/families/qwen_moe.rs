//! Qwen2-MoE (arXiv 2407.10671) and Qwen3-MoE (arXiv 2505.09388).
//!
//! Softmax over all experts; layers without experts at a step and in a list. Qwen2 has biases on queries, keys and
//! values and a shared expert behind a sigmoid gate; Qwen3 has neither, but an RMS norm on each query and key head.

use moescope_core::WeightNormalization;

use super::{Family, GluNames, TensorNames};
use crate::{
    config::{
        ConfigJson, DecoderConfig, LayerAttention, QkNorm, QkNormScope, SharedExpertConfig,
        Standard, masks_of_layer_types,
    },
    error::EngineError,
};

pub(super) const QWEN2_MOE: Family = Family {
    model_types: &["qwen2_moe"],
    describe: qwen2_moe,
    names: &TensorNames {
        shared: GluNames::Separate([
            "mlp.shared_expert.gate_proj",
            "mlp.shared_expert.up_proj",
            "mlp.shared_expert.down_proj",
        ]),
        ..TensorNames::STANDARD
    },
};

pub(super) const QWEN3_MOE: Family = Family {
    model_types: &["qwen3_moe"],
    describe: qwen3_moe,
    names: &TensorNames::STANDARD,
};

fn qwen2_moe(json: &ConfigJson) -> Result<DecoderConfig, EngineError> {
    let mut config = common(json)?;
    config.attention.has_qkv_bias = json.flag_or(&["qkv_bias"], true)?;
    config.shared_expert = Some(SharedExpertConfig {
        count: 1,
        intermediate_size: json.size(&["shared_expert_intermediate_size"])?,
        has_gate: true,
    });
    Ok(config)
}

fn qwen3_moe(json: &ConfigJson) -> Result<DecoderConfig, EngineError> {
    let mut config = common(json)?;
    let has_bias = json.flag(&["attention_bias"])?;
    config.attention.has_qkv_bias = has_bias;
    config.attention.has_output_bias = has_bias;
    config.attention.qk_norm = Some(QkNorm {
        scope: QkNormScope::Head,
        is_after_rope: false,
        eps: config.norm_eps,
    });
    Ok(config)
}

fn common(json: &ConfigJson) -> Result<DecoderConfig, EngineError> {
    let mut config = Standard::DEFAULT.describe(json)?;
    let step = json.size_opt(&["decoder_sparse_step"])?.unwrap_or(1);
    let dense = json.layers(&["mlp_only_layers"])?;
    config.moe_layers = (0..config.num_layers)
        .map(|layer| !dense.contains(&layer) && (layer + 1).is_multiple_of(step))
        .collect();
    if !json.flag(&["norm_topk_prob"])? {
        config.router.gating.normalization = WeightNormalization::None;
    }
    if json.flag(&["use_sliding_window"])? {
        config.attention.layers = sliding(json, &config)?;
    }
    Ok(config)
}

/// Layers with a sliding window: those that `layer_types` names. Published models have none.
fn sliding(json: &ConfigJson, config: &DecoderConfig) -> Result<Vec<LayerAttention>, EngineError> {
    let window = json.size(&["sliding_window"])?;
    let masks = masks_of_layer_types(json, config.num_layers, Some(window), None)?.ok_or_else(|| {
        EngineError::Config(
            "config.json: use_sliding_window is true, but no layer_types say which layers slide".to_owned(),
        )
    })?;
    Ok(masks
        .into_iter()
        .map(LayerAttention::with_rope)
        .collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::KeyMask;

    #[test]
    fn layers_slide_as_layer_types_say() {
        let json = ConfigJson::parse(
            r#"{"model_type": "qwen3_moe", "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2,
                "vocab_size": 9, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 4,
                "use_sliding_window": true, "sliding_window": 5,
                "layer_types": ["full_attention", "sliding_attention"]}"#,
        )
        .unwrap();
        let masks: Vec<KeyMask> = (QWEN3_MOE.describe)(&json)
            .unwrap()
            .attention
            .layers
            .iter()
            .map(|layer| layer.mask)
            .collect();
        assert_eq!(masks, [KeyMask::Full, KeyMask::Sliding(5)]);
    }
}
