//! How many equally loaded experts would have the same entropy.

use moescope_core::{AxisKind, Measurement, Progress};

use crate::{
    About, AnalyticsError, Input, MeasureRequest, Metric, TraceData,
    inference::{LoadQuantity, LoadValues, measure_load},
    stats::{information::entropy_nats, interval::IntervalMethod},
};

/// Exponential of the load's entropy.
pub(super) struct EffectiveExperts;

impl Metric for EffectiveExperts {
    fn about(&self) -> About {
        About {
            name: "effective_experts",
            title: "Effective number of experts",
            formula: "exp(−Σ_e s(e) ln s(e)), where s is `assignment_share`",
            unit: "experts",
            range: "k (the same k experts always) to E (balanced)",
            edge_cases: "Biased downward in small samples. NaN for a label without tokens.",
            uncertainty: "Bias-corrected percentile bootstrap over groups within label.",
            citation: "Hill number of order 1 (Hill 1973, Ecology 54, 427).",
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
        let experts = f64::from(data.model().num_experts);
        let quantity = LoadQuantity {
            about: self.about(),
            values: LoadValues::One,
            evaluate: &|shares, out| out[0] = entropy_nats(shares).exp(),
            method: IntervalMethod::BiasCorrected {
                range: (1.0, experts),
            },
            reference: Some(experts),
        };
        measure_load(data, request, &quantity, progress)
    }
}
