//! Attention: from hidden states to queries, keys and values, over the cache, and back.

use burn::tensor::Tensor;

use super::{
    KvCache, MoeModel,
    step::Step,
    weights::{AttentionWeights, GroupedWeights, LatentWeights, ProjectionWeights},
};
use crate::{
    config::{AttentionConfig, LatentAttention, LayerAttention, Projection, QkNormScope},
    kernels::AttentionShape,
};

/// ε of the norms on the latents, which no key changes.
const LATENT_NORM_EPS: f64 = 1e-6;

/// Queries `[tokens, heads · D]`, keys `[tokens, kv_heads · D]` and values `[tokens, kv_heads · V]`, rotated.
pub(super) struct Projected {
    pub(super) queries: Tensor<2>,
    pub(super) keys: Tensor<2>,
    pub(super) values: Tensor<2>,
}

impl MoeModel {
    /// One layer's attention → `[tokens, hidden]`.
    pub(super) fn attention(
        &self,
        number: usize,
        weights: &AttentionWeights,
        x: &Tensor<2>,
        step: &Step,
        cache: &mut KvCache,
    ) -> Tensor<2> {
        let layer = self.config.attention.layers[number];
        match (&weights.projection, &self.config.attention.projection) {
            (ProjectionWeights::Grouped(grouped), _) => {
                let projected = self.grouped(grouped, weights, x, layer, step);
                let mixed = self.mix(number, weights, projected, step, cache);
                self.linear(&mixed, &grouped.o)
            }
            (ProjectionWeights::Latent(latent), Projection::Latent(sizes)) => {
                let projected = self.latent(latent, sizes, x, step);
                let mixed = self.mix(number, weights, projected, step, cache);
                self.kernels.linear(&mixed, &latent.o)
            }
            (ProjectionWeights::MixtureOfHeads(heads), Projection::MixtureOfHeads(sizes)) => {
                self.head_mixture(number, (weights, heads), sizes, x, step, cache)
            }
            _ => unreachable!("weights are loaded as the configuration says"),
        }
    }

    /// Adds new keys and values to the cache and attends over it → `[tokens, heads · V]`.
    pub(super) fn mix(
        &self,
        number: usize,
        weights: &AttentionWeights,
        projected: Projected,
        step: &Step,
        cache: &mut KvCache,
    ) -> Tensor<2> {
        let config = &self.config.attention;
        let Projected {
            queries,
            keys,
            values,
        } = projected;
        let kernels = self.kernels.as_ref();
        let (keys, values) = cache.write(kernels, number, keys, values, &step.cache_spans);
        let shape = AttentionShape {
            heads: config.heads,
            kv_heads: config.kv_heads,
            head_dim: config.head_dim,
            value_dim: config.value_dim,
            scale: config.scale,
        };
        let ranges = step.ranges(config.layers[number].mask);
        kernels.attention(queries, keys, values, weights.sinks.as_ref(), ranges, shape)
    }

    fn grouped(
        &self,
        projection: &GroupedWeights,
        weights: &AttentionWeights,
        x: &Tensor<2>,
        layer: LayerAttention,
        step: &Step,
    ) -> Projected {
        let config = &self.config.attention;
        let mut queries = self.linear(x, &projection.q);
        let mut keys = self.linear(x, &projection.k);
        let mut values = self.linear(x, &projection.v);
        let normalise = |queries: Tensor<2>, keys: Tensor<2>| {
            (
                self.qk_norm(queries, weights, 0, layer),
                self.qk_norm(keys, weights, 1, layer),
            )
        };
        let is_after_rope = config.qk_norm.is_some_and(|norm| norm.is_after_rope);
        if !is_after_rope {
            (queries, keys) = normalise(queries, keys);
        }
        if let Some(limit) = config.clip_qkv {
            queries = queries.clamp(-limit, limit);
            keys = keys.clamp(-limit, limit);
            values = values.clamp(-limit, limit);
        }
        if layer.has_rope {
            queries = self.kernels.rotate(queries, config.heads, &step.angles);
            keys = self.kernels.rotate(keys, config.kv_heads, &step.angles);
        } else if let Some(temperatures) = &step.temperatures {
            queries = queries * temperatures.clone();
        }
        if is_after_rope {
            (queries, keys) = normalise(queries, keys);
        }
        Projected {
            queries,
            keys,
            values,
        }
    }

    /// The RMS norm on queries (`which` 0) or keys (1), where the model has one.
    fn qk_norm(
        &self,
        x: Tensor<2>,
        weights: &AttentionWeights,
        which: usize,
        layer: LayerAttention,
    ) -> Tensor<2> {
        let config: &AttentionConfig = &self.config.attention;
        let Some(norm) = config.qk_norm else {
            return x;
        };
        let [tokens, width] = x.dims();
        let by_head = [tokens * width / config.head_dim, config.head_dim];
        match (norm.scope, &weights.qk_norm) {
            (QkNormScope::Projection, Some(weights)) => {
                self.kernels.rms_norm(&x, &weights[which], norm.eps)
            }
            (QkNormScope::Head, Some(weights)) => self
                .kernels
                .rms_norm(&x.reshape(by_head), &weights[which], norm.eps)
                .reshape([tokens, width]),
            (QkNormScope::HeadUnweighted, _) if layer.has_rope => {
                let ones = Tensor::ones([config.head_dim], &self.device);
                self.kernels
                    .rms_norm(&x.reshape(by_head), &ones, norm.eps)
                    .reshape([tokens, width])
            }
            _ => x,
        }
    }

    /// Multi-head latent attention (arXiv 2405.04434, eqs. 9 to 19): each head's query and key have a part without
    /// positions and a rotated part, whose key all heads share.
    fn latent(
        &self,
        weights: &LatentWeights,
        sizes: &LatentAttention,
        x: &Tensor<2>,
        step: &Step,
    ) -> Projected {
        let config = &self.config.attention;
        let (heads, tokens) = (config.heads, x.dims()[0]);
        let LatentAttention {
            kv_lora_rank,
            nope_dim,
            rope_dim,
            ..
        } = *sizes;
        let queries = match &weights.q_down {
            None => self.kernels.linear(x, &weights.q_up),
            Some((down, norm)) => {
                let latent = self.kernels.linear(x, down);
                let latent = self.kernels.rms_norm(&latent, norm, LATENT_NORM_EPS);
                self.kernels.linear(&latent, &weights.q_up)
            }
        };
        let queries = queries.reshape([tokens, heads, nope_dim + rope_dim]);
        let rotated = queries
            .clone()
            .narrow(2, nope_dim, rope_dim)
            .reshape([tokens, heads * rope_dim]);
        let rotated = self
            .kernels
            .rotate(rotated, heads, &step.angles)
            .reshape([tokens, heads, rope_dim]);
        let queries = Tensor::cat(vec![queries.narrow(2, 0, nope_dim), rotated], 2);

        let compressed = self.kernels.linear(x, &weights.kv_down);
        let latent = compressed.clone().narrow(1, 0, kv_lora_rank);
        let shared_key = compressed.narrow(1, kv_lora_rank, rope_dim);
        let shared_key = self
            .kernels
            .rotate(shared_key, 1, &step.angles)
            .unsqueeze_dim::<3>(1)
            .expand([tokens, heads, rope_dim]);
        let latent = self
            .kernels
            .rms_norm(&latent, &weights.kv_norm, LATENT_NORM_EPS);
        let expanded = self.kernels.linear(&latent, &weights.kv_up).reshape([
            tokens,
            heads,
            nope_dim + config.value_dim,
        ]);
        let keys = Tensor::cat(vec![expanded.clone().narrow(2, 0, nope_dim), shared_key], 2);
        Projected {
            queries: queries.reshape([tokens, heads * config.head_dim]),
            keys: keys.reshape([tokens, heads * config.head_dim]),
            values: expanded
                .narrow(2, nope_dim, config.value_dim)
                .reshape([tokens, heads * config.value_dim]),
        }
    }
}
