//! Mixtral (arXiv 2401.04088), and SciDFM (arXiv 2409.18412), whose tensors have Mixtral's names and shapes.
//!
//! Pre-norm RMS decoder, grouped-query attention without bias, every layer a mixture of experts with a softmax over all
//! experts, top-k, weights renormalised to 1. A sliding window, where given, holds in all layers.

use moescope_core::Gating;

use super::{Family, TensorNames};
use crate::{
    config::{Activation, AttentionConfig, ConfigJson, DecoderConfig, Rope, RouterConfig},
    error::EngineError,
};

pub(super) const FAMILY: Family = Family {
    model_types: &["mixtral", "SciDFM"],
    describe,
    names: &NAMES,
};

const NAMES: TensorNames = TensorNames {
    embed_tokens: "model.embed_tokens.weight",
    norm: "model.norm.weight",
    lm_head: "lm_head.weight",
    layer: "model.layers.{}.",
    input_layernorm: "input_layernorm.weight",
    post_attention_layernorm: "post_attention_layernorm.weight",
    attention: [
        "self_attn.q_proj.weight",
        "self_attn.k_proj.weight",
        "self_attn.v_proj.weight",
        "self_attn.o_proj.weight",
    ],
    router: ["block_sparse_moe.gate.weight", "mlp.gate.weight"],
    expert: "block_sparse_moe.experts.{}.",
    expert_matrices: ["w1.weight", "w3.weight", "w2.weight"],
    fused: ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"],
    ignored_suffixes: &[".rotary_emb.inv_freq"],
};

fn describe(json: &ConfigJson) -> Result<DecoderConfig, EngineError> {
    let hidden_size = json.size(&["hidden_size"])?;
    let heads = json.size(&["num_attention_heads"])?;
    let kv_heads = json.size_opt(&["num_key_value_heads"])?.unwrap_or(heads);
    let head_dim = json.size_opt(&["head_dim"])?.unwrap_or(hidden_size / heads);
    let num_experts = json
        .size_opt(&["num_local_experts", "num_experts"])?
        .unwrap_or(8);
    let top_k = json.size_opt(&["num_experts_per_tok"])?.unwrap_or(2);
    let hidden_act = json.text_opt(&["hidden_act"])?.unwrap_or("silu");
    let activation = Activation::from_name(hidden_act).ok_or_else(|| {
        EngineError::Config(format!(
            "hidden_act '{hidden_act}' is not supported; supported are silu, gelu, gelu_new, relu"
        ))
    })?;
    Ok(DecoderConfig {
        family: json
            .text_opt(&["model_type"])?
            .unwrap_or("mixtral")
            .to_owned(),
        hidden_size,
        vocab_size: json.size(&["vocab_size"])?,
        num_layers: json.size(&["num_hidden_layers"])?,
        max_positions: json.size_opt(&["max_position_embeddings"])?.unwrap_or(4096),
        rms_norm_eps: json.number_opt(&["rms_norm_eps"])?.unwrap_or(1e-5),
        attention: AttentionConfig {
            heads,
            kv_heads,
            head_dim,
            sliding_window: json.size_opt(&["sliding_window"])?,
            rope: Rope::from_json(json, head_dim, 1e6)?,
        },
        router: RouterConfig {
            num_experts,
            top_k,
            gating: Gating::softmax_top_k(),
        },
        expert_intermediate_size: json.size(&["intermediate_size"])?,
        activation,
        tie_word_embeddings: json.flag(&["tie_word_embeddings"])?,
        bos_token_id: json.token_ids(&["bos_token_id"])?.first().copied(),
        eos_token_ids: json.token_ids(&["eos_token_id"])?,
    })
}
