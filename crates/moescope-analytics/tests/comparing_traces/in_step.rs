//! Traces whose tokens correspond: saturation, agreement, and what cannot be matched.

use super::{close, compare, data, document, refused, set, table, tokens, two_checkpoints};
use crate::common::{model, quick, sample, token};
use moescope_analytics::MemoryDocument;
use moescope_core::{AxisKind, DecisionBatch, TokenRow};

#[test]
fn saturation_is_the_mean_overlap_computed_by_hand() {
    use AxisKind::{Group, Layer, Trace, Variant};
    let found = compare(&two_checkpoints(), "router_saturation", &quick());
    // {0,1} ∩ {1,0} = 2, {0,2} ∩ {2,3} = 1, {0,3} ∩ {1,2} = 0, each over k = 2: (1 + ½ + 0) / 3.
    let pooled = table(&found, &[Trace, Variant], "top_k");
    close(&pooled.values, &[0.5]);
    close(&[pooled.reference.unwrap()], &[0.5]);
    assert_eq!(pooled.axes[0].labels, ["early"]);
    close(
        &table(&found, &[Layer, Trace, Variant], "top_k").values,
        &[0.5],
    );
    // The heaviest experts, 0 0 0 against 1 2 1, are never the same; k/E is 1/4 for them.
    let first = table(&found, &[Layer, Trace, Variant], "top_1");
    close(&first.values, &[0.0]);
    close(&[first.reference.unwrap()], &[0.25]);
    // Shares of tokens: early (3, 1, 1, 1)/3, last (1, 2, 2, 1)/3; products (3 + 2 + 2 + 1)/9 over k = 2.
    let expected = table(&found, &[Layer, Trace, Variant], "expected_from_loads");
    close(&expected.values, &[8.0 / 18.0]);
    // Math is document c; law is document a, (1 + ½)/2.
    let by_label = table(&found, &[Layer, Trace, Group, Variant], "top_k");
    assert_eq!(by_label.axes[2].labels, ["math", "law"]);
    close(&by_label.values, &[0.0, 0.75]);
    assert!(
        by_label
            .protocol
            .interval_method
            .contains("no interval: 1 groups")
    );
    let notes = pooled.protocol.notes.join("\n");
    assert!(
        notes.contains("2 documents hold the same counted tokens"),
        "{notes}"
    );
}

#[test]
fn document_weighting_makes_documents_alike() {
    use AxisKind::{Trace, Variant};
    let mut request = quick();
    request.scope.weighting = moescope_core::Weighting::Document;
    let found = compare(&two_checkpoints(), "router_saturation", &request);
    // (¾ + 0) / 2.
    close(&table(&found, &[Trace, Variant], "top_k").values, &[0.375]);
}

#[test]
fn agreement_is_split_by_the_margin_of_the_reference() {
    use AxisKind::{Margin, Trace, Variant};
    let found = compare(&two_checkpoints(), "routing_agreement", &quick());
    let pooled = found
        .iter()
        .find(|m| m.axes.len() == 2 && m.axes[0].kind == Trace)
        .unwrap();
    assert_eq!(pooled.axes[1].labels, ["equal_sets", "mean_overlap"]);
    // One of three sets is the same; the mean overlap is the saturation.
    close(&pooled.values, &[1.0 / 3.0, 0.5]);
    // Tokens at position 0 have logits 5 and 4.5 for the chosen and 0 for the others: softmax .617, .374, .004, .004, a
    // margin of .370; the token at position 1 has 1, 0.5, 0, 0: .427, .259, .157, .157, a margin of .102.
    let by_margin = table(&found, &[Margin, Trace, Variant], "");
    assert_eq!(by_margin.axes[0].labels, ["0.1–0.3", "0.3–1"]);
    // Position 1 of a: ½ of the set. Position 0 of a and c: the same set, and another one.
    close(&by_margin.values, &[0.0, 0.5, 0.5, 0.5]);
    let counts = found.iter().find(|m| m.unit == "decisions").unwrap();
    close(&counts.values, &[1.0, 2.0]);
}

#[test]
fn an_import_without_margins_has_saturation_and_says_what_agreement_needs() {
    let model = model(1, 4, 2);
    let ids_only = |experts: [u16; 2]| {
        let mut batch = DecisionBatch::ids_only(4, 2);
        batch.position.push(0);
        batch.layer.push(model.moe_layers[0]);
        batch.moe_layer.push(0);
        batch.selected_experts.extend(experts);
        let one =
            MemoryDocument::from_decisions(&model, sample("a", "law", "a"), tokens(&[5]), batch);
        data(&model, vec![one])
    };
    let traces = set(vec![("x", ids_only([0, 1])), ("y", ids_only([0, 2]))]);
    let found = compare(&traces, "router_saturation", &quick());
    close(&found[0].values, &[0.5]);
    let error = refused(&traces, "routing_agreement", &quick());
    assert!(error.contains("column routing.margin of y"), "{error}");
}

/// Tokens of one text with their bytes.
fn covering(ranges: &[(u32, u32)], first_id: u32) -> Vec<TokenRow> {
    let tokens = (0u32..).zip(ranges);
    tokens
        .map(|(position, (start, end))| TokenRow {
            byte_start: Some(*start),
            byte_end: Some(*end),
            ..token(position, first_id + position)
        })
        .collect()
}

#[test]
fn another_tokenizer_is_matched_by_bytes() {
    use AxisKind::{Trace, Variant};
    let model = model(1, 4, 2);
    // The reference cuts eight bytes into 3 + 5, the other trace into 5 + 3.
    let reference = document(
        &model,
        "a",
        covering(&[(0, 3), (3, 8)], 10),
        &[[0, 1], [2, 3]],
    );
    let other = document(
        &model,
        "a",
        covering(&[(0, 5), (5, 8)], 70),
        &[[0, 1], [2, 0]],
    );
    let traces = set(vec![
        ("other", data(&model, vec![other])),
        ("reference", data(&model, vec![reference])),
    ]);
    let found = compare(&traces, "router_saturation", &quick());
    // Token 1 lies in {0,1}: 1. Of token 2, ⅖ lie in {0,1} ∩ {2,3} = ∅ and ⅗ in {2,0}: ½. (1 + ⅖·0 + ⅗·½) / 2.
    close(&table(&found, &[Trace, Variant], "top_k").values, &[0.65]);
    let notes = found[0].protocol.notes.join("\n");
    assert!(
        notes.contains("matched by the bytes") && notes.contains("100.0 %"),
        "{notes}"
    );
}

#[test]
fn other_texts_are_refused_token_by_token_and_left_to_distributions() {
    let model = model(1, 4, 2);
    let mut other = document(&model, "a", tokens(&[7, 8]), &[[0, 1], [0, 2]]);
    other.sample.text = "another text".into();
    let reference = document(&model, "a", tokens(&[7, 9]), &[[0, 1], [0, 2]]);
    let traces = set(vec![
        ("x", data(&model, vec![other])),
        ("y", data(&model, vec![reference])),
    ]);
    let error = refused(&traces, "router_saturation", &quick());
    assert!(
        error.contains("no document of x and y") && error.contains("only distributions"),
        "{error}"
    );
    let found = compare(&traces, "routing_drift", &quick());
    close(&found[0].values, &[0.0]);
    let notes = found[0].protocol.notes.join("\n");
    assert!(
        notes.contains("1 of 1 paired documents hold another text"),
        "{notes}"
    );
}

#[test]
fn documents_of_one_trace_only_are_counted_and_left_out() {
    let model = model(1, 4, 2);
    let shared = || document(&model, "a", tokens(&[7]), &[[0, 1]]);
    let alone = document(&model, "z", tokens(&[7]), &[[2, 3]]);
    let traces = set(vec![
        ("x", data(&model, vec![shared(), alone])),
        ("y", data(&model, vec![shared()])),
    ]);
    let found = compare(&traces, "router_saturation", &quick());
    close(&found[0].values, &[1.0]);
    let note = "1 documents of x are not in every trace and are left out";
    assert!(found[0].protocol.notes.iter().any(|n| n == note));
}
