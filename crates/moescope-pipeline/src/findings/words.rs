//! Numbers in sentences.

use moescope_core::{Interval, Measurement};

/// The cells of the smallest and the largest finite value.
pub(super) fn extremes(measurement: &Measurement) -> Option<(usize, usize)> {
    let finite = || (0..measurement.values.len()).filter(|i| measurement.values[*i].is_finite());
    let by_value = |a: &usize, b: &usize| measurement.values[*a].total_cmp(&measurement.values[*b]);
    Some((finite().min_by(by_value)?, finite().max_by(by_value)?))
}

pub(super) fn interval(measurement: &Measurement, cell: usize) -> Option<Interval> {
    measurement.intervals.as_ref().and_then(|all| all[cell])
}

pub(super) fn bracket(interval: Option<Interval>, number: impl Fn(f64) -> String) -> String {
    interval.map_or_else(
        || " (no interval)".to_owned(),
        |i| format!(" [{}, {}]", number(i.low), number(i.high)),
    )
}

pub(super) fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// The first letter large, a full stop at the end.
pub(super) fn sentence(text: &str) -> String {
    let stop = if text.ends_with('.') { "" } else { "." };
    format!("{}{stop}", capitalized(text))
}

pub(super) fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars
        .next()
        .map(|c| c.to_uppercase().to_string())
        .unwrap_or_default();
    format!("{first}{}", chars.as_str())
}
