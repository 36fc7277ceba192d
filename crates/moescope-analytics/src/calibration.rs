//! What simulation found not to hold what it promises, as `docs/CALIBRATION.md` shows.

/// Metric, beginning of the row's name in the table, and what a reader of the metric must know.
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
    (
        "next_token_kl",
        "coverage: compare-weights: next_token_kl",
        KL,
    ),
    ("coverage_count", "coverage: coverage_count", WHOLE),
    (
        "cramers_v",
        "coverage: cramers_v, minus_permutation_mean",
        ROOT,
    ),
    (
        "fingerprint_by_layer",
        "coverage: fingerprint_by_layer, silhouette",
        SHORT,
    ),
    ("label_drift", "coverage: label_drift", FITTED),
    ("path_purity", "coverage: path_purity", SHORT),
    (
        "risk_difference_newcombe",
        "coverage: risk_difference_newcombe",
        TOKENS,
    ),
    (
        "risk_difference_newcombe",
        "false positives: risk_difference_newcombe",
        TOKENS,
    ),
    ("shared_top_experts", "coverage: shared_top_experts", WHOLE),
    ("top_set_jaccard", "coverage: top_set_jaccard", WHOLE),
    (
        "vocabulary_specialization",
        "coverage: vocabulary_specialization",
        SHORT,
    ),
];

/// Sets and counts of experts.
const WHOLE: &str = "95 % intervals of quantities that jump, such as counts and sets of experts, covered less than 80 % in 60 simulated traces: read them as the spread over resamples";

/// Cramér's V, less what shuffled labels give.
const ROOT: &str = "95 % intervals of the corrected value covered about half in 60 simulated traces, since the bias of a root is not the mean over permuted labels; p and q hold";

/// What rests on a fit to other documents.
const FITTED: &str = "95 % intervals covered less than 80 % in 60 simulated traces, since the fit to other documents varies and resamples keep it";

/// What was seen in the short simulation alone.
const SHORT: &str = "95 % intervals covered less than 80 % in 60 simulated traces of 60 short documents; with more text they may do better, which was not simulated";

/// The published method.
const TOKENS: &str = "taking tokens as independent, it found differences where none were in 83 % of 60 simulated traces, and its 95 % intervals covered 63 %";

/// Averages of a quantity with heavy tails.
const KL: &str =
    "95 % intervals of divergences with heavy tails covered less than 80 % in 60 simulated traces";

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
