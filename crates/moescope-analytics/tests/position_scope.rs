//! Tokens chosen by their position: the numbers of a trace that holds only these tokens.

use moescope_analytics::{
    ExpertConfig, ExpertsOrder, FingerprintKind, MeasureRequest, MemoryDocument, TokenConfig,
    TraceData, expert_profile, token_profile,
};
use moescope_core::{
    DecisionBatch, LayerId, Measurement, ModelSpec, NoProgress, Phase, PhaseSelection,
    PositionSelection, Scope,
};

use crate::common::{
    Synthetic, chosen, close, counted, fails, measure, model, quick, sample, token,
};

fn at(positions: &str) -> MeasureRequest {
    MeasureRequest {
        scope: Scope {
            positions: positions.parse().unwrap(),
            ..Scope::default()
        },
        ..quick()
    }
}

fn data(model: &ModelSpec, documents: Vec<MemoryDocument>) -> TraceData {
    TraceData::in_memory(model.clone(), ExpertsOrder::ByWeight, documents).unwrap()
}

/// One layer, 4 experts, top-2; a text of law with four tokens and one of math with two.
fn small() -> TraceData {
    let model = model(1, 4, 2);
    let law = [[0, 1], [2, 3], [0, 2], [0, 3]];
    let documents = vec![
        chosen(&model, sample("a", "law", "a"), &law),
        chosen(&model, sample("b", "math", "b"), &[[1, 2], [1, 3]]),
    ];
    data(&model, documents)
}

#[test]
fn only_tokens_at_the_positions_count() {
    let shares = |positions: &str| {
        let found = measure(&small(), "assignment_share", &at(positions)).remove(0);
        (found.axes[1].labels.clone(), found.values)
    };
    let (labels, values) = shares("0,2-");
    assert_eq!(labels, ["math", "law"]);
    // Math has [1, 2] alone; law [0, 1], [0, 2] and [0, 3].
    let third = 1.0 / 6.0;
    close(
        &values,
        &[0.0, 0.5, 0.5, 0.0, 0.5, third, third, third],
        1e-12,
    );
    // Math has no such token.
    let (labels, values) = shares("2-9");
    assert_eq!(labels, ["law"]);
    close(&values, &[0.5, 0.0, 0.25, 0.25], 1e-12);

    let found = measure(&small(), "assignment_share", &at("0,2-")).remove(0);
    assert_eq!(
        (found.protocol.n_tokens, found.protocol.n_documents),
        (4, 2)
    );
    assert!(found.protocol.scope.starts_with("prefill, positions 0,2-,"));
    let all = measure(&small(), "assignment_share", &quick()).remove(0);
    assert!(!all.protocol.scope.contains("position"));
    assert_eq!(all.protocol.n_tokens, 6);
}

#[test]
fn prompt_and_generated_tokens_are_counted_through() {
    let model = model(1, 4, 2);
    let mut document = chosen(
        &model,
        sample("a", "law", "a"),
        &[[0, 1], [0, 1], [2, 3], [0, 3]],
    );
    for token in &mut document.tokens[2..] {
        token.phase = Some(Phase::Decode);
    }
    let decisions = document.decisions.take().unwrap();
    let document =
        MemoryDocument::from_decisions(&model, document.sample, document.tokens, decisions);
    let trace = data(&model, vec![document]);
    let shares = |phase: PhaseSelection, positions: &str| {
        let mut request = at(positions);
        request.scope.phase = phase;
        measure(&trace, "assignment_share", &request)
            .remove(0)
            .values
    };
    let decode = PhaseSelection::Decode;
    close(&shares(decode, "3-"), &[0.5, 0.0, 0.0, 0.5], 1e-12);
    close(
        &shares(PhaseSelection::All, "1-2"),
        &[0.25, 0.25, 0.25, 0.25],
        1e-12,
    );
    let mut nothing = at("0-1");
    nothing.scope.phase = decode;
    let error = fails(&trace, "assignment_share", &nothing);
    for words in ["0 of 1 documents", "positions 0-1", "without --positions"] {
        assert!(error.contains(words), "'{words}' is not in: {error}");
    }
}

fn synthetic() -> Synthetic {
    Synthetic {
        groups_per_label: 12,
        ..Synthetic::default()
    }
}

/// A document without the tokens at other positions.
fn cut(
    model: &ModelSpec,
    document: &MemoryDocument,
    positions: &PositionSelection,
) -> MemoryDocument {
    let tokens = document.tokens.iter();
    let tokens = tokens.filter(|token| positions.contains(token.position));
    let old = document.decisions.as_ref().unwrap();
    let mut decisions = DecisionBatch::new(usize::from(model.num_experts), 2);
    for row in (0..old.len()).filter(|row| positions.contains(old.position[*row])) {
        decisions.push_decision(
            old.position[row],
            old.layer[row],
            old.moe_layer[row],
            old.experts(row),
            old.weights(row).unwrap(),
            old.logits(row).unwrap(),
            &model.gating,
        );
    }
    let sample = document.sample.clone();
    MemoryDocument::from_decisions(model, sample, tokens.cloned().collect(), decisions)
}

/// All digits, and NaN like NaN.
fn told(numbers: &impl std::fmt::Debug) -> String {
    format!("{numbers:?}")
}

#[track_caller]
fn same(name: &str, found: &[Measurement], expected: &[Measurement]) {
    assert_eq!(found.len(), expected.len(), "{name}");
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found.axes, expected.axes, "{name}");
        assert_eq!(told(&found.values), told(&expected.values), "{name}");
        assert_eq!(told(&found.intervals), told(&expected.intervals), "{name}");
        assert_eq!(told(&found.nulls), told(&expected.nulls), "{name}");
        let sizes = [found, expected].map(|table| &table.protocol.label_sizes);
        assert_eq!(sizes[0], sizes[1], "{name}");
    }
}

#[test]
fn positions_give_the_numbers_of_a_trace_of_these_tokens() {
    let (model, all) = (synthetic().model(), synthetic().documents());
    let positions: PositionSelection = "0,3-9,15-".parse().unwrap();
    let kept = all.iter().map(|d| cut(&model, d, &positions)).collect();
    let (all, kept) = (data(&model, all), data(&model, kept));
    let with = |request: MeasureRequest| MeasureRequest {
        fingerprint: FingerprintKind::SelectionFrequency,
        lags: 4,
        ..request
    };
    let (placed, plain) = (with(at("0,3-9,15-")), with(quick()));
    // Of profiles, of decisions, of tokens, and of both.
    for name in [
        "assignment_share",
        "jsd",
        "mutual_information",
        "routing_entropy",
        "overlap_by_lag",
        "position_profile",
        "conditional_mutual_information",
        "variance_partition",
        "fingerprint_knn",
    ] {
        let found = measure(&all, name, &placed);
        same(name, &found, &measure(&kept, name, &plain));
        // Nothing of it is taken for the numbers at all positions.
        let fresh = synthetic().data();
        same(
            name,
            &measure(&all, name, &plain),
            &measure(&fresh, name, &plain),
        );
    }
    let config = ExpertConfig {
        layer: LayerId(3),
        expert: 1,
        top: 5,
        contexts: 0,
        window: 2,
    };
    let profile = |data: &TraceData, request: &MeasureRequest| {
        expert_profile(data, request, &config, &NoProgress).unwrap()
    };
    let (found, expected) = (profile(&all, &placed), profile(&kept, &plain));
    assert_eq!(told(&found.labels), told(&expected.labels));
    assert_eq!(found.sizes, expected.sizes);
    assert_eq!(told(&found.positions), told(&expected.positions));
    let config = TokenConfig {
        id: 3,
        contexts: 0,
        window: 2,
    };
    let profile = |data: &TraceData, request: &MeasureRequest| {
        token_profile(data, request, &config, &NoProgress).unwrap()
    };
    let (found, expected) = (profile(&all, &placed), profile(&kept, &plain));
    assert!(found.occurrences > 0);
    assert_eq!(
        (found.occurrences, found.tokens, found.first_choices),
        (
            expected.occurrences,
            expected.tokens,
            expected.first_choices
        )
    );
}

#[test]
fn sums_that_know_no_position_are_not_taken_for_those_at_some() {
    let trace = synthetic().data();
    for name in ["aux_loss", "fingerprint_separation"] {
        let error = fails(&trace, name, &at("0-3"));
        for words in ["at chosen positions", "without --positions"] {
            assert!(
                error.contains(words),
                "{name}: '{words}' is not in: {error}"
            );
        }
    }
    let model = model(1, 4, 2);
    let counts = counted(&model, sample("a", "law", "a"), &[vec![2, 1, 1, 0]]);
    let error = fails(&data(&model, vec![counts]), "assignment_share", &at("0-3"));
    assert!(error.contains("decisions one by one"), "{error}");
}

#[test]
fn special_tokens_have_a_position_as_others_do() {
    let model = model(1, 4, 2);
    let mut tokens: Vec<_> = (0..3).map(|position| token(position, 7)).collect();
    tokens[0].is_special = Some(true);
    let own = chosen(&model, sample("a", "law", "a"), &[[0, 1], [0, 2], [0, 3]]);
    let document =
        MemoryDocument::from_decisions(&model, own.sample, tokens, own.decisions.unwrap());
    let trace = data(&model, vec![document]);
    let mut request = at("0-1");
    let shares = |request: &MeasureRequest| {
        let found = measure(&trace, "assignment_share", request);
        found[0].values.clone()
    };
    close(&shares(&request), &[0.5, 0.0, 0.5, 0.0], 1e-12);
    request.scope.include_special = true;
    close(&shares(&request), &[0.5, 0.25, 0.25, 0.0], 1e-12);
}
