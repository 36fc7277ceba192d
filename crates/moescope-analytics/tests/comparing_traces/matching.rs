//! Experts of one model found again in another.

use super::{close, compare, data, refused, set};
use crate::common::{Synthetic, quick};
use moescope_analytics::{MeasureRequest, MemoryDocument};
use moescope_core::{DecisionBatch, Discipline, LabelFilter, Measurement};

#[test]
fn other_numbers_of_experts_are_refused_by_id_and_matched_by_profile() {
    let small = Synthetic::default();
    let large = Synthetic {
        experts: 12,
        layers: 4,
        ..small
    };
    let traces = set(vec![("large", large.data()), ("small", small.data())]);
    for name in ["router_saturation", "routing_drift"] {
        let error = refused(&traces, name, &quick());
        assert!(
            error.contains("2 of 12 experts") && error.contains("expert_matching"),
            "{error}"
        );
    }
    let found = compare(&traces, "expert_matching", &quick());
    let ids = &found[0];
    assert_eq!(ids.unit, "expert id");
    // The two were drawn with other tokens, so there is the matching by profiles alone: two layers of eight experts.
    assert_eq!(ids.axes[3].labels, ["profiles"]);
    assert_eq!(ids.values.len(), 2 * 8);
    let notes = ids.protocol.notes.join("\n");
    assert!(notes.contains("no matching by co-selection"), "{notes}");
    assert!(ids.values.iter().all(|id| (0.0..12.0).contains(id)));
    assert!(
        found[0]
            .protocol
            .notes
            .iter()
            .any(|n| n.contains("by relative depth: 1→1, 3→7"))
    );
}

/// The synthetic documents with their experts renamed, in another order of documents.
fn renamed(synthetic: Synthetic, names: &[u16; 8]) -> Vec<MemoryDocument> {
    let model = synthetic.model();
    let mut documents: Vec<MemoryDocument> = synthetic
        .documents()
        .into_iter()
        .map(|document| {
            let old = document.decisions.as_ref().unwrap();
            let mut batch = DecisionBatch::new(8, 2);
            for row in 0..old.len() {
                let experts: Vec<u16> = old
                    .experts(row)
                    .iter()
                    .map(|e| names[usize::from(*e)])
                    .collect();
                let mut logits = vec![0.0; 8];
                for (expert, logit) in old.logits(row).unwrap().iter().enumerate() {
                    logits[usize::from(names[expert])] = *logit;
                }
                batch.push_decision(
                    old.position[row],
                    old.layer[row],
                    old.moe_layer[row],
                    &experts,
                    old.weights(row).unwrap(),
                    &logits,
                    &model.gating,
                );
            }
            MemoryDocument::from_decisions(&model, document.sample, document.tokens, batch)
        })
        .collect();
    documents.reverse();
    documents
}

#[test]
fn renamed_experts_are_found_by_profiles_and_by_tokens() {
    let synthetic = Synthetic {
        labels: 8,
        effect: 2.0,
        ..Synthetic::default()
    };
    let names = [3, 7, 0, 6, 1, 5, 2, 4];
    let other = data(&synthetic.model(), renamed(synthetic, &names));
    let traces = set(vec![("renamed", other), ("reference", synthetic.data())]);
    let found = compare(&traces, "expert_matching", &quick());
    let expected: Vec<f64> = (0..2)
        .flat_map(|_| names.iter().flat_map(|name| [f64::from(*name); 2]))
        .collect();
    close(&found[0].values, &expected);
    assert_eq!(found[0].axes[3].labels, ["profiles", "co_selection"]);
    // The same experts under other names: everything is explained, on held-out texts as well.
    assert!(found[1].values.iter().all(|part| (part - 1.0).abs() < 1e-9));
    let score = |variant: &str| {
        let last = |m: &&Measurement| m.axes[2].labels == [variant] && m.axes.len() == 3;
        found.iter().find(last).unwrap()
    };
    for variant in ["profiles", "co_selection", "held_out"] {
        assert!(
            score(variant).values.iter().all(|v| (v - 1.0).abs() < 1e-9),
            "{variant}"
        );
    }
    assert!(score("by_id").values.iter().all(|v| *v < 0.5));
    let nulls = score("profiles").nulls.as_ref().unwrap();
    // 50 permutations: the smallest p is 1/51.
    assert!(
        nulls
            .iter()
            .all(|null| null.unwrap().p < 0.02 && null.unwrap().null_mean < 0.95)
    );
    assert!(score("held_out").intervals.is_some());
}

#[test]
fn profiles_are_over_the_labels_that_documents_have_in_the_reference() {
    let synthetic = Synthetic {
        labels: 8,
        effect: 2.0,
        ..Synthetic::default()
    };
    let names = [3, 7, 0, 6, 1, 5, 2, 4];
    let mut relabelled = renamed(synthetic, &names);
    for document in &mut relabelled {
        // By one label for all there are no profiles, and filters on others let none of them through.
        document.sample.discipline = Some(Discipline::new("law").unwrap());
    }
    let labels = synthetic.data().labels("discipline").unwrap();
    let [alike, other] = [renamed(synthetic, &names), relabelled].map(|documents| {
        let renamed = data(&synthetic.model(), documents);
        set(vec![("renamed", renamed), ("reference", synthetic.data())])
    });
    let mut request = quick();
    for only in [labels.clone(), labels[..3].to_vec()] {
        request.scope.only = vec![LabelFilter {
            column: "discipline".into(),
            labels: only,
        }];
        let expected = compare(&alike, "expert_matching", &request);
        let found = compare(&other, "expert_matching", &request);
        assert_eq!(found[0].axes[3].labels, ["profiles", "co_selection"]);
        for (found, expected) in found.iter().zip(&expected) {
            close(&found.values, &expected.values);
            assert_eq!(found.nulls, expected.nulls);
        }
    }
}

#[test]
fn matching_by_tokens_alone_works_without_labels_and_says_so() {
    let synthetic = Synthetic::default();
    let traces = set(vec![("x", synthetic.data()), ("y", synthetic.data())]);
    let request = MeasureRequest {
        by: "all".into(),
        ..quick()
    };
    let found = compare(&traces, "expert_matching", &request);
    assert_eq!(found[0].axes[3].labels, ["co_selection"]);
    assert!(
        found[0]
            .protocol
            .notes
            .iter()
            .any(|n| n.contains("no matching by profiles"))
    );
}
