//! Quantities of how the assignments of a label spread over the experts of a layer.

use moescope_core::{Axis, AxisKind, Measurement, Progress, Weighting};

use super::{PerLabel, measure_per_label};
use crate::{
    About, AnalyticsError, MeasureRequest, TraceData,
    data::{ProfileColumn, Selection},
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
    let counts = data.tensor(
        ProfileColumn::Counts,
        scope.phase,
        scope.include_special,
        metric,
        progress,
    )?;
    Ok(
        selection.unit_table(counts.columns(), |document, layer, row| {
            let counts = counts.row(document, layer);
            let total: f64 = counts.iter().sum();
            let weight = match scope.weighting {
                Weighting::Token => 1.0,
                Weighting::Document if total > 0.0 => 1.0 / total,
                Weighting::Document => 0.0,
            };
            for (target, count) in row.iter_mut().zip(counts) {
                *target = weight * count;
            }
        }),
    )
}
