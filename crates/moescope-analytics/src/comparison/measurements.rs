//! From ratios and counts to measurements with their axes and protocol.

use moescope_core::{Axis, Interval, Measurement, Protocol};

use super::ratios::Ratios;
use crate::{MeasureRequest, calibration, data::Selection, inference::add_power_note};

/// Name, title and unit of a table.
#[derive(Clone, Copy)]
pub(crate) struct Words<'a> {
    pub(crate) name: &'a str,
    pub(crate) title: &'a str,
    pub(crate) unit: &'a str,
}

/// A table of counts, which have no interval.
pub(crate) fn counts_of(
    words: Words<'_>,
    axes: Vec<Axis>,
    values: Vec<f64>,
    protocol: Protocol,
) -> Measurement {
    Measurement {
        metric: words.name.to_owned(),
        title: words.title.to_owned(),
        unit: words.unit.to_owned(),
        axes,
        values,
        intervals: None,
        nulls: None,
        reference: None,
        protocol: Protocol {
            interval_method: "none: counts".to_owned(),
            ..protocol
        },
    }
}

/// One measurement per ratio. `axes` are those of the rows, variants last; labels go before them, where there are any.
pub(crate) fn split<'w>(
    found: &Ratios,
    selection: &Selection,
    request: &MeasureRequest,
    words: impl IntoIterator<Item = Words<'w>>,
    axes: &[Axis],
) -> Vec<Measurement> {
    let labels = selection.labels.len();
    let variants = axes.last().map_or(1, Axis::len);
    let mut all_axes = axes.to_vec();
    if request.by != "all" {
        all_axes.insert(axes.len() - 1, selection.group_axis());
    }
    words
        .into_iter()
        .enumerate()
        .map(|(ratio, words)| {
            let intervals: Vec<Option<Interval>> =
                variants_last(&found.intervals[ratio], labels, variants);
            let has_intervals = intervals.iter().any(Option::is_some);
            let mut protocol = found.protocol.clone();
            protocol.level = has_intervals.then_some(request.level);
            if has_intervals {
                protocol.notes.extend(calibration::notes(words.name));
            }
            if request.by != "all" {
                let errors = &found.standard_errors[ratio];
                add_power_note(&mut protocol, errors, words.unit, false);
            }
            Measurement {
                metric: words.name.to_owned(),
                title: words.title.to_owned(),
                unit: words.unit.to_owned(),
                axes: all_axes.clone(),
                values: variants_last(&found.values[ratio], labels, variants),
                intervals: has_intervals.then_some(intervals),
                nulls: None,
                reference: None,
                protocol,
            }
        })
        .collect()
}

/// From `[…, variants, labels]` to `[…, labels, variants]`.
fn variants_last<T: Copy>(values: &[T], labels: usize, variants: usize) -> Vec<T> {
    values
        .chunks(variants * labels)
        .flat_map(|block| {
            (0..labels).flat_map(move |label| {
                (0..variants).map(move |variant| block[variant * labels + label])
            })
        })
        .collect()
}
