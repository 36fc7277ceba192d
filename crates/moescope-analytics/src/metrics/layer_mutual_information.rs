//! How much the choice at one layer tells about that at another.

use moescope_core::{AxisKind, Measurement, Progress};

use crate::{
    About, AnalyticsError, Input, MeasureRequest, Metric, TraceData,
    inference::measure_layer_information,
};

/// Mutual information between the first choices of every two layers.
pub(super) struct LayerMutualInformation;

impl Metric for LayerMutualInformation {
    fn about(&self) -> About {
        About {
            name: "layer_mutual_information",
            title: "Information between the first choices of two layers",
            formula: "`plug_in` is I(e; e′) = H(e) + H(e′) − H(e, e′) in bits over the tokens' first choices e, e′ at two layers; `miller_madow` subtracts (K_ee′ − K_e − K_e′ + 1) / (2 N ln 2), with K the numbers of experts and pairs that occur; `nmi` is 2 I / (H(e) + H(e′))",
            unit: "bits (nmi: share)",
            range: "0 (independent) to the smaller of both entropies; nmi 0 to 1",
            edge_cases: "Symmetric; the diagonal is H(e), and its nmi 1. The plug-in value is biased upward by about (E − 1)² / (2 N ln 2) bits for independent layers; correct with miller_madow, which assumes independent tokens, or compare at equal N. Refused where the trace does not say which expert is the heaviest.",
            uncertainty: "Bias-corrected percentile bootstrap over groups, or over random blocks of groups where a table per group would not fit. No contrast.",
            citation: "Miller 1955 (bias); the quantity follows the cross-layer counts of OLMoE, arXiv 2409.02060, figure 35.",
            inputs: &[Input::Routing, Input::Tokens],
            axes: &[AxisKind::Layer, AxisKind::LayerB, AxisKind::Variant],
        }
    }

    fn measure(
        &self,
        data: &TraceData,
        request: &MeasureRequest,
        progress: &dyn Progress,
    ) -> Result<Vec<Measurement>, AnalyticsError> {
        measure_layer_information(data, request, &self.about(), progress)
    }
}
