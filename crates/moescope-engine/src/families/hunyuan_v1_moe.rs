//! Hunyuan-A13B (technical report, Tencent 2025): an RMS norm on each query and key head after the rotation, one shared
//! expert, softmax with renormalised weights.

use super::{AttentionNames, Family, GluNames, TensorNames};
use crate::{
    config::{ConfigJson, DecoderConfig, QkNorm, QkNormScope, SharedExpertConfig, Standard},
    error::EngineError,
};

pub(super) const HUNYUAN_V1_MOE: Family = Family {
    model_types: &["hunyuan_v1_moe"],
    describe,
    names: &TensorNames {
        attention: AttentionNames {
            q_norm: "self_attn.query_layernorm",
            k_norm: "self_attn.key_layernorm",
            ..AttentionNames::STANDARD
        },
        router: &["mlp.gate.wg"],
        shared: GluNames::Separate([
            "mlp.shared_mlp.gate_proj",
            "mlp.shared_mlp.up_proj",
            "mlp.shared_mlp.down_proj",
        ]),
        ..TensorNames::STANDARD
    },
};

fn describe(json: &ConfigJson) -> Result<DecoderConfig, EngineError> {
    let standard = Standard {
        rms_norm_eps: 1e-5,
        expert_width: &["intermediate_size"],
        ..Standard::DEFAULT
    };
    let mut config = standard.describe(json)?;
    let has_bias = json.flag(&["attention_bias"])?;
    config.attention.has_qkv_bias = has_bias;
    config.attention.has_output_bias = has_bias;
    config.attention.qk_norm = Some(QkNorm {
        scope: QkNormScope::Head,
        is_after_rope: true,
        eps: config.norm_eps,
    });
    config.shared_expert = Some(SharedExpertConfig {
        count: 1,
        intermediate_size: config.experts.intermediate_size,
        has_gate: false,
    });
    Ok(config)
}
