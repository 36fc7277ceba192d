//! Quantities of how the assignments of a label spread over the experts of a layer.

use std::sync::Arc;

use moescope_core::{Axis, AxisKind, Measurement, Progress, Weighting};

use super::{PerLabel, measure_per_label};
use crate::{
    About, AnalyticsError, MeasureRequest, TraceData,
    control::{POSITION_RANGES, position_range},
    data::{DecisionNeeds, DocumentDecisions, DocumentTensor, ProfileColumn, Selection, Summary},
    stats::{interval::IntervalMethod, units::UnitTable},
};

/// A quantity of a label's share of assignments per expert.
pub(crate) struct LoadQuantity<'a> {
    /// The metric.
    pub(crate) about: About,
    /// Whether there is one value per expert, or one per label.
    pub(crate) is_per_expert: bool,
    /// From shares `[experts]`, which sum to 1, to the values.
    pub(crate) evaluate: &'a (dyn Fn(&[f64], &mut [f64]) + Sync),
    /// How intervals are made.
    pub(crate) method: IntervalMethod,
    /// The value of an indifferent router.
    pub(crate) reference: f64,
}

/// Measures a quantity of the load of every label at every layer.
pub(crate) fn measure_load(
    data: &TraceData,
    request: &MeasureRequest,
    quantity: &LoadQuantity<'_>,
    progress: &dyn Progress,
) -> Result<Vec<Measurement>, AnalyticsError> {
    let selection = Selection::new(data, request, quantity.about.name, progress)?;
    let table = load_table(data, &selection, request, quantity.about.name, progress)?;
    let experts = usize::from(data.model().num_experts);
    let evaluate = |mass: &[f64], out: &mut [f64]| {
        let total: f64 = mass.iter().sum();
        if total <= 0.0 {
            out.fill(f64::NAN);
            return;
        }
        let shares: Vec<f64> = mass.iter().map(|m| m / total).collect();
        (quantity.evaluate)(&shares, out);
    };
    let expert_axis = || {
        Axis::new(
            AxisKind::Expert,
            (0..experts).map(|e| e.to_string()).collect(),
        )
    };
    let measurement = measure_per_label(
        &selection,
        request,
        PerLabel {
            about: quantity.about.clone(),
            unit: quantity.about.unit.to_owned(),
            table: &table,
            width: if quantity.is_per_expert { experts } else { 1 },
            evaluate: &evaluate,
            last_axis: quantity.is_per_expert.then(expert_axis),
            method: quantity.method,
            has_null: quantity.is_per_expert,
            reference: Some(quantity.reference),
        },
        progress,
    )?;
    Ok(vec![measurement])
}

/// Assignments per unit, layer and expert; under document weighting each document's sum to 1.
pub(crate) fn load_table(
    data: &TraceData,
    selection: &Selection,
    request: &MeasureRequest,
    metric: &str,
    progress: &dyn Progress,
) -> Result<UnitTable, AnalyticsError> {
    let scope = &request.scope;
    let experts = usize::from(data.model().num_experts);
    let counts = if selection.position_ranges() == 1 {
        let phase = scope.phase;
        data.tensor(
            ProfileColumn::Counts,
            phase,
            scope.include_special,
            metric,
            progress,
        )?
    } else {
        counts_by_position(data, request, experts, metric, progress)?
    };
    Ok(
        selection.unit_table_by_position(experts, |document, layer, range, row| {
            let counts = counts.row(document, layer);
            let total: f64 = counts.iter().sum();
            let weight = match scope.weighting {
                Weighting::Token => 1.0,
                Weighting::Document if total > 0.0 => 1.0 / total,
                Weighting::Document => 0.0,
            };
            for (target, count) in row.iter_mut().zip(&counts[range * experts..]) {
                *target = weight * count;
            }
        }),
    )
}

/// Assignments of every document to every expert in every range of positions, `[documents, layers, ranges × experts]`.
fn counts_by_position(
    data: &TraceData,
    request: &MeasureRequest,
    experts: usize,
    metric: &str,
    progress: &dyn Progress,
) -> Result<Arc<DocumentTensor>, AnalyticsError> {
    /// 2 GiB.
    const MOST_NUMBERS: usize = 1 << 28;
    let columns = POSITION_RANGES * experts;
    let (documents, layers) = (data.documents().len(), data.layers().len());
    if documents.saturating_mul(layers).saturating_mul(columns) > MOST_NUMBERS {
        return Err(AnalyticsError::TooLittle {
            metric: metric.to_owned(),
            found: format!(
                "counts of {documents} documents at {layers} layers by {POSITION_RANGES} ranges of positions do not fit in 2 GiB"
            ),
            help: "match by length instead of position".to_owned(),
        });
    }
    let add = |decisions: &DocumentDecisions<'_>, numbers: &mut [f64]| {
        for row in decisions.counted_rows() {
            let start =
                decisions.layer(row) * columns + position_range(decisions.position[row]) * experts;
            for expert in decisions.experts(row) {
                numbers[start + usize::from(*expert)] += 1.0;
            }
        }
    };
    let summary = Summary {
        name: "counts by position".to_owned(),
        needs: DecisionNeeds::of(&request.scope),
        columns,
        add: &add,
    };
    data.summarize(&summary, metric, progress)
}
