//! What simulation found not to hold what it promises, as `docs/CALIBRATION.md` shows.

/// Metric, beginning of the row's name in the table, and what a reader of the metric must know.
const UNCALIBRATED: &[(&str, &str, &str)] = &[
    (
        "next_token_kl",
        "coverage: compare-weights: next_token_kl, ",
        "95 % intervals covered 89 to 91 %: a few documents carry most of the divergence",
    ),
    (
        "next_token_kl_where_changed",
        "coverage: compare-weights: next_token_kl_where_changed",
        "95 % intervals covered 80 to 83 %: a few documents carry most of the divergence",
    ),
    (
        "coverage_count",
        "coverage: coverage_count",
        "95 % intervals covered 25 to 50 %, since counts of experts jump: read them as the spread over resamples",
    ),
    (
        "rare_experts",
        "coverage: compare: rare_experts",
        "95 % intervals of the difference of two traces covered 77 to 78 %, since counts of experts jump",
    ),
    (
        "shared_top_experts",
        "coverage: shared_top_experts",
        "95 % intervals covered 58 to 64 %, since sets of experts jump: read them as the spread over resamples",
    ),
    (
        "top_set_jaccard",
        "coverage: top_set_jaccard",
        "95 % intervals covered 35 to 38 %, since sets of experts jump: read them as the spread over resamples",
    ),
    (
        "gini",
        "coverage: gini",
        "95 % intervals covered 81 to 85 % where loads differ little, of the difference of two traces 92 to 95 %",
    ),
    (
        "lorenz_curve",
        "coverage: lorenz_curve",
        "95 % intervals covered 71 to 72 % where loads differ little: which experts are the lightest varies between samples",
    ),
    (
        "lorenz_curve",
        "coverage: compare: lorenz_curve",
        "95 % intervals of the difference of two traces covered 90 to 92 %",
    ),
    (
        "routing_agreement",
        "coverage: compare: routing_agreement, mean_overlap (table 3)",
        "95 % intervals of the mean overlap by margin covered 80 to 83 % where a bin has few decisions of each document",
    ),
    (
        "routing_change_points",
        "coverage: routing_change_points",
        "95 % intervals covered 76 to 94 %: few documents change, and a sample with few changes says little of how few",
    ),
    (
        "fingerprint_by_layer",
        "coverage: fingerprint_by_layer, silhouette",
        "95 % intervals of the silhouette covered 72 to 74 %: resamples keep every document's own value",
    ),
    (
        "fingerprint_by_layer",
        "coverage: fingerprint_by_layer, knn_accuracy",
        NEIGHBOURS,
    ),
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
        "profile_identification",
        "coverage: profile_identification, bag_of_tokens",
        FITTED,
    ),
    (
        "profile_identification",
        "coverage: profile_identification, fingerprint_minus_bag_of_tokens",
        FITTED,
    ),
    (
        "fingerprint_logistic",
        "coverage: fingerprint_logistic",
        FITTED,
    ),
    (
        "fingerprint_logistic",
        "false positives: fingerprint_logistic, bag_of_tokens",
        "p of the bag of tokens was at most 0.05 in 8 to 9 % of traces without a difference",
    ),
    (
        "label_drift",
        "coverage: label_drift",
        "95 % intervals of probabilities covered 58 to 91 %: the fit to other documents varies, and resamples keep it",
    ),
    (
        "layer_mutual_information",
        "coverage: layer_mutual_information, miller_madow",
        "95 % intervals of the value corrected by Miller and Madow covered 73 to 78 %: its bias is that of independent tokens",
    ),
    (
        "first_choice_repetition",
        "coverage: first_choice_repetition, shuffled",
        BY_CHANCE,
    ),
    (
        "overlap_by_lag",
        "coverage: overlap_by_lag, first_choice_shuffled",
        BY_CHANCE,
    ),
    (
        "overlap_by_lag",
        "coverage: overlap_by_lag, run_length_shuffled",
        BY_CHANCE,
    ),
    (
        "path_purity",
        "coverage: path_purity, path",
        "95 % intervals of purity given the path covered 52 to 73 % of what much more text gives: the more text, the less pure",
    ),
    (
        "path_purity",
        "coverage: path_purity, expert_minus_shuffled",
        "95 % intervals of purity given the expert, less that of shuffled tokens, covered 81 to 82 %",
    ),
    (
        "vocabulary_specialization",
        "coverage: vocabulary_specialization",
        "95 % intervals covered 71 to 84 % of what much more text gives: the less text, the more specialized tokens look",
    ),
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
    (
        "variance_partition",
        "false positives: variance_partition, discipline_beyond_the_rest",
        "the share beyond the rest was called significant in 7 % of traces without a difference, where 5 % were promised",
    ),
];

/// The published method.
const TOKENS: &str = "taking tokens as independent, it found differences where none were in 83 % of traces, and its 95 % intervals covered 72 %";

/// Who votes for each other is not right or wrong independently.
const NEIGHBOURS: &str = "95 % intervals of accuracies by neighbours covered 87 to 91 %: documents that are each other's neighbours are not right or wrong independently";

/// What is learned from other documents.
const FITTED: &str = "95 % intervals of accuracies covered 85 to 91 %: the fit to other documents varies, and resamples keep it";

/// Quantities of the same tokens in random order.
const BY_CHANCE: &str = "95 % intervals of what random order gives covered 91 to 92 %";

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
        .map(|note| format!("uncalibrated: in simulation, {note} (docs/CALIBRATION.md)"))
        .collect()
}
