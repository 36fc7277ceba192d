//! How much loads vary around their mean.

use moescope_core::{AxisKind, Measurement, Progress};

use crate::{
    About, AnalyticsError, Input, MeasureRequest, Metric, TraceData,
    inference::{LoadQuantity, LoadValues, measure_load},
    stats::{concentration::coefficient_of_variation, interval::IntervalMethod},
};

/// Coefficient of variation of the load, and its square.
pub(super) struct LoadCv;

impl Metric for LoadCv {
    fn about(&self) -> About {
        About {
            name: "load_cv",
            title: "Coefficient of variation of the load",
            formula: "variant `cv`: sd_e c(e, D) / mean_e c(e, D), where c counts assignments and the variance has E in its denominator; variant `cv_squared`: its square",
            unit: "fraction of the mean load",
            range: "0 (balanced); at most √(E/k − 1) for `cv`",
            edge_cases: "The experts are all there are, not a sample of them, so the variance is not divided by E − 1. `cv_squared` of importance, the sum of the router's weights over a batch, is Shazeer's balancing loss: use `--mass weights`. `--mass` sums weights or router probabilities instead of assignments. Biased upward in small samples. NaN for a label without tokens.",
            uncertainty: "Bias-corrected percentile bootstrap over groups within label. No null but under a contrast, whose labels are permuted over groups, two-sided.",
            citation: "Shazeer et al., Outrageously Large Neural Networks, arXiv 1701.06538, section 4 (CV squared of importance and load).",
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
        let most = f64::from(data.model().num_experts) - 1.0;
        let evaluate = |shares: &[f64], out: &mut [f64]| {
            let cv = coefficient_of_variation(shares);
            out.copy_from_slice(&[cv, cv * cv]);
        };
        let quantity = LoadQuantity {
            about: self.about(),
            values: LoadValues::Variants(vec![
                ("cv", (0.0, most.sqrt())),
                ("cv_squared", (0.0, most)),
            ]),
            evaluate: &evaluate,
            method: IntervalMethod::BiasCorrected { range: (0.0, most) },
            reference: Some(0.0),
        };
        measure_load(data, request, &quantity, progress)
    }
}
