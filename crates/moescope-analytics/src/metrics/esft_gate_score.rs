//! How much weight each expert has for a label's tokens.

use moescope_core::{Axis, AxisKind, Measurement, Progress};

use crate::{
    About, AnalyticsError, Input, MeasureRequest, Metric, TraceData,
    data::Selection,
    inference::{PerLabel, Relevance, measure_per_label, relevance_table},
    stats::interval::IntervalMethod,
};

/// ESFT's average gate score.
pub(super) struct EsftGateScore;

impl Metric for EsftGateScore {
    fn about(&self) -> About {
        About {
            name: "esft_gate_score",
            title: "Average gate score per expert",
            formula: "Σ_t g(e, t) / N(D) over the N(D) tokens t of label D, where g is the recorded weight of expert e and 0 where e is not among the k",
            unit: "weight per token",
            range: "0 to 1; summing over experts to 1 where the weights of a token do, else to the mean sum of the k weights",
            edge_cases: "Not divided by the sum of weights: without renormalisation the scores of DeepSeek-V2-Lite sum to 0.3 to 0.5. Token weighting gives the authors' published scores; document weighting is the mean of means over documents that their paper writes, which differs by up to 0.002 on their data. Refused where the trace holds no weights. NaN for a label without tokens.",
            uncertainty: "Percentile bootstrap over groups within label. Null: labels permuted over groups, two-sided, q over layers × labels × experts.",
            citation: "Wang et al., Let the Expert Stick to His Last (ESFT), arXiv 2407.01906, average gate score; expert_scores of github.com/deepseek-ai/ESFT.",
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
        let about = self.about();
        let selection = Selection::new(data, request, about.name, progress)?;
        let relevance = Relevance::Gate;
        let table = relevance_table(data, &selection, request, relevance, about.name, progress)?;
        let model = data.model();
        let experts = (0..model.num_experts).map(|e| e.to_string()).collect();
        let measurement = measure_per_label(
            &selection,
            request,
            PerLabel {
                unit: about.unit.to_owned(),
                about,
                table: &table,
                width: usize::from(model.num_experts),
                evaluate: &|sums, out| relevance.scores(sums, model.top_k, out),
                last_axis: Some(Axis::new(AxisKind::Expert, experts)),
                method: IntervalMethod::Percentile,
                has_null: true,
                reference: None,
            },
            progress,
        )?;
        Ok(vec![measurement])
    }
}
