//! One decoder for all families: it computes what a [`DecoderConfig`] describes.

mod cache;
mod load;
mod weights;

use burn::tensor::{Device, Tensor, TensorData};
use moescope_core::{LayerId, ModelSpec, Progress};

pub use cache::KvCache;
pub use weights::ExpertWeights;
use weights::{DecoderWeights, LayerWeights};

use crate::{
    checkpoint::Checkpoint,
    config::DecoderConfig,
    device::ComputeDevice,
    error::EngineError,
    kernels::{AttentionShape, CacheSpan, Kernels, KeyRange, RotaryAngles},
    probe::{Probe, RouterSite},
};

/// New tokens of one sequence, to be appended to its part of the cache.
#[derive(Clone, Copy, Debug)]
pub struct Span<'a> {
    /// The sequence's number in the cache.
    pub sequence: usize,
    /// The new tokens, in order.
    pub tokens: &'a [u32],
}

/// A mixture-of-experts model on its device, ready to run.
#[derive(Debug)]
pub struct MoeModel {
    config: DecoderConfig,
    spec: ModelSpec,
    device: Device,
    kernels: Box<dyn Kernels>,
    weights: DecoderWeights,
}

impl MoeModel {
    /// Loads a checkpoint onto a device, tensor by tensor.
    ///
    /// On the CPU, bf16 and f32 weights stay in the mapped files and are used as they are.
    ///
    /// # Errors
    /// When tensors are missing, unknown or misshapen (all are listed in one error), when the device fails, or when
    /// `progress` cancels.
    pub fn load(
        checkpoint: &Checkpoint,
        device: &ComputeDevice,
        progress: &dyn Progress,
    ) -> Result<Self, EngineError> {
        let weights = load::load(checkpoint, device, progress)?;
        Ok(Self {
            config: checkpoint.config().clone(),
            spec: checkpoint.model_spec(),
            device: device.device().clone(),
            kernels: device.kernels(),
            weights,
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

    /// The head's matrix, `[vocab, hidden]`.
    pub(crate) fn head(&self) -> &Tensor<2> {
        self.weights
            .lm_head
            .as_ref()
            .unwrap_or(&self.weights.embed_tokens)
    }

    /// Next-token logits of some hidden states, `[rows, hidden]` → `[rows, vocab]`.
    #[must_use]
    pub fn logits(&self, hidden: &Tensor<2>) -> Tensor<2> {
        self.kernels.linear(hidden, self.head())
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
        let mut hidden = self.kernels.embed(&self.weights.embed_tokens, &step.tokens);
        for (number, layer) in self.weights.layers.iter().enumerate() {
            hidden = self.layer(number, layer, hidden, &step, cache, probe);
        }
        cache.advance(spans);
        Ok(self
            .kernels
            .rms_norm(&hidden, &self.weights.norm, self.config.rms_norm_eps))
    }

    /// h += attention(norm(h)); h += experts(norm(h)).
    fn layer(
        &self,
        number: usize,
        layer: &LayerWeights,
        hidden: Tensor<2>,
        step: &Step,
        cache: &mut KvCache,
        probe: &mut dyn Probe,
    ) -> Tensor<2> {
        let eps = self.config.rms_norm_eps;
        let normed = self.kernels.rms_norm(&hidden, &layer.input_layernorm, eps);
        let hidden = hidden + self.attention(number, layer, &normed, step, cache);
        let normed = self
            .kernels
            .rms_norm(&hidden, &layer.post_attention_layernorm, eps);
        let id = u16::try_from(number).expect("layers are bounded when a checkpoint is opened");
        let site = RouterSite {
            layer: LayerId(id),
            moe_layer: id,
            config: &self.config.router,
        };
        hidden + self.sparse_moe(site, layer, &normed, probe)
    }

    fn attention(
        &self,
        number: usize,
        layer: &LayerWeights,
        normed: &Tensor<2>,
        step: &Step,
        cache: &mut KvCache,
    ) -> Tensor<2> {
        let config = &self.config.attention;
        let queries = self.kernels.linear(normed, &layer.q_proj);
        let keys = self.kernels.linear(normed, &layer.k_proj);
        let values = self.kernels.linear(normed, &layer.v_proj);
        let queries = self.kernels.rotate(queries, config.heads, &step.angles);
        let keys = self.kernels.rotate(keys, config.kv_heads, &step.angles);
        let (keys, values) = cache.write(
            self.kernels.as_ref(),
            number,
            keys,
            values,
            &step.cache_spans,
        );
        #[expect(clippy::cast_precision_loss, reason = "a head's width")]
        let scale = (config.head_dim as f32).powf(-0.5);
        let shape = AttentionShape {
            heads: config.heads,
            kv_heads: config.kv_heads,
            head_dim: config.head_dim,
            scale,
        };
        let mixed = self
            .kernels
            .attention(queries, keys, values, &step.ranges, shape);
        self.kernels.linear(&mixed, &layer.o_proj)
    }

    /// Router logits → intervene → select and weigh → reroute → observe → experts, all on the device.
    fn sparse_moe(
        &self,
        site: RouterSite<'_>,
        layer: &LayerWeights,
        normed: &Tensor<2>,
        probe: &mut dyn Probe,
    ) -> Tensor<2> {
        let router_logits = self.kernels.linear(normed, &layer.router);
        let router_logits = probe.intervene(site, router_logits);
        let routing = self.kernels.route(router_logits, site.config);
        let routing = probe.reroute(site, routing);
        probe.observe(site, &routing);
        self.kernels
            .experts(normed, &routing, &layer.experts, self.config.activation)
    }
}

/// What all layers of one forward pass share.
struct Step {
    tokens: Vec<u32>,
    angles: RotaryAngles,
    ranges: Vec<KeyRange>,
    cache_spans: Vec<CacheSpan>,
}

impl Step {
    fn plan(model: &MoeModel, spans: &[Span<'_>], cache: &KvCache) -> Result<Self, EngineError> {
        let config = &model.config;
        let rope = &config.attention.rope;
        let half = rope.rotary_dim / 2;
        let total: usize = spans.iter().map(|span| span.tokens.len()).sum();
        let mut step_tokens = Vec::with_capacity(total);
        let (mut cos, mut sin) = (
            Vec::with_capacity(total * half),
            Vec::with_capacity(total * half),
        );
        let mut ranges = Vec::with_capacity(total);
        let mut cache_spans = Vec::with_capacity(spans.len());
        for span in spans {
            if let Some(id) = span
                .tokens
                .iter()
                .find(|id| **id as usize >= config.vocab_size)
            {
                return Err(EngineError::TokenOutOfRange {
                    id: *id,
                    vocab_size: config.vocab_size,
                });
            }
            let (start, offset) = cache.place(span.sequence, span.tokens.len())?;
            let frequencies = rope.inverse_frequencies(start + span.tokens.len());
            cache_spans.push(CacheSpan {
                token: step_tokens.len(),
                row: offset + start,
                len: span.tokens.len(),
            });
            for (position, token) in (start..).zip(span.tokens) {
                step_tokens.push(*token);
                #[expect(clippy::cast_precision_loss, reason = "positions are far below 2^52")]
                for frequency in &frequencies {
                    let (s, c) = (position as f64 * frequency).sin_cos();
                    #[expect(clippy::cast_possible_truncation, reason = "rotations are f32")]
                    {
                        cos.push(c as f32);
                        sin.push(s as f32);
                    }
                }
                let window = config.attention.sliding_window.unwrap_or(usize::MAX);
                let first = (position + 1).saturating_sub(window);
                ranges.push(KeyRange {
                    first: offset + first,
                    end: offset + position + 1,
                });
            }
        }
        let tensor = |values: Vec<f32>| {
            Tensor::from_data(TensorData::new(values, [total, half]), &model.device)
        };
        Ok(Self {
            tokens: step_tokens,
            angles: RotaryAngles {
                cos: tensor(cos),
                sin: tensor(sin),
            },
            ranges,
            cache_spans,
        })
    }
}
