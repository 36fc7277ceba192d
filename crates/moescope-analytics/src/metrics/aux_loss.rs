//! What the balancing loss of training would be.

use moescope_core::{Axis, AxisKind, Measurement, Progress, Weighting};

use crate::{
    About, AnalyticsError, Input, MeasureRequest, Metric, TraceData,
    data::{ProfileColumn, Selection},
    inference::{PerLabel, measure_per_label},
    stats::interval::IntervalMethod,
};

/// Load-balancing loss of a layer, without its coefficient.
pub(super) struct AuxLoss;

/// Whether the choices are a distribution over experts, or over the experts of each of the k slots.
const VARIANTS: [&str; 2] = ["f_sums_to_1", "f_sums_to_k"];

impl Metric for AuxLoss {
    fn about(&self) -> About {
        About {
            name: "aux_loss",
            title: "Load-balancing loss without its coefficient",
            formula: "E Σ_e f(e) P(e), where P(e) is the mean router probability of expert e over the tokens of a label; variant `f_sums_to_1`: f(e) is the share of assignments; variant `f_sums_to_k`: f(e) is the share of tokens that choose e, k times as much",
            unit: "loss",
            range: "at a balanced load 1 for `f_sums_to_1` and k for `f_sums_to_k`; at most E/k and E",
            edge_cases: "Switch (k = 1) has f summing to 1; the code of transformers for Mixtral sums f over the k slots, so its value is k times as large: compare only like with like. That code also pools the tokens of all layers before it multiplies, while this is per layer. Of all tokens of a label together: the loss of training is a mean over batches, each less balanced. Values below the balanced one are possible where choices and probabilities disagree, e.g. with a bias for selection. What a probability is under sigmoid gating is told in the manifest (`scores.entropy_of`). Refused where the trace holds no router probabilities. NaN for a label without tokens.",
            uncertainty: "Bias-corrected percentile bootstrap over groups within label. No null but under a contrast, whose labels are permuted over groups, two-sided.",
            citation: "Fedus et al., Switch Transformers, arXiv 2101.03961, equations 4 to 6; load_balancing_loss_func of transformers, modeling_mixtral.py.",
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
        let about = self.about();
        let selection = Selection::new(data, request, about.name, progress)?;
        let scope = &request.scope;
        let tensor = |column| data.tensor_in(column, scope, about.name, progress);
        let counts = tensor(ProfileColumn::Counts)?;
        let probabilities = tensor(ProfileColumn::ProbSum)?;
        let experts = counts.columns();
        let top_k = f64::from(data.model().top_k);
        let table = selection.unit_table(2 * experts, |document, layer, row| {
            let counts = counts.row(document, layer);
            let tokens = counts.iter().sum::<f64>() / top_k;
            let weight = match scope.weighting {
                Weighting::Token => 1.0,
                Weighting::Document if tokens > 0.0 => 1.0 / tokens,
                Weighting::Document => 0.0,
            };
            let sums = counts.iter().chain(probabilities.row(document, layer));
            for (target, sum) in row.iter_mut().zip(sums) {
                *target = weight * sum;
            }
        });
        let scale = f64::from(data.model().num_experts);
        let evaluate = |sums: &[f64], out: &mut [f64]| {
            let (counts, probabilities) = sums.split_at(experts);
            let assignments: f64 = counts.iter().sum();
            let products = counts.iter().zip(probabilities).map(|(c, p)| c * p);
            // P divides by tokens, which are assignments / k.
            let loss = scale * top_k * products.sum::<f64>() / assignments.powi(2);
            out.copy_from_slice(&[loss, top_k * loss]);
        };
        let measurement = measure_per_label(
            &selection,
            request,
            PerLabel {
                unit: about.unit.to_owned(),
                about,
                table: &table,
                width: VARIANTS.len(),
                evaluate: &evaluate,
                last_axis: Some(Axis::new(
                    AxisKind::Variant,
                    VARIANTS.map(str::to_owned).to_vec(),
                )),
                method: IntervalMethod::BiasCorrected {
                    range: (0.0, scale),
                },
                has_null: false,
                reference: None,
            },
            progress,
        )?;
        Ok(vec![measurement])
    }
}
