//! Which experts a token chooses together.

use moescope_core::{AxisKind, Measurement, Progress};

use crate::{
    About, AnalyticsError, Input, MeasureRequest, Metric, TraceData,
    inference::{CountedPairs, measure_co_activation},
};

/// `OLMoE`'s co-activation, over all pairs of a token's experts.
pub(super) struct CoActivation;

impl Metric for CoActivation {
    fn about(&self) -> About {
        About {
            name: "co_activation",
            title: "Co-activation of experts",
            formula: "N(i, j) / N(i), where N(i) counts the tokens with expert i among their k and N(i, j) those with both i and j; the first expert is i, the condition",
            unit: "share of the first expert's tokens",
            range: "0 to 1, summing to k − 1 over second experts; an indifferent router gives (k − 1) / (E − 1)",
            edge_cases: "Not symmetric. The diagonal is NaN, and so is the row of an expert without tokens. All k (k − 1) / 2 pairs of a token count; published code counts neighbours in rank only (compare `co_activation_rank_adjacent`). Large where the second expert is busy whatever the first: see `co_activation_lift`.",
            uncertainty: "Percentile bootstrap over groups, or over random blocks of groups where a table per group would not fit. A contrast permutes labels over groups, two-sided, q over all values.",
            citation: "Muennighoff et al., OLMoE, arXiv 2409.02060, equation 6.",
            inputs: &[Input::Routing, Input::Tokens],
            axes: &[AxisKind::Layer, AxisKind::Expert, AxisKind::ExpertB],
        }
    }

    fn measure(
        &self,
        data: &TraceData,
        request: &MeasureRequest,
        progress: &dyn Progress,
    ) -> Result<Vec<Measurement>, AnalyticsError> {
        measure_co_activation(data, request, &self.about(), CountedPairs::All, progress)
    }
}
