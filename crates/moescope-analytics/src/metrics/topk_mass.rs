//! How much of the router's probability the chosen experts have.

use moescope_core::{AxisKind, Measurement, Progress};

use crate::{
    About, AnalyticsError, Input, MeasureRequest, Metric, TraceData,
    data::DecisionNeeds,
    inference::{TokenMean, measure_token_mean},
};

/// Mean probability mass of the chosen experts.
pub(super) struct TopkMass;

impl Metric for TopkMass {
    fn about(&self) -> About {
        About {
            name: "topk_mass",
            title: "Probability mass of the chosen experts",
            formula: "mean over tokens of Σ_{e chosen} p(e), where p is the router's distribution over all experts, before weights are normalised",
            unit: "share of the distribution",
            range: "0 to 1; an undecided router gives k/E",
            edge_cases: "Not the sum of the weights, which may be normalised or scaled. What p is under sigmoid gating is told in the manifest (`scores.entropy_of`). Below k/E where a bias, groups or an intervention chose experts of low probability. Refused where the trace does not hold it.",
            uncertainty: "Percentile bootstrap over groups within label. No null but under a contrast, whose labels are permuted over groups, two-sided.",
            citation: "The published weights of ESFT's tasks (DeepSeek-V2-Lite), arXiv 2407.01906, sum to 0.3 to 0.5 per token for this reason.",
            inputs: &[Input::Routing],
            axes: &[AxisKind::Layer, AxisKind::Group],
        }
    }

    fn measure(
        &self,
        data: &TraceData,
        request: &MeasureRequest,
        progress: &dyn Progress,
    ) -> Result<Vec<Measurement>, AnalyticsError> {
        let model = data.model();
        let mean = TokenMean {
            about: self.about(),
            needs: DecisionNeeds {
                topk_mass: true,
                ..DecisionNeeds::of(&request.scope)
            },
            value: &|decisions, row| f64::from(decisions.topk_mass[row]),
            reference: Some(f64::from(model.top_k) / f64::from(model.num_experts)),
        };
        measure_token_mean(data, request, mean, progress)
    }
}
