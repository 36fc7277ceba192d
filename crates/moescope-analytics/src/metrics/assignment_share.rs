//! How the assignments of a label spread over the experts.

use moescope_core::{AxisKind, Measurement, Progress};

use crate::{
    About, AnalyticsError, Input, MeasureRequest, Metric, TraceData,
    inference::{LoadQuantity, LoadValues, measure_load},
    stats::interval::IntervalMethod,
};

/// Share of a label's assignments that each expert gets.
pub(super) struct AssignmentShare;

impl Metric for AssignmentShare {
    fn about(&self) -> About {
        About {
            name: "assignment_share",
            title: "Share of assignments per expert",
            formula: "c(e, D) / Σ_e c(e, D), where c counts the assignments (every one of the k chosen experts of a token) of label D to expert e at one layer",
            unit: "share of assignments",
            range: "0 to 1, summing to 1 over experts; an indifferent router gives 1/E",
            edge_cases: "Per assignment, not per token: the uniform value is 1/E, not k/E (compare `domain_specialization`). NaN for a label without tokens.",
            uncertainty: "Percentile bootstrap over groups within label. Null: labels permuted over groups, two-sided, q over layers × labels × experts.",
            citation: "Jiang et al., Mixtral of Experts, arXiv 2401.04088, section 5 (expert assignment proportion); the same as the token selection ratio of ESFT, arXiv 2407.01906.",
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
        let quantity = LoadQuantity {
            about: self.about(),
            values: LoadValues::Experts,
            evaluate: &|shares, out| out.copy_from_slice(shares),
            method: IntervalMethod::Percentile,
            reference: Some(1.0 / f64::from(data.model().num_experts)),
        };
        measure_load(data, request, &quantity, progress)
    }
}
