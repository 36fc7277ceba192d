//! Quantities of how the load of a label spreads over the experts of a layer.

use std::sync::Arc;

use moescope_core::{Axis, AxisKind, Measurement, Progress, Weighting};

use super::{PerLabel, measure_per_label};
use crate::{
    About, AnalyticsError, LoadMass, MeasureRequest, TraceData,
    control::{POSITION_RANGES, position_range},
    data::{DecisionNeeds, DocumentDecisions, DocumentTensor, Selection, Summary},
    stats::{interval::IntervalMethod, units::UnitTable},
};

/// A quantity of a label's share of the load per expert.
pub(crate) struct LoadQuantity<'a> {
    /// The metric.
    pub(crate) about: About,
    /// What the values are.
    pub(crate) values: LoadValues,
    /// From shares `[experts]`, which sum to 1, to the values.
    pub(crate) evaluate: &'a (dyn Fn(&[f64], &mut [f64]) + Sync),
    /// How intervals are made.
    pub(crate) method: IntervalMethod,
    /// The value of an indifferent router, where all values have the same.
    pub(crate) reference: Option<f64>,
}

/// What the values of one label at one layer are.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum LoadValues {
    /// A single one.
    One,
    /// One per expert.
    Experts,
    /// One per place of the experts in a ranking.
    Ranks,
    /// One per variant of the quantity; bias-corrected intervals stay in the range of each.
    Variants(Vec<(&'static str, (f64, f64))>),
}

impl LoadValues {
    fn width(&self, experts: usize) -> usize {
        match self {
            Self::One => 1,
            Self::Experts | Self::Ranks => experts,
            Self::Variants(variants) => variants.len(),
        }
    }

    fn axis(&self, experts: usize) -> Option<Axis> {
        let numbered = |kind, first: usize| {
            let labels = (first..first + experts).map(|i| i.to_string());
            Some(Axis::new(kind, labels.collect()))
        };
        match self {
            Self::One => None,
            Self::Experts => numbered(AxisKind::Expert, 0),
            Self::Ranks => numbered(AxisKind::Rank, 1),
            Self::Variants(variants) => {
                let names = variants.iter().map(|(name, _)| (*name).to_owned());
                Some(Axis::new(AxisKind::Variant, names.collect()))
            }
        }
    }
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
    let mut measurement = measure_per_label(
        &selection,
        request,
        PerLabel {
            about: quantity.about.clone(),
            unit: quantity.about.unit.to_owned(),
            table: &table,
            width: quantity.values.width(experts),
            evaluate: &evaluate,
            last_axis: quantity.values.axis(experts),
            method: quantity.method,
            has_null: quantity.values == LoadValues::Experts,
            reference: quantity.reference,
        },
        progress,
    )?;
    if let (LoadValues::Variants(variants), IntervalMethod::BiasCorrected { .. }, None) =
        (&quantity.values, quantity.method, &request.contrast)
    {
        let intervals = measurement.intervals.iter_mut().flatten();
        for (interval, (_, (low, high))) in intervals.zip(variants.iter().cycle()) {
            if let Some(interval) = interval {
                interval.low = interval.low.clamp(*low, *high);
                interval.high = interval.high.clamp(*low, *high);
            }
        }
    }
    measurement.protocol.notes.extend(mass_note(request.mass));
    Ok(vec![measurement])
}

/// Says what the load is a sum of, where it is not of assignments.
pub(crate) fn mass_note(mass: Option<LoadMass>) -> Option<String> {
    mass.filter(|mass| *mass != LoadMass::Counts)
        .map(|mass| format!("load: {}", mass.words()))
}

/// Load per unit, layer and expert; under document weighting each document's sums to 1.
pub(crate) fn load_table(
    data: &TraceData,
    selection: &Selection,
    request: &MeasureRequest,
    metric: &str,
    progress: &dyn Progress,
) -> Result<UnitTable, AnalyticsError> {
    let mass = request.mass.unwrap_or_default();
    mass_table(data, selection, request, mass, metric, progress)
}

/// A mass per unit, layer and expert; under document weighting each document's sums to 1.
pub(crate) fn mass_table(
    data: &TraceData,
    selection: &Selection,
    request: &MeasureRequest,
    mass: LoadMass,
    metric: &str,
    progress: &dyn Progress,
) -> Result<UnitTable, AnalyticsError> {
    let scope = &request.scope;
    let experts = usize::from(data.model().num_experts);
    let sums = if selection.position_ranges() == 1 {
        data.tensor_in(mass.column(), scope, metric, progress)?
    } else if mass == LoadMass::Counts {
        counts_by_position(data, request, experts, metric, progress)?
    } else {
        return Err(AnalyticsError::Request(format!(
            "assignments are known by position, {} are not; leave out position from --match, or --mass",
            mass.as_str()
        )));
    };
    Ok(
        selection.unit_table_by_position(experts, |document, layer, range, row| {
            let sums = sums.row(document, layer);
            let total: f64 = sums.iter().sum();
            let weight = match scope.weighting {
                Weighting::Token => 1.0,
                Weighting::Document if total > 0.0 => 1.0 / total,
                Weighting::Document => 0.0,
            };
            for (target, mass) in row.iter_mut().zip(&sums[range * experts..]) {
                *target = weight * mass;
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
