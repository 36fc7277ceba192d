//! Changes to routing: mask, boost, force, swap or zero experts in chosen layers.

mod boost;
mod force;
mod mask;
mod swap;
mod zero;

use std::{fmt, str::FromStr};

use burn::tensor::{Tensor, TensorData};
use moescope_core::{LayerSelection, ModelSpec};

use crate::{
    error::EngineError,
    probe::{Probe, RouterSite},
    routing::Routing,
};

/// One change to routing, as written on the command line.
///
/// `mask:LAYERS:EXPERTS`, `boost=X:LAYERS:EXPERTS` (X is added to the selection score),
/// `force:LAYERS:EXPERTS` (always among the chosen), `swap:LAYERS:A=B`, `zero:LAYERS:EXPERTS` (chosen as ever, adding
/// nothing); LAYERS like `0,5-8` or `all`.
#[derive(Clone, Debug, PartialEq)]
pub struct Intervention {
    /// Where it acts.
    pub layers: LayerSelection,
    /// What it does there.
    pub action: Action,
}

/// What an intervention does at its layers.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// These experts are never selected.
    Mask(Vec<u16>),
    /// Adds to the selection score of these experts; the weights stay those of the unchanged scores.
    Boost(Vec<u16>, f32),
    /// These experts are always among the selected.
    Force(Vec<u16>),
    /// Where one of the two would be dispatched to, the other is.
    Swap(u16, u16),
    /// These experts are selected as ever and add nothing to the output; the other weights stay as they are.
    Zero(Vec<u16>),
}

impl FromStr for Intervention {
    type Err = EngineError;

    fn from_str(spec: &str) -> Result<Self, EngineError> {
        let error = |reason: &str| EngineError::Intervention {
            spec: spec.to_owned(),
            reason: reason.to_owned(),
        };
        let usage = "write mask:LAYERS:EXPERTS, boost=X:LAYERS:EXPERTS, force:LAYERS:EXPERTS, swap:LAYERS:A=B or \
                     zero:LAYERS:EXPERTS";
        let [verb, layers, experts] = spec.split(':').collect::<Vec<_>>()[..] else {
            return Err(error(usage));
        };
        let layers = layers
            .parse()
            .map_err(|e: moescope_core::CoreError| error(&e.to_string()))?;
        let ids = || -> Result<Vec<u16>, EngineError> {
            experts
                .split(',')
                .map(|id| {
                    id.trim()
                        .parse()
                        .map_err(|_| error("experts are numbers like 0,3"))
                })
                .collect()
        };
        let action = match verb.split_once('=') {
            None if verb == "mask" => Action::Mask(ids()?),
            None if verb == "force" => Action::Force(ids()?),
            None if verb == "zero" => Action::Zero(ids()?),
            None if verb == "swap" => {
                let (a, b) = experts
                    .split_once('=')
                    .ok_or_else(|| error("swap needs two experts, A=B"))?;
                let id = |text: &str| {
                    text.trim()
                        .parse()
                        .map_err(|_| error("experts are numbers, as in 2=5"))
                };
                Action::Swap(id(a)?, id(b)?)
            }
            Some(("boost", amount)) => {
                let amount: f32 = amount
                    .parse()
                    .map_err(|_| error("the boost is not a number"))?;
                if !amount.is_finite() {
                    return Err(error("the boost is not finite"));
                }
                Action::Boost(ids()?, amount)
            }
            _ => return Err(error(usage)),
        };
        Ok(Self { layers, action })
    }
}

impl fmt::Display for Intervention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |ids: &[u16]| ids.iter().map(u16::to_string).collect::<Vec<_>>().join(",");
        match &self.action {
            Action::Mask(ids) => write!(f, "mask:{}:{}", self.layers, list(ids)),
            Action::Boost(ids, amount) => write!(f, "boost={amount}:{}:{}", self.layers, list(ids)),
            Action::Force(ids) => write!(f, "force:{}:{}", self.layers, list(ids)),
            Action::Swap(a, b) => write!(f, "swap:{}:{a}={b}", self.layers),
            Action::Zero(ids) => write!(f, "zero:{}:{}", self.layers, list(ids)),
        }
    }
}

impl Intervention {
    /// Refuses experts and layers that the model does not have, and changes that leave too few experts.
    ///
    /// # Errors
    /// Names what does not fit.
    pub fn check(&self, spec: &ModelSpec) -> Result<(), EngineError> {
        let error = |reason: String| {
            Err(EngineError::Intervention {
                spec: self.to_string(),
                reason,
            })
        };
        let experts = match &self.action {
            Action::Mask(ids) | Action::Boost(ids, _) | Action::Force(ids) | Action::Zero(ids) => {
                ids.clone()
            }
            Action::Swap(a, b) => vec![*a, *b],
        };
        if let Some(id) = experts.iter().find(|id| **id >= spec.num_experts) {
            return error(format!(
                "expert {id} does not exist; there are {} experts, from 0",
                spec.num_experts
            ));
        }
        if !spec
            .moe_layers
            .iter()
            .any(|layer| self.layers.contains(*layer))
        {
            return error(format!(
                "no MoE layer is in {}; the model has {} layers",
                self.layers, spec.num_layers
            ));
        }
        let mut distinct = experts;
        distinct.sort_unstable();
        distinct.dedup();
        match &self.action {
            Action::Mask(_)
                if distinct.len() + usize::from(spec.top_k) > usize::from(spec.num_experts) =>
            {
                error(format!(
                    "fewer than the {} experts that a token needs would be left",
                    spec.top_k
                ))
            }
            Action::Force(_) if distinct.len() > usize::from(spec.top_k) => error(format!(
                "{} experts cannot all be among the {} chosen",
                distinct.len(),
                spec.top_k
            )),
            _ => Ok(()),
        }
    }
}

/// Interventions in force, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Interventions(Vec<Intervention>);

impl Interventions {
    /// Checks every intervention against the model.
    ///
    /// # Errors
    /// The first one that does not fit.
    pub fn new(interventions: Vec<Intervention>, spec: &ModelSpec) -> Result<Self, EngineError> {
        interventions
            .iter()
            .try_for_each(|intervention| intervention.check(spec))?;
        Ok(Self(interventions))
    }

    /// Whether routing is left as it is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As written on the command line.
    #[must_use]
    pub fn specs(&self) -> Vec<String> {
        self.0.iter().map(Intervention::to_string).collect()
    }
}

impl Probe for Interventions {
    fn reroute(&mut self, site: RouterSite<'_>, routing: Routing) -> Routing {
        let here: Vec<&Action> = self
            .0
            .iter()
            .filter(|i| i.layers.contains(site.layer))
            .map(|i| &i.action)
            .collect();
        if here.is_empty() {
            return routing;
        }
        let mut bias = vec![0.0f32; site.config.num_experts];
        for action in &here {
            match action {
                Action::Mask(ids) => mask::add(&mut bias, ids),
                Action::Boost(ids, amount) => boost::add(&mut bias, ids, *amount),
                Action::Force(ids) => force::add(&mut bias, ids),
                Action::Swap(..) | Action::Zero(_) => {}
            }
        }
        let routing = if bias.iter().any(|b| *b != 0.0) {
            let device = routing.router_logits.device();
            let len = bias.len();
            let bias = Tensor::<1>::from_data(TensorData::new(bias, [len]), &device);
            site.select_with(routing.router_logits, bias)
        } else {
            routing
        };
        here.into_iter()
            .fold(routing, |routing, action| match action {
                Action::Swap(a, b) => swap::apply(routing, *a, *b),
                Action::Zero(ids) => zero::apply(routing, ids),
                _ => routing,
            })
    }
}
