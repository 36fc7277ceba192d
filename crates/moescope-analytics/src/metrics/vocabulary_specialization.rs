//! How far a token's id decides its expert.

use moescope_core::{AxisKind, Measurement, Progress};

use crate::{
    About, AnalyticsError, Input, MeasureRequest, Metric, TraceData,
    inference::measure_vocabulary_specialization,
};

/// `OLMoE`'s vocabulary specialization, averaged over the vocabulary.
pub(super) struct VocabularySpecialization;

impl Metric for VocabularySpecialization {
    fn about(&self) -> About {
        About {
            name: "vocabulary_specialization",
            title: "Vocabulary specialization",
            formula: "the mean over ids x of max_e N(x, e) / N(x), where N(x) counts the tokens of label D with id x and N(x, e) those with expert e among their k; x is the token's own id (`input`), the id the model thinks most likely next (`predicted`), or the id that follows (`next`)",
            unit: "share of an id's tokens with its most frequent expert",
            range: "1/E upward (k/E for k choices) to 1; an indifferent router gives more than k/E, since a maximum of few counts is large: compare with the shuffled mean",
            edge_cases: "`input`, `predicted`, `next`: mean over ids that occur ten times or more under the label. `_every_id`: over all ids, as published figures are; an id seen once scores 1. `_by_token`: every token with the share of its id, so frequent ids count more. `_minus_shuffled`: the first minus its mean when ids are shuffled over the tokens of each document, the part that the id explains beyond document and count. Predicted ids are left out, with a note, where the trace does not know them. Each expert's ids: `top_tokens`.",
            uncertainty: "Bias-corrected percentile bootstrap over groups within label; of `_minus_shuffled` the bootstrap's spread around the corrected value. Null: ids shuffled over the counted tokens of each document, one-sided, q over layers × labels × variants. No contrast: the bias depends on how much text a label has.",
            citation: "Muennighoff et al., OLMoE, arXiv 2409.02060, equation 8 and figure 22; scripts/run_moe_analysis.py of github.com/allenai/OLMoE (`_every_id`; lists of ids from ten occurrences).",
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
        measure_vocabulary_specialization(data, request, &self.about(), progress)
    }
}
