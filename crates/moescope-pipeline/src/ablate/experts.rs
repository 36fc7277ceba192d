//! Which experts, and what is done to them.

use std::{fmt, str::FromStr};

use moescope_core::{LayerId, ModelSpec};
use moescope_engine::{Intervention, Interventions};
use serde::Serialize;

use crate::error::PipelineError;

/// Some experts of one layer, written `LAYER:EXPERT` or `LAYER:A,B,C`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExpertSet {
    /// The layer in the model's numbering.
    pub layer: LayerId,
    /// The experts, ascending, each once.
    pub experts: Vec<u16>,
}

impl ExpertSet {
    /// Some experts of a layer, in any order.
    #[must_use]
    pub fn new(layer: LayerId, mut experts: Vec<u16>) -> Self {
        experts.sort_unstable();
        experts.dedup();
        Self { layer, experts }
    }

    /// Refuses what the model does not have.
    pub(super) fn check(&self, spec: &ModelSpec) -> Result<(), PipelineError> {
        let error = |reason: String| Err(PipelineError::Settings(format!("'{self}': {reason}")));
        if !spec.moe_layers.contains(&self.layer) {
            let (first, last) = (spec.moe_layers.first(), spec.moe_layers.last());
            return error(match (first, last) {
                (Some(first), Some(last)) => format!(
                    "layer {} has no experts; the {} MoE layers are numbered {first} to {last}",
                    self.layer,
                    spec.moe_layers.len()
                ),
                _ => "the model has no MoE layer".to_owned(),
            });
        }
        match self
            .experts
            .iter()
            .find(|expert| **expert >= spec.num_experts)
        {
            Some(expert) => error(format!(
                "expert {expert} does not exist; there are {} experts, from 0",
                spec.num_experts
            )),
            None => Ok(()),
        }
    }
}

impl fmt::Display for ExpertSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let experts: Vec<String> = self.experts.iter().map(u16::to_string).collect();
        write!(f, "{}:{}", self.layer, experts.join(","))
    }
}

impl FromStr for ExpertSet {
    type Err = PipelineError;

    fn from_str(text: &str) -> Result<Self, PipelineError> {
        let error = || {
            PipelineError::Settings(format!(
                "'{text}' names no expert; write LAYER:EXPERT, as in 3:5, or several experts of one layer, as in 3:5,17"
            ))
        };
        let (layer, experts) = text.split_once(':').ok_or_else(error)?;
        let number = |text: &str| text.trim().parse::<u16>().map_err(|_| error());
        let experts = experts.split(',').map(number).collect::<Result<_, _>>()?;
        Ok(Self::new(LayerId(number(layer)?), experts))
    }
}

/// What is done to experts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum AblationAction {
    /// They are never chosen; others are chosen in their place.
    #[default]
    Mask,
    /// They are chosen as ever and add nothing.
    Zero,
    /// They are always among the chosen.
    Force,
    /// This is added to their selection scores.
    Boost(f32),
}

impl AblationAction {
    /// The intervention on some experts, as `--intervene` writes it.
    #[must_use]
    pub fn spec(self, experts: &ExpertSet) -> String {
        match self {
            Self::Mask => format!("mask:{experts}"),
            Self::Zero => format!("zero:{experts}"),
            Self::Force => format!("force:{experts}"),
            Self::Boost(amount) => format!("boost={amount}:{experts}"),
        }
    }

    /// The intervention on some experts of a model.
    pub(super) fn on(
        self,
        experts: &ExpertSet,
        spec: &ModelSpec,
    ) -> Result<Interventions, PipelineError> {
        let intervention: Intervention = self.spec(experts).parse()?;
        Ok(Interventions::new(vec![intervention], spec)?)
    }

    /// Whether it can only change tokens that choose the experts anyway.
    pub(super) fn takes_away(self) -> bool {
        matches!(self, Self::Mask | Self::Zero)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_read_in_any_order_and_written_in_one() {
        let set: ExpertSet = "3: 17,5,17".parse().unwrap();
        assert_eq!(set, ExpertSet::new(LayerId(3), vec![5, 17]));
        assert_eq!(AblationAction::Mask.spec(&set), "mask:3:5,17");
        assert_eq!(AblationAction::Boost(0.5).spec(&set), "boost=0.5:3:5,17");
        for wrong in ["", "3", "3:", "a:1", "3:1,", "3:1:2", "3:70000"] {
            let error = wrong.parse::<ExpertSet>().unwrap_err();
            assert!(
                error.to_string().contains("LAYER:EXPERT"),
                "{wrong}: {error}"
            );
        }
    }
}
