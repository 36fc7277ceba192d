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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn experts_per_token_may_be_listed_layer_by_layer() {
        let describe = |top_k: &str| {
            let text = format!(
                r#"{{"model_type": "hunyuan_v1_moe", "hidden_size": 8, "num_hidden_layers": 2, "vocab_size": 9,
                    "num_attention_heads": 2, "num_experts": 4, "intermediate_size": 4, "moe_topk": {top_k}}}"#
            );
            DecoderConfig::from_json(&ConfigJson::parse(&text).unwrap())
        };
        assert_eq!(describe("[2, 2]").unwrap().router.top_k, 2);
        assert_eq!(describe("3").unwrap().router.top_k, 3);
        let error = describe("[2, 3]").unwrap_err().to_string();
        assert!(error.contains("moe_topk"), "{error}");
    }
}
