//! Mean and quantiles over tokens of a number that every decision has.

use moescope_core::{Axis, AxisKind, Measurement, Progress, Weighting};

use super::{PerLabel, measure_per_label};
use crate::{
    About, AnalyticsError, MeasureRequest, TraceData,
    data::{DecisionNeeds, DocumentDecisions, Selection, Summary},
    stats::{histogram::Bins, interval::IntervalMethod},
};

/// A number of each decision, whose distribution is asked for.
pub(crate) struct TokenDistribution<'a> {
    /// The metric, or a part of it with a title and unit of its own.
    pub(crate) about: About,
    /// What is counted, for the next metric that needs the same.
    pub(crate) name: &'static str,
    /// The columns that the number is made of; the scope is the request's.
    pub(crate) needs: DecisionNeeds,
    /// The bins from which quantiles are read.
    pub(crate) bins: Bins,
    /// The number of a decision, given its row; NaN counts for nothing.
    pub(crate) value: &'a (dyn Fn(&DocumentDecisions<'_>, usize) -> f64 + Sync),
}

/// The mean and these quantiles.
const VARIANTS: [&str; 6] = ["mean", "q05", "q25", "median", "q75", "q95"];
const PARTS: [f64; 5] = [0.05, 0.25, 0.5, 0.75, 0.95];

/// Measures the distribution of every label at every layer.
pub(crate) fn measure_token_distribution(
    data: &TraceData,
    request: &MeasureRequest,
    distribution: TokenDistribution<'_>,
    progress: &dyn Progress,
) -> Result<Measurement, AnalyticsError> {
    let TokenDistribution {
        about,
        name,
        needs,
        bins,
        value,
    } = distribution;
    let selection = Selection::new(data, request, about.name, progress)?;
    // The sum, then the bins.
    let columns = bins.len() + 1;
    let add = |decisions: &DocumentDecisions<'_>, numbers: &mut [f64]| {
        for row in decisions.counted_rows() {
            let value = value(decisions, row);
            if !value.is_nan() {
                let numbers = &mut numbers[columns * decisions.layer(row)..];
                numbers[0] += value;
                numbers[1 + bins.place(value)] += 1.0;
            }
        }
    };
    let summary = Summary {
        name: format!("distribution of {name}"),
        needs,
        columns,
        add: &add,
    };
    let sums = data.summarize(&summary, about.name, progress)?;
    let table = selection.unit_table(columns, |document, layer, row| {
        let numbers = sums.row(document, layer);
        let n: f64 = numbers[1..].iter().sum();
        let weight = match request.scope.weighting {
            Weighting::Token => 1.0,
            Weighting::Document if n > 0.0 => 1.0 / n,
            Weighting::Document => 0.0,
        };
        for (target, number) in row.iter_mut().zip(numbers) {
            *target = weight * number;
        }
    });
    let evaluate = |sums: &[f64], out: &mut [f64]| {
        let (sum, counts) = (sums[0], &sums[1..]);
        out[0] = sum / counts.iter().sum::<f64>();
        for (out, part) in out[1..].iter_mut().zip(PARTS) {
            *out = bins.quantile(counts, part);
        }
    };
    let variants = VARIANTS.map(str::to_owned).to_vec();
    measure_per_label(
        &selection,
        request,
        PerLabel {
            unit: about.unit.to_owned(),
            about,
            table: &table,
            width: VARIANTS.len(),
            evaluate: &evaluate,
            last_axis: Some(Axis::new(AxisKind::Variant, variants)),
            method: IntervalMethod::Percentile,
            has_null: false,
            reference: None,
        },
        progress,
    )
}
