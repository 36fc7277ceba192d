//! How few experts do most of the work.

use moescope_core::{AxisKind, Measurement, Progress};

use crate::{
    About, AnalyticsError, Input, MeasureRequest, Metric, TraceData,
    inference::{LoadQuantity, LoadValues, measure_load},
    stats::{concentration::coverage_count, interval::IntervalMethod},
};

/// The fewest experts that cover a part of the load.
pub(super) struct CoverageCount;

/// The parts of the load, by name.
const PARTS: [(&str, f64); 3] = [("0.5", 0.5), ("0.8", 0.8), ("0.9", 0.9)];

impl Metric for CoverageCount {
    fn about(&self) -> About {
        About {
            name: "coverage_count",
            title: "Fewest experts that cover a part of the load",
            formula: "min |S| with Σ_{e ∈ S} c(e, D) ≥ q Σ_e c(e, D), where c counts assignments; variants for q = 0.5, 0.8 and 0.9",
            unit: "experts",
            range: "1 to E; a balanced load gives q E, rounded up",
            edge_cases: "A whole number, so resamples may all agree and the interval be a point. A small sample looks more concentrated than its source, so counts are biased downward. `--mass` sums weights or router probabilities instead of assignments. NaN for a label without tokens.",
            uncertainty: "Percentile bootstrap over groups within label. No null but under a contrast, whose labels are permuted over groups, two-sided.",
            citation: "MoE Lens, arXiv 2603.05806 (few experts take more than half of the routing); the sets of ESFT, arXiv 2407.01906, are of this kind.",
            inputs: &[Input::Profiles],
            axes: &[AxisKind::Layer, AxisKind::Group, AxisKind::Variant],
        }
    }

    fn measure(
        &self,
        data: &TraceData,
        request: &MeasureRequest,
        progress: &dyn Progress,
    ) -> Result<Vec<Measurement>, AnalyticsError> {
        let evaluate = |shares: &[f64], out: &mut [f64]| {
            for (out, (_, part)) in out.iter_mut().zip(PARTS) {
                *out = coverage_count(shares, part);
            }
        };
        let range = (1.0, f64::from(data.model().num_experts));
        let quantity = LoadQuantity {
            about: self.about(),
            values: LoadValues::Variants(PARTS.map(|(name, _)| (name, range)).to_vec()),
            evaluate: &evaluate,
            method: IntervalMethod::Percentile,
            reference: None,
        };
        measure_load(data, request, &quantity, progress)
    }
}
