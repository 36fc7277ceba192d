//! How much of the routing a token's id or position explains.

use moescope_core::{AxisKind, Measurement, Progress};

use crate::{
    About, AnalyticsError, Input, MeasureRequest, Metric, TraceData,
    inference::measure_token_dependence,
};

/// Information of ids and positions about experts, and `OpenMoE`'s spread of routing by id and by position.
pub(super) struct TokenDependence;

impl Metric for TokenDependence {
    fn about(&self) -> About {
        About {
            name: "token_dependence",
            title: "Dependence of routing on the token itself",
            formula: "`id` is I(x; e) / H(e) over a label's assignments, with x the token's id and e the expert; `position` the same with x the token's position; a second table holds the mean over ids (or positions) of the standard deviation over experts of N(x, e) / (k N(x)), for those with 128 tokens or more",
            unit: "share of the entropy of experts; second table: share of assignments",
            range: "0 (id or position says nothing) to 1 (it decides); standard deviations 0 to √(E − 1) / E",
            edge_cases: "Biased upward, the more so the rarer the ids: `_minus_shuffled` subtracts the mean with ids (or positions) shuffled over the tokens of each document, and is the value to quote. What a shuffle within documents keeps, such as a topic's words going to a topic's experts, is subtracted too: this is the dependence within a text. Standard deviations are NaN where no id (or position) has 128 tokens under the label.",
            uncertainty: "Bias-corrected percentile bootstrap over groups within label; of `_minus_shuffled` the bootstrap's spread around the corrected value. Null: ids or positions shuffled over the counted tokens of each document, one-sided, q over layers × labels × both. No contrast: the bias depends on how much text a label has.",
            citation: "Xue et al., OpenMoE, arXiv 2402.01739, section 4 (context-independent specialization; standard deviations, ids with 128 occurrences or more); the normalised information is this toolkit's.",
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
        measure_token_dependence(data, request, &self.about(), progress)
    }
}
