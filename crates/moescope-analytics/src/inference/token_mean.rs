//! Means over tokens of a number that every decision has.

use moescope_core::{Measurement, Progress, Weighting};

use super::{PerLabel, measure_per_label};
use crate::{
    About, AnalyticsError, MeasureRequest, TraceData,
    data::{DecisionNeeds, DocumentDecisions, Selection, Summary},
    stats::interval::IntervalMethod,
};

/// A number of each decision, whose mean is asked for.
pub(crate) struct TokenMean<'a> {
    /// The metric.
    pub(crate) about: About,
    /// The columns that the number is made of; the scope is the request's.
    pub(crate) needs: DecisionNeeds,
    /// The number of a decision, given its row.
    pub(crate) value: &'a (dyn Fn(&DocumentDecisions<'_>, usize) -> f64 + Sync),
    /// The value of an indifferent router.
    pub(crate) reference: Option<f64>,
}

/// Measures the mean of every label at every layer.
pub(crate) fn measure_token_mean(
    data: &TraceData,
    request: &MeasureRequest,
    mean: TokenMean<'_>,
    progress: &dyn Progress,
) -> Result<Vec<Measurement>, AnalyticsError> {
    let selection = Selection::new(data, request, mean.about.name, progress)?;
    // Sum and number per layer.
    let add = |decisions: &DocumentDecisions<'_>, numbers: &mut [f64]| {
        for row in decisions.counted_rows() {
            let layer = decisions.layer(row);
            numbers[2 * layer] += (mean.value)(decisions, row);
            numbers[2 * layer + 1] += 1.0;
        }
    };
    let summary = Summary {
        name: format!("sum of {}", mean.about.name),
        needs: mean.needs,
        columns: 2,
        add: &add,
    };
    let sums = data.summarize(&summary, mean.about.name, progress)?;
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
            unit: mean.about.unit.to_owned(),
            about: mean.about,
            table: &table,
            width: 1,
            evaluate: &|sums, out| out[0] = sums[0] / sums[1],
            last_axis: None,
            method: IntervalMethod::Percentile,
            has_null: false,
            reference: mean.reference,
        },
        progress,
    )?;
    Ok(vec![measurement])
}
