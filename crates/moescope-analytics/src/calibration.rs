//! What simulation found not to hold what it promises, as `docs/CALIBRATION.md` shows.

/// Metric, row of the table, and what a reader of the metric must know.
const UNCALIBRATED: &[(&str, &str, &str)] = &[];

/// The tests and intervals that failed their simulation: metric, row of `docs/CALIBRATION.md`, and the note that results carry.
#[must_use]
pub fn uncalibrated() -> &'static [(&'static str, &'static str, &'static str)] {
    UNCALIBRATED
}

/// The notes that results of a metric carry.
pub(crate) fn notes(metric: &str) -> impl Iterator<Item = String> + '_ {
    UNCALIBRATED
        .iter()
        .filter(move |(of, ..)| *of == metric)
        .map(|(.., note)| format!("uncalibrated: {note}"))
}
