//! What of a measurement makes a row of the table.

use std::collections::BTreeMap;

use moescope_core::{AxisKind, Measurement};

use super::rows::Outcome;

/// Metrics whose q corrects over layers only, for each variant.
const FAMILY_PER_VARIANT: &[&str] = &["variance_partition"];

/// Whether any corrected p is at most 0.05, for each family of tests in a measurement.
///
/// A measurement is one family, unless a variant is asked for, p is not corrected, or every variant is a family of its own.
pub(crate) fn rejections(
    found: &Measurement,
    variant: &str,
    metric: &str,
    name: &str,
) -> Vec<(String, Outcome)> {
    let Some(nulls) = &found.nulls else {
        return Vec::new();
    };
    let mut smallest: BTreeMap<String, f64> = BTreeMap::new();
    for (cell, null) in nulls.iter().enumerate() {
        let Some(null) = null else { continue };
        let own = variant_of(found, cell);
        let is_chosen = variant.is_empty() || own == variant;
        if is_chosen {
            let p = null.p_corrected.unwrap_or(null.p);
            let is_family = null.p_corrected.is_some() && !FAMILY_PER_VARIANT.contains(&metric);
            let row = if own.is_empty() || (is_family && variant.is_empty()) {
                format!("{metric}{name}")
            } else {
                format!("{metric}, {own}{name}")
            };
            let smallest = smallest.entry(row).or_insert(1.0);
            *smallest = smallest.min(p);
        }
    }
    smallest
        .into_iter()
        .map(|(row, p)| (row, Outcome::Rejected(p <= 0.05)))
        .collect()
}

/// The first interval of every variant.
pub(crate) fn intervals(found: &Measurement, metric: &str, name: &str) -> Vec<(String, Outcome)> {
    let Some(intervals) = &found.intervals else {
        return Vec::new();
    };
    cells(found, metric, name)
        .into_iter()
        .filter_map(|(cell, row)| {
            let interval = intervals[cell]?;
            let value = found.values[cell];
            Some((
                row,
                Outcome::Interval {
                    value,
                    low: interval.low,
                    high: interval.high,
                },
            ))
        })
        .collect()
}

/// The first defined cell off the diagonal of every variant, with the row's name.
pub(crate) fn cells(found: &Measurement, metric: &str, name: &str) -> Vec<(usize, String)> {
    let mut first: BTreeMap<String, usize> = BTreeMap::new();
    for cell in 0..found.values.len() {
        let own = variant_of(found, cell);
        let row = if own.is_empty() {
            format!("{metric}{name}")
        } else {
            format!("{metric}, {own}{name}")
        };
        if found.values[cell].is_finite() && !is_diagonal(found, cell) {
            first.entry(row).or_insert(cell);
        }
    }
    first.into_iter().map(|(row, cell)| (cell, row)).collect()
}

/// The index of a cell along an axis.
fn index(found: &Measurement, cell: usize, axis: usize) -> usize {
    let stride: usize = found.axes[axis + 1..]
        .iter()
        .map(|axis| axis.labels.len())
        .product();
    cell / stride % found.axes[axis].labels.len()
}

fn variant_of(found: &Measurement, cell: usize) -> String {
    found
        .axis(AxisKind::Variant)
        .map_or(String::new(), |(place, axis)| {
            axis.labels[index(found, cell, place)].clone()
        })
}

fn is_diagonal(found: &Measurement, cell: usize) -> bool {
    [
        (AxisKind::Group, AxisKind::GroupB),
        (AxisKind::Expert, AxisKind::ExpertB),
    ]
    .into_iter()
    .filter_map(|(a, b)| Some((found.axis(a)?, found.axis(b)?)))
    .any(|((a, first), (b, second))| {
        first.labels[index(found, cell, a)] == second.labels[index(found, cell, b)]
    })
}
