//! Structure across experts, layers and tokens on traces small enough to compute by hand.

use moescope_analytics::{ExpertsOrder, MeasureRequest, MemoryDocument, TraceData};
use moescope_core::{AxisKind, DecisionBatch, ModelSpec, Scope, Weighting};

use crate::common::{self, Synthetic, fails, measure, model, quick, sample, token};

/// What a document's tokens are and choose: id, and the ranked experts of each layer.
type Row<'a> = (u32, &'a [[u16; 2]]);

fn document(model: &ModelSpec, id: &str, label: &str, rows: &[Row<'_>]) -> MemoryDocument {
    let mut batch = DecisionBatch::ids_only(usize::from(model.num_experts), 2);
    let mut tokens = Vec::new();
    for (position, (word, layers)) in (0u32..).zip(rows) {
        tokens.push(token(position, *word));
        for (place, experts) in (0u16..).zip(*layers) {
            batch.position.push(position);
            batch.layer.push(model.moe_layers[usize::from(place)]);
            batch.moe_layer.push(place);
            batch.selected_experts.extend(experts);
        }
    }
    MemoryDocument::from_decisions(model, sample(id, label, id), tokens, batch)
}

/// Two layers of 4 experts, top-2, two documents of two tokens.
///
/// | document | token | layer 1 | layer 3 |
/// |---|---|---|---|
/// | law | 5 | 0, 1 | 2, 3 |
/// | law | 6 | 0, 2 | 2, 1 |
/// | math | 5 | 1, 0 | 2, 0 |
/// | math | 5 | 0, 1 | 3, 0 |
fn tiny() -> TraceData {
    let model = model(2, 4, 2);
    let documents = vec![
        document(
            &model,
            "a",
            "law",
            &[(5, &[[0, 1], [2, 3]]), (6, &[[0, 2], [2, 1]])],
        ),
        document(
            &model,
            "b",
            "math",
            &[(5, &[[1, 0], [2, 0]]), (5, &[[0, 1], [3, 0]])],
        ),
    ];
    TraceData::in_memory(model, ExpertsOrder::ByWeight, documents).unwrap()
}

#[track_caller]
fn close(found: f64, expected: f64) {
    assert!(
        (found - expected).abs() < 1e-9 || (found.is_nan() && expected.is_nan()),
        "found {found}, expected {expected}"
    );
}

#[test]
fn co_activation_is_the_share_of_an_experts_tokens() {
    let found = measure(&tiny(), "co_activation", &quick()).remove(0);
    // Layer 1: expert 0 in four tokens, with 1 in three of them and with 2 in one; 1 and 2 never without 0.
    let expected = [
        [f64::NAN, 0.75, 0.25, 0.0],
        [1.0, f64::NAN, 0.0, 0.0],
        [1.0, 0.0, f64::NAN, 0.0],
        // Expert 3 has no token there.
        [f64::NAN; 4],
    ];
    for (found, expected) in found.values.iter().zip(expected.iter().flatten()) {
        close(*found, *expected);
    }
    // (k − 1) / (E − 1).
    close(found.reference.unwrap(), 1.0 / 3.0);
    assert!(found.intervals.is_none());
    let words = &found.protocol.interval_method;
    assert!(words.contains("no interval: 2 groups"), "{words}");
    // Of two experts both are neighbours in rank.
    let adjacent = measure(&tiny(), "co_activation_rank_adjacent", &quick()).remove(0);
    for (a, b) in found.values.iter().zip(&adjacent.values) {
        close(*a, *b);
    }
}

#[test]
fn documents_of_one_weight_count_once() {
    // Give law's document a third token with 0 and 1: per token 4 of 5, per document the mean of (2/3, 1) on tokens with 0.
    let model = model(1, 4, 2);
    let documents = vec![
        document(
            &model,
            "a",
            "law",
            &[(5, &[[0, 1]]), (6, &[[0, 2]]), (5, &[[0, 1]])],
        ),
        document(&model, "b", "math", &[(5, &[[1, 0]]), (5, &[[0, 1]])]),
    ];
    let data = TraceData::in_memory(model, ExpertsOrder::ByWeight, documents).unwrap();
    let by_token = measure(&data, "co_activation", &quick()).remove(0);
    close(by_token.value(&[0, 0, 1]), 0.8);
    let request = MeasureRequest {
        scope: Scope {
            weighting: Weighting::Document,
            ..Scope::default()
        },
        ..quick()
    };
    let by_document = measure(&data, "co_activation", &request).remove(0);
    close(by_document.value(&[0, 0, 1]), 5.0 / 6.0);
    let error = fails(&data, "top_tokens", &request);
    assert!(error.contains("--weighting token"), "{error}");
}

#[test]
fn a_contrast_is_first_minus_second() {
    let request = MeasureRequest {
        contrast: Some(("math".into(), "law".into())),
        ..quick()
    };
    let found = measure(&tiny(), "co_activation", &request).remove(0);
    let kinds: Vec<AxisKind> = found.axes.iter().map(|axis| axis.kind).collect();
    let expected = [
        AxisKind::Layer,
        AxisKind::Group,
        AxisKind::GroupB,
        AxisKind::Expert,
        AxisKind::ExpertB,
    ];
    assert_eq!(kinds, expected);
    // P(1 | 0): math 1, law 1/2.
    close(found.value(&[0, 0, 0, 0, 1]), 0.5);
    assert!(found.nulls.unwrap()[1].is_some());
    for name in [
        "layer_mutual_information",
        "path_entropy",
        "path_purity",
        "vocabulary_specialization",
        "token_dependence",
        "top_tokens",
        "top_paths",
        "sense_contrast",
    ] {
        let error = fails(&tiny(), name, &request);
        assert!(error.contains("has no contrast"), "{name}: {error}");
    }
}

#[test]
fn lift_compares_with_both_chances() {
    let found = measure(&tiny(), "co_activation_lift", &quick()).remove(0);
    let at = |variant: usize, a: usize, b: usize| found.value(&[1, variant, a, b]);
    // Layer 3: N = 4, loads 2, 1, 3, 2. Experts 0 and 2 together once: lift 1·4/(2·3).
    close(at(0, 0, 2), 2.0 / 3.0);
    // phi = (4·1 − 6) / √(2·2·3·1).
    close(at(3, 0, 2), -2.0 / 12.0_f64.sqrt());
    // Hypergeometric variance 2·3·2·1 / (16·3) = 1/4: (1 − 1.5) / 0.5.
    close(at(2, 0, 2), -1.0);
    close(at(0, 2, 0), at(0, 0, 2));
    // Layer 1: expert 0 is always in, so the other is the load of the other: lift given k is 1.
    close(found.value(&[0, 1, 0, 1]), 1.0);
    // Four tokens are too few to test anything.
    assert!(found.nulls.is_none());
}

#[test]
fn transitions_follow_first_choices_or_every_slot() {
    let found = measure(&tiny(), "layer_transition", &quick()).remove(0);
    assert_eq!(found.axes[0].labels, ["1"]);
    // First choice 0 three times: to 2 twice and to 3 once; 1 once: to 2; 2 and 3 never.
    let expected = [
        [0.0, 0.0, 2.0 / 3.0, 1.0 / 3.0],
        [0.0, 0.0, 1.0, 0.0],
        [f64::NAN; 4],
        [f64::NAN; 4],
    ];
    for (found, expected) in found.values.iter().zip(expected.iter().flatten()) {
        close(*found, *expected);
    }
    // By slot expert 0 has 0→2, 0→2, 0→3 and, second in the third token, 0→0.
    let found = measure(&tiny(), "layer_transition_slotwise", &quick()).remove(0);
    for (expert, share) in [(0, 0.25), (1, 0.0), (2, 0.5), (3, 0.25)] {
        close(found.value(&[0, 0, expert]), share);
    }
    let one_layer = MeasureRequest {
        scope: Scope {
            layers: "3".parse().unwrap(),
            ..Scope::default()
        },
        ..quick()
    };
    let error = fails(&tiny(), "layer_transition", &one_layer);
    assert!(error.contains("at least two recorded layers"), "{error}");
}

#[test]
fn paths_are_counted_and_spelled_out() {
    let all = MeasureRequest {
        by: "all".into(),
        ..quick()
    };
    let found = measure(&tiny(), "path_entropy", &all);
    // Paths 0-2 twice, 1-2 and 0-3 once: 1.5 bits. Layer 1 (3, 1) and layer 3 (3, 1) have 0.8112781 bits each;
    // given layer 1, only expert 0 leaves a choice: ¾ · H(⅔) = ¾ · 0.9182958.
    let value = |place: usize| found[0].values[place];
    close(value(0), 1.5);
    let marginal = 0.811_278_124_459_132_8;
    close(value(5), 2.0 * marginal);
    close(value(4), marginal + 0.75 * 0.918_295_834_054_489_6);
    // Two layers are a Markov chain.
    close(value(4), value(0));
    close(value(1), 1.5 + 2.0 / (8.0 * std::f64::consts::LN_2));
    assert_eq!(found[1].values[0].to_bits(), 3.0_f64.to_bits());
    let notes = found[0].protocol.notes.join("\n");
    assert!(
        notes.contains("50 % of a label's tokens are alone"),
        "{notes}"
    );
    let top = measure(&tiny(), "top_paths", &all).remove(0);
    assert_eq!(top.axes[1].labels[..2], ["layer_1", "layer_3"]);
    // 0-2: half of the tokens, over ¾ · ¾ for independent layers, over ¾ · ⅔ for a chain.
    for (place, expected) in [0.0, 2.0, 0.5, 0.5 / 0.5625, 1.0].into_iter().enumerate() {
        close(top.values[place], expected);
    }
}

#[test]
fn purity_counts_clusters_of_two_or_more() {
    let all = MeasureRequest {
        by: "all".into(),
        ..quick()
    };
    let found = measure(&tiny(), "path_purity", &all).remove(0);
    // Path 0-2 holds ids 5 and 6: half pure; half of the tokens are on a repeated path.
    close(found.values[0], 0.5);
    close(found.values[4], 0.5);
    // Layer 1: expert 0 has 5, 6, 5; layer 3: expert 2 has 5, 6, 5.
    close(found.values[2], 2.0 / 3.0);
}

#[test]
fn vocabulary_specialization_needs_ten_occurrences_unless_told_otherwise() {
    let data = tiny();
    let all = MeasureRequest {
        by: "all".into(),
        ..quick()
    };
    let found = measure(&data, "vocabulary_specialization", &all).remove(0);
    // No predictions here: input and next only.
    let names = &found.axes[2].labels;
    assert_eq!(names.len(), 8);
    assert!(
        found
            .protocol
            .notes
            .iter()
            .any(|n| n.contains("predicted ids are left out"))
    );
    // Layer 1: id 5 three times, always with 0; id 6 once. Every id 1, every token 1; none ten times.
    assert!(found.values[0].is_nan());
    close(found.values[1], 1.0);
    // Layer 3: id 5 with 2 (twice), 3, 0 (twice), 3: two of three; id 6: one of one.
    close(found.value(&[1, 0, 1]), f64::midpoint(2.0 / 3.0, 1.0));
    close(found.value(&[1, 0, 2]), 3.0 / 4.0);
    // Next: law 5→6, math 5→5; each follows once, so every share is 1.
    close(found.value(&[1, 0, 5]), 1.0);
    // Ten occurrences: five times the same two documents, in one.
    let model = model(1, 4, 2);
    let rows: Vec<Row<'_>> = (0..10)
        .map(|i| (9, if i < 7 { &[[0, 1]][..] } else { &[[2, 3]][..] }))
        .collect();
    let documents = vec![document(&model, "a", "law", &rows)];
    let data = TraceData::in_memory(model, ExpertsOrder::ByWeight, documents).unwrap();
    let found = measure(&data, "vocabulary_specialization", &all).remove(0);
    close(found.values[0], 0.7);
    // One id only: shuffling changes nothing.
    close(found.values[3], 0.0);
    close(found.nulls.as_ref().unwrap()[0].unwrap().p, 1.0);
    let top = measure(&data, "top_tokens", &all);
    assert_eq!(top.len(), 4, "one table per expert");
    assert_eq!(top[0].axes[2].labels, ["x"]);
    // Expert 0: 7 of 10, the expert's share of all tokens: lift 1.
    for (found, expected) in top[0].values.iter().zip([0.7, 1.0, 7.0, 10.0]) {
        close(*found, expected);
    }
}

#[test]
fn a_token_that_decides_its_expert_explains_all_of_the_entropy() {
    // Ids 1 and 2 go to experts {0, 1} and {2, 3}: H(e) = 2 bits, H(e | x) = 1 bit. Positions explain nothing: 4 documents
    // in which both ids stand at every position.
    let model = model(1, 4, 2);
    let documents: Vec<MemoryDocument> = (0..4)
        .map(|d| {
            let rows: Vec<Row<'_>> = (0..80)
                .map(|t| {
                    if (t + d) % 2 == 0 {
                        (1, &[[0, 1]][..])
                    } else {
                        (2, &[[2, 3]][..])
                    }
                })
                .collect();
            document(&model, &d.to_string(), "law", &rows)
        })
        .collect();
    let data = TraceData::in_memory(model, ExpertsOrder::ByWeight, documents).unwrap();
    let found = measure(&data, "token_dependence", &MeasureRequest::default());
    close(found[0].values[0], 0.5);
    close(found[0].values[2], 0.0);
    // Shuffled ids say almost nothing: 1 bit of 2 in the order of 1 / (2·640·ln 2) is left.
    assert!(
        (found[0].values[1] - 0.5).abs() < 0.01,
        "{:?}",
        found[0].values
    );
    let null = found[0].nulls.as_ref().unwrap()[0].unwrap();
    // 24 shuffles: 1/25.
    close(null.p, 0.04);
    // Both ids have 160 tokens: shares ½, ½, 0, 0 with mean ¼, deviation ¼. No position has 128.
    close(found[1].values[0], 0.25);
    assert!(found[1].values[1].is_nan());
}

#[test]
fn independent_routing_gives_a_corrected_dependence_of_nothing() {
    // Noise routers: the plug-in value is the bias, and the corrected one is within a few thousandths of 0.
    let data = Synthetic {
        effect: 0.0,
        between_groups: 0.0,
        tokens: 200,
        ..Synthetic::default()
    }
    .data();
    let all = MeasureRequest {
        by: "all".into(),
        ..MeasureRequest::default()
    };
    let found = measure(&data, "token_dependence", &all).remove(0);
    for layer in found.values.chunks(4) {
        assert!(layer[0] > 0.005, "{layer:?}");
        assert!(layer[1].abs() < 0.003, "{layer:?}");
    }
    let interval = found.intervals.as_ref().unwrap()[1].unwrap();
    assert!(interval.low < 0.0 && interval.high > 0.0, "{interval:?}");
    let words = &found.protocol.null_method;
    assert!(
        words.contains("shuffled over the counted tokens"),
        "{words}"
    );
}

#[test]
fn lift_given_k_of_an_indifferent_router_is_one_and_not_significant() {
    let data = Synthetic {
        effect: 0.0,
        between_groups: 0.0,
        tokens: 120,
        ..Synthetic::default()
    }
    .data();
    let found = measure(&data, "co_activation_lift", &MeasureRequest::default()).remove(0);
    let experts = 8;
    let mut small_q = 0;
    for layer in 0..2 {
        for a in 0..experts {
            for b in a + 1..experts {
                let index = [layer, 1, a, b];
                let lift = found.value(&index);
                assert!((0.6..1.5).contains(&lift), "{lift}");
                // The plain lift is below chance: 8/14 for an indifferent router.
                assert!(found.value(&[layer, 0, a, b]) < 0.9);
                let null = found.nulls.as_ref().unwrap()[found.flat_index(&index)].unwrap();
                let z = found.flat_index(&[layer, 2, a, b]);
                assert!(
                    found.intervals.as_ref().unwrap()[z].is_none(),
                    "z grows with the text"
                );
                small_q += usize::from(null.p_corrected.unwrap() < 0.05);
            }
        }
    }
    assert!(small_q <= 2, "{small_q} of 56 pairs");
}

#[test]
fn sense_contrast_compares_pairs_at_their_target() {
    let model = model(1, 4, 2);
    let mut documents = Vec::new();
    // Six pairs of each kind; the last token ("bank") chooses {0, 1} in sense 1 and {2, 3} in sense 2.
    for pair in 0..12 {
        for side in 0..2 {
            let sense = if pair < 6 { 1 } else { 1 + side };
            let target: &[[u16; 2]] = if sense == 1 { &[[0, 1]] } else { &[[2, 3]] };
            let mut made = document(
                &model,
                &format!("{pair}-{side}"),
                "law",
                &[(1, &[[0, 2]]), (2, target), (3, &[[1, 3]])],
            );
            made.tokens[1].text = Some("bank".into());
            made.sample.pair = Some(pair.to_string());
            let labels = &mut made.sample.labels;
            labels.insert("sense".into(), sense.to_string());
            labels.insert("target".into(), "Bank".into());
            documents.push(made);
        }
    }
    let data =
        TraceData::in_memory(model.clone(), ExpertsOrder::ByWeight, documents.clone()).unwrap();
    let found = measure(&data, "sense_contrast", &MeasureRequest::default()).remove(0);
    close(found.values[0], 1.0);
    close(found.values[1], 0.0);
    close(found.values[2], 1.0);
    // No spread within kinds: d is not defined.
    assert!(found.values[3].is_nan());
    assert!(found.nulls.as_ref().unwrap()[2].unwrap().p < 0.02);
    assert!(
        found
            .protocol
            .notes
            .iter()
            .any(|n| n.contains("last token of the target"))
    );
    // Without the column the last tokens are compared, which are all alike.
    for document in &mut documents {
        document.sample.labels.remove("target");
    }
    let data =
        TraceData::in_memory(model.clone(), ExpertsOrder::ByWeight, documents.clone()).unwrap();
    let found = measure(&data, "sense_contrast", &quick()).remove(0);
    close(found.values[2], 0.0);
    for document in &mut documents {
        document.sample.labels.remove("sense");
    }
    let data = TraceData::in_memory(model, ExpertsOrder::ByWeight, documents).unwrap();
    let error = fails(&data, "sense_contrast", &quick());
    assert!(
        error.contains("'sense'") && error.contains("--keep-columns"),
        "{error}"
    );
    assert!(fails(&tiny(), "sense_contrast", &quick()).contains("'pair'"));
}

#[test]
fn what_a_trace_lacks_is_named() {
    let model = model(2, 4, 2);
    let rows: &[Row<'_>] = &[(5, &[[0, 1], [2, 3]])];
    let unranked = TraceData::in_memory(
        model.clone(),
        ExpertsOrder::Unspecified,
        vec![document(&model, "a", "law", rows)],
    )
    .unwrap();
    for name in [
        "co_activation_rank_adjacent",
        "layer_transition",
        "layer_transition_slotwise",
        "layer_mutual_information",
        "path_entropy",
        "path_purity",
        "top_paths",
    ] {
        let error = fails(&unranked, name, &quick());
        assert!(error.contains("rank of experts"), "{name}: {error}");
    }
    measure(&unranked, "co_activation", &quick());
    let mut nameless = document(&model, "a", "law", rows);
    nameless.tokens[0].token_id = None;
    let data = TraceData::in_memory(model.clone(), ExpertsOrder::ByWeight, vec![nameless]).unwrap();
    for name in [
        "vocabulary_specialization",
        "token_dependence",
        "top_tokens",
    ] {
        let error = fails(&data, name, &quick());
        assert!(error.contains("does not hold token ids"), "{name}: {error}");
    }
    let counts = vec![vec![3, 1, 0, 0]; 2];
    let summed = vec![common::counted(&model, sample("a", "law", "a"), &counts)];
    let data = TraceData::in_memory(model, ExpertsOrder::ByWeight, summed).unwrap();
    for name in ["co_activation", "layer_transition", "path_entropy"] {
        let error = fails(&data, name, &quick());
        assert!(error.contains("sums only"), "{name}: {error}");
    }
}
