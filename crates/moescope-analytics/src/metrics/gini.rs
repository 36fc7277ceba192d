//! How unevenly the load spreads, as one number.

use moescope_core::{AxisKind, Measurement, Progress};

use crate::{
    About, AnalyticsError, Input, MeasureRequest, Metric, TraceData,
    inference::{LoadQuantity, LoadValues, measure_load},
    stats::{concentration::gini, interval::IntervalMethod},
};

/// Gini index of the load.
pub(super) struct Gini;

impl Metric for Gini {
    fn about(&self) -> About {
        About {
            name: "gini",
            title: "Gini index of the load",
            formula: "Σ_i (2i − E − 1) x_i / (E Σ_i x_i), where x are the loads of the experts in ascending order and i counts from 1",
            unit: "Gini index",
            range: "0 (balanced) to 1 − 1/E (one expert has all); top-k routing cannot pass 1 − k/E with assignments",
            edge_cases: "Never compare without the protocol: the same OLMoE gives 0.14 to 0.29 from the assignments of all tokens of C4, 0.32 to 0.56 on arXiv, and 0.90 from router probabilities at the last prompt token. The default load is assignments; `--mass last_probabilities` is the published protocol of the standing committee (mean router probability at the last prompt token), `--mass probabilities` the same over all tokens. Biased upward in small samples. NaN for a label without tokens.",
            uncertainty: "Bias-corrected percentile bootstrap over groups within label. No null but under a contrast, whose labels are permuted over groups, two-sided.",
            citation: "Gini 1912; for experts arXiv 2601.03425, equation 14.",
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
        let most = 1.0 - 1.0 / f64::from(data.model().num_experts);
        let quantity = LoadQuantity {
            about: self.about(),
            values: LoadValues::One,
            evaluate: &|shares, out| out[0] = gini(shares),
            method: IntervalMethod::BiasCorrected { range: (0.0, most) },
            reference: Some(0.0),
        };
        let mut found = measure_load(data, request, &quantity, progress)?;
        for measurement in &mut found {
            measurement.protocol.notes.push(format!(
                "comparable only with Gini indices of the same protocol: {}",
                request.mass.unwrap_or_default().words()
            ));
        }
        Ok(found)
    }
}
