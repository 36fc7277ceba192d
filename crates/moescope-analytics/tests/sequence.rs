//! Metrics of token order, on traces that are computed by hand.

use moescope_analytics::{ExpertsOrder, MeasureRequest, MemoryDocument, TraceData};
use moescope_core::{AxisKind, Measurement, Phase, Scope, Weighting};

use crate::common::{chosen, fails, measure, model, quick, sample};

/// One document of one expert per token, of four experts.
fn one(choices: &[u16]) -> TraceData {
    documents(&[("math", choices)])
}

fn documents(rows: &[(&str, &[u16])]) -> TraceData {
    let model = model(1, 4, 1);
    let documents = rows.iter().enumerate().map(|(i, (label, choices))| {
        let id = format!("{label}-{i}");
        chosen(&model, sample(&id, label, &id), &each(choices))
    });
    let documents = documents.collect();
    TraceData::in_memory(model, ExpertsOrder::ByWeight, documents).unwrap()
}

fn each(choices: &[u16]) -> Vec<[u16; 1]> {
    choices.iter().map(|expert| [*expert]).collect()
}

fn short() -> MeasureRequest {
    MeasureRequest {
        lags: 2,
        segment: 2,
        window: 4,
        ..quick()
    }
}

/// The values of one variant, or of all positions of one.
fn variant(found: &Measurement, name: &str) -> Vec<f64> {
    let (_, axis) = found.axis(AxisKind::Variant).unwrap();
    let place = axis.labels.iter().position(|l| l == name).unwrap();
    found
        .values
        .iter()
        .skip(place)
        .step_by(axis.len())
        .copied()
        .collect()
}

#[track_caller]
fn check(found: &Measurement, name: &str, expected: &[f64]) {
    found.check().unwrap();
    let values = variant(found, name);
    assert_eq!(values.len(), expected.len(), "{name}: {values:?}");
    for (value, expected) in values.iter().zip(expected) {
        let is_equal = (value.is_nan() && expected.is_nan()) || (value - expected).abs() < 1e-9;
        assert!(is_equal, "{name}: found {values:?}, expected {expected}");
    }
}

#[test]
fn overlap_falls_with_distance_and_has_a_half_life() {
    // 0 0 1 1 0 0: neighbours agree in 3 of 5 pairs, next neighbours in 0 of 4. Counts 4 and 2: (12 + 2) / 30 = 7/15 by chance.
    let found = measure(&one(&[0, 0, 1, 1, 0, 0]), "overlap_by_lag", &short());
    for name in ["overlap", "first_choice"] {
        check(&found[0], &format!("{name}_observed"), &[0.6, 0.0]);
        check(&found[0], &format!("{name}_shuffled"), &[7.0 / 15.0; 2]);
        check(
            &found[0],
            &format!("{name}_excess"),
            &[2.0 / 15.0, -7.0 / 15.0],
        );
        // From 2/15 to −7/15 over one lag: half of 2/15 is reached after 1/9 of it.
        check(&found[2], &format!("{name}_half_life"), &[1.0 + 1.0 / 9.0]);
    }
    // Three runs of six tokens; in random order 1 + 5 · 8/15 = 11/3 runs.
    check(&found[1], "run_length_observed", &[2.0]);
    check(&found[1], "run_length_shuffled", &[18.0 / 11.0]);
    assert_eq!(found[0].axes[2].labels, ["1", "2"]);
    assert_eq!(found[0].reference, Some(0.25));
}

#[test]
fn a_special_token_parts_pairs_at_every_lag() {
    let model = model(1, 4, 1);
    let mut document = chosen(&model, sample("a", "math", "a"), &each(&[0, 0, 3, 0, 0]));
    document.tokens[2].is_special = Some(true);
    let data = TraceData::in_memory(model, ExpertsOrder::ByWeight, vec![document]).unwrap();
    let found = measure(&data, "overlap_by_lag", &short());
    // One pair in either part at lag 1, none at lag 2; two runs of two.
    check(&found[0], "first_choice_observed", &[1.0, f64::NAN]);
    check(&found[1], "run_length_observed", &[2.0]);
    let found = measure(&data, "segment_routing_consistency", &short()).remove(0);
    check(&found, "srp_observed", &[1.0]);
}

#[test]
fn first_choices_are_left_out_where_ranks_are_unknown() {
    let model = model(1, 4, 1);
    let document = chosen(&model, sample("a", "math", "a"), &each(&[0, 0, 1]));
    let data = TraceData::in_memory(model, ExpertsOrder::Unspecified, vec![document]).unwrap();
    let found = measure(&data, "overlap_by_lag", &short());
    assert_eq!(found.len(), 2);
    check(&found[0], "overlap_observed", &[0.5, 0.0]);
    assert!(
        found[0]
            .protocol
            .notes
            .iter()
            .any(|note| note.contains("no first choices"))
    );
}

#[test]
fn a_segment_router_is_as_good_as_its_best_threshold() {
    // Segments of two: {0: 2}, {0: 1, 1: 1}, {1: 2}, {0: 1, 1: 1}, {0: 2}; 10 active tokens.
    // On at 2: F1 = 2·6 / (2·3 + 10) = 0.75; on at 1: 2·10 / (2·7 + 10) = 5/6, with 7 experts in 5 segments.
    let data = one(&[0, 0, 1, 1, 0, 0]);
    let found = measure(&data, "segment_routing_consistency", &short()).remove(0);
    check(&found, "srp_observed", &[5.0 / 6.0]);
    check(&found, "size_ratio_observed", &[1.4]);
    // The best expert serves 2, 1, 2, 1, 2 of 2.
    check(&found, "fixed_k_share_observed", &[0.8]);
    let found = measure(&data, "expert_cache_hit_rate", &short()).remove(0);
    check(&found, "fixed_1k_observed", &[0.8]);
    check(&found, "fixed_2k_observed", &[1.0]);
    // One place: every second token hits. Two places: all but the first 0 and the first 1.
    check(&found, "evicting_1k_observed", &[0.5]);
    check(&found, "evicting_2k_observed", &[4.0 / 6.0]);
}

#[test]
fn experts_drop_what_comes_after_they_are_full() {
    // Six tokens, four experts: ⌊6/4⌋ = 1 each, and ⌊2 · 6/4⌋ = 3. Tenths 0, 1, 3, 5, 6 and 8 have a token each.
    let found = measure(&one(&[0, 0, 1, 1, 0, 0]), "capacity_drop", &short()).remove(0);
    let nan = f64::NAN;
    check(
        &found,
        "c1_observed",
        &[0.0, 1.0, nan, 0.0, nan, 1.0, 1.0, nan, 1.0, nan],
    );
    check(
        &found,
        "c2_observed",
        &[0.0, 0.0, nan, 0.0, nan, 0.0, 0.0, nan, 1.0, nan],
    );
}

#[test]
fn positions_are_compared_with_the_documents_that_reach_them() {
    // Expert 0 at 0 to 7, expert 1 at 8 and 9; a second document ends before and chooses expert 2.
    let data = documents(&[("math", &[0, 0, 0, 0, 0, 0, 0, 0, 1, 1]), ("law", &[2, 2])]);
    let found = measure(&data, "position_profile", &short()).remove(0);
    assert_eq!(found.axes[1].labels, ["0-7", "8-15"]);
    check(
        &found,
        "observed",
        &[0.8, 0.0, 0.2, 0.0, 0.0, 1.0, 0.0, 0.0],
    );
    // Expected of the first document: 0.8 and 0.2 of its 8 and of its 2 tokens; the second adds its own two to the first range.
    check(
        &found,
        "shuffled",
        &[0.64, 0.16, 0.2, 0.0, 0.8, 0.2, 0.0, 0.0],
    );
    let contrast = MeasureRequest {
        contrast: Some(("math".into(), "law".into())),
        ..short()
    };
    assert!(fails(&data, "position_profile", &contrast).contains("--labels"));
}

#[test]
fn a_document_that_changes_once_has_one_change() {
    let mut choices = vec![0; 40];
    choices.extend([1; 40]);
    let data = documents(&[("math", &choices), ("law", &[0; 80]), ("law", &[0; 16])]);
    let found = measure(&data, "routing_change_points", &short());
    // One change in 80 tokens; a document of two blocks is not tested.
    check(&found[0], "changes_observed", &[12.5, 0.0]);
    check(&found[0], "documents_observed", &[1.0, 0.0]);
    assert_eq!(found[1].axes[0].labels, ["law-1", "law-2", "math-0"]);
    assert!(found[1].values[0] == 0.0 && found[1].values[1].is_nan() && found[1].values[2] > 0.5);
}

#[test]
fn document_weighting_counts_long_and_short_documents_alike() {
    // 1 of 1 pairs and 0 of 3: by token 1/4, by document 1/2.
    let data = documents(&[("math", &[0, 0]), ("math", &[0, 1, 2, 3])]);
    let by = |weighting| {
        let request = MeasureRequest {
            scope: Scope {
                weighting,
                ..Scope::default()
            },
            ..short()
        };
        variant(
            &measure(&data, "overlap_by_lag", &request)[0],
            "overlap_observed",
        )[0]
    };
    assert!((by(Weighting::Token) - 0.25).abs() < 1e-12);
    assert!((by(Weighting::Document) - 0.5).abs() < 1e-12);
}

#[test]
fn persistence_in_every_document_is_significant() {
    let chosen = [[0u16; 8], [1; 8], [2; 8]].concat();
    let rows = vec![("math", chosen.as_slice()); 10];
    let data = documents(&rows);
    let request = MeasureRequest {
        resamples: 200,
        permutations: 400,
        lags: 6,
        ..short()
    };
    for name in [
        "first_choice_repetition",
        "any_overlap_repetition",
        "overlap_by_lag",
    ] {
        let found = measure(&data, name, &request).remove(0);
        let nulls = found.nulls.as_ref().unwrap();
        let (observed, excess) = (nulls[0].unwrap(), nulls[2].unwrap());
        assert!(observed.p_corrected.unwrap() < 0.02, "{name}: {observed:?}");
        // The null of the observed rate is the document's own marginals.
        assert!((observed.null_mean - found.values[1]).abs() < 1e-12);
        assert!(nulls[1].is_none() && excess.null_mean.abs() < 1e-12);
        assert!(
            found
                .protocol
                .null_method
                .contains("exchanged within groups")
        );
        if name == "overlap_by_lag" {
            // 23 pairs a document are enough for a test, and 19 are not.
            let of_lag = |lag: usize| nulls[6 * (lag - 1)];
            assert!(of_lag(4).is_some() && of_lag(5).is_none());
        }
    }
}

#[test]
fn phases_are_compared_within_the_documents_that_have_both() {
    let model = model(1, 4, 1);
    let meta = |id: &str| sample(id, "math", id);
    let mut both = chosen(&model, meta("a"), &each(&[0, 0, 0, 1]));
    both.tokens[2].phase = Some(Phase::Decode);
    both.tokens[3].phase = Some(Phase::Decode);
    let both = MemoryDocument::from_decisions(
        &model,
        both.sample.clone(),
        both.tokens.clone(),
        both.decisions.clone().unwrap(),
    );
    let given = chosen(&model, meta("b"), &each(&[3, 3]));
    let of =
        |documents| TraceData::in_memory(model.clone(), ExpertsOrder::ByWeight, documents).unwrap();
    let found = measure(&of(vec![both, given.clone()]), "phase_shift", &short());
    // (1, 0) against (½, ½): H(¾, ¼) − ½ = 0.3112781 bits. Expert 0 leads in both.
    check(&found[0], "jsd", &[0.311_278_124_459_132_8]);
    check(&found[1], "top_set_overlap", &[1.0]);
    assert!(
        found[0]
            .protocol
            .notes
            .iter()
            .any(|n| n.contains("1 of 2 documents have one phase only"))
    );
    let refused = fails(&of(vec![given]), "phase_shift", &short());
    assert!(refused.contains("--generate"), "{refused}");
}

#[test]
fn windows_are_nearest_to_their_label() {
    let data = documents(&[
        ("math", &[1, 1, 1, 1]),
        ("math", &[1, 1, 1, 1, 1, 1, 1, 1]),
        ("law", &[0, 0, 0, 0]),
        ("law", &[0, 0, 0, 0]),
    ]);
    let found = measure(&data, "label_drift", &short());
    // Disjoint experts: 0 bits from the own label, 1 from the other; law has no second window.
    let nan = f64::NAN;
    let expected = [0.0, 0.0, 1.0, 1.0, 1.0, nan, 0.0, nan];
    for (found, expected) in found[0].values.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-12 || (found.is_nan() && expected.is_nan()));
    }
    check(&found[2], "right", &[1.0]);
    assert!(
        found[2]
            .protocol
            .notes
            .iter()
            .any(|n| n.contains("right at any β"))
    );
    // Documents by id: law-2, law-3, math-0, math-1; probabilities of math, then law.
    assert!(found[3].values[0] < 0.01 && found[3].values[1] > 0.99);
    assert!(fails(&one(&[0, 1]), "label_drift", &short()).contains("1 labels in 1 groups"));
}
