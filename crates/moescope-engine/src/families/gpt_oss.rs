//! gpt-oss (arXiv 2508.10925): attention sinks, sliding windows in every other layer, biases everywhere, a clamped
//! `SwiGLU`, and expert weights in MXFP4 as published or bf16 in between-layouts.

use moescope_core::Gating;

use super::{ExpertNames, Family, TensorNames};
use crate::{
    config::{
        ConfigJson, DecoderConfig, ExpertFunction, KeyMask, LayerAttention, Standard,
        masks_of_layer_types,
    },
    error::EngineError,
};

pub(super) const GPT_OSS: Family = Family {
    model_types: &["gpt_oss"],
    describe,
    names: &TensorNames {
        router: &["mlp.router"],
        experts: &[
            ExpertNames::Mxfp4 {
                gate_up: "mlp.experts.gate_up_proj",
                down: "mlp.experts.down_proj",
            },
            ExpertNames::Transposed {
                gate_up: "mlp.experts.gate_up_proj",
                down: "mlp.experts.down_proj",
                is_interleaved: true,
            },
        ],
        ..TensorNames::STANDARD
    },
};

fn describe(json: &ConfigJson) -> Result<DecoderConfig, EngineError> {
    let standard = Standard {
        rope_theta: 150_000.0,
        rms_norm_eps: 1e-5,
        expert_width: &["intermediate_size"],
        ..Standard::DEFAULT
    };
    let mut config = standard.describe(json)?;
    let window = json.size(&["sliding_window"])?;
    let masks = masks_of_layer_types(json, config.num_layers, Some(window), None)?;
    let attention = &mut config.attention;
    attention.layers = match masks {
        Some(masks) => masks.into_iter().map(LayerAttention::with_rope).collect(),
        None => (0..config.num_layers)
            .map(|layer| {
                LayerAttention::with_rope(if layer.is_multiple_of(2) {
                    KeyMask::Sliding(window)
                } else {
                    KeyMask::Full
                })
            })
            .collect(),
    };
    let has_bias = json.flag_or(&["attention_bias"], true)?;
    attention.has_qkv_bias = has_bias;
    attention.has_output_bias = has_bias;
    attention.has_sinks = true;
    config.router.gating = Gating::top_k_softmax();
    config.router.has_bias = true;
    config.experts.has_bias = true;
    #[expect(clippy::cast_possible_truncation, reason = "activations are f32")]
    let number = |key: &str, default: f64| {
        Ok::<f32, EngineError>(json.number_opt(&[key])?.unwrap_or(default) as f32)
    };
    config.experts.function = ExpertFunction::ClampedSwiglu {
        alpha: number("swiglu_alpha", 1.702)?,
        limit: number("swiglu_limit", 7.0)?,
    };
    Ok(config)
}
