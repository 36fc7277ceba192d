//! How much more often the tokens of a label choose an expert than other tokens do.

use moescope_core::{Axis, AxisKind, Measurement, Progress};

use crate::{
    About, AnalyticsError, Input, LoadMass, MeasureRequest, Metric, TraceData,
    data::Selection,
    inference::{Joint, mass_table, measure_joint, need_two_labels},
    stats::interval::IntervalMethod,
};

/// Difference of the shares of tokens that choose an expert.
pub(super) struct RiskDifference;

impl Metric for RiskDifference {
    fn about(&self) -> About {
        About {
            name: "risk_difference",
            title: "Difference in the share of tokens that choose an expert",
            formula: "A(e) / N_A − B(e) / N_B, where N counts the tokens of a side and A(e), B(e) those that choose expert e; under a contrast A:B the sides are its labels, else A is a label and B all other documents",
            unit: "share of tokens",
            range: "−1 to 1, summing to 0 over experts; 0 where the label does not matter",
            edge_cases: "The other labels are pooled by their tokens (or documents, under document weighting), so large ones count more. Per token: k times the difference of `assignment_share`. Intervals and tests over tokens are in `risk_difference_newcombe`; they take tokens for independent. NaN where a side has no tokens at a layer.",
            uncertainty: "Percentile bootstrap over groups within label; every label needs five groups. Null: labels permuted over groups, two-sided, q over all values of the table (max-T).",
            citation: "SteerMoE, arXiv 2509.09660: risk difference of experts between paired prompts.",
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
        need_two_labels(&selection, request, about.name)?;
        let counts = LoadMass::Counts;
        let table = mass_table(data, &selection, request, counts, about.name, progress)?;
        let (experts, top_k) = (table.columns, f64::from(data.model().top_k));
        let axes = side_axes(&selection, request, experts);
        let values: usize = axes.iter().map(Axis::len).product();
        let evaluate = |sums: &[f64], out: &mut [f64]| {
            let sides = sums.chunks_exact(experts).take(values / experts);
            let all = column_sums(sums, experts);
            for (side, out) in sides.zip(out.chunks_exact_mut(experts)) {
                let (total, grand) = (side.iter().sum::<f64>(), all.iter().sum::<f64>());
                for ((out, a), all) in out.iter_mut().zip(side).zip(&all) {
                    // Every token has k assignments to different experts.
                    *out = top_k * (a / total - (all - a) / (grand - total));
                }
            }
        };
        let joint = Joint {
            about: &about,
            title: side_title(&about, request),
            unit: about.unit,
            table: &table,
            axes,
            evaluate: &evaluate,
            method: IntervalMethod::Percentile,
            reference: Some(0.0),
        };
        Ok(vec![measure_joint(&selection, request, joint, progress)?])
    }
}

/// Both labels of a contrast, or every label, and the experts.
pub(super) fn side_axes(
    selection: &Selection,
    request: &MeasureRequest,
    experts: usize,
) -> Vec<Axis> {
    let numbers = (0..experts).map(|e| e.to_string()).collect();
    let experts = Axis::new(AxisKind::Expert, numbers);
    if let Some((a, b)) = &request.contrast {
        let name = |kind, label: &String| Axis::new(kind, vec![label.clone()]);
        vec![name(AxisKind::Group, a), name(AxisKind::GroupB, b), experts]
    } else {
        vec![selection.group_axis(), experts]
    }
}

/// The title with the sides that are compared.
pub(super) fn side_title(about: &About, request: &MeasureRequest) -> String {
    match &request.contrast {
        Some((a, b)) => format!("{}: {a} minus {b}", about.title),
        None => format!("{}: label minus all others", about.title),
    }
}

/// Sums over labels, `[columns]`.
pub(super) fn column_sums(sums: &[f64], columns: usize) -> Vec<f64> {
    let mut all = vec![0.0; columns];
    for row in sums.chunks_exact(columns) {
        for (sum, value) in all.iter_mut().zip(row) {
            *sum += value;
        }
    }
    all
}
