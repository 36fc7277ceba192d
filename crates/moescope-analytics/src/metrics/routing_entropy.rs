//! How undecided the router is about single tokens.

use moescope_core::{AxisKind, Measurement, Progress, Weighting};

use crate::{
    About, AnalyticsError, Input, MeasureRequest, Metric, TraceData,
    data::{DecisionNeeds, Selection},
    inference::{PerLabel, measure_per_label},
    stats::interval::IntervalMethod,
};

/// Mean normalised entropy of single decisions.
pub(super) struct RoutingEntropy;

impl Metric for RoutingEntropy {
    fn about(&self) -> About {
        About {
            name: "routing_entropy",
            title: "Normalised entropy of single decisions",
            formula: "mean over tokens of −Σ_e p(e) ln p(e) / ln E, where p is the router's distribution over all experts",
            unit: "fraction of ln E",
            range: "0 (certain) to 1 (all experts equally likely)",
            edge_cases: "Of each token's distribution, not of the load (compare `load_entropy`). What p is under sigmoid gating is told in the manifest (`scores.entropy_of`). Refused where the trace does not hold entropies.",
            uncertainty: "Percentile bootstrap over groups within label.",
            citation: "Shannon entropy of the gate's softmax.",
            inputs: &[Input::Routing, Input::Tokens],
            axes: &[AxisKind::Layer, AxisKind::Group],
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
        let layers = data.layers().len();
        let most = f64::from(data.model().num_experts).ln();
        // Sum and number per document and layer.
        let mut sums = vec![[0.0; 2]; data.documents().len() * layers];
        let needs = DecisionNeeds {
            weights: false,
            entropy: true,
            phase: request.scope.phase,
            include_special: request.scope.include_special,
        };
        data.visit_decisions(needs, about.name, progress, &mut |decisions| {
            for row in decisions.counted_rows() {
                let sum = &mut sums[decisions.document * layers + decisions.layer(row)];
                sum[0] += f64::from(decisions.entropy[row]) / most;
                sum[1] += 1.0;
            }
            Ok(())
        })?;
        let table = selection.unit_table(2, |document, layer, row| {
            let [sum, n] = sums[document * layers + layer];
            match request.scope.weighting {
                Weighting::Token => row.copy_from_slice(&[sum, n]),
                Weighting::Document if n > 0.0 => row.copy_from_slice(&[sum / n, 1.0]),
                Weighting::Document => {}
            }
        });
        let measurement = measure_per_label(
            &selection,
            request,
            PerLabel {
                unit: about.unit.to_owned(),
                about,
                table: &table,
                width: 1,
                evaluate: &|sums, out| out[0] = sums[0] / sums[1],
                last_axis: None,
                method: IntervalMethod::Percentile,
                has_null: false,
                reference: None,
            },
            progress,
        )?;
        Ok(vec![measurement])
    }
}
