//! Rows for requests of their own, and what sets single metrics apart from the others of the catalogue.

use moescope_analytics::{Control, MeasureRequest};

/// Rows for requests that differ from the default: metric, variant (empty for all values), the difference, and its name.
pub(crate) type Special = (
    &'static str,
    &'static str,
    fn(&mut MeasureRequest),
    &'static str,
);

fn contrast(request: &mut MeasureRequest) {
    request.contrast = Some(("math".into(), "physics".into()));
}

fn match_genre(request: &mut MeasureRequest) {
    request.match_on = vec![Control::Label("genre".into())];
}

fn given_genre(request: &mut MeasureRequest) {
    request.given = vec![Control::Label("genre".into())];
}

fn by_document(request: &mut MeasureRequest) {
    request.scope.weighting = moescope_core::Weighting::Document;
}

/// Differences of two labels.
const CONTRASTS: [Special; 3] = [
    ("assignment_share", "", contrast, " --contrast"),
    ("routing_entropy", "", contrast, " --contrast"),
    ("first_choice_repetition", "", contrast, " --contrast"),
];

/// Where nothing depends on the label, beside every metric of the catalogue.
pub(crate) const NULL: &[Special] = &[
    CONTRASTS[0],
    CONTRASTS[1],
    CONTRASTS[2],
    (
        "mutual_information",
        "",
        by_document,
        " --weighting document",
    ),
];

/// Where words depend on the label and nothing else does.
pub(crate) const WORDS: &[Special] = &[
    (
        "conditional_mutual_information",
        "",
        |_| {},
        ", labels with words of their own",
    ),
    (
        "variance_partition",
        "discipline_beyond_the_rest",
        |_| {},
        ", labels with words of their own",
    ),
];

/// Where genres depend on the label and nothing else does.
pub(crate) const GENRES: &[Special] = &[
    (
        "mutual_information",
        "",
        match_genre,
        " --match genre, labels with genres of their own",
    ),
    (
        "jsd",
        "",
        match_genre,
        " --match genre, labels with genres of their own",
    ),
    (
        "assignment_share",
        "",
        match_genre,
        " --match genre, labels with genres of their own",
    ),
    (
        "conditional_mutual_information",
        "",
        given_genre,
        " --given genre, labels with genres of their own",
    ),
    (
        "variance_partition",
        "discipline_beyond_the_rest",
        |_| {},
        ", labels with genres of their own",
    ),
];

/// Where the label matters, beside every metric of the catalogue.
pub(crate) const EFFECT: &[Special] = &[
    CONTRASTS[0],
    CONTRASTS[1],
    CONTRASTS[2],
    ("mutual_information", "", match_genre, " --match genre"),
    (
        "conditional_mutual_information",
        "",
        given_genre,
        " --given genre",
    ),
];

/// Metrics whose value depends on the number of documents, from which they learn, so that the truth is the mean over traces of the same size.
pub(crate) const OF_SIZE: &[&str] = &[
    "fingerprint_by_layer",
    "fingerprint_knn",
    "fingerprint_logistic",
    "fingerprint_separation",
    "label_drift",
    "profile_identification",
];

/// Metrics whose null is that tokens do not matter, which is wrong where all traces but those of `Simulation::NO_TOKENS` come from.
pub(crate) const OF_TOKENS: &[&str] = &[
    "path_purity",
    "token_dependence",
    "vocabulary_specialization",
];

/// Metrics whose null is that the order of tokens does not matter, which is wrong where all traces but those of
/// `Simulation::NO_ORDER` come from: noise stays from one token to the next.
pub(crate) const OF_ORDER: &[&str] = &[
    "any_overlap_repetition",
    "capacity_drop",
    "expert_cache_hit_rate",
    "first_choice_repetition",
    "overlap_by_lag",
    "position_profile",
    "routing_change_points",
    "segment_routing_consistency",
];

/// Where neither labels nor the order of tokens matter.
pub(crate) const NO_ORDER: &[Special] = &[
    ("any_overlap_repetition", "", |_| {}, ""),
    ("capacity_drop", "", |_| {}, ""),
    ("expert_cache_hit_rate", "", |_| {}, ""),
    ("first_choice_repetition", "", |_| {}, ""),
    ("overlap_by_lag", "", |_| {}, ""),
    ("position_profile", "", |_| {}, ""),
    ("segment_routing_consistency", "", |_| {}, ""),
];

/// Where documents must be longer than elsewhere.
pub(crate) const LONG: &[Special] = &[("routing_change_points", "", |_| {}, "")];

/// Where neither labels nor tokens matter.
pub(crate) const NO_TOKENS: &[Special] = &[
    ("path_purity", "", |_| {}, ""),
    ("token_dependence", "", |_| {}, ""),
    ("vocabulary_specialization", "", |_| {}, ""),
];

/// Maps take long and have neither intervals nor nulls.
pub(crate) const LEFT_OUT: &[&str] = &["fingerprint_map"];
