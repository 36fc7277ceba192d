//! How undecided the router is about single tokens.

use moescope_core::{AxisKind, Measurement, Progress};

use crate::{
    About, AnalyticsError, Input, MeasureRequest, Metric, TraceData,
    data::DecisionNeeds,
    inference::{TokenMean, measure_token_mean},
};

/// Mean normalised entropy of single decisions.
pub(super) struct RoutingEntropy;

impl Metric for RoutingEntropy {
    fn about(&self) -> About {
        About {
            name: "routing_entropy",
            title: "Normalised entropy of single decisions",
            formula: "mean over tokens of −Σ_e p(e) ln p(e) / ln E, where p is the router's distribution over all experts",
            unit: "fraction of ln E",
            range: "0 (certain) to 1 (all experts equally likely)",
            edge_cases: "Of each token's distribution, not of the load (compare `load_entropy`). What p is under sigmoid gating is told in the manifest (`scores.entropy_of`). Refused where the trace does not hold entropies.",
            uncertainty: "Percentile bootstrap over groups within label.",
            citation: "Shannon entropy of the gate's softmax.",
            inputs: &[Input::Routing, Input::Tokens],
            axes: &[AxisKind::Layer, AxisKind::Group],
        }
    }

    fn measure(
        &self,
        data: &TraceData,
        request: &MeasureRequest,
        progress: &dyn Progress,
    ) -> Result<Vec<Measurement>, AnalyticsError> {
        let most = f64::from(data.model().num_experts).ln();
        let mean = TokenMean {
            about: self.about(),
            needs: DecisionNeeds {
                entropy: true,
                ..DecisionNeeds::of(&request.scope)
            },
            value: &|decisions, row| f64::from(decisions.entropy[row]) / most,
            reference: None,
        };
        measure_token_mean(data, request, mean, progress)
    }
}
