//! Where a checkpoint keeps what a decoder needs: every name and shape, checked before the first tensor is loaded.

mod attention;
mod catalogue;
mod feed_forward;

pub(super) use attention::{AttentionLayout, ProjectionLayout};
pub(super) use catalogue::{Catalogue, Need, Place, Wanted};
pub(super) use feed_forward::{ExpertLayout, FeedForwardLayout, GluLayout, SparseLayout};

use super::TensorClass;
use crate::{
    checkpoint::Checkpoint,
    config::{DecoderConfig, NormKind},
    error::EngineError,
    families::{Family, TensorNames},
};

/// The places of all weights of a decoder.
pub(super) struct Layout {
    pub(super) embed_tokens: Wanted,
    pub(super) layers: Vec<LayerLayout>,
    pub(super) norm: NormLayout,
    pub(super) lm_head: Option<Wanted>,
    pub(super) lm_head_bias: Option<Wanted>,
}

/// The places of one layer's weights.
pub(super) struct LayerLayout {
    pub(super) attention_norm: NormLayout,
    pub(super) attention: AttentionLayout,
    pub(super) feed_forward_norm: NormLayout,
    pub(super) feed_forward: FeedForwardLayout,
}

/// The places of a norm's weight and bias.
pub(super) struct NormLayout {
    pub(super) weight: Wanted,
    pub(super) bias: Option<Wanted>,
}

/// A matrix and its bias.
pub(super) struct LinearLayout {
    pub(super) weight: Place,
    pub(super) bias: Option<Wanted>,
}

impl Layout {
    /// Finds every weight of the checkpoint's description.
    ///
    /// # Errors
    /// When far more is missing than a truncated checkpoint could lack; what else is wrong stays in the catalogue.
    pub(super) fn of(checkpoint: &Checkpoint) -> Result<(Self, Catalogue<'_>), EngineError> {
        let mut catalogue = Catalogue::of_checkpoint(checkpoint);
        let layout = Self::fill(&mut catalogue, checkpoint.family().names)?;
        Ok((layout, catalogue))
    }

    /// What a model of this description needs, without any file.
    ///
    /// # Errors
    /// When it needs more tensors than any model has.
    pub(super) fn needs<'a>(
        config: &'a DecoderConfig,
        family: &'static Family,
        is_mxfp4: bool,
    ) -> Result<Catalogue<'a>, EngineError> {
        let mut catalogue = Catalogue::of_config(config, family, is_mxfp4);
        Self::fill(&mut catalogue, family.names)?;
        Ok(catalogue)
    }

    fn fill(catalogue: &mut Catalogue<'_>, names: &TensorNames) -> Result<Self, EngineError> {
        let config = catalogue.config();
        let (hidden, vocab) = (config.hidden_size, config.vocab_size);
        let embed_tokens =
            catalogue.want(&format!("{}.weight", names.embed_tokens), &[vocab, hidden])?;
        let mut layers = Vec::with_capacity(config.num_layers);
        for number in 0..config.num_layers {
            layers.push(LayerLayout::of(catalogue, names, number)?);
        }
        let norm = NormLayout::of(catalogue, names.norm, config.norm, hidden)?;
        catalogue.enter(TensorClass::Head);
        let lm_head = if config.tie_word_embeddings {
            catalogue.allow(&format!("{}.weight", names.lm_head));
            None
        } else {
            Some(catalogue.want(&format!("{}.weight", names.lm_head), &[vocab, hidden])?)
        };
        let lm_head_bias = config
            .has_lm_head_bias
            .then(|| catalogue.want(&format!("{}.bias", names.lm_head), &[vocab]))
            .transpose()?;
        Ok(Self {
            embed_tokens,
            layers,
            norm,
            lm_head,
            lm_head_bias,
        })
    }
}

impl LayerLayout {
    fn of(
        catalogue: &mut Catalogue<'_>,
        names: &TensorNames,
        number: usize,
    ) -> Result<Self, EngineError> {
        let config = catalogue.config();
        let prefix = names.layer.replace("{}", &number.to_string());
        let [attention_norm, feed_forward_norm] = names.norms.map(|name| format!("{prefix}{name}"));
        Ok(Self {
            attention_norm: NormLayout::of(
                catalogue,
                &attention_norm,
                config.norm,
                config.hidden_size,
            )?,
            attention: AttentionLayout::of(catalogue, &names.attention, &prefix)?,
            feed_forward_norm: NormLayout::of(
                catalogue,
                &feed_forward_norm,
                config.norm,
                config.hidden_size,
            )?,
            feed_forward: if config.moe_layers[number] {
                let sparse = SparseLayout::of(catalogue, names, &prefix)?;
                FeedForwardLayout::Sparse(Box::new(sparse))
            } else {
                let width = config.dense_intermediate_size;
                catalogue.enter(TensorClass::Dense);
                FeedForwardLayout::Dense(GluLayout::of(catalogue, &names.dense, &prefix, width)?)
            },
        })
    }
}

impl NormLayout {
    fn of(
        catalogue: &mut Catalogue<'_>,
        name: &str,
        kind: NormKind,
        width: usize,
    ) -> Result<Self, EngineError> {
        catalogue.enter(TensorClass::Norms);
        let has_bias = kind == NormKind::Layer { has_bias: true };
        Ok(Self {
            weight: catalogue.want(&format!("{name}.weight"), &[width])?,
            bias: has_bias
                .then(|| catalogue.want(&format!("{name}.bias"), &[width]))
                .transpose()?,
        })
    }
}

impl LinearLayout {
    fn of(
        catalogue: &mut Catalogue<'_>,
        name: &str,
        dims: [usize; 2],
        has_bias: bool,
    ) -> Result<Self, EngineError> {
        Ok(Self {
            weight: catalogue.matrix(&format!("{name}.weight"), dims)?,
            bias: has_bias
                .then(|| catalogue.want(&format!("{name}.bias"), &[dims[0]]))
                .transpose()?,
        })
    }
}
