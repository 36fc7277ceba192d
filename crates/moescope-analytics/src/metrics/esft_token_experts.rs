//! The experts that ESFT tunes for a label, by how many tokens choose them.

use moescope_core::{AxisKind, Measurement, Progress};

use crate::{
    About, AnalyticsError, Input, MeasureRequest, Metric, TraceData,
    inference::{Relevance, measure_expert_sets},
};

/// ESFT-Token: the smallest sets by token selection ratio.
pub(super) struct EsftTokenExperts;

impl Metric for EsftTokenExperts {
    fn about(&self) -> About {
        About {
            name: "esft_token_experts",
            title: "Experts that ESFT tunes, by token selection ratio",
            formula: "the fewest experts, by falling score, whose scores sum to p or more; the score of expert e is N(e, D) / (k N(D)), which is `assignment_share`; p is 0.2 unless --esft-p says otherwise",
            unit: "expert id",
            range: "0 to E − 1 at each place of a set, most relevant first",
            edge_cases: "Scores are rounded to four decimals first, as in the published files, and equal ones go by ascending expert id: so published configs are reproduced exactly. Places past the end of a set are NaN. A set whose layer cannot reach p holds every expert, with a note. Needs expert ids only.",
            uncertainty: "A second table: the share of bootstrap resamples over groups whose set holds the expert; NaN for a label of fewer than five groups. No intervals, since a set has none.",
            citation: "Wang et al., Let the Expert Stick to His Last (ESFT), arXiv 2407.01906, ESFT-Token (p = 0.2); expert_configs of github.com/deepseek-ai/ESFT.",
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
        measure_expert_sets(data, request, &self.about(), Relevance::Token, progress)
    }
}
