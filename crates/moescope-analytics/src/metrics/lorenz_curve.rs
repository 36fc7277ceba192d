//! How unevenly the load spreads, as a curve.

use moescope_core::{AxisKind, Measurement, Progress};

use crate::{
    About, AnalyticsError, Input, MeasureRequest, Metric, TraceData,
    inference::{LoadQuantity, LoadValues, measure_load},
    stats::{concentration::lorenz, interval::IntervalMethod},
};

/// Lorenz curve of the load.
pub(super) struct LorenzCurve;

impl Metric for LorenzCurve {
    fn about(&self) -> About {
        About {
            name: "lorenz_curve",
            title: "Share of the load on the r lightest experts",
            formula: "Σ_{i ≤ r} x_i / Σ_i x_i, where x are the loads of the experts in ascending order",
            unit: "share of the load",
            range: "0 to 1, rising with the rank r; a balanced load gives r/E",
            edge_cases: "Ranks are by load, so every label has its own order of experts. `gini` is one minus twice the area below the curve. `--mass` sums weights or router probabilities instead of assignments. Biased downward in small samples. NaN for a label without tokens.",
            uncertainty: "Bias-corrected percentile bootstrap over groups within label. No null but under a contrast, whose labels are permuted over groups, two-sided.",
            citation: "Lorenz 1905, Publications of the American Statistical Association 9, 209.",
            inputs: &[Input::Profiles],
            axes: &[AxisKind::Layer, AxisKind::Group, AxisKind::Rank],
        }
    }

    fn measure(
        &self,
        data: &TraceData,
        request: &MeasureRequest,
        progress: &dyn Progress,
    ) -> Result<Vec<Measurement>, AnalyticsError> {
        let quantity = LoadQuantity {
            about: self.about(),
            values: LoadValues::Ranks,
            evaluate: &lorenz,
            method: IntervalMethod::BiasCorrected { range: (0.0, 1.0) },
            reference: None,
        };
        measure_load(data, request, &quantity, progress)
    }
}
