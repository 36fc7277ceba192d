//! Llama 4 (Meta 2025), the text part: chunked attention with rotary positions in most layers, full attention without
//! positions in the others, one routed expert whose input is weighted by a sigmoid, and a shared expert.

use moescope_core::{Gating, ScoreFunction, WeightNormalization, WeightTarget};

use super::{ExpertNames, Family, GluNames, TensorNames};
use crate::{
    config::{
        ConfigJson, DecoderConfig, KeyMask, LayerAttention, QkNorm, QkNormScope, QueryTemperature,
        RopeLayout, SharedExpertConfig, Standard, masks_of_layer_types,
    },
    error::EngineError,
};

pub(super) const LLAMA4: Family = Family {
    model_types: &["llama4_text", "llama4"],
    describe,
    names: &TensorNames {
        prefixes: &["", "language_model."],
        router: &["feed_forward.router"],
        experts: &[ExpertNames::Transposed {
            gate_up: "feed_forward.experts.gate_up_proj",
            down: "feed_forward.experts.down_proj",
            is_interleaved: false,
        }],
        dense: GluNames::Separate([
            "feed_forward.gate_proj",
            "feed_forward.up_proj",
            "feed_forward.down_proj",
        ]),
        shared: GluNames::Separate([
            "feed_forward.shared_expert.gate_proj",
            "feed_forward.shared_expert.up_proj",
            "feed_forward.shared_expert.down_proj",
        ]),
        ignored: &["vision_model.", "multi_modal_projector."],
        ..TensorNames::STANDARD
    },
};

fn describe(json: &ConfigJson) -> Result<DecoderConfig, EngineError> {
    let standard = Standard {
        rope_theta: 5e5,
        rope_layout: RopeLayout::Pairs,
        rms_norm_eps: 1e-5,
        expert_width: &["intermediate_size"],
        ..Standard::DEFAULT
    };
    let mut config = standard.describe(json)?;
    config.attention.layers = layers(json, config.num_layers)?;
    config.attention.qk_norm = json.flag_or(&["use_qk_norm"], true)?.then_some(QkNorm {
        scope: QkNormScope::HeadUnweighted,
        is_after_rope: true,
        eps: config.norm_eps,
    });
    if json.flag_or(&["attn_temperature_tuning"], true)? {
        config.attention.temperature = Some(QueryTemperature {
            floor: json.number_opt(&["floor_scale"])?.unwrap_or(8192.0),
            scale: json.number_opt(&["attn_scale"])?.unwrap_or(0.1),
        });
    }
    let has_bias = json.flag(&["attention_bias"])?;
    config.attention.has_qkv_bias = has_bias;
    config.attention.has_output_bias = has_bias;
    config.moe_layers = moe_layers(json, config.num_layers)?;
    if let Some(width) = json.size_opt(&["intermediate_size_mlp"])? {
        config.dense_intermediate_size = width;
    }
    config.router.gating = Gating {
        score_function: ScoreFunction::Identity,
        normalization: WeightNormalization::SigmoidOfSelected,
        weight_target: WeightTarget::Input,
        ..Gating::softmax_top_k()
    };
    config.shared_expert = Some(SharedExpertConfig {
        count: 1,
        intermediate_size: config.experts.intermediate_size,
        has_gate: false,
    });
    Ok(config)
}

fn moe_layers(json: &ConfigJson, num_layers: usize) -> Result<Vec<bool>, EngineError> {
    let listed = json.layers(&["moe_layers"])?;
    let step = json.size_opt(&["interleave_moe_layer_step"])?.unwrap_or(1);
    Ok((0..num_layers)
        .map(|layer| {
            if listed.is_empty() {
                layer % step == step - 1
            } else {
                listed.contains(&layer)
            }
        })
        .collect())
}

/// `no_rope_layers` holds 1 where a layer *has* rotary positions; without it every n-th layer has none.
fn layers(json: &ConfigJson, num_layers: usize) -> Result<Vec<LayerAttention>, EngineError> {
    let chunk = json.size_opt(&["attention_chunk_size"])?;
    let interval = json.size_opt(&["no_rope_layer_interval"])?.unwrap_or(4);
    let listed = json.layers(&["no_rope_layers"])?;
    if !listed.is_empty() && listed.len() != num_layers {
        return Err(EngineError::Config(format!(
            "config.json: no_rope_layers has {} entries for {num_layers} layers",
            listed.len()
        )));
    }
    let has_rope = |layer: usize| match listed.get(layer) {
        Some(flag) => *flag != 0,
        None => !(layer + 1).is_multiple_of(interval),
    };
    let masks = masks_of_layer_types(json, num_layers, None, chunk)?;
    Ok((0..num_layers)
        .map(|layer| LayerAttention {
            has_rope: has_rope(layer),
            mask: match (&masks, chunk) {
                (Some(masks), _) => masks[layer],
                (None, Some(chunk)) if has_rope(layer) => KeyMask::Chunked(chunk),
                (None, _) => KeyMask::Full,
            },
        })
        .collect())
}
