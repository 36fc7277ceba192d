//! An ablation small enough to be counted by hand.

use moescope_analytics::{ComparedDocument, MeasureRequest, RoutingComparison};
use moescope_core::{
    AxisKind::{self, Group, Layer, Variant},
    DecisionBatch, Gating, LayerId, Measurement, NoProgress, NullComparison, TokenDivergence,
};

use crate::common::{model, sample};

/// Two tokens at layers 1, 3 and 5; `last` are the experts of the second token at layer 5.
fn batch(last: [u16; 2]) -> DecisionBatch {
    let mut batch = DecisionBatch::new(4, 2);
    for position in 0..2 {
        for layer in 0..3u16 {
            let experts = if (position, layer) == (1, 2) {
                last
            } else {
                [0, 1]
            };
            batch.push_decision(
                position,
                LayerId(2 * layer + 1),
                layer,
                &experts,
                &[0.75, 0.25],
                &[1.0, 0.5, 0.0, -1.0],
                &Gating::softmax_top_k(),
            );
        }
    }
    batch
}

/// What an intervention does to each document of law and of math: change of surprisal at its second token.
const CHANGES: [[f64; 2]; 4] = [[0.6, 0.1], [0.1, 0.1], [0.2, 0.05], [0.0, 0.0]];

/// Six documents of each label. The target reroutes one of two tokens of law to one other expert at the last layer; no
/// control reroutes anything.
fn compared() -> RoutingComparison {
    let label = |document| if document < 6 { "law" } else { "math" };
    let documents = (0..12).map(|i| sample(&format!("d{i}"), label(i), &format!("g{i}")));
    let names = ["target", "control 1", "control 2", "control 3"];
    let mut comparison = RoutingComparison::new(
        model(3, 4, 2),
        names.map(str::to_owned).to_vec(),
        documents.collect(),
    );
    let (reference, rerouted) = (batch([0, 1]), batch([0, 2]));
    for (variant, changes) in CHANGES.iter().enumerate() {
        for document in 0..12 {
            let is_law = document < 6;
            let change = changes[usize::from(!is_law)];
            let divergence = |surprisals| TokenDivergence {
                kl_nats: change,
                is_prediction_changed: false,
                surprisals,
            };
            comparison.add(
                variant,
                document,
                &ComparedDocument {
                    counted: &[true, true],
                    reference: &reference,
                    variant: if variant == 0 && is_law {
                        &rerouted
                    } else {
                        &reference
                    },
                    divergences: &[divergence(None), divergence(Some((2.0, 2.0 + change)))],
                },
            );
        }
    }
    comparison
}

fn measured(by: &str) -> Vec<Measurement> {
    let request = MeasureRequest {
        by: by.to_owned(),
        resamples: 400,
        permutations: 400,
        ..MeasureRequest::default()
    };
    compared()
        .measure_ablation(LayerId(1), &request, &NoProgress)
        .unwrap()
}

fn find<'m>(all: &'m [Measurement], metric: &str, axes: &[AxisKind]) -> &'m Measurement {
    let found = all
        .iter()
        .find(|m| m.metric == metric && m.axes.iter().map(|a| a.kind).eq(axes.iter().copied()));
    found.unwrap_or_else(|| panic!("no {metric} over {axes:?}"))
}

#[track_caller]
fn check(found: &Measurement, expected: &[f64]) {
    assert_eq!(found.values.len(), expected.len(), "{found:?}");
    for (value, expected) in found.values.iter().zip(expected) {
        assert!((value - expected).abs() < 1e-6, "{:?}", found.values);
    }
}

fn nulls(found: &Measurement) -> Vec<Option<NullComparison>> {
    found.nulls.clone().unwrap()
}

#[test]
fn effects_stand_beside_the_mean_of_the_controls() {
    let all = measured("discipline");
    // Target (6 × 0.6 + 6 × 0.1) / 12; controls 0.1, 0.125 and 0.
    let pooled = find(&all, "ablation_effect", &[Variant]);
    check(pooled, &[0.35, 0.075, 0.275]);
    assert_eq!(pooled.axes[0].labels, ["target", "controls", "difference"]);
    // The KL of both tokens is the change of surprisal of the second.
    check(find(&all, "ablation_kl", &[Variant]), &[0.35, 0.075, 0.275]);
    let labelled = find(&all, "ablation_effect", &[Group, Variant]);
    assert_eq!(labelled.axes[0].labels, ["math", "law"]);
    check(labelled, &[0.1, 0.05, 0.05, 0.6, 0.1, 0.5]);
    // Half of a decision of one of two tokens of half of the documents.
    let downstream = find(&all, "ablation_downstream", &[Layer, Variant]);
    assert_eq!(downstream.axes[0].labels, ["3", "5"]);
    check(downstream, &[0.0, 0.0, 0.0, 0.125, 0.0, 0.125]);
    // Every expert's own numbers follow.
    let each = find(&all, "surprisal_change", &[Variant]);
    assert_eq!(each.axes[0].labels.len(), 4);
    check(each, &[0.35, 0.1, 0.125, 0.0]);
}

#[test]
fn the_target_is_placed_among_its_controls() {
    let all = measured("discipline");
    let pooled = nulls(find(&all, "ablation_effect", &[Variant]));
    let null = pooled[0].unwrap();
    assert!((null.null_mean - 0.075).abs() < 1e-12);
    // None of three controls does as much: 1 / 4.
    assert!((null.p - 0.25).abs() < 1e-12 && (null.p_corrected.unwrap() - 0.25).abs() < 1e-12);
    assert!(pooled[1].is_none() && pooled[2].is_none());
    let labelled = find(&all, "ablation_effect", &[Group, Variant]);
    let by_label = nulls(labelled);
    // In math one control does as much as the target (2 / 4), in law none.
    let (math, law) = (by_label[0].unwrap(), by_label[3].unwrap());
    assert!((math.p - 0.5).abs() < 1e-12 && (law.p - 0.25).abs() < 1e-12);
    // T of law is 0.375 / 0.228 = 1.65; the largest T of a control is that of the first in math, 0.0375 / 0.0415 = 0.90,
    // which is also the target's there.
    let q = |null: NullComparison| null.p_corrected.unwrap();
    assert!((q(law) - 0.25).abs() < 1e-12 && (q(math) - 0.5).abs() < 1e-12);
    let notes = labelled.protocol.notes.join("\n");
    assert!(notes.contains("p cannot be below 0.250"), "{notes}");
    assert!(labelled.protocol.null_method.contains("3 load-matched"));
}

#[test]
fn selectivity_is_tested_by_labels_permuted_over_groups() {
    let all = measured("discipline");
    let found = find(&all, "ablation_selectivity", &[Group, Variant]);
    // Of the target 0.1 − 0.6, of the controls' mean 0.05 − 0.1, and of law the same turned round.
    check(found, &[-0.5, -0.05, -0.45, 0.5, 0.05, 0.45]);
    let law = nulls(found)[3].unwrap();
    // Of 924 divisions of twelve documents into halves two are as uneven as this one.
    assert!(law.p < 0.02 && law.p_corrected.unwrap() < 0.02, "{law:?}");
    assert!(
        found
            .protocol
            .null_method
            .contains("labels permuted over groups")
    );
    // Without labels there is nothing to be selective about.
    let pooled = measured("all");
    assert!(pooled.iter().all(|m| m.metric != "ablation_selectivity"));
}

#[test]
fn intervals_come_from_groups_and_cover_the_constant_effects() {
    let all = measured("discipline");
    let labelled = find(&all, "ablation_effect", &[Group, Variant]);
    // All documents of a label do the same, so its intervals have no width.
    let law = labelled.intervals.as_ref().unwrap()[5].unwrap();
    assert!((law.low - 0.5).abs() < 1e-9 && (law.high - 0.5).abs() < 1e-9);
    let pooled = find(&all, "ablation_effect", &[Variant]);
    let target = pooled.intervals.as_ref().unwrap()[0].unwrap();
    assert!(target.low < 0.3 && target.high > 0.4, "{target:?}");
    let notes = pooled.protocol.notes.join("\n");
    assert!(notes.contains("power: this design would see a difference to the controls"));
}

#[test]
fn an_ablation_without_controls_is_refused() {
    let comparison = RoutingComparison::new(
        model(1, 4, 2),
        vec!["target".into()],
        vec![sample("a", "law", "a")],
    );
    let error = comparison
        .measure_ablation(LayerId(1), &MeasureRequest::default(), &NoProgress)
        .unwrap_err();
    assert!(
        error.to_string().contains("at least one control"),
        "{error}"
    );
}
