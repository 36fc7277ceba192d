//! ESFT's scores and sets of experts: by hand, and as published for DeepSeek-V2-Lite.
//!
//! The published files lie outside the repository; without them the test says so and passes.

use moescope_analytics::{ExpertsOrder, MeasureRequest, MemoryDocument, TraceData};
use moescope_core::{DecisionBatch, ModelSpec, Scope, Weighting};

use crate::common::{self, fails, measure, model, quick, sample, token};

/// The decisions of one document at one layer: experts and weights of each token, heaviest first.
fn document(
    model: &ModelSpec,
    id: &str,
    label: &str,
    rows: &[([u16; 2], [f32; 2])],
) -> MemoryDocument {
    let mut batch = DecisionBatch::ids_only(usize::from(model.num_experts), 2);
    let mut tokens = Vec::new();
    for (position, (experts, weights)) in (0u32..).zip(rows) {
        tokens.push(token(position, position));
        batch.position.push(position);
        batch.layer.push(model.moe_layers[0]);
        batch.moe_layer.push(0);
        batch.selected_experts.extend(experts);
        batch
            .routing_weights
            .get_or_insert_default()
            .extend(weights);
    }
    MemoryDocument::from_decisions(model, sample(id, label, id), tokens, batch)
}

/// One layer of 4 experts, top-2, weights that do not sum to 1; label `law` of two documents, three tokens and one.
///
/// | | token | experts | weights |
/// |---|---|---|---|
/// | a | 0 | 0, 1 | 0.3, 0.1 |
/// | a | 1 | 2, 0 | 0.2, 0.2 |
/// | a | 2 | 2, 1 | 0.4, 0.0 |
/// | b | 0 | 3, 1 | 0.5, 0.3 |
fn tiny() -> TraceData {
    let model = model(1, 4, 2);
    let documents = vec![
        document(
            &model,
            "a",
            "law",
            &[
                ([0, 1], [0.3, 0.1]),
                ([2, 0], [0.2, 0.2]),
                ([2, 1], [0.4, 0.0]),
            ],
        ),
        document(&model, "b", "law", &[([3, 1], [0.5, 0.3])]),
    ];
    TraceData::in_memory(model, ExpertsOrder::ByWeight, documents).unwrap()
}

fn with_p(esft_p: f64) -> MeasureRequest {
    MeasureRequest {
        esft_p: Some(esft_p),
        ..quick()
    }
}

/// The values that are there; a place past the end of a set must be NaN.
#[track_caller]
fn check(request: &MeasureRequest, name: &str, expected: &[f64]) {
    let found = measure(&tiny(), name, request).remove(0);
    found.check().unwrap();
    assert_eq!(found.values.len(), expected.len(), "{found:?}");
    for (found, expected) in found.values.iter().zip(expected) {
        // Weights are kept as f32.
        assert!(
            (found - expected).abs() < 1e-6,
            "{name}: {found} {expected}"
        );
    }
}

#[test]
fn gate_scores_are_sums_of_weights_over_tokens() {
    // Sums 0.5, 0.4, 0.6, 0.5 over 4 tokens.
    check(&quick(), "esft_gate_score", &[0.125, 0.1, 0.15, 0.125]);
    // Means of the documents: a has (0.5, 0.1, 0.6, 0) / 3, b has (0, 0.3, 0, 0.5); the paper's mean of both.
    let by_document = MeasureRequest {
        scope: Scope {
            weighting: Weighting::Document,
            ..Scope::default()
        },
        ..quick()
    };
    check(
        &by_document,
        "esft_gate_score",
        &[0.5 / 6.0, 0.1 / 6.0 + 0.15, 0.1, 0.25],
    );
    // With these, expert 3 (0.25) comes first and 1 (0.1667) second: together more than 0.4.
    let by_document = MeasureRequest {
        esft_p: Some(0.4),
        ..by_document
    };
    check(&by_document, "esft_gate_experts", &[3.0, 1.0]);
}

#[test]
fn sets_are_the_fewest_experts_that_reach_the_threshold() {
    // Scores 0.125, 0.1, 0.15, 0.125: expert 2 alone reaches the published 0.1; 0.27 takes 0 before 3, its equal.
    check(&quick(), "esft_gate_experts", &[2.0]);
    check(&with_p(0.27), "esft_gate_experts", &[2.0, 0.0]);
    check(&with_p(0.4), "esft_gate_experts", &[2.0, 0.0, 3.0]);
    // Choices 2, 3, 2, 1 of 8: 0.25, 0.375, 0.25, 0.125; expert 1 alone reaches the published 0.2.
    check(&quick(), "esft_token_experts", &[1.0]);
    check(&with_p(0.6), "esft_token_experts", &[1.0, 0.0]);
    check(&with_p(1.0), "esft_token_experts", &[1.0, 0.0, 2.0, 3.0]);
    let found = measure(&tiny(), "esft_gate_experts", &with_p(0.9)).remove(0);
    assert_eq!(found.values, [2.0, 0.0, 3.0, 1.0]);
    let notes = found.protocol.notes.join("\n");
    assert!(notes.contains("1 of 1 sets hold every expert"), "{notes}");
    assert!(notes.contains("no stability"), "{notes}");
}

#[test]
fn stability_is_the_share_of_resamples_with_the_expert() {
    // Six documents of one token: five choose {0, 1}, one {2, 3}; expert 0's ratio is 5/12, and the set of p = 0.2 is {0}.
    // A resample without any of the five has none of expert 0: (1/6)^6, never seen; with them 0 ties with 1 and goes first,
    // unless 2 outnumbers it: 4 or more draws of the one, 406 of 46656 resamples, and 3 draws tie, where 0 goes first.
    let model = model(1, 4, 2);
    let documents = (0..6u16)
        .map(|i| {
            let experts = if i == 5 { [2, 3] } else { [0, 1] };
            document(&model, &i.to_string(), "law", &[(experts, [0.6, 0.4])])
        })
        .collect();
    let data = TraceData::in_memory(model, ExpertsOrder::ByWeight, documents).unwrap();
    let request = MeasureRequest {
        resamples: 2000,
        ..MeasureRequest::default()
    };
    let found = measure(&data, "esft_token_experts", &request);
    assert_eq!(found[0].values, [0.0]);
    assert_eq!(found[1].unit, "share of resamples");
    let expected = 1.0 - 406.0 / 46_656.0;
    // 2,000 resamples: standard error 0.002.
    assert!(
        (found[1].values[0] - expected).abs() < 0.007,
        "{:?}",
        found[1].values
    );
    assert_eq!(
        measure(
            &data,
            "esft_token_experts",
            &MeasureRequest {
                resamples: 0,
                ..request
            }
        )
        .len(),
        1
    );
}

#[test]
fn what_cannot_be_told_is_refused_in_words() {
    let model = model(1, 2, 1);
    let counts = vec![vec![3, 1]];
    let documents = vec![common::counted(&model, sample("a", "law", "a"), &counts)];
    let data = TraceData::in_memory(model, ExpertsOrder::Unspecified, documents).unwrap();
    for name in ["esft_gate_score", "esft_gate_experts"] {
        let error = fails(&data, name, &quick());
        assert!(error.contains("does not hold routing weights"), "{error}");
    }
    assert_eq!(
        measure(&data, "esft_token_experts", &quick())[0].values,
        [0.0]
    );
    let contrast = MeasureRequest {
        contrast: Some(("law".into(), "math".into())),
        ..quick()
    };
    assert!(fails(&tiny(), "esft_gate_experts", &contrast).contains("sets have no difference"));
}
