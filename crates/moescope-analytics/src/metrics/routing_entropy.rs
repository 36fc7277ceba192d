//! How undecided the router is about single tokens.

use moescope_core::{AxisKind, Measurement, Progress, Weighting};

use crate::{
    About, AnalyticsError, Input, MeasureRequest, Metric, TraceData,
    data::{DecisionNeeds, DocumentDecisions, Selection, Summary},
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
        let most = f64::from(data.model().num_experts).ln();
        // Sum and number per layer.
        let add = |decisions: &DocumentDecisions<'_>, numbers: &mut [f64]| {
            for row in decisions.counted_rows() {
                let layer = decisions.layer(row);
                numbers[2 * layer] += f64::from(decisions.entropy[row]) / most;
                numbers[2 * layer + 1] += 1.0;
            }
        };
        let summary = Summary {
            name: "sum of routing entropies".to_owned(),
            needs: DecisionNeeds {
                entropy: true,
                ..DecisionNeeds::of(&request.scope)
            },
            columns: 2,
            add: &add,
        };
        let sums = data.summarize(&summary, about.name, progress)?;
        let table = selection.unit_table(2, |document, layer, row| {
            let &[sum, n] = sums.row(document, layer) else {
                unreachable!("two columns were asked for")
            };
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
