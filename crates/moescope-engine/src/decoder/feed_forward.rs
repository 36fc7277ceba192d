//! What follows attention: a dense part, or a router and its experts.

use burn::tensor::{Tensor, activation};
use moescope_core::LayerId;

use super::{
    MoeModel,
    weights::{FeedForwardWeights, SparseWeights},
};
use crate::probe::{Probe, RouterSite};

impl MoeModel {
    /// One layer's feed-forward part → `[tokens, hidden]`; `numbers` are the layer's own and that among MoE layers.
    pub(super) fn feed_forward(
        &self,
        (layer, moe_layer): (usize, u16),
        weights: &FeedForwardWeights,
        x: &Tensor<2>,
        probe: &mut dyn Probe,
    ) -> Tensor<2> {
        match weights {
            FeedForwardWeights::Dense(glu) => {
                self.kernels.glu(x, glu, self.config.experts.function)
            }
            FeedForwardWeights::Sparse(sparse) => {
                let layer =
                    u16::try_from(layer).expect("layers are bounded when a checkpoint is opened");
                let site = RouterSite {
                    layer: LayerId(layer),
                    moe_layer,
                    config: &self.config.router,
                    correction_bias: sparse.correction_bias.as_ref().map(|(bias, _)| bias),
                    kernels: &*self.kernels,
                };
                self.sparse_moe(site, sparse, x, probe)
            }
        }
    }

    /// Router logits → intervene → select and weigh → reroute → observe → experts, all on the device.
    fn sparse_moe(
        &self,
        site: RouterSite<'_>,
        weights: &SparseWeights,
        x: &Tensor<2>,
        probe: &mut dyn Probe,
    ) -> Tensor<2> {
        let router_logits = self.linear(x, &weights.router);
        let router_logits = probe.intervene(site, router_logits);
        let routing = self
            .kernels
            .route(router_logits, site.correction_bias, site.config);
        let routing = probe.reroute(site, routing);
        probe.observe(site, &routing);
        let function = self.config.experts.function;
        let target = site.config.gating.weight_target;
        let mut out = self
            .kernels
            .experts(x, &routing, &weights.experts, function, target);
        if let Some(bias) = &weights.bias {
            out = out + bias.clone().unsqueeze::<2>();
        }
        if let Some(shared) = &weights.shared {
            let mut shared = self.kernels.glu(x, shared, function);
            if let Some(gate) = &weights.shared_gate {
                shared = shared * activation::sigmoid(self.kernels.linear(x, gate));
            }
            out = out + shared;
        }
        out
    }
}
