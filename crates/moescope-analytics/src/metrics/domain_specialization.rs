//! How many of a label's tokens choose an expert.

use moescope_core::{AxisKind, Measurement, Progress};

use crate::{
    About, AnalyticsError, Input, MeasureRequest, Metric, TraceData,
    inference::{LoadQuantity, LoadValues, measure_load},
    stats::interval::IntervalMethod,
};

/// `OLMoE`'s domain specialization, per token.
pub(super) struct DomainSpecialization;

impl Metric for DomainSpecialization {
    fn about(&self) -> About {
        About {
            name: "domain_specialization",
            title: "Share of tokens that choose an expert",
            formula: "N(e, D) / N(D), where N(D) counts the tokens of label D and N(e, D) those with expert e among their k",
            unit: "share of tokens",
            range: "0 to 1, summing to k over experts; an indifferent router gives k/E",
            edge_cases: "Per token, not per assignment: k times `assignment_share`. NaN for a label without tokens.",
            uncertainty: "Percentile bootstrap over groups within label. Null: labels permuted over groups, two-sided, q over layers × labels × experts.",
            citation: "Muennighoff et al., OLMoE, arXiv 2409.02060, equation 7.",
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
        request.check_mass_is_counts(self.about().name)?;
        // Every token has k assignments to different experts, so tokens are assignments / k.
        let top_k = f64::from(data.model().top_k);
        let evaluate = |shares: &[f64], out: &mut [f64]| {
            for (out, share) in out.iter_mut().zip(shares) {
                *out = top_k * share;
            }
        };
        let quantity = LoadQuantity {
            about: self.about(),
            values: LoadValues::Experts,
            evaluate: &evaluate,
            method: IntervalMethod::Percentile,
            reference: Some(top_k / f64::from(data.model().num_experts)),
        };
        measure_load(data, request, &quantity, progress)
    }
}
