//! A mixture of attention heads (arXiv 2210.05144): a router of its own chooses whose queries attend, and whose output
//! matrices bring the results back.

use burn::tensor::Tensor;
use moescope_core::Gating;

use super::{
    KvCache, MoeModel,
    attention::Projected,
    step::Step,
    weights::{AttentionWeights, HeadMixtureWeights},
};
use crate::{
    config::{MixtureOfHeads, RouterConfig},
    routing::Routing,
};

impl MoeModel {
    /// Every head expert computes queries for every token, and the chosen ones are kept: simple, at E/k times the
    /// arithmetic of the two small products.
    pub(super) fn head_mixture(
        &self,
        number: usize,
        (weights, heads): (&AttentionWeights, &HeadMixtureWeights),
        sizes: &MixtureOfHeads,
        x: &Tensor<2>,
        step: &Step,
        cache: &mut KvCache,
    ) -> Tensor<2> {
        let config = &self.config.attention;
        let (tokens, width) = (x.dims()[0], config.kv_heads * config.head_dim);
        let gating = Gating::top_k_softmax();
        let router = RouterConfig::new(sizes.num_experts, sizes.top_k, gating);
        let logits = self.kernels.linear(x, &heads.router);
        let routing = self.kernels.route(logits, None, &router);

        let all: Vec<Tensor<3>> = heads
            .input
            .iter()
            .map(|matrix| self.kernels.linear(x, matrix).unsqueeze_dim(1))
            .collect();
        let chosen = routing
            .selected_experts
            .clone()
            .unsqueeze_dim::<3>(2)
            .expand([tokens, sizes.top_k, width]);
        let queries = Tensor::cat(all, 1)
            .gather(1, chosen)
            .reshape([tokens, sizes.top_k * width]);
        let queries = self.kernels.rotate(queries, config.heads, &step.angles);
        // A kv head's queries lie side by side for the kernel: [slot][kv head] → [kv head][slot].
        let queries = transposed(queries, [sizes.top_k, config.kv_heads], config.head_dim);
        let keys = self.kernels.linear(x, &heads.k);
        let projected = Projected {
            queries,
            keys: self.kernels.rotate(keys, config.kv_heads, &step.angles),
            values: self.kernels.linear(x, &heads.v),
        };
        let mixed = self.mix(number, weights, projected, step, cache);
        let mixed = transposed(mixed, [config.kv_heads, sizes.top_k], config.value_dim);
        self.head_outputs(&mixed, heads, &routing) + heads.bias.clone().unsqueeze::<2>()
    }

    /// Σ over the slots of weight · `output[expert]` · `mixed[slot]`, one product per expert.
    fn head_outputs(
        &self,
        mixed: &Tensor<2>,
        heads: &HeadMixtureWeights,
        routing: &Routing,
    ) -> Tensor<2> {
        let slots = routing.selected_experts.dims()[1];
        let width = mixed.dims()[1] / slots;
        let outputs = heads.output.iter().enumerate().map(|(expert, matrix)| {
            let id = i64::try_from(expert).expect("an expert's number is small");
            let is_other = routing.selected_experts.clone().not_equal_elem(id);
            let weights = routing.routing_weights.clone().mask_fill(is_other, 0.0);
            let input = (0..slots)
                .map(|slot| {
                    mixed.clone().narrow(1, slot * width, width)
                        * weights.clone().narrow(1, slot, 1)
                })
                .reduce(|sum, part| sum + part)
                .expect("a token has at least one slot");
            self.kernels.linear(&input, matrix)
        });
        outputs
            .reduce(|sum, part| sum + part)
            .expect("there is at least one expert")
    }
}

/// Exchanges the two numberings of heads in `x [tokens, a · b · width]`.
fn transposed(x: Tensor<2>, [a, b]: [usize; 2], width: usize) -> Tensor<2> {
    let tokens = x.dims()[0];
    x.reshape([tokens, a, b, width])
        .swap_dims(1, 2)
        .reshape([tokens, a * b * width])
}
