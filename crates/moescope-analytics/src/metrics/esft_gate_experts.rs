//! The experts that ESFT tunes for a label, by their weight.

use moescope_core::{AxisKind, Measurement, Progress};

use crate::{
    About, AnalyticsError, Input, MeasureRequest, Metric, TraceData,
    inference::{Relevance, measure_expert_sets},
};

/// ESFT-Gate: the smallest sets by average gate score.
pub(super) struct EsftGateExperts;

impl Metric for EsftGateExperts {
    fn about(&self) -> About {
        About {
            name: "esft_gate_experts",
            title: "Experts that ESFT tunes, by average gate score",
            formula: "the fewest experts, by falling score, whose scores sum to p or more; the score is `esft_gate_score`; p is 0.1 unless --esft-p says otherwise",
            unit: "expert id",
            range: "0 to E − 1 at each place of a set, most relevant first",
            edge_cases: "Scores are rounded to four decimals first, as in the published files, and equal ones go by ascending expert id: so published configs are reproduced exactly. Places past the end of a set are NaN. A set whose layer cannot reach p holds every expert, with a note. The same p asks for more where a router does not renormalise its weights, since their scores sum to less than 1. Refused where the trace holds no weights.",
            uncertainty: "A second table: the share of bootstrap resamples over groups whose set holds the expert; NaN for a label of fewer than five groups. No intervals, since a set has none.",
            citation: "Wang et al., Let the Expert Stick to His Last (ESFT), arXiv 2407.01906, ESFT-Gate (p = 0.1); expert_configs of github.com/deepseek-ai/ESFT.",
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
        measure_expert_sets(data, request, &self.about(), Relevance::Gate, progress)
    }
}
