//! One decoder for all families: it computes what a [`DecoderConfig`] describes.

mod attention;
mod cache;
mod feed_forward;
mod head_mixture;
mod layer_reader;
mod layout;
mod load;
mod needs;
mod step;
mod untrained_routers;
mod weights;

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor};
use moescope_core::{LayerId, ModelSpec, Progress};

pub use cache::KvCache;
pub use layer_reader::LayerReader;
pub use needs::{NeededTensor, TensorClass};
pub use step::Span;
use step::Step;
use weights::{DecoderWeights, FeedForwardWeights, LayerWeights, LinearWeights, NormWeights};
pub use weights::{ExpertBiases, ExpertWeights, GluWeights};

use crate::{
    checkpoint::Checkpoint,
    config::{BlockOrder, DecoderConfig, NormKind},
    device::ComputeDevice,
    error::EngineError,
    kernels::{Head, Kernels},
    precision::LoadOptions,
    probe::Probe,
};

/// A mixture-of-experts model on its device, ready to run.
#[derive(Debug)]
pub struct MoeModel {
    config: DecoderConfig,
    spec: ModelSpec,
    device: Device,
    kernels: Box<dyn Kernels>,
    weights: DecoderWeights,
    options: LoadOptions,
    weight_types: BTreeMap<String, String>,
}

impl MoeModel {
    /// Loads a checkpoint onto a device, tensor by tensor.
    ///
    /// On the CPU, bf16 and f32 weights that are kept as stored stay in the mapped files and are used as they are.
    /// Blocks are computed with on the CPU alone: elsewhere weights of that type are rounded in the same way and kept
    /// as f32.
    ///
    /// # Errors
    /// When tensors are missing, unknown or misshapen (all are listed in one error), when the device fails, or when
    /// `progress` cancels.
    pub fn load(
        checkpoint: &Checkpoint,
        device: &ComputeDevice,
        options: LoadOptions,
        progress: &dyn Progress,
    ) -> Result<Self, EngineError> {
        let kernels = device.kernels(options.compute)?;
        let weights = load::load(checkpoint, device, options, progress)?;
        Ok(Self {
            config: checkpoint.config().clone(),
            spec: checkpoint.model_spec(),
            device: device.device().clone(),
            kernels,
            weights,
            options,
            weight_types: checkpoint.types_kept(options.weights)?,
        })
    }

    /// The model as a description.
    #[must_use]
    pub fn config(&self) -> &DecoderConfig {
        &self.config
    }

    /// What an analysis must know of the model.
    #[must_use]
    pub fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    /// The kernels that compute it.
    #[must_use]
    pub fn kernels(&self) -> &dyn Kernels {
        self.kernels.as_ref()
    }

    /// How it was loaded.
    #[must_use]
    pub fn options(&self) -> LoadOptions {
        self.options
    }

    /// The types of the weights by class of tensors, like `experts` → `q4`; several are joined by `+`.
    #[must_use]
    pub fn weight_types(&self) -> &BTreeMap<String, String> {
        &self.weight_types
    }

    /// From hidden states, after [`Self::before_head`], to next-token logits.
    pub(crate) fn head(&self) -> Head<'_> {
        Head {
            weight: &self.weights.lm_head,
            bias: self.weights.lm_head_bias.as_ref(),
        }
    }

    /// Hidden states as the head takes them: divided by the divisor of the logits.
    pub(crate) fn before_head(&self, hidden: &Tensor<2>) -> Tensor<2> {
        scaled(hidden.clone(), 1.0 / self.config.logits_divisor)
    }

    /// A layer's bias for selection only, `[num_experts]`; empty where it has none.
    pub(crate) fn correction_bias(&self, layer: LayerId) -> &[f32] {
        match &self.weights.layers[usize::from(layer.0)].feed_forward {
            FeedForwardWeights::Sparse(sparse) => sparse
                .correction_bias
                .as_ref()
                .map_or(&[], |(_, host)| host),
            FeedForwardWeights::Dense(_) => &[],
        }
    }

    /// Next-token logits of some hidden states, `[rows, hidden]` → `[rows, vocab]`.
    #[must_use]
    pub fn logits(&self, hidden: &Tensor<2>) -> Tensor<2> {
        let Head { weight, bias } = self.head();
        let logits = self.kernels.linear(&self.before_head(hidden), weight);
        match bias {
            Some(bias) => logits + bias.clone().unsqueeze::<2>(),
            None => logits,
        }
    }

    /// Runs new tokens of one or more sequences through all layers, without padding and without a wait.
    ///
    /// Attention is causal within each sequence. The cache grows by the new tokens. Returns the hidden states after
    /// the final norm, `[tokens, hidden]`, in the order of `spans`.
    ///
    /// # Errors
    /// When a token is outside the vocabulary or a sequence is longer than its part of the cache.
    pub fn forward(
        &self,
        spans: &[Span<'_>],
        cache: &mut KvCache,
        probe: &mut dyn Probe,
    ) -> Result<Tensor<2>, EngineError> {
        let step = Step::plan(self, spans, cache)?;
        let embedded = self.kernels.embed(&self.weights.embed_tokens, &step.tokens);
        let mut hidden = scaled(embedded, self.config.embedding_multiplier);
        let mut moe_layer = 0;
        for (number, layer) in self.weights.layers.iter().enumerate() {
            hidden = self.layer(number, moe_layer, layer, hidden, &step, cache, probe);
            moe_layer += u16::from(self.config.moe_layers[number]);
        }
        cache.advance(spans);
        Ok(self.norm(&hidden, &self.weights.norm, self.config.final_norm_eps))
    }

    /// Attention, then the feed-forward part, each added to the residual stream.
    #[expect(clippy::too_many_arguments, reason = "a layer and its surroundings")]
    fn layer(
        &self,
        number: usize,
        moe_layer: u16,
        layer: &LayerWeights,
        hidden: Tensor<2>,
        step: &Step,
        cache: &mut KvCache,
        probe: &mut dyn Probe,
    ) -> Tensor<2> {
        let hidden = self.residual(hidden, &layer.attention_norm, |x| {
            self.attention(number, &layer.attention, x, step, cache)
        });
        self.residual(hidden, &layer.feed_forward_norm, |x| {
            self.feed_forward((number, moe_layer), &layer.feed_forward, x, probe)
        })
    }

    /// h + m · f(norm(h)), or h + m · norm(f(h)).
    fn residual(
        &self,
        hidden: Tensor<2>,
        norm: &NormWeights,
        branch: impl FnOnce(&Tensor<2>) -> Tensor<2>,
    ) -> Tensor<2> {
        let eps = self.config.norm_eps;
        let added = match self.config.block {
            BlockOrder::PreNorm => branch(&self.norm(&hidden, norm, eps)),
            BlockOrder::PostNorm => self.norm(&branch(&hidden), norm, eps),
        };
        hidden + scaled(added, self.config.residual_multiplier)
    }

    fn norm(&self, x: &Tensor<2>, norm: &NormWeights, eps: f64) -> Tensor<2> {
        match self.config.norm {
            NormKind::Rms => self.kernels.rms_norm(x, &norm.weight, eps),
            NormKind::Layer { .. } => {
                self.kernels
                    .layer_norm(x, &norm.weight, norm.bias.as_ref(), eps)
            }
        }
    }

    fn linear(&self, x: &Tensor<2>, linear: &LinearWeights) -> Tensor<2> {
        let y = self.kernels.linear(x, &linear.weight);
        match &linear.bias {
            Some(bias) => y + bias.clone().unsqueeze::<2>(),
            None => y,
        }
    }
}

/// x · factor, without a computation where the factor is 1.
#[expect(clippy::float_cmp, reason = "exactly 1 changes nothing")]
fn scaled(x: Tensor<2>, factor: f32) -> Tensor<2> {
    if factor == 1.0 { x } else { x * factor }
}
