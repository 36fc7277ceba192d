//! A model as a description: orthogonal options that one decoder computes.

mod activation;
mod attention;
mod check;
mod feed_forward;
mod first_layers;
mod json;
mod rope;
mod standard;

pub use activation::Activation;
pub use attention::{
    AttentionConfig, KeyMask, LatentAttention, LayerAttention, MixtureOfHeads, Projection, QkNorm,
    QkNormScope, QueryTemperature,
};
pub use feed_forward::{ExpertConfig, ExpertFunction, RouterConfig, SharedExpertConfig};
pub use json::ConfigJson;
pub(crate) use rope::RopeKeys;
pub use rope::{Rope, RopeKind, RopeLayout};
pub(crate) use standard::{
    Standard, activation, inverse_root, masks_of_layer_types, same_in_all_layers,
};

use moescope_core::{LayerId, ModelSpec};

use crate::{error::EngineError, families};

/// Everything the decoder must know to compute a model.
#[derive(Clone, Debug, PartialEq)]
pub struct DecoderConfig {
    /// The family's name as in `config.json`'s `model_type`.
    pub family: String,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Entries of the vocabulary.
    pub vocab_size: usize,
    /// Decoder layers.
    pub num_layers: usize,
    /// Longest context that the checkpoint states, in tokens.
    pub max_positions: usize,
    /// The norm of the residual stream.
    pub norm: NormKind,
    /// ε of the layers' norms.
    pub norm_eps: f64,
    /// ε of the final norm.
    pub final_norm_eps: f64,
    /// Where a layer's norms stand.
    pub block: BlockOrder,
    /// Factor on the embeddings.
    pub embedding_multiplier: f32,
    /// Factor on what attention and feed-forward add to the residual stream.
    pub residual_multiplier: f32,
    /// Divisor of the next-token logits.
    pub logits_divisor: f32,
    /// Attention.
    pub attention: AttentionConfig,
    /// For each layer whether it has a router; the others are dense.
    pub moe_layers: Vec<bool>,
    /// Width of the dense layers' feed-forward part; unused where all layers have a router.
    pub dense_intermediate_size: usize,
    /// The router, the same in every MoE layer.
    pub router: RouterConfig,
    /// The routed experts.
    pub experts: ExpertConfig,
    /// The experts that every token passes, as one.
    pub shared_expert: Option<SharedExpertConfig>,
    /// Whether a bias is added to the sum of a MoE layer's experts.
    pub has_feed_forward_bias: bool,
    /// Whether the head is the embedding table.
    pub tie_word_embeddings: bool,
    /// Whether the head has a bias.
    pub has_lm_head_bias: bool,
    /// Rows and columns of a block of FP8 weights that share a scale.
    pub fp8_block: Option<[usize; 2]>,
    /// Beginning of text, where the checkpoint names one.
    pub bos_token_id: Option<u32>,
    /// Tokens that end a generation.
    pub eos_token_ids: Vec<u32>,
}

impl DecoderConfig {
    /// Describes the model of a `config.json`.
    ///
    /// # Errors
    /// When its family is unknown, a key is missing or malformed, or sizes contradict one another.
    pub fn from_json(json: &ConfigJson) -> Result<Self, EngineError> {
        let family = families::find(json)?;
        let config = (family.describe)(&families::text_config(json)?)?;
        check::check(&config)?;
        Ok(config)
    }

    /// What an analysis must know of the model.
    ///
    /// # Panics
    /// Never for a description by [`Self::from_json`], which bounds the sizes.
    #[must_use]
    pub fn model_spec(&self) -> ModelSpec {
        let narrow = |size: usize| u16::try_from(size).expect("bounded when it was described");
        let wide = |size: usize| u32::try_from(size).expect("bounded when it was read");
        let moe_layers = (0u16..).zip(&self.moe_layers);
        ModelSpec {
            family: self.family.clone(),
            num_layers: narrow(self.num_layers),
            moe_layers: moe_layers
                .filter(|(_, is_moe)| **is_moe)
                .map(|(layer, _)| LayerId(layer))
                .collect(),
            num_experts: narrow(self.router.num_experts),
            top_k: narrow(self.router.top_k),
            num_shared_experts: self
                .shared_expert
                .map_or(0, |shared| u16::try_from(shared.count).unwrap_or(u16::MAX)),
            has_shared_expert_gate: self.shared_expert.is_some_and(|shared| shared.has_gate),
            hidden_size: Some(wide(self.hidden_size)),
            vocab_size: Some(wide(self.vocab_size)),
            gating: self.router.gating.clone(),
        }
    }
}

/// How the residual stream is normalised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormKind {
    /// x / √(mean(x²) + ε) · weight (arXiv 1910.07467).
    Rms,
    /// (x − mean) / √(variance + ε) · weight (arXiv 1607.06450), with a bias or without.
    Layer {
        /// Whether a bias is added.
        has_bias: bool,
    },
}

/// Where a layer's norms stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockOrder {
    /// h += f(norm(h)).
    PreNorm,
    /// h += norm(f(h)).
    PostNorm,
}
