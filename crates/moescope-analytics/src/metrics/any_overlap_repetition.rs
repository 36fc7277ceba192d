//! How often neighbouring tokens share an expert.

use moescope_core::{AxisKind, Measurement, Progress};

use crate::{
    About, AnalyticsError, Input, MeasureRequest, Metric, TraceData,
    inference::{Repetition, measure_repetition},
};

/// Repetition of any of the k choices.
pub(super) struct AnyOverlapRepetition;

impl Metric for AnyOverlapRepetition {
    fn about(&self) -> About {
        About {
            name: "any_overlap_repetition",
            title: "Repetition of any choice",
            formula: "P(the k experts at positions t and t + 1 have one in common) over neighbouring content tokens of one document; `shuffled` is the same over random pairs of the document (four draws per token, seeded); `excess` is their difference",
            unit: "share of neighbouring pairs",
            range: "0 to 1; an indifferent router gives 1 − C(E−k, k) / C(E, k)",
            edge_cases: "A special or template token between two tokens parts them. Needs no rank of experts. The mean overlap over k is in `overlap_by_lag`. NaN for a label without a pair.",
            uncertainty: "Percentile bootstrap over groups within label, of all three variants. Null of `observed` and `excess`: the document's own marginals, observed and shuffled exchanged within groups, two-sided, q over layers × labels; not where groups have fewer than 20 pairs on average. Under a contrast: labels permuted over groups.",
            citation: "Jiang et al., Mixtral of Experts, arXiv 2401.04088, table 5 (first or second choice).",
            inputs: &[Input::Routing, Input::Tokens],
            axes: &[AxisKind::Layer, AxisKind::Group, AxisKind::Variant],
        }
    }

    fn measure(
        &self,
        data: &TraceData,
        request: &MeasureRequest,
        progress: &dyn Progress,
    ) -> Result<Vec<Measurement>, AnalyticsError> {
        measure_repetition(
            data,
            request,
            &self.about(),
            Repetition::AnyOverlap,
            progress,
        )
    }
}
