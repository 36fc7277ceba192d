//! Every metric on a trace of two documents, with the computation in comments.

use moescope_analytics::{ExpertsOrder, MeasureRequest, MemoryDocument, TraceData};
use moescope_core::{AxisKind, DecisionBatch, LabelSize, Phase, Scope, Weighting};

use crate::common::{self, fails, measure, model, quick, sample, token};

/// Layer 1, 4 experts, top-2; BOS at position 0, then three content tokens.
///
/// | position | law | math |
/// |---|---|---|
/// | 1 | {0, 1} | {2, 3} |
/// | 2 | {0, 2} | {3, 2} |
/// | 3 | {1, 0}, uniform | {2, 0} |
///
/// The heavier expert has p = 0.4, the lighter 0.3, the others 0.2 and 0.1; law's last token has p = ¼ everywhere.
fn tiny() -> (moescope_core::ModelSpec, Vec<MemoryDocument>) {
    let model = model(1, 4, 2);
    let document = |discipline: &str, choices: [[u16; 2]; 4], last_is_uniform: bool| {
        let mut batch = DecisionBatch::new(4, 2);
        let mut tokens = Vec::new();
        for (position, chosen) in (0u32..).zip(choices) {
            let mut bos = token(position, 10 + position);
            bos.is_special = Some(position == 0);
            tokens.push(bos);
            let mut logits: Vec<f32> = Vec::new();
            let mut rest = [0.2f32, 0.1].into_iter();
            for expert in 0..4u16 {
                let p = match chosen.iter().position(|c| *c == expert) {
                    Some(0) => 0.4,
                    Some(_) => 0.3,
                    None => rest.next().unwrap(),
                };
                logits.push(if last_is_uniform && position == 3 {
                    0.0
                } else {
                    f32::ln(p)
                });
            }
            let weights = [4.0 / 7.0, 3.0 / 7.0];
            batch.push_decision(
                position,
                model.moe_layers[0],
                0,
                &chosen,
                &weights,
                &logits,
                &model.gating,
            );
        }
        let meta = sample(&format!("{discipline}-1"), discipline, discipline);
        MemoryDocument::from_decisions(&model, meta, tokens, batch)
    };
    let law = document("law", [[0, 1], [0, 1], [0, 2], [1, 0]], true);
    let math = document("math", [[0, 1], [2, 3], [3, 2], [2, 0]], false);
    (model, vec![law, math])
}

fn data() -> TraceData {
    let (model, documents) = tiny();
    TraceData::in_memory(model, ExpertsOrder::ByWeight, documents).unwrap()
}

/// Values of a metric with labels in display order: math, law.
#[track_caller]
fn check(name: &str, expected: &[f64]) {
    check_with(&quick(), name, expected);
}

#[track_caller]
fn check_with(request: &MeasureRequest, name: &str, expected: &[f64]) {
    let found = measure(&data(), name, request).remove(0);
    found.check().unwrap();
    assert_eq!(found.values.len(), expected.len(), "{found:?}");
    for (found, expected) in found.values.iter().zip(expected) {
        // Entropies are kept as f32.
        assert!(
            (found - expected).abs() < 1e-6,
            "{name}: found {found}, expected {expected}"
        );
    }
}

#[test]
fn shares_are_counts_over_assignments() {
    // math: expert 0 once, 2 three times, 3 twice, of 6; law: 0 three times, 1 twice, 2 once.
    check(
        "assignment_share",
        &[
            1.0 / 6.0,
            0.0,
            0.5,
            1.0 / 3.0,
            0.5,
            1.0 / 3.0,
            1.0 / 6.0,
            0.0,
        ],
    );
    // Per token of three, and per balanced load of 1/4.
    check(
        "domain_specialization",
        &[
            1.0 / 3.0,
            0.0,
            1.0,
            2.0 / 3.0,
            1.0,
            2.0 / 3.0,
            1.0 / 3.0,
            0.0,
        ],
    );
    check(
        "relative_load",
        &[
            2.0 / 3.0,
            0.0,
            2.0,
            4.0 / 3.0,
            2.0,
            4.0 / 3.0,
            2.0 / 3.0,
            0.0,
        ],
    );
}

#[test]
fn axes_name_layers_labels_and_experts() {
    let found = measure(&data(), "assignment_share", &quick()).remove(0);
    assert_eq!(found.axes[0].labels, ["1"]);
    assert_eq!(found.axes[1].labels, ["math", "law"]);
    assert_eq!(found.axes[2].labels, ["0", "1", "2", "3"]);
    assert_eq!(found.reference, Some(0.25));
    assert_eq!(
        (
            found.protocol.n_tokens,
            found.protocol.n_documents,
            found.protocol.n_groups
        ),
        (6, 2, 2)
    );
    // Three counted tokens of the one document of each.
    let size = |label: &str| LabelSize {
        label: label.into(),
        n_tokens: 3,
        n_documents: 1,
        n_groups: 1,
    };
    assert_eq!(found.protocol.label_sizes, [size("math"), size("law")]);
    assert!(
        found
            .protocol
            .scope
            .contains("special and template tokens excluded")
    );
}

#[test]
fn special_tokens_count_only_when_asked_for() {
    // With BOS at {0, 1}: math 2, 1, 3, 2 of 8; law 4, 3, 1, 0 of 8.
    let request = MeasureRequest {
        scope: Scope {
            include_special: true,
            ..Scope::default()
        },
        ..quick()
    };
    let eighths = [2.0, 1.0, 3.0, 2.0, 4.0, 3.0, 1.0, 0.0].map(|n| n / 8.0);
    check_with(&request, "assignment_share", &eighths);
    assert!(fails(&data(), "fingerprint_knn", &request).contains("include special tokens"));
}

#[test]
fn load_entropy_and_effective_experts() {
    // H(½, ⅓, ⅙) = ½ ln 2 + ⅓ ln 3 + ⅙ ln 6 = 1.0114043 nats; over ln 4 = 0.7295739; e^H = 2.7494593.
    check("load_entropy", &[0.729_573_9, 0.729_573_9]);
    check("effective_experts", &[2.749_459_3, 2.749_459_3]);
}

#[test]
fn routing_entropy_is_a_mean_over_tokens() {
    // H(.4, .3, .2, .1) = 1.2798542 nats, over ln 4 = 0.9232196; law has it twice and 1 once.
    check(
        "routing_entropy",
        &[0.923_219_6, (2.0 * 0.923_219_6 + 1.0) / 3.0],
    );
}

#[test]
fn divergence_and_information_of_two_labels() {
    // Mixture (⅓, ⅙, ⅓, ⅙): H = ⅔ log2 3 + ⅓ log2 6 = 1.9182958; each label 1.4591479; difference 0.4591479.
    let found = measure(&data(), "jsd", &quick()).remove(0);
    let expected = [0.0, 0.459_147_9, 0.459_147_9, 0.0];
    for (found, expected) in found.values.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-6);
    }
    assert_eq!(found.axes[2].kind, AxisKind::GroupB);
    let found = measure(&data(), "mutual_information", &quick()).remove(0);
    assert!((found.values[0] - 0.459_147_9).abs() < 1e-6);
    // Two groups can only be swapped, which changes nothing: the permutation mean is the value, and p is 1.
    assert!(found.values[1].abs() < 1e-12);
    assert!((found.nulls.as_ref().unwrap()[0].unwrap().p - 1.0).abs() < 1e-12);
    assert!(
        found
            .protocol
            .notes
            .iter()
            .any(|n| n.contains("only 2 arrangements")),
        "{found:?}"
    );
    // 2 · 0.4591479 / (1 + 1.9182958).
    let found = measure(&data(), "nmi", &quick()).remove(0);
    assert!((found.values[0] - 0.314_668).abs() < 1e-6);
}

#[test]
fn repetition_counts_neighbours_and_compares_with_the_own_marginals() {
    // First choices math 2, 3, 2: no repetition, and 2 of 6 ordered pairs are equal; law 0, 0, 1: 1 of 2, and 2 of 6.
    check(
        "first_choice_repetition",
        &[0.0, 1.0 / 3.0, -1.0 / 3.0, 0.5, 1.0 / 3.0, 1.0 / 6.0],
    );
    // Every two tokens of one document share an expert.
    check("any_overlap_repetition", &[1.0, 1.0, 0.0, 1.0, 1.0, 0.0]);
    let found = measure(&data(), "any_overlap_repetition", &quick()).remove(0);
    // 1 − C(2, 2) / C(4, 2).
    assert!((found.reference.unwrap() - 5.0 / 6.0).abs() < 1e-12);
}

#[test]
fn a_special_token_in_between_parts_neighbours() {
    let (model, mut documents) = tiny();
    documents[0].tokens[2].is_special = Some(true);
    let data = TraceData::in_memory(model, ExpertsOrder::ByWeight, documents).unwrap();
    let found = measure(&data, "first_choice_repetition", &quick()).remove(0);
    // math is unchanged; law's positions 1 and 3 are no neighbours.
    assert!(
        found.values[3].is_nan() && found.values[0] == 0.0,
        "{found:?}"
    );
}

#[test]
fn document_weighting_gives_every_document_the_same_weight() {
    // A second law document of one token at {2, 3}: by token 3, 2, 2, 1 of 8; by document the mean of (3, 2, 1, 0)/6 and (0, 0, 1, 1)/2.
    let (model, mut documents) = tiny();
    let short = common::counted(&model, sample("law-2", "law", "other"), &[vec![0, 0, 1, 1]]);
    documents.push(short);
    let data = TraceData::in_memory(model, ExpertsOrder::ByWeight, documents).unwrap();
    let by = |weighting| {
        let request = MeasureRequest {
            scope: Scope {
                weighting,
                ..Scope::default()
            },
            ..quick()
        };
        measure(&data, "assignment_share", &request)
            .remove(0)
            .values[4..]
            .to_vec()
    };
    let close = |found: Vec<f64>, expected: [f64; 4]| {
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
    };
    close(
        by(Weighting::Token),
        [3.0 / 8.0, 2.0 / 8.0, 2.0 / 8.0, 1.0 / 8.0],
    );
    close(
        by(Weighting::Document),
        [1.0 / 4.0, 1.0 / 6.0, 1.0 / 3.0, 1.0 / 4.0],
    );
}

#[test]
fn decoded_tokens_are_out_of_scope_unless_asked_for() {
    let (model, mut documents) = tiny();
    let law = &mut documents[0];
    law.tokens[3].phase = Some(Phase::Decode);
    let law = MemoryDocument::from_decisions(
        &model,
        law.sample.clone(),
        law.tokens.clone(),
        law.decisions.clone().unwrap(),
    );
    documents[0] = law;
    let data = TraceData::in_memory(model, ExpertsOrder::ByWeight, documents).unwrap();
    // Without {1, 0}: law has 2, 1, 1, 0 of 4.
    let found = measure(&data, "assignment_share", &quick()).remove(0);
    assert_eq!(found.values[4..], [0.5, 0.25, 0.25, 0.0]);
    let request = MeasureRequest {
        scope: Scope {
            phase: "decode".parse().unwrap(),
            ..Scope::default()
        },
        ..quick()
    };
    let found = measure(&data, "assignment_share", &request).remove(0);
    assert_eq!(found.axes[1].labels, ["law"]);
    assert_eq!(found.values, [0.5, 0.5, 0.0, 0.0]);
    assert!(
        found
            .protocol
            .notes
            .iter()
            .any(|note| note.contains("no token in scope: math"))
    );
}

#[test]
fn a_contrast_is_the_difference_of_its_labels_in_their_order() {
    let request = MeasureRequest {
        contrast: Some(("law".into(), "math".into())),
        ..quick()
    };
    let found = measure(&data(), "assignment_share", &request).remove(0);
    let expected = [1.0 / 3.0, 1.0 / 3.0, -1.0 / 3.0, -1.0 / 3.0];
    for (found, expected) in found.values.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-12);
    }
    let rows = found.long_rows();
    assert_eq!(
        (rows[0].group_a.as_deref(), rows[0].group_b.as_deref()),
        (Some("law"), Some("math"))
    );
    assert_eq!(found.reference, Some(0.0));
    let found = measure(&data(), "jsd", &request).remove(0);
    assert_eq!(found.values.len(), 1);
}

#[test]
fn what_a_trace_lacks_is_named() {
    let (model, documents) = tiny();
    let ids_only: Vec<MemoryDocument> = documents
        .into_iter()
        .map(|document| {
            let full = document.decisions.unwrap();
            let mut batch = DecisionBatch::ids_only(4, 2);
            batch.position = full.position;
            batch.layer = full.layer;
            batch.moe_layer = full.moe_layer;
            batch.selected_experts = full.selected_experts;
            MemoryDocument::from_decisions(&model, document.sample, document.tokens, batch)
        })
        .collect();
    let data = TraceData::in_memory(model.clone(), ExpertsOrder::Unspecified, ids_only).unwrap();
    assert!(fails(&data, "routing_entropy", &quick()).contains("routing entropies"));
    assert!(fails(&data, "fingerprint_knn", &quick()).contains("profiles.prob_sum"));
    let refused = fails(&data, "first_choice_repetition", &quick());
    assert!(
        refused.contains("experts_order is unspecified") && refused.contains("any_overlap"),
        "{refused}"
    );
    let rate = measure(&data, "any_overlap_repetition", &quick())[0].values[0];
    assert!((rate - 1.0).abs() < 1e-12);

    let sums = vec![common::counted(
        &model,
        sample("a", "law", "a"),
        &[vec![1, 1, 0, 0]],
    )];
    let data = TraceData::in_memory(model, ExpertsOrder::ByWeight, sums).unwrap();
    assert!(fails(&data, "any_overlap_repetition", &quick()).contains("it holds sums only"));
    assert!(fails(&data, "jsd", &quick()).contains("one discipline only"));
    let wrong = MeasureRequest {
        by: "colour".into(),
        ..quick()
    };
    assert!(fails(&data, "jsd", &wrong).contains("no column 'colour'"));
    let wrong = MeasureRequest {
        contrast: Some(("law".into(), "art".into())),
        ..quick()
    };
    assert!(
        fails(&data, "jsd", &wrong).contains("no document has discipline 'art'; there are: law")
    );
    let scope = Scope {
        layers: "0,2".parse().unwrap(),
        ..Scope::default()
    };
    let wrong = MeasureRequest { scope, ..quick() };
    assert!(fails(&data, "load_entropy", &wrong).contains("the trace has: 1"));
}
