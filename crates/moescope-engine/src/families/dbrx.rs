//! DBRX (Databricks 2024): nested keys and names of its own, layer norms without bias, one matrix for queries, keys and
//! values, whose values are clipped, and weights divided by their p-norm.

use moescope_core::{Gating, WeightNormalization};

use super::{AttentionNames, ExpertNames, Family, TensorNames};
use crate::{
    config::{
        AttentionConfig, BlockOrder, ConfigJson, DecoderConfig, ExpertConfig, ExpertFunction,
        KeyMask, NormKind, Projection, Rope, RouterConfig, Standard, activation, inverse_root,
        same_in_all_layers,
    },
    error::EngineError,
};

pub(super) const DBRX: Family = Family {
    model_types: &["dbrx"],
    describe,
    names: &TensorNames {
        embed_tokens: "transformer.wte",
        norm: "transformer.norm_f",
        layer: "transformer.blocks.{}.",
        norms: ["norm_attn_norm.norm_1", "norm_attn_norm.norm_2"],
        attention: AttentionNames {
            qkv: Some("norm_attn_norm.attn.Wqkv"),
            o: "norm_attn_norm.attn.out_proj",
            ..AttentionNames::STANDARD
        },
        router: &["ffn.router.layer"],
        experts: &[ExpertNames::Flat([
            "ffn.experts.mlp.w1",
            "ffn.experts.mlp.v1",
            "ffn.experts.mlp.w2",
        ])],
        ..TensorNames::STANDARD
    },
};

/// ε of all its layer norms.
const NORM_EPS: f64 = 1e-5;

fn describe(json: &ConfigJson) -> Result<DecoderConfig, EngineError> {
    let nested = |key: &str| {
        json.object(&[key])?
            .ok_or_else(|| EngineError::Config(format!("config.json has no {key}")))
    };
    let (attention, ffn) = (nested("attn_config")?, nested("ffn_config")?);
    let hidden_size = json.size(&["d_model"])?;
    let num_layers = json.size(&["n_layers"])?;
    let heads = json.size(&["n_heads"])?;
    let head_dim = hidden_size / heads;
    let defaults = Standard {
        rope_theta: attention.number_opt(&["rope_theta"])?.unwrap_or(1e4),
        ..Standard::DEFAULT
    };
    let mut gating = Gating::softmax_top_k();
    match ffn.number_opt(&["moe_normalize_expert_weights"])? {
        None => gating.normalization = WeightNormalization::None,
        // The 1-norm of positive weights is their sum.
        Some(1.0) => {}
        Some(order) => {
            gating.normalization = WeightNormalization::PNormOfSelected;
            #[expect(clippy::cast_possible_truncation, reason = "weights are f32")]
            let order = order as f32;
            gating.norm_order = Some(order);
        }
    }
    let function = match ffn.object(&["ffn_act_fn"])? {
        Some(function) => activation(&function, &["name"])?,
        None => activation(&ffn, &[])?,
    };
    #[expect(clippy::cast_possible_truncation, reason = "activations are f32")]
    let clip_qkv = attention.number_opt(&["clip_qkv"])?.map(|clip| clip as f32);
    Ok(DecoderConfig {
        family: "dbrx".to_owned(),
        hidden_size,
        vocab_size: json.size(&["vocab_size"])?,
        num_layers,
        max_positions: json.size_opt(&["max_seq_len"])?.unwrap_or(2048),
        norm: NormKind::Layer { has_bias: false },
        norm_eps: NORM_EPS,
        final_norm_eps: NORM_EPS,
        block: BlockOrder::PreNorm,
        embedding_multiplier: 1.0,
        residual_multiplier: 1.0,
        logits_divisor: 1.0,
        attention: AttentionConfig {
            heads,
            kv_heads: attention.size_opt(&["kv_n_heads"])?.unwrap_or(1),
            head_dim,
            value_dim: head_dim,
            projection: Projection::Grouped,
            has_qkv_bias: false,
            has_output_bias: false,
            qk_norm: None,
            clip_qkv,
            scale: inverse_root(head_dim),
            has_sinks: false,
            rope: Rope::from_json(json, head_dim, defaults.rope())?,
            temperature: None,
            layers: same_in_all_layers(num_layers, KeyMask::Full)?,
        },
        moe_layers: vec![true; num_layers],
        dense_intermediate_size: ffn.size(&["ffn_hidden_size"])?,
        router: RouterConfig::new(
            ffn.size(&["moe_num_experts"])?,
            ffn.size(&["moe_top_k"])?,
            gating,
        ),
        experts: ExpertConfig {
            intermediate_size: ffn.size(&["ffn_hidden_size"])?,
            function: ExpertFunction::Glu(function),
            has_bias: false,
        },
        shared_expert: None,
        has_feed_forward_bias: false,
        tie_word_embeddings: json.flag(&["tie_word_embeddings"])?,
        has_lm_head_bias: false,
        fp8_block: None,
        bos_token_id: json.token_ids(&["bos_token_id"])?.first().copied(),
        eos_token_ids: json.token_ids(&["eos_token_id"])?,
    })
}
