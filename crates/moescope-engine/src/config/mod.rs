//! A model as a description: orthogonal options that one decoder computes.

mod activation;
mod attention;
mod check;
mod feed_forward;
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

    /// Number of layers with a router.
    #[must_use]
    pub fn num_moe_layers(&self) -> usize {
        self.moe_layers.iter().filter(|is_moe| **is_moe).count()
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
