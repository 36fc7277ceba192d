//! How evenly the assignments of a label spread.

use moescope_core::{AxisKind, Measurement, Progress};

use crate::{
    About, AnalyticsError, Input, MeasureRequest, Metric, TraceData,
    inference::{LoadQuantity, LoadValues, measure_load},
    stats::{information::entropy_nats, interval::IntervalMethod},
};

/// Normalised entropy of the assignment shares.
pub(super) struct LoadEntropy;

impl Metric for LoadEntropy {
    fn about(&self) -> About {
        About {
            name: "load_entropy",
            title: "Normalised entropy of the load",
            formula: "−Σ_e s(e) ln s(e) / ln E, where s is `assignment_share`",
            unit: "fraction of ln E",
            range: "ln k / ln E (the same k experts always) to 1 (balanced)",
            edge_cases: "Of the load of many tokens, not of one token (compare `routing_entropy`). Biased downward in small samples. NaN for a label without tokens or a model with one expert.",
            uncertainty: "Bias-corrected percentile bootstrap over groups within label.",
            citation: "Shannon entropy; common in reports of expert load, e.g. arXiv 2601.03425.",
            inputs: &[Input::Profiles],
            axes: &[AxisKind::Layer, AxisKind::Group],
        }
    }

    fn measure(
        &self,
        data: &TraceData,
        request: &MeasureRequest,
        progress: &dyn Progress,
    ) -> Result<Vec<Measurement>, AnalyticsError> {
        let most = f64::from(data.model().num_experts).ln();
        let evaluate = |shares: &[f64], out: &mut [f64]| out[0] = entropy_nats(shares) / most;
        let quantity = LoadQuantity {
            about: self.about(),
            values: LoadValues::One,
            evaluate: &evaluate,
            method: IntervalMethod::BiasCorrected { range: (0.0, 1.0) },
            reference: Some(1.0),
        };
        measure_load(data, request, &quantity, progress)
    }
}
