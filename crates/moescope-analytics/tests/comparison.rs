//! A comparison of weights on routing small enough to be counted by hand.

use moescope_analytics::{ComparedDocument, MeasureRequest, RoutingComparison};
use moescope_core::{
    AxisKind::{self, ChangedLayers, Group, Layer, Margin, Variant},
    DecisionBatch, Gating, LayerId, Measurement, ModelSpec, NoProgress, TokenDivergence,
};

use crate::common::{model, sample};

/// Probabilities of the reference: a margin of 0.15 between the second and the third expert, and one of 0.0005.
const CLEAR: [f64; 4] = [0.5, 0.3, 0.15, 0.05];
const NEAR_TIE: [f64; 4] = [0.4, 0.3002, 0.2997, 0.0001];

/// Two layers and two tokens; `experts` by position, then layer.
fn batch(experts: [[[u16; 2]; 2]; 2], probabilities: [[[f64; 4]; 2]; 2]) -> DecisionBatch {
    let mut batch = DecisionBatch::new(4, 2);
    for position in 0..2 {
        for layer in 0..2 {
            #[expect(clippy::cast_possible_truncation, reason = "logits are f32")]
            let logits = probabilities[position][layer].map(|p| p.ln() as f32);
            batch.push_decision(
                u32::try_from(position).unwrap(),
                LayerId(2 * u16::try_from(layer).unwrap() + 1),
                u16::try_from(layer).unwrap(),
                &experts[position][layer],
                &[0.75, 0.25],
                &logits,
                &Gating::softmax_top_k(),
            );
        }
    }
    batch
}

fn divergences(kl: [f64; 2]) -> [TokenDivergence; 2] {
    [0, 1].map(|position| TokenDivergence {
        kl_nats: kl[position],
        is_prediction_changed: kl[position] > 0.5,
        surprisals: (position > 0).then_some((2.0, 2.0 + kl[position])),
    })
}

/// Six documents in law, four in math, each its own group. In law the second token's near-tie at layer 1 goes the other
/// way (KL 0.5 there, 0.1 at the first token); in math nothing changes and the KL is 0.
fn compared() -> RoutingComparison {
    let model: ModelSpec = model(2, 4, 2);
    let documents = (0..10).map(|i| {
        let label = if i < 6 { "law" } else { "math" };
        sample(&format!("d{i}"), label, &format!("g{i}"))
    });
    let mut comparison = RoutingComparison::new(
        model,
        vec!["stored".into(), "q4".into()],
        documents.collect(),
    );
    let probabilities = [[CLEAR, CLEAR], [CLEAR, NEAR_TIE]];
    let reference = batch([[[0, 1]; 2]; 2], probabilities);
    let changed = batch([[[0, 1], [0, 1]], [[0, 1], [0, 2]]], probabilities);
    for document in 0..10 {
        for variant in 0..2 {
            let is_changed = variant == 1 && document < 6;
            let kl = if is_changed { [0.1, 0.5] } else { [0.0; 2] };
            comparison.add(
                variant,
                document,
                &ComparedDocument {
                    counted: &[true, true],
                    reference: &reference,
                    variant: if is_changed { &changed } else { &reference },
                    divergences: &divergences(kl),
                },
            );
        }
    }
    comparison
}

fn request(by: &str) -> MeasureRequest {
    MeasureRequest {
        by: by.to_owned(),
        resamples: 400,
        ..MeasureRequest::default()
    }
}

fn find<'m>(all: &'m [Measurement], metric: &str, axes: &[AxisKind]) -> &'m Measurement {
    let found = all
        .iter()
        .find(|m| m.metric == metric && m.axes.iter().map(|a| a.kind).eq(axes.iter().copied()));
    found.unwrap_or_else(|| panic!("no {metric} over {axes:?}"))
}

#[track_caller]
fn check(all: &[Measurement], metric: &str, axes: &[AxisKind], expected: &[f64]) {
    let found = find(all, metric, axes);
    found.check().unwrap();
    assert_eq!(found.values.len(), expected.len(), "{metric}: {found:?}");
    for (value, expected) in found.values.iter().zip(expected) {
        let is_same = (value - expected).abs() < 1e-6 || (value.is_nan() && expected.is_nan());
        assert!(is_same, "{metric} {axes:?}: {:?}", found.values);
    }
}

#[test]
fn values_are_those_counted_by_hand() {
    let all = compared()
        .measure(&request("discipline"), &NoProgress)
        .unwrap();
    // The variants are the last axis: stored, then q4. 6 of 40 decisions changed; each kept one of two experts.
    check(&all, "changed_selections", &[Variant], &[0.0, 6.0 / 40.0]);
    check(&all, "changed_assignments", &[Variant], &[0.0, 3.0 / 40.0]);
    check(&all, "changed_first_choices", &[Variant], &[0.0, 0.0]);
    // The changed decision moves 0.25 from expert 1 to expert 2: half of 0.5.
    check(
        &all,
        "weight_distance",
        &[Variant],
        &[0.0, 0.25 * 6.0 / 40.0],
    );
    check(&all, "weight_error_mean", &[Variant], &[0.0, 0.0]);
    check(&all, "rerouted_tokens", &[Variant], &[0.0, 6.0 / 20.0]);
    // 6 × (0.1 + 0.5) nats over 20 tokens; of the ten tokens with a surprisal six gained 0.5.
    check(&all, "next_token_kl", &[Variant], &[0.0, 3.6 / 20.0]);
    check(&all, "surprisal_change", &[Variant], &[0.0, 3.0 / 10.0]);
    let by_layer = [0.0, 0.0, 0.0, 6.0 / 20.0];
    check(&all, "changed_selections", &[Layer, Variant], &by_layer);
    // By layer, by label: law (6 of 12 at layer 1), math (none).
    let by_label = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.5];
    let axes = [Layer, Group, Variant];
    let labels = &find(&all, "changed_selections", &axes).axes[1].labels;
    assert_eq!(labels, &["math", "law"]);
    check(&all, "changed_selections", &axes, &by_label);
    check(
        &all,
        "next_token_kl",
        &[Group, Variant],
        &[0.0, 0.0, 0.0, 0.3],
    );
    // Where layer 1 changed the KL is 0.5; the other 14 tokens have 6 × 0.1 in all. At layer 0 nothing changed.
    let nan = f64::NAN;
    let axes = [Layer, Variant];
    check(
        &all,
        "next_token_kl_where_changed",
        &axes,
        &[nan, nan, nan, 0.5],
    );
    let kept = [0.0, 3.6 / 20.0, 0.0, 0.6 / 14.0];
    check(&all, "next_token_kl_where_kept", &axes, &kept);
    let axes = [ChangedLayers, Variant];
    check(&all, "tokens", &axes, &[20.0, 14.0, 0.0, 6.0]);
    check(&all, "next_token_kl", &axes, &[0.0, 0.6 / 14.0, nan, 0.5]);
}

#[test]
fn near_ties_are_counted_and_shown_apart() {
    let all = compared()
        .measure(&request("discipline"), &NoProgress)
        .unwrap();
    let counts = find(&all, "decisions", &[Margin]);
    let labels = &counts.axes[0].labels;
    // From the near-ties (0.0005) to the clear choices (0.15), with the empty ranges between.
    assert_eq!(labels.first().unwrap(), "0.0003–0.001");
    assert_eq!(labels.last().unwrap(), "0.1–0.3");
    assert!((counts.values[0] - 10.0).abs() < 1e-9);
    assert!((counts.values.last().unwrap() - 30.0).abs() < 1e-9);
    let table = find(&all, "changed_selections", &[Margin, Variant]);
    let q4: Vec<f64> = table.values.iter().skip(1).step_by(2).copied().collect();
    assert!((q4[0] - 0.6).abs() < 1e-9, "6 of 10 near-ties: {q4:?}");
    assert!(q4.last().unwrap().abs() < 1e-9, "no clear choice");
    assert!(
        q4[1..q4.len() - 1].iter().all(|v| v.is_nan()),
        "nothing to count"
    );
    let notes = &table.protocol.notes;
    assert!(
        notes.iter().any(|n| n.starts_with("margin: probability")),
        "{notes:?}"
    );
    // A token counts with each of its decisions: of law's four, the near-tie and one clear choice have a KL of 0.5, two of 0.1.
    let kl = find(&all, "next_token_kl", &[Margin, Variant]);
    let last = labels.len() - 1;
    assert!((kl.value(&[0, 1]) - 6.0 * 0.5 / 10.0).abs() < 1e-9);
    assert!((kl.value(&[last, 1]) - 6.0 * 0.7 / 30.0).abs() < 1e-9);
    // What both chose weighs the same.
    let errors = find(&all, "weight_error_mean", &[Margin, Variant]);
    assert!(errors.value(&[0, 1]).abs() < 1e-9 && errors.value(&[1, 1]).is_nan());
    // At layer 0 there is no near-tie, at layer 1 all ten are.
    let each = find(&all, "changed_selections", &[Layer, Margin, Variant]);
    assert!(each.value(&[0, 0, 1]).is_nan());
    assert!((each.value(&[1, 0, 1]) - 0.6).abs() < 1e-9);
    // By label: math first, with four near-ties that held; six of law that did not.
    let by_label = find(&all, "changed_selections", &[Margin, Group, Variant]);
    assert!((by_label.value(&[0, 0, 1])).abs() < 1e-9);
    assert!((by_label.value(&[0, 1, 1]) - 1.0).abs() < 1e-9);
}

#[test]
fn intervals_need_five_groups_and_something_that_happened() {
    let all = compared()
        .measure(&request("discipline"), &NoProgress)
        .unwrap();
    let pooled = find(&all, "changed_selections", &[Variant]);
    let intervals = pooled.intervals.as_ref().unwrap();
    assert_eq!(
        intervals[0], None,
        "nothing changed, which resamples cannot tell from rare"
    );
    let q4 = intervals[1].unwrap();
    assert!(q4.low < 0.15 && 0.15 < q4.high, "{q4:?}");
    assert_eq!(pooled.protocol.level, Some(0.95));
    assert!(
        pooled
            .protocol
            .notes
            .iter()
            .any(|n| n.contains("0 in every resample"))
    );
    // Math has four groups: said in words, and without interval.
    let by_label = find(&all, "next_token_kl", &[Group, Variant]);
    assert!(
        by_label
            .protocol
            .interval_method
            .contains("4 groups (math)")
    );
    let intervals = by_label.intervals.as_ref().unwrap();
    assert_eq!(intervals[1], None);
    assert!(intervals[3].is_some());
}

#[test]
fn what_cannot_be_compared_is_refused_in_words() {
    let comparison = compared();
    let error = |request: &MeasureRequest| {
        comparison
            .measure(request, &NoProgress)
            .unwrap_err()
            .to_string()
    };
    assert!(error(&request("genre")).contains("no column 'genre'"));
    let mut other_scope = request("all");
    other_scope.scope.include_special = true;
    assert!(error(&other_scope).contains("default scope"));
    let model = model(2, 4, 2);
    let samples = vec![sample("a", "law", "a")];
    let empty = RoutingComparison::new(model, vec!["q8".into()], samples);
    let error = empty.measure(&request("all"), &NoProgress).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("1 of 1 documents were not run through 'q8'")
    );
}

#[test]
fn without_labels_only_the_tables_of_all_are_made() {
    let all = compared().measure(&request("all"), &NoProgress).unwrap();
    assert!(all.iter().all(|m| m.axis(Group).is_none()));
    assert!(all.iter().all(|m| m.protocol.by == "all"));
}
