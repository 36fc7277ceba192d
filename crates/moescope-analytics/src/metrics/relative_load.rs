//! An expert's load beside its fair share.

use moescope_core::{AxisKind, Measurement, Progress};

use crate::{
    About, AnalyticsError, Input, MeasureRequest, Metric, TraceData,
    inference::{LoadQuantity, LoadValues, measure_load},
    stats::interval::IntervalMethod,
};

/// Load of each expert relative to a balanced load.
pub(super) struct RelativeLoad;

impl Metric for RelativeLoad {
    fn about(&self) -> About {
        About {
            name: "relative_load",
            title: "Load relative to a balanced load",
            formula: "E · c(e, D) / Σ_e c(e, D), where c counts assignments, or sums what `--mass` says",
            unit: "times the balanced load",
            range: "0 to E/k, with mean 1 over experts; an indifferent router gives 1",
            edge_cases: "NaN for a label without tokens.",
            uncertainty: "Percentile bootstrap over groups within label. Null: labels permuted over groups, two-sided, q over layers × labels × experts.",
            citation: "DeepSeek-AI, DeepSeek-V3, arXiv 2412.19437, figure 9.",
            inputs: &[Input::Profiles],
            axes: &[AxisKind::Layer, AxisKind::Group, AxisKind::Expert],
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
            for (out, share) in out.iter_mut().zip(shares) {
                *out = experts * share;
            }
        };
        let quantity = LoadQuantity {
            about: self.about(),
            values: LoadValues::Experts,
            evaluate: &evaluate,
            method: IntervalMethod::Percentile,
            reference: Some(1.0),
        };
        measure_load(data, request, &quantity, progress)
    }
}
