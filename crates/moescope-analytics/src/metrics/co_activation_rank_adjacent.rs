//! Which experts stand next to each other in a token's ranking.

use moescope_core::{AxisKind, Measurement, Progress};

use crate::{
    About, AnalyticsError, Input, MeasureRequest, Metric, TraceData,
    inference::{CountedPairs, measure_co_activation},
};

/// Co-activation as `OLMoE`'s published code counts it.
pub(super) struct CoActivationRankAdjacent;

impl Metric for CoActivationRankAdjacent {
    fn about(&self) -> About {
        About {
            name: "co_activation_rank_adjacent",
            title: "Co-activation of experts of neighbouring rank",
            formula: "A(i, j) / N(i), where N(i) counts the tokens with expert i among their k and A(i, j) those in whose ranking by weight i and j are neighbours, in either order",
            unit: "share of the first expert's tokens",
            range: "0 to 1, summing to at most 2 over second experts; an indifferent router gives 2 (k − 1) / (k (E − 1))",
            edge_cases: "What the published code and figure of OLMoE count: k − 1 of the k (k − 1) / 2 pairs of the formula of `co_activation`, to which it is equal for k = 2. Refused where the trace does not say which expert is the heaviest.",
            uncertainty: "Percentile bootstrap over groups, or over random blocks of groups where a table per group would not fit. A contrast permutes labels over groups, two-sided, q over all values.",
            citation: "Muennighoff et al., OLMoE, arXiv 2409.02060, figure 21; scripts/run_moe_analysis.py of github.com/allenai/OLMoE.",
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
        measure_co_activation(
            data,
            request,
            &self.about(),
            CountedPairs::RankAdjacent,
            progress,
        )
    }
}
