//! How far the busiest expert is above a balanced load.

use moescope_core::{AxisKind, Measurement, Progress};

use crate::{
    About, AnalyticsError, Input, MeasureRequest, Metric, TraceData,
    inference::{LoadQuantity, LoadValues, measure_load},
    stats::{concentration::largest_over_mean, interval::IntervalMethod},
};

/// The load's maximal violation of balance.
pub(super) struct MaxViolation;

impl Metric for MaxViolation {
    fn about(&self) -> About {
        About {
            name: "max_violation",
            title: "Largest load beside a balanced load",
            formula: "variant `minus_one`: max_e c(e, D) / mean_e c(e, D) − 1, where c counts assignments, as published; variant `ratio`: the same without the − 1",
            unit: "times the balanced load",
            range: "`minus_one`: 0 (balanced) to E/k − 1; `ratio`: 1 to E/k",
            edge_cases: "The − 1 is included in `minus_one`, the definition; some reports leave it out, which is `ratio`. Of all tokens of a label together, not of the batches of training, where single batches violate more. `--mass` sums weights or router probabilities instead of assignments. A maximum is biased upward in small samples. NaN for a label without tokens.",
            uncertainty: "Bias-corrected percentile bootstrap over groups within label. No null but under a contrast, whose labels are permuted over groups, two-sided.",
            citation: "Wang et al., Auxiliary-Loss-Free Load Balancing Strategy for Mixture-of-Experts, arXiv 2408.15664, MaxVio.",
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
        let experts = f64::from(data.model().num_experts);
        let evaluate = |shares: &[f64], out: &mut [f64]| {
            let ratio = largest_over_mean(shares);
            out.copy_from_slice(&[ratio - 1.0, ratio]);
        };
        let quantity = LoadQuantity {
            about: self.about(),
            values: LoadValues::Variants(vec![
                ("minus_one", (0.0, experts - 1.0)),
                ("ratio", (1.0, experts)),
            ]),
            evaluate: &evaluate,
            method: IntervalMethod::BiasCorrected {
                range: (0.0, experts),
            },
            reference: None,
        };
        measure_load(data, request, &quantity, progress)
    }
}
