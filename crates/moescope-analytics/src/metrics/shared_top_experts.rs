//! How many of their leading experts two labels share.

use moescope_core::{AxisKind, Measurement, Progress};

use crate::{
    About, AnalyticsError, Input, MeasureRequest, Metric, TraceData,
    inference::{TopSets, measure_top_sets},
    stats::{count::real, ranking::shared},
};

/// Number of common experts among every two labels' top-k.
pub(super) struct SharedTopExperts;

impl Metric for SharedTopExperts {
    fn about(&self) -> About {
        About {
            name: "shared_top_experts",
            title: "Leading experts that two labels share",
            formula: "|A ∩ B|, where A and B are the k experts of either label with most assignments; k is the model's",
            unit: "experts",
            range: "0 to k; the leading experts of unrelated labels share k²/E on average",
            edge_cases: "`--mass weights` takes the experts with the largest average gate score instead, ESFT's other score. Equal experts go by ascending number. A note gives the mean and the least over layers and pairs. Symmetric; the diagonal is k and has neither interval nor null. NaN where a label has no tokens at a layer.",
            uncertainty: "Bias-corrected percentile bootstrap over groups within label: resampled sets are less alike than the observed ones. Null: the labels of the two sides permuted over their groups, two-sided, q over layers × pairs.",
            citation: "Wang et al., Let the Expert Stick to His Last (ESFT), arXiv 2407.01906: shared experts among the top 6 of two tasks (about 6 within and 0 between).",
            inputs: &[Input::Profiles],
            axes: &[AxisKind::Layer, AxisKind::Group, AxisKind::GroupB],
        }
    }

    fn measure(
        &self,
        data: &TraceData,
        request: &MeasureRequest,
        progress: &dyn Progress,
    ) -> Result<Vec<Measurement>, AnalyticsError> {
        let sets = TopSets {
            about: self.about(),
            mass: request.mass.unwrap_or_default(),
            evaluate: &|a, b| real(shared(a, b)),
            most: f64::from(data.model().top_k),
        };
        measure_top_sets(data, request, &sets, progress)
    }
}
