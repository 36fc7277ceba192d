//! How much more a label uses an expert than the other labels do.

use moescope_core::{Axis, AxisKind, Measurement, Progress};

use crate::{
    About, AnalyticsError, Input, MeasureRequest, Metric, TraceData,
    data::Selection,
    inference::{Joint, load_table, mass_note, measure_joint, need_two_labels},
    stats::{
        information::{LabelPrior, normalized_pmi},
        interval::IntervalMethod,
    },
};

/// Normalised pointwise mutual information and log odds of expert and label.
pub(super) struct LabelLift;

impl Metric for LabelLift {
    fn about(&self) -> About {
        About {
            name: "label_lift",
            title: "Lift of an expert in a label",
            formula: "ln(p(e, D) / (p(e) p(D))) / −ln p(e, D), where p(e, D) is the share of assignments that are of label D to expert e; labels have equal weight by default",
            unit: "normalised pointwise mutual information",
            range: "−1 (the label never chooses the expert) to 1 (label and expert occur together only); 0 where the label does not matter",
            edge_cases: "A second table has the log odds ratio ln[(a + ½)(d + ½) / ((b + ½)(c + ½))], where a and b are assignments of the label to this and to all other experts, c and d those of all other labels; the halves (of an assignment, or of a document under document weighting) keep it finite. The log odds ratio weighs labels by their assignments; it does not shrink as the number of labels grows, nPMI does. Under a contrast only the two labels are compared, with each other. NaN for an expert that no label chooses.",
            uncertainty: "Percentile bootstrap over groups within label; every label needs five groups, since all are compared. Null: labels permuted over groups, two-sided, q over the values of either table.",
            citation: "Bouma 2009, normalised pointwise mutual information; of experts and words in RICE, arXiv 2505.14681. The halves: Haldane 1956, Anscombe 1956.",
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
        let table = load_table(data, &selection, request, about.name, progress)?;
        need_two_labels(&selection, request, about.name)?;
        let experts = table.columns;
        let numbers = (0..experts).map(|e| e.to_string()).collect();
        let axes = vec![selection.group_axis(), Axis::new(AxisKind::Expert, numbers)];
        let prior = request.prior;
        let lift = |sums: &[f64], out: &mut [f64]| normalized_pmi(sums, experts, prior, out);
        let odds = |sums: &[f64], out: &mut [f64]| log_odds(sums, experts, out);
        let joint = Joint {
            about: &about,
            title: format!("{}: nPMI", about.title),
            unit: about.unit,
            table: &table,
            axes: axes.clone(),
            evaluate: &lift,
            method: IntervalMethod::Percentile,
            reference: Some(0.0),
        };
        let mut lift = measure_joint(&selection, request, joint, progress)?;
        lift.protocol.notes.push(match prior {
            LabelPrior::Equal => "every label has the same prior weight".to_owned(),
            LabelPrior::Mass => {
                format!("labels are weighted by their {}s", request.scope.weighting)
            }
        });
        let joint = Joint {
            about: &about,
            title: format!("{}: log odds ratio against all other labels", about.title),
            unit: "nats",
            table: &table,
            axes,
            evaluate: &odds,
            method: IntervalMethod::Percentile,
            reference: Some(0.0),
        };
        let odds = measure_joint(&selection, request, joint, progress)?;
        let mut found = vec![lift, odds];
        for measurement in &mut found {
            measurement.protocol.notes.extend(mass_note(request.mass));
        }
        Ok(found)
    }
}

/// Log odds of every expert in every label against the other labels, `[labels, experts]`, each cell half a count larger.
///
/// NaN for an expert without any count, as for `nPMI`.
fn log_odds(mass: &[f64], experts: usize, out: &mut [f64]) {
    let mut of_expert = vec![0.0; experts];
    for row in mass.chunks_exact(experts) {
        for (sum, m) in of_expert.iter_mut().zip(row) {
            *sum += m;
        }
    }
    let grand: f64 = of_expert.iter().sum();
    for (row, out) in mass
        .chunks_exact(experts)
        .zip(out.chunks_exact_mut(experts))
    {
        let total: f64 = row.iter().sum();
        for ((a, column), out) in row.iter().zip(&of_expert).zip(out) {
            let (b, c) = (total - a, column - a);
            let d = grand - total - c;
            // Rounding must not make a cell smaller than empty.
            let [a, b, c, d] = [*a, b, c, d].map(|cell| cell.max(0.0) + 0.5);
            *out = if *column > 0.0 {
                (a * d / (b * c)).ln()
            } else {
                f64::NAN
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odds_are_of_the_label_against_all_others() {
        // Label 0: 9 and 1; the others together: 5 and 15. ln(9.5 · 15.5 / (1.5 · 5.5)).
        let mut out = [0.0; 9];
        log_odds(&[9.0, 1.0, 0.0, 2.0, 8.0, 0.0, 3.0, 7.0, 0.0], 3, &mut out);
        assert!((out[0] - (9.5f64 * 15.5 / (1.5 * 5.5)).ln()).abs() < 1e-12);
        assert!(
            (out[1] + out[0]).abs() < 1e-12,
            "two experts mirror each other"
        );
        assert!(out[2].is_nan());
    }
}
