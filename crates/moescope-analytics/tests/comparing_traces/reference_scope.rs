//! Differences in which the reference counts other tokens or other documents than the trace.

use super::{close, compare, data, difference, document, refused, set, tokens};
use crate::common::{Synthetic, fails, measure, model, quick};
use moescope_analytics::{
    MeasureRequest, MemoryDocument, ReferenceScope, TraceData, TraceSet, difference_of_traces, find,
};
use moescope_core::{Measurement, NoProgress, Phase, PhaseSelection};

/// A document of so many given tokens, behind which generated ones stand.
fn answered(id: &str, given: usize, experts: &[[u16; 2]]) -> MemoryDocument {
    let ids: Vec<u32> = (0u32..).zip(experts).map(|(id, _)| id).collect();
    let mut tokens = tokens(&ids);
    for token in &mut tokens[given..] {
        token.phase = Some(Phase::Decode);
    }
    document(&model(1, 4, 2), id, tokens, experts)
}

/// Two texts with replies and one without.
///
/// | document | label | given | generated |
/// |---|---|---|---|
/// | a | law | 01, 01 | 23, 03 |
/// | b | law | 02 | |
/// | c | math | 12 | 13, 23 |
fn chat() -> TraceData {
    let documents = vec![
        answered("a", 2, &[[0, 1], [0, 1], [2, 3], [0, 3]]),
        answered("b", 1, &[[0, 2]]),
        answered("c", 1, &[[1, 2], [1, 3], [2, 3]]),
    ];
    data(&model(1, 4, 2), documents)
}

/// The chat beside itself.
fn twice() -> TraceSet {
    set(vec![("chat", chat()), ("chat (2)", chat())])
}

fn request(phase: PhaseSelection, reference: ReferenceScope) -> MeasureRequest {
    let mut request = MeasureRequest {
        by: "all".into(),
        reference,
        ..quick()
    };
    request.scope.phase = phase;
    request
}

fn prompts() -> ReferenceScope {
    ReferenceScope {
        phase: Some(PhaseSelection::Prefill),
        ..ReferenceScope::default()
    }
}

fn only(filter: &str) -> ReferenceScope {
    ReferenceScope {
        only: vec![filter.parse().unwrap()],
        ..ReferenceScope::default()
    }
}

fn notes(found: &Measurement) -> String {
    found.protocol.notes.join("; ")
}

#[test]
fn replies_minus_prompts_of_the_same_documents() {
    let replies = request(PhaseSelection::Decode, prompts());
    let found = difference(&twice(), "assignment_share", &replies);
    assert_eq!(found.len(), 1);
    // Of a and c: generated 1 1 2 4 of 8, given 2 3 1 0 of 6. The text without a reply has no counterpart.
    let expected = [
        1.0 / 8.0 - 2.0 / 6.0,
        1.0 / 8.0 - 3.0 / 6.0,
        2.0 / 8.0 - 1.0 / 6.0,
        4.0 / 8.0,
    ];
    close(&found[0].values, &expected);
    let title = "Share of assignments per expert: trace minus chat (2) (prefill)";
    assert_eq!(found[0].title, title);
    let protocol = &found[0].protocol;
    assert_eq!(protocol.phase, "decode; reference: prefill");
    assert_eq!(protocol.n_documents, 2);
    assert!(protocol.scope.starts_with("decode, routed tokens"));
    assert!(protocol.scope.ends_with("; reference: prefill"));
    assert!(notes(&found[0]).contains("of chat (2) counts: prefill"));
    assert!(notes(&found[0]).contains("1 of 3 pairs of documents have no token in scope"));

    // A metric of single decisions: the difference of both values on the documents with a reply.
    let found = difference(&twice(), "routing_entropy", &replies).remove(0);
    let own = |phase: PhaseSelection| {
        let documents = ["a", "c"].map(|id| {
            let experts: &[[u16; 2]] = if id == "a" {
                &[[0, 1], [0, 1], [2, 3], [0, 3]]
            } else {
                &[[1, 2], [1, 3], [2, 3]]
            };
            answered(id, if id == "a" { 2 } else { 1 }, experts)
        });
        let trace = data(&model(1, 4, 2), documents.to_vec());
        let request = request(phase, ReferenceScope::default());
        measure(&trace, "routing_entropy", &request)[0].values[0]
    };
    let expected = own(PhaseSelection::Decode) - own(PhaseSelection::Prefill);
    assert!(expected.abs() > 1e-3);
    close(&found.values, &[expected]);
}

#[test]
fn positions_of_the_reference_are_its_own() {
    let mut early = request(
        PhaseSelection::Prefill,
        ReferenceScope {
            positions: Some("0".parse().unwrap()),
            ..ReferenceScope::default()
        },
    );
    // Given tokens 3 3 2 0 of 8 minus first tokens 2 2 2 0 of 6.
    let found = difference(&twice(), "assignment_share", &early).remove(0);
    close(
        &found.values,
        &[
            3.0 / 8.0 - 2.0 / 6.0,
            3.0 / 8.0 - 2.0 / 6.0,
            2.0 / 8.0 - 2.0 / 6.0,
            0.0,
        ],
    );
    // Where the scope has positions, the reference may have all: the second given token of a, 0 1, minus those of a.
    early.scope.positions = "1-".parse().unwrap();
    early.reference.positions = Some("all".parse().unwrap());
    let found = difference(&twice(), "assignment_share", &early).remove(0);
    close(&found.values, &[0.0; 4]);
    assert!(found.protocol.scope.starts_with("prefill, positions 1-,"));
    assert!(found.protocol.scope.ends_with("; reference: positions all"));
}

#[test]
fn a_text_minus_the_documents_of_a_label() {
    let texts = data(
        &model(1, 4, 2),
        vec![
            answered("aa", 2, &[[0, 3], [0, 3]]),
            answered("d", 2, &[[0, 1], [2, 3]]),
        ],
    );
    let traces = set(vec![("chat", chat()), ("texts", texts)]);
    let chemistry = ReferenceScope {
        only: only("discipline=math").only,
        ..prompts()
    };
    let found = difference(
        &traces,
        "assignment_share",
        &request(PhaseSelection::Decode, chemistry.clone()),
    )
    .remove(0);
    // Generated 1 1 2 4 of 8 minus a quarter each.
    close(&found.values, &[-0.125, -0.125, 0.0, 0.25]);
    let title = "trace minus texts (prefill, only where discipline is math)";
    assert!(found.title.ends_with(title), "{}", found.title);
    assert!(notes(&found).contains("two independent samples"));
    // The same as a distance: shares p and q, in bits.
    let drift = compare(
        &traces,
        "routing_drift",
        &request(PhaseSelection::Decode, chemistry),
    )
    .remove(0);
    let entropy = |shares: &[f64]| -> f64 { shares.iter().map(|p| -p * p.log2()).sum() };
    let (p, q) = ([0.125, 0.125, 0.25, 0.5], [0.25; 4]);
    let mean = [0, 1, 2, 3].map(|e| f64::midpoint(p[e], q[e]));
    close(
        &drift.values,
        &[entropy(&mean) - f64::midpoint(entropy(&p), entropy(&q))],
    );
    let unknown = request(PhaseSelection::Decode, only("discipline=physics"));
    let metric = find("assignment_share").unwrap();
    let error = difference_of_traces(&traces, metric, &unknown, &NoProgress).unwrap_err();
    let error = error.to_string();
    assert!(error.contains("no document has discipline 'physics'"));
}

#[test]
fn both_documents_of_a_pair_must_be_wanted() {
    let mut math = request(
        PhaseSelection::Decode,
        ReferenceScope {
            only: only("discipline=math").only,
            ..prompts()
        },
    );
    // Of c alone: generated 0 1 1 2 of 4, given 0 1 1 0 of 2.
    let found = difference(&twice(), "assignment_share", &math).remove(0);
    close(&found.values, &[0.0, -0.25, -0.25, 0.5]);
    math.scope.only = only("discipline=law").only;
    let metric = find("assignment_share").unwrap();
    let error = difference_of_traces(&twice(), metric, &math, &NoProgress).unwrap_err();
    let error = error.to_string();
    for words in ["0 documents of chat", "--reference-only"] {
        assert!(error.contains(words), "'{words}' is not in: {error}");
    }
}

#[test]
fn groups_are_not_called_as_a_label_of_a_trace_without_common_documents() {
    let of = |id: &str| data(&model(1, 4, 2), vec![answered(id, 1, &[[0, 1]])]);
    let traces = set(vec![("law", of("a")), ("math", of("d"))]);
    let merged = MeasureRequest {
        merge: vec!["law=math".parse().unwrap()],
        ..quick()
    };
    let metric = find("assignment_share").unwrap();
    let refused = |request: &MeasureRequest| {
        let error = difference_of_traces(&traces, metric, request, &NoProgress);
        error.unwrap_err().to_string()
    };
    assert!(refused(&merged).contains("as 'law', which is another discipline"));
    let nowhere = MeasureRequest {
        merge: vec!["science=chemistry".parse().unwrap()],
        ..quick()
    };
    assert!(refused(&nowhere).contains("no document has discipline 'chemistry'"));
}

#[test]
fn what_subtracts_no_reference_refuses_its_scope() {
    let traces = set(vec![
        ("x", Synthetic::default().data()),
        ("y", Synthetic::default().data()),
    ]);
    let asked = MeasureRequest {
        reference: prompts(),
        ..quick()
    };
    for name in ["router_saturation", "routing_agreement", "expert_matching"] {
        let error = refused(&traces, name, &asked);
        for words in [name, "--reference-phase", "routing_drift"] {
            assert!(error.contains(words), "'{words}' is not in: {error}");
        }
    }
    let error = fails(&Synthetic::default().data(), "assignment_share", &asked);
    let words = "assignment_share of one trace has no scope of a reference";
    assert!(error.contains(words), "{error}");
    let both = find("phase_shift").unwrap();
    let error = difference_of_traces(&twice(), both, &asked, &NoProgress).unwrap_err();
    let error = error.to_string();
    assert!(error.contains("compares both phases"), "{error}");
}
