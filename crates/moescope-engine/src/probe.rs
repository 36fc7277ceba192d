//! How the outside watches, and changes, what the routers decide.

use burn::tensor::Tensor;
use moescope_core::LayerId;

use crate::{config::RouterConfig, kernels::Kernels, routing::Routing};

/// One router during one forward pass.
#[derive(Clone, Copy, Debug)]
pub struct RouterSite<'a> {
    /// The layer in the model's numbering.
    pub layer: LayerId,
    /// The layer's number among MoE layers.
    pub moe_layer: u16,
    /// How this router selects and weighs.
    pub config: &'a RouterConfig,
    /// Added to the scores for selection only, `[num_experts]`, where the layer has such a bias.
    pub correction_bias: Option<&'a Tensor<1>>,
    /// What the model is computed with.
    pub kernels: &'a dyn Kernels,
}

impl RouterSite<'_> {
    /// Selects and weighs anew, as the model does, with `bias [num_experts]` added to the scores for the choice.
    #[must_use]
    pub fn select_with(&self, router_logits: Tensor<2>, bias: Tensor<1>) -> Routing {
        let bias = match self.correction_bias {
            Some(correction) => correction.clone() + bias,
            None => bias,
        };
        self.kernels.route(router_logits, Some(&bias), self.config)
    }
}

/// Watches, and may change, what the routers decide. Every method has a default that does nothing, so `()` is a probe.
///
/// A probe is borrowed for one forward pass; nothing registers itself globally. Probes compose as tuples:
/// `(MaskExperts::new(..), TraceRecorder::new(..))` is an ablation study.
pub trait Probe {
    /// Changes a router's logits, `[tokens, num_experts]`, before selection.
    fn intervene(&mut self, _site: RouterSite<'_>, router_logits: Tensor<2>) -> Tensor<2> {
        router_logits
    }

    /// Changes the selection itself: force, swap, replay. (Logits alone cannot express these under every gating.)
    fn reroute(&mut self, _site: RouterSite<'_>, routing: Routing) -> Routing {
        routing
    }

    /// Sees the routing that is about to be dispatched (device tensors; reading them is the probe's business).
    fn observe(&mut self, _site: RouterSite<'_>, _routing: &Routing) {}
}

impl Probe for () {}

impl<P: Probe + ?Sized> Probe for &mut P {
    fn intervene(&mut self, site: RouterSite<'_>, router_logits: Tensor<2>) -> Tensor<2> {
        (**self).intervene(site, router_logits)
    }

    fn reroute(&mut self, site: RouterSite<'_>, routing: Routing) -> Routing {
        (**self).reroute(site, routing)
    }

    fn observe(&mut self, site: RouterSite<'_>, routing: &Routing) {
        (**self).observe(site, routing);
    }
}

impl<A: Probe, B: Probe> Probe for (A, B) {
    fn intervene(&mut self, site: RouterSite<'_>, router_logits: Tensor<2>) -> Tensor<2> {
        let router_logits = self.0.intervene(site, router_logits);
        self.1.intervene(site, router_logits)
    }

    fn reroute(&mut self, site: RouterSite<'_>, routing: Routing) -> Routing {
        let routing = self.0.reroute(site, routing);
        self.1.reroute(site, routing)
    }

    fn observe(&mut self, site: RouterSite<'_>, routing: &Routing) {
        self.0.observe(site, routing);
        self.1.observe(site, routing);
    }
}
