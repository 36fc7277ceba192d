//! How the outside watches, and changes, what the routers decide.

use burn::tensor::{Int, Tensor, activation};
use moescope_core::{LayerId, ScoreFunction, WeightNormalization};

use crate::config::RouterConfig;

/// One router during one forward pass.
#[derive(Clone, Copy, Debug)]
pub struct RouterSite<'a> {
    /// The layer in the model's numbering.
    pub layer: LayerId,
    /// The layer's number among MoE layers.
    pub moe_layer: u16,
    /// How this router selects and weighs.
    pub config: &'a RouterConfig,
}

/// What a router decided for the tokens of one forward pass, on the device.
#[derive(Clone, Debug)]
pub struct Routing {
    /// The logits that the selection came from, `[tokens, num_experts]`.
    pub router_logits: Tensor<2>,
    /// The experts to dispatch to, heaviest first, `[tokens, top_k]`.
    pub selected_experts: Tensor<2, Int>,
    /// The factor on each expert's output, `[tokens, top_k]`.
    pub routing_weights: Tensor<2>,
}

impl Routing {
    /// Selects the `top_k` experts with the largest score plus `selection_bias` (`[tokens, num_experts]`) and weighs
    /// them by their scores alone: a bias steers the choice and never enters the weights.
    #[must_use]
    pub fn select(
        router_logits: Tensor<2>,
        selection_bias: Option<Tensor<2>>,
        config: &RouterConfig,
    ) -> Self {
        let scores = match config.gating.score_function {
            ScoreFunction::Softmax => activation::softmax(router_logits.clone(), 1),
            ScoreFunction::Sigmoid => activation::sigmoid(router_logits.clone()),
            ScoreFunction::Identity => router_logits.clone(),
        };
        let (chosen, selected_experts) = match selection_bias {
            None => scores.topk_with_indices(config.top_k, 1),
            Some(bias) => {
                let (_, ids) = (scores.clone() + bias).topk_with_indices(config.top_k, 1);
                (scores.gather(1, ids.clone()), ids)
            }
        };
        let weights = match config.gating.normalization {
            WeightNormalization::None => chosen,
            WeightNormalization::SumOfSelected => chosen.clone() / chosen.sum_dim(1),
            WeightNormalization::SoftmaxOfSelected => activation::softmax(chosen, 1),
        };
        let scaling = config.gating.scaling;
        #[expect(clippy::float_cmp, reason = "exactly 1 means no scaling")]
        let routing_weights = if scaling == 1.0 {
            weights
        } else {
            weights * scaling
        };
        Self {
            router_logits,
            selected_experts,
            routing_weights,
        }
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
