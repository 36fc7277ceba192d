//! What simulation found not to hold what it promises, as `docs/CALIBRATION.md` shows.

/// Metric, row of the table, and what a reader of the metric must know.
const UNCALIBRATED: &[(&str, &str, &str)] = &[
    (
        "fingerprint_knn",
        "coverage: fingerprint_knn, bag_of_tokens",
        NEIGHBOURS,
    ),
    (
        "fingerprint_knn",
        "coverage: fingerprint_knn, fingerprint",
        NEIGHBOURS,
    ),
    (
        "fingerprint_knn",
        "coverage: fingerprint_knn, fingerprint_minus_bag_of_tokens",
        NEIGHBOURS,
    ),
];

const NEIGHBOURS: &str = "95 % intervals of accuracies covered the expected accuracy in about 90 % of 300 simulated traces: documents that are each other's neighbours are not right or wrong independently";

/// The tests and intervals that failed their simulation: metric, row of `docs/CALIBRATION.md`, and the note that results carry.
#[must_use]
pub fn uncalibrated() -> &'static [(&'static str, &'static str, &'static str)] {
    UNCALIBRATED
}

/// The notes that results of a metric carry.
pub(crate) fn notes(metric: &str) -> Vec<String> {
    let mut notes: Vec<&str> = UNCALIBRATED
        .iter()
        .filter(|(of, ..)| *of == metric)
        .map(|(.., note)| *note)
        .collect();
    notes.dedup();
    notes
        .iter()
        .map(|note| format!("uncalibrated: {note}"))
        .collect()
}
