//! The keys that most families share, read with each family's own defaults.

use moescope_core::Gating;

use super::{
    Activation, AttentionConfig, BlockOrder, ConfigJson, DecoderConfig, ExpertConfig,
    ExpertFunction, KeyMask, LayerAttention, NormKind, Projection, Rope, RopeLayout, RouterConfig,
    rope::RopeDefaults,
};
use crate::error::EngineError;

/// What a family assumes where its configuration is silent, and what it calls things.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standard {
    pub(crate) rope_theta: f64,
    pub(crate) partial_rotary_factor: f64,
    pub(crate) rope_layout: RopeLayout,
    pub(crate) rms_norm_eps: f64,
    pub(crate) ties_word_embeddings: bool,
    /// Keys of the number of experts.
    pub(crate) num_experts: &'static [&'static str],
    /// Keys of the experts per token.
    pub(crate) top_k: &'static [&'static str],
    /// Keys of an expert's width.
    pub(crate) expert_width: &'static [&'static str],
}

impl Standard {
    pub(crate) const DEFAULT: Self = Self {
        rope_theta: 1e4,
        partial_rotary_factor: 1.0,
        rope_layout: RopeLayout::Half,
        rms_norm_eps: 1e-6,
        ties_word_embeddings: false,
        num_experts: &[
            "num_experts",
            "num_local_experts",
            "n_routed_experts",
            "moe_num_experts",
        ],
        top_k: &["num_experts_per_tok", "moe_topk", "moe_k"],
        expert_width: &["moe_intermediate_size"],
    };

    /// A pre-norm RMS decoder with grouped-query attention and experts in every layer; families change what differs.
    pub(crate) fn describe(&self, json: &ConfigJson) -> Result<DecoderConfig, EngineError> {
        let hidden_size = json.size(&["hidden_size"])?;
        let num_layers = json.size(&["num_hidden_layers"])?;
        let heads = json.size(&["num_attention_heads"])?;
        let head_dim = json.size_opt(&["head_dim"])?.unwrap_or(hidden_size / heads);
        let eps = json
            .number_opt(&["rms_norm_eps"])?
            .unwrap_or(self.rms_norm_eps);
        let expert_width = json.uniform_size(self.expert_width)?;
        let rope = Rope::from_json(json, head_dim, self.rope())?;
        Ok(DecoderConfig {
            family: json.text_opt(&["model_type"])?.unwrap_or("").to_owned(),
            hidden_size,
            vocab_size: json.size(&["vocab_size"])?,
            num_layers,
            max_positions: json.size_opt(&["max_position_embeddings"])?.unwrap_or(4096),
            norm: NormKind::Rms,
            norm_eps: eps,
            final_norm_eps: eps,
            block: BlockOrder::PreNorm,
            embedding_multiplier: 1.0,
            residual_multiplier: 1.0,
            logits_divisor: 1.0,
            attention: AttentionConfig {
                heads,
                kv_heads: json.size_opt(&["num_key_value_heads"])?.unwrap_or(heads),
                head_dim,
                value_dim: head_dim,
                projection: Projection::Grouped,
                has_qkv_bias: false,
                has_output_bias: false,
                qk_norm: None,
                clip_qkv: None,
                scale: inverse_root(head_dim),
                has_sinks: false,
                rope,
                temperature: None,
                layers: same_in_all_layers(num_layers, KeyMask::Full)?,
            },
            moe_layers: vec![true; num_layers],
            dense_intermediate_size: json
                .size_opt(&["intermediate_size"])?
                .unwrap_or(expert_width),
            router: RouterConfig::new(
                json.uniform_size(self.num_experts)?,
                json.uniform_size(self.top_k)?,
                Gating::softmax_top_k(),
            ),
            experts: ExpertConfig {
                intermediate_size: expert_width,
                function: ExpertFunction::Glu(activation(json, &["hidden_act"])?),
                has_bias: false,
            },
            shared_expert: None,
            has_feed_forward_bias: false,
            tie_word_embeddings: json
                .flag_or(&["tie_word_embeddings"], self.ties_word_embeddings)?,
            has_lm_head_bias: false,
            fp8_block: fp8_block(json)?,
            bos_token_id: json.token_ids(&["bos_token_id"])?.first().copied(),
            eos_token_ids: json.token_ids(&["eos_token_id"])?,
        })
    }

    pub(crate) fn rope(&self) -> RopeDefaults {
        RopeDefaults {
            theta: self.rope_theta,
            partial_rotary_factor: self.partial_rotary_factor,
            layout: self.rope_layout,
        }
    }
}

/// The activation that a key names; silu where it is silent.
pub(crate) fn activation(json: &ConfigJson, keys: &[&str]) -> Result<Activation, EngineError> {
    let name = json.text_opt(keys)?.unwrap_or("silu");
    Activation::from_name(name).ok_or_else(|| {
        EngineError::Config(format!(
            "{} '{}' is not supported; supported are silu, gelu, gelu_new, relu",
            keys.join(" or "),
            name.chars().take(40).collect::<String>()
        ))
    })
}

/// D^−½.
#[expect(clippy::cast_precision_loss, reason = "a head's width")]
pub(crate) fn inverse_root(head_dim: usize) -> f32 {
    (head_dim as f32).powf(-0.5)
}

/// Rotary positions and one mask in every layer.
pub(crate) fn same_in_all_layers(
    num_layers: usize,
    mask: KeyMask,
) -> Result<Vec<LayerAttention>, EngineError> {
    super::check::layers(num_layers)?;
    Ok(vec![LayerAttention::with_rope(mask); num_layers])
}

/// The mask of each layer from `layer_types`, where it is given; `None` where it is not.
pub(crate) fn masks_of_layer_types(
    json: &ConfigJson,
    num_layers: usize,
    sliding: Option<usize>,
    chunk: Option<usize>,
) -> Result<Option<Vec<KeyMask>>, EngineError> {
    let Some(types) = json.texts(&["layer_types"])? else {
        return Ok(None);
    };
    if types.len() != num_layers {
        return Err(EngineError::Config(format!(
            "config.json: layer_types has {} entries for {num_layers} layers",
            types.len()
        )));
    }
    types
        .into_iter()
        .map(|name| match (name, sliding, chunk) {
            ("full_attention", ..) => Ok(KeyMask::Full),
            ("sliding_attention", Some(window), _) => Ok(KeyMask::Sliding(window)),
            ("chunked_attention", _, Some(chunk)) => Ok(KeyMask::Chunked(chunk)),
            (other, ..) => Err(EngineError::Config(format!(
                "config.json: layer type '{}' is not supported here",
                other.chars().take(40).collect::<String>()
            ))),
        })
        .collect::<Result<Vec<_>, _>>()
        .map(Some)
}

/// The block of FP8 weights that shares a scale, where the checkpoint has such weights.
fn fp8_block(json: &ConfigJson) -> Result<Option<[usize; 2]>, EngineError> {
    let Some(quantization) = json.object(&["quantization_config"])? else {
        return Ok(None);
    };
    if quantization.text_opt(&["quant_method"])? != Some("fp8") {
        return Ok(None);
    }
    match quantization.layers(&["weight_block_size"])?[..] {
        [rows, columns] if rows > 0 && columns > 0 => Ok(Some([rows, columns])),
        _ => Err(EngineError::Config(
            "config.json: FP8 weights are supported in blocks only: quantization_config.weight_block_size must hold \
             two positive numbers"
                .to_owned(),
        )),
    }
}
