//! Where the choices of each rank go at the next layer.

use moescope_core::{AxisKind, Measurement, Progress};

use crate::{
    About, AnalyticsError, Input, MeasureRequest, Metric, TraceData,
    inference::{PairedChoices, measure_layer_transition},
};

/// Transitions between layers as `OLMoE`'s published code counts them.
pub(super) struct LayerTransitionSlotwise;

impl Metric for LayerTransitionSlotwise {
    fn about(&self) -> About {
        About {
            name: "layer_transition_slotwise",
            title: "Expert of the same rank at the next layer",
            formula: "Σ_r N(e at rank r of layer l, e′ at rank r of the next recorded layer of the scope) / Σ_r N(e at rank r of l), over the k ranks",
            unit: "share of the first expert's assignments",
            range: "0 to 1, summing to 1 over second experts; an indifferent router gives 1/E",
            edge_cases: "What published code counts: k pairs of a token instead of k², so an expert's choices at other ranks are left out, and the counts are no joint distribution of any two choices. For k = 1 it is `layer_transition`, which is the one to use. Refused where the trace does not say which expert is the heaviest.",
            uncertainty: "Percentile bootstrap over groups, or over random blocks of groups where a table per group would not fit. A contrast permutes labels over groups, two-sided, q over all values.",
            citation: "scripts/run_routing_analysis.py of github.com/allenai/OLMoE (arXiv 2409.02060, figure 35).",
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
        measure_layer_transition(
            data,
            request,
            &self.about(),
            PairedChoices::SlotBySlot,
            progress,
        )
    }
}
