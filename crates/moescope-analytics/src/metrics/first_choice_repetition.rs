//! How often neighbouring tokens have the same heaviest expert.

use moescope_core::{AxisKind, Measurement, Progress};
use moescope_trace::ExpertsOrder;

use crate::{
    About, AnalyticsError, Input, MeasureRequest, Metric, TraceData,
    inference::{Repetition, measure_repetition},
};

/// Repetition of the first choice.
pub(super) struct FirstChoiceRepetition;

impl Metric for FirstChoiceRepetition {
    fn about(&self) -> About {
        About {
            name: "first_choice_repetition",
            title: "Repetition of the first choice",
            formula: "P(first choice at position t + 1 = first choice at t) over neighbouring content tokens of one document; `shuffled` is Σ_e n_e (n_e − 1) / (n (n − 1)) with the document's own counts n_e of first choices; `excess` is their difference",
            unit: "share of neighbouring pairs",
            range: "0 to 1; an indifferent router gives 1/E",
            edge_cases: "A special or template token between two tokens parts them. Refused where the trace does not say which expert is the heaviest. NaN for a label without a pair.",
            uncertainty: "Percentile bootstrap over groups within label, of all three variants. Null of `observed` and `excess`: the document's own marginals, observed and shuffled exchanged within groups, two-sided, q over layers × labels; not where groups have fewer than 20 pairs on average. Under a contrast: labels permuted over groups.",
            citation: "Jiang et al., Mixtral of Experts, arXiv 2401.04088, table 5 (first choice).",
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
        let about = self.about();
        if data.experts_order() == ExpertsOrder::Unspecified {
            return Err(AnalyticsError::MissingInput {
                metric: about.name.to_owned(),
                missing: "the rank of experts (manifest: experts_order is unspecified)".to_owned(),
                help: "use any_overlap_repetition, which needs no rank".to_owned(),
            });
        }
        measure_repetition(data, request, &about, Repetition::FirstChoice, progress)
    }
}
