//! A token's profile counts what stands in the trace, beside what any token would give.

use moescope_analytics::{
    Excerpt, ExpertsOrder, MeasureRequest, MemoryDocument, TokenConfig, TokenProfile,
    TokenSpelling, TraceData, token_profile, token_spellings,
};
use moescope_core::{DecisionBatch, LayerId, ModelSpec, NoProgress, Scope};

use crate::common::{model, sample, token};

const SEVEN: TokenConfig = TokenConfig {
    id: 7,
    contexts: 12,
    window: 1,
};

/// A document of tokens with their two experts at layers 1 and 3.
fn document(
    model: &ModelSpec,
    [id, label]: [&str; 2],
    tokens: &[(u32, [u16; 2], [u16; 2])],
) -> MemoryDocument {
    let mut batch = DecisionBatch::ids_only(4, 2);
    let mut rows = Vec::new();
    for (position, (token_id, first, second)) in (0..).zip(tokens) {
        let mut row = token(position, *token_id);
        row.text = Some(format!(" w{token_id}"));
        rows.push(row);
        for (place, experts) in (0..).zip([first, second]) {
            batch.position.push(position);
            batch.layer.push(model.moe_layers[usize::from(place)]);
            batch.moe_layer.push(place);
            batch.selected_experts.extend(experts);
        }
    }
    MemoryDocument::from_decisions(model, sample(id, label, id), rows, batch)
}

/// Token 7 twice in law and once in math, among five tokens.
fn documents(model: &ModelSpec) -> Vec<MemoryDocument> {
    vec![
        document(
            model,
            ["a", "law"],
            &[
                (7, [0, 1], [2, 0]),
                (8, [2, 3], [2, 1]),
                (7, [1, 0], [2, 3]),
            ],
        ),
        document(
            model,
            ["b", "math"],
            &[(7, [0, 2], [3, 2]), (9, [3, 1], [0, 1])],
        ),
    ]
}

fn data(order: ExpertsOrder, change: impl FnOnce(&mut Vec<MemoryDocument>)) -> TraceData {
    let model = model(2, 4, 2);
    let mut documents = documents(&model);
    change(&mut documents);
    TraceData::in_memory(model, order, documents).unwrap()
}

fn profile(data: &TraceData, request: &MeasureRequest) -> TokenProfile {
    token_profile(data, request, &SEVEN, &NoProgress).unwrap()
}

fn plain() -> TokenProfile {
    profile(
        &data(ExpertsOrder::ByWeight, |_| {}),
        &MeasureRequest::default(),
    )
}

#[test]
fn occurrences_are_counted_by_label() {
    let found = plain();
    assert_eq!(
        (found.occurrences, found.documents, found.tokens),
        (3, 2, 5)
    );
    let labels: Vec<(&str, u64, u64)> = found
        .labels
        .iter()
        .map(|label| (label.label.as_str(), label.occurrences, label.tokens))
        .collect();
    assert_eq!(labels, [("law", 2, 3), ("math", 1, 2)]);
    assert!(found.missing.is_empty(), "{:?}", found.missing);
}

#[test]
fn first_choices_are_compared_with_those_of_a_token_and_of_all_tokens() {
    let found = plain();
    assert_eq!(found.layers, [LayerId(1), LayerId(3)]);
    assert_eq!(found.first_choices, [2, 1, 0, 0, 0, 0, 2, 1]);
    assert_eq!(found.first_choices_of_all, [2, 1, 1, 1, 1, 0, 3, 1]);
    // At layer 1 expert 0 is first for 2 of 3 occurrences, and for 2 of all 5 tokens: 3 × 2/5.
    let layer = found.agreement([(LayerId(1), 0)]);
    assert_eq!((layer.agreeing, layer.compared), (2, 3));
    assert!((layer.expected - 1.2).abs() < 1e-12);
    // At layer 3 expert 3: 1 of 3, and 1 of 5.
    let both = found.agreement([(LayerId(1), 0), (LayerId(3), 3)]);
    assert_eq!((both.agreeing, both.compared), (3, 6));
    assert!((both.expected - 1.8).abs() < 1e-12);
    assert!((both.expected_share() - 0.3).abs() < 1e-12);
    // Layers and experts that the trace lacks are not compared.
    let none = found.agreement([(LayerId(2), 0), (LayerId(3), 9)]);
    assert_eq!((none.agreeing, none.compared), (0, 0));
    assert!(none.expected_share().is_nan());
}

#[test]
fn experts_are_told_by_layer_beside_what_all_tokens_choose() {
    let found = plain();
    let counts: Vec<(u16, u16, u64, Option<u64>)> = found
        .experts
        .iter()
        .map(|e| (e.layer.0, e.expert, e.chosen, e.heaviest))
        .collect();
    // Token 7 chooses 0 1, 1 0 and 0 2 at layer 1, and 2 0, 2 3 and 3 2 at layer 3.
    let expected = [
        (1, 0, 3, Some(2)),
        (1, 1, 2, Some(1)),
        (1, 2, 1, Some(0)),
        (3, 2, 3, Some(2)),
        (3, 3, 2, Some(1)),
        (3, 0, 1, Some(0)),
    ];
    assert_eq!(counts, expected);
    // Of all five tokens 3, 3 and 2 choose experts 0, 1 and 2 at layer 1; 4, 2 and 2 choose 2, 3 and 0 at layer 3.
    let shares = [
        (1.0, 0.6),
        (2.0 / 3.0, 0.6),
        (1.0 / 3.0, 0.4),
        (1.0, 0.8),
        (2.0 / 3.0, 0.4),
        (1.0 / 3.0, 0.4),
    ];
    for (expert, (share, of_all)) in found.experts.iter().zip(shares) {
        assert!((expert.share - share).abs() < 1e-12, "{expert:?}");
        assert!((expert.share_of_all - of_all).abs() < 1e-12, "{expert:?}");
        assert!((expert.lift - share / of_all).abs() < 1e-12, "{expert:?}");
    }
}

#[test]
fn a_token_is_spelled_also_where_no_occurrence_is_shown() {
    let none = TokenConfig {
        contexts: 0,
        ..SEVEN
    };
    let data = data(ExpertsOrder::ByWeight, |_| {});
    let found = token_profile(&data, &MeasureRequest::default(), &none, &NoProgress).unwrap();
    assert_eq!(found.text.as_deref(), Some(" w7"));
    assert!(found.contexts.is_empty());
    assert_eq!(found.occurrences, 3);
}

#[test]
fn spellings_are_counted_as_they_stand_and_parts_of_characters_are_none() {
    let data = data(ExpertsOrder::ByWeight, |documents| {
        // The first of a text loses its space; special tokens are spelled, too.
        documents[1].tokens[0].text = Some("w7".into());
        documents[0].tokens[0].is_special = Some(true);
        documents[1].tokens[1].text = Some("\u{fffd}".into());
    });
    let found = token_spellings(&data, &NoProgress).unwrap();
    let spelling = |text: &str, id, occurrences| TokenSpelling {
        text: text.into(),
        id,
        occurrences,
    };
    assert_eq!(
        found,
        [
            spelling(" w7", 7, 2),
            spelling(" w8", 8, 1),
            spelling("w7", 7, 1)
        ]
    );
}

#[test]
fn occurrences_are_shown_in_their_text_with_their_experts() {
    let found = plain();
    assert_eq!(found.contexts.len(), 3);
    let context = found
        .contexts
        .iter()
        .find(|context| (context.sample.as_str(), context.position) == ("a", 2))
        .unwrap();
    assert_eq!(context.label, "law");
    assert_eq!(context.experts, [[1, 0], [2, 3]]);
    let excerpt = Excerpt {
        before: " w8".into(),
        token: " w7".into(),
        after: String::new(),
    };
    assert_eq!(context.excerpt, Some(excerpt));
    let few = TokenConfig {
        contexts: 2,
        ..SEVEN
    };
    let data = data(ExpertsOrder::ByWeight, |_| {});
    let drawn = |seed| {
        let request = MeasureRequest {
            seed,
            ..MeasureRequest::default()
        };
        let found = token_profile(&data, &request, &few, &NoProgress).unwrap();
        let places = found
            .contexts
            .iter()
            .map(|c| (c.sample.clone(), c.position));
        places.collect::<Vec<_>>()
    };
    assert_eq!(drawn(1).len(), 2);
    assert_eq!(drawn(1), drawn(1));
    assert!((2..20).any(|seed| drawn(seed) != drawn(1)));
}

#[test]
fn only_what_is_in_scope_counts() {
    let law = MeasureRequest {
        scope: Scope {
            labels: vec!["law".into()],
            layers: "3".parse().unwrap(),
            ..Scope::default()
        },
        ..MeasureRequest::default()
    };
    let found = profile(&data(ExpertsOrder::ByWeight, |_| {}), &law);
    assert_eq!((found.occurrences, found.tokens), (2, 3));
    assert_eq!(found.layers, [LayerId(3)]);
    assert_eq!(found.first_choices, [0, 0, 2, 0]);
    // The first occurrence becomes a special token.
    let special = data(ExpertsOrder::ByWeight, |documents| {
        documents[0].tokens[0].is_special = Some(true);
    });
    let found = profile(&special, &MeasureRequest::default());
    assert_eq!((found.occurrences, found.tokens), (2, 4));
    assert_eq!(found.first_choices, [1, 1, 0, 0, 0, 0, 1, 1]);
}

#[test]
fn what_a_trace_lacks_is_named_and_the_rest_is_counted() {
    let unranked = data(ExpertsOrder::Unspecified, |documents| {
        for token in documents.iter_mut().flat_map(|d| &mut d.tokens) {
            token.text = None;
        }
    });
    let found = profile(&unranked, &MeasureRequest::default());
    let missing = found.missing.join("\n");
    assert!(missing.contains("the rank of experts"), "{missing}");
    assert!(missing.contains("the text of tokens"), "{missing}");
    assert_eq!((found.occurrences, found.contexts.len()), (3, 3));
    assert_eq!(found.agreement([(LayerId(1), 0)]).compared, 0);
    assert_eq!(found.text, None);
    // Which experts are chosen is known without their rank.
    let first = &found.experts[0];
    assert_eq!((first.expert, first.chosen, first.heaviest), (0, 3, None));

    let without_ids = data(ExpertsOrder::ByWeight, |documents| {
        for token in documents.iter_mut().flat_map(|d| &mut d.tokens) {
            token.token_id = None;
        }
    });
    let error = token_profile(
        &without_ids,
        &MeasureRequest::default(),
        &SEVEN,
        &NoProgress,
    );
    assert!(error.unwrap_err().to_string().contains("token ids"));
}
