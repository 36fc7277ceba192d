//! Where the tokens of an expert go at the next layer.

use moescope_core::{AxisKind, Measurement, Progress};

use crate::{
    About, AnalyticsError, Input, MeasureRequest, Metric, TraceData,
    inference::{PairedChoices, measure_layer_transition},
};

/// Transition probabilities between the first choices of neighbouring layers.
pub(super) struct LayerTransition;

impl Metric for LayerTransition {
    fn about(&self) -> About {
        About {
            name: "layer_transition",
            title: "Expert at the next layer",
            formula: "N(e at layer l, e′ at the next recorded layer of the scope) / N(e at l), counting first choices of the same token",
            unit: "share of the first expert's tokens",
            range: "0 to 1, summing to 1 over second experts; an indifferent router gives 1/E",
            edge_cases: "The layer is that of the first expert; the second expert's layer is the next one of the scope, so --layers 0,7 compares 0 with 7. First choices only, whose counts are a joint distribution (published code counts slot by slot: `layer_transition_slotwise`). NaN for an expert without first choices. A popular second expert has a large share after any first one: compare rows. Refused where the trace does not say which expert is the heaviest.",
            uncertainty: "Percentile bootstrap over groups, or over random blocks of groups where a table per group would not fit. A contrast permutes labels over groups, two-sided, q over all values.",
            citation: "Muennighoff et al., OLMoE, arXiv 2409.02060, figure 35 (routing across layers).",
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
        measure_layer_transition(data, request, &self.about(), PairedChoices::First, progress)
    }
}
