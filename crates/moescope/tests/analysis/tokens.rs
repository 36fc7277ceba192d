//! `token`, beside what a walk over the documents counts.

use std::{collections::BTreeMap, path::Path};

use moescope_core::{Phase, TokenRow};
use moescope_trace::{Document, RoutingTrace};
use serde_json::Value;

use super::trace;
use crate::support::{refuse, succeed};

/// The label whose documents are walked over.
const LABEL: &str = "law";

/// The documents of the label.
fn documents() -> Vec<Document> {
    let trace = RoutingTrace::open(Path::new(trace())).unwrap();
    let rows = trace.samples().unwrap();
    let of_label = rows.iter().filter(|row| {
        let discipline = row.meta.discipline.as_ref();
        discipline.is_some_and(|label| label.as_str() == LABEL)
    });
    of_label
        .map(|row| trace.document(&row.meta.id).unwrap())
        .collect()
}

/// Whether a token is counted where nothing else is asked for.
fn is_counted(token: &TokenRow) -> bool {
    token.is_routed
        && token.phase != Some(Phase::Decode)
        && token.is_special != Some(true)
        && token.is_template != Some(true)
}

/// What a walk finds of a token.
#[derive(Debug, Default)]
struct Walk {
    occurrences: u64,
    documents: u64,
    tokens: u64,
    /// Occurrences by layer and expert.
    chosen: BTreeMap<[u64; 2], u64>,
    /// The same of first experts alone.
    heaviest: BTreeMap<[u64; 2], u64>,
}

fn walk(documents: &[Document], id: u32) -> Walk {
    let mut found = Walk::default();
    for document in documents {
        let counted = document.tokens.iter().filter(|token| is_counted(token));
        found.tokens += counted.clone().count() as u64;
        let own: Vec<u32> = counted
            .filter(|token| token.token_id == Some(id))
            .map(|token| token.position)
            .collect();
        found.occurrences += own.len() as u64;
        found.documents += u64::from(!own.is_empty());
        let decisions = &document.decisions;
        let rows = (0..decisions.len()).filter(|row| own.contains(&decisions.position[*row]));
        for row in rows {
            let layer = u64::from(decisions.layer[row].0);
            let experts = decisions.experts(row);
            let first = [layer, u64::from(experts[0])];
            *found.heaviest.entry(first).or_default() += 1;
            for expert in experts {
                let cell = [layer, u64::from(*expert)];
                *found.chosen.entry(cell).or_default() += 1;
            }
        }
    }
    found
}

/// The counted token that occurs most often among those that begin a word, with its piece.
fn frequent(documents: &[Document]) -> (u32, String) {
    let mut counts: BTreeMap<(u32, &str), u64> = BTreeMap::new();
    let tokens = documents.iter().flat_map(|document| &document.tokens);
    for token in tokens.filter(|token| is_counted(token)) {
        let text = token.text.as_deref().unwrap();
        let is_word = text
            .strip_prefix(' ')
            .is_some_and(|word| !word.is_empty() && word.chars().all(char::is_alphabetic));
        if is_word {
            *counts.entry((token.token_id.unwrap(), text)).or_default() += 1;
        }
    }
    let most = counts.into_iter().max_by_key(|(_, count)| *count);
    let ((id, text), _) = most.expect("a word begins with a space");
    (id, text.to_owned())
}

fn told(args: &[&str]) -> Value {
    let args = [&["token", trace(), "--labels", LABEL, "--json"], args].concat();
    serde_json::from_str(&succeed(&args).stdout).unwrap()
}

#[test]
fn a_token_is_told_of_with_the_counts_of_a_walk_over_its_documents() {
    let documents = documents();
    assert_eq!(documents.len(), 16);
    let (id, text) = frequent(&documents);
    let expected = walk(&documents, id);
    let number = id.to_string();
    let found = told(&["--id", &number]);
    assert_eq!(found["id"], id);
    assert_eq!(found["text"], text);
    assert_eq!(found["occurrences"], expected.occurrences);
    assert_eq!(found["documents"], expected.documents);
    assert_eq!(found["tokens"], expected.tokens);
    let labels = found["labels"].as_array().unwrap();
    assert_eq!(labels.len(), 1);
    assert_eq!(
        (&labels[0]["label"], &labels[0]["occurrences"]),
        (&LABEL.into(), &expected.occurrences.into())
    );
    let cell = |row: &Value| ["layer", "expert"].map(|name| row[name].as_u64().unwrap());
    let experts = found["experts"].as_array().unwrap();
    let chosen: BTreeMap<[u64; 2], u64> = experts
        .iter()
        .map(|row| (cell(row), row["chosen"].as_u64().unwrap()))
        .collect();
    assert_eq!(chosen, expected.chosen);
    for row in experts {
        let heaviest = expected.heaviest.get(&cell(row)).copied();
        assert_eq!(row["heaviest"], heaviest.unwrap_or(0), "{row}");
        #[expect(clippy::cast_precision_loss, reason = "small counts")]
        let [chosen, all] = [expected.chosen[&cell(row)], expected.occurrences].map(|n| n as f64);
        let share = row["share"].as_f64().unwrap();
        assert!((share - chosen / all).abs() < 1e-12, "{row}");
    }
    // Every occurrence that is shown is one, with its experts.
    let contexts = found["contexts"].as_array().unwrap();
    assert_eq!(contexts.len() as u64, expected.occurrences.min(10));
    for context in contexts {
        let of_id = |document: &&Document| document.sample.meta.id == context["sample"];
        let document = documents.iter().find(of_id).unwrap();
        let position = context["position"].as_u64().unwrap();
        let token = document
            .tokens
            .iter()
            .find(|token| u64::from(token.position) == position);
        assert_eq!(token.unwrap().token_id, Some(id));
        let excerpt = context["excerpt"]["token"].as_str().unwrap();
        assert_eq!(excerpt.trim(), text.trim());
        assert_eq!(context["experts"].as_array().unwrap().len(), 6);
    }
    // A window of more tokens than there are shows all of them.
    let most = usize::MAX.to_string();
    let whole = told(&["--id", &number, "--contexts", "1", "--window", &most]);
    assert_eq!(whole["contexts"][0]["sample"], contexts[0]["sample"]);
    // It is found by its text, also as tables show it.
    let shown = text.replace(' ', "·");
    for spelling in [&text, &shown] {
        assert_eq!(told(&["--text", spelling]), found);
    }
}

#[test]
fn named_experts_are_compared_with_what_any_token_would_give() {
    let documents = documents();
    let (id, _) = frequent(&documents);
    let expected = walk(&documents, id);
    let of_layer = |layer: u64| {
        let at_layer = expected
            .heaviest
            .iter()
            .filter(|(cell, _)| cell[0] == layer);
        let (cell, count) = at_layer.max_by_key(|(_, count)| **count).unwrap();
        (cell[1], *count)
    };
    let (first, second) = (of_layer(0), of_layer(2));
    let number = id.to_string();
    let heaviest = format!("0:{},2:{}", first.0, second.0);
    let named = ["--heaviest", &heaviest, "--contexts", "0"];
    let found = told(&[&["--id", &number], &named[..]].concat());
    assert_eq!(found["contexts"].as_array().unwrap().len(), 0);
    let agreement = &found["agreement"];
    let rows = agreement["layers"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    for (row, (layer, (expert, count))) in rows.iter().zip([(0u64, first), (2, second)]) {
        assert_eq!(row["layer"], layer);
        assert_eq!(row["expert"], expert);
        assert_eq!(row["agreeing"], count);
        assert_eq!(row["compared"], expected.occurrences);
    }
    assert_eq!(agreement["overall"]["agreeing"], first.1 + second.1);
    assert_eq!(agreement["overall"]["compared"], 2 * expected.occurrences);

    // People are shown the same, as the app's line asks for it.
    let args = [
        "token",
        trace(),
        "--id",
        &number,
        "--layer",
        "2",
        "--heaviest",
        &heaviest,
        "--contexts",
        "3",
        "--window",
        "8",
        "--labels",
        LABEL,
    ];
    let text = succeed(&args).stdout;
    for words in [
        format!(
            "{} occurrences in {} documents",
            expected.occurrences, expected.documents
        ),
        "Occurrences by discipline".to_owned(),
        "Experts that it chooses, up to 3 of a layer".to_owned(),
        "As its heaviest expert".to_owned(),
        "with the experts of layer 2".to_owned(),
        ": experts ".to_owned(),
    ] {
        assert!(text.contains(&words), "{words}: {text}");
    }
    let few = told(&["--id", &number, "--layers", "2", "--layer", "2"]);
    assert_eq!(few["layers"], serde_json::json!([2]));
}

#[test]
fn a_token_that_is_not_there_is_told_or_refused_with_help() {
    let none = succeed(&["token", trace(), "--id", "4000000000"]).stdout;
    assert!(none.contains("0 occurrences in 0 documents"), "{none}");
    assert!(none.contains("--include-special"), "{none}");
    refuse(
        &["token", trace(), "--text", "qqqqzzzz"],
        &["no token is spelled 'qqqqzzzz'", "moescope show"],
    );
    refuse(&["token", trace()], &["--id", "--text"]);
    refuse(&["token", trace(), "--id", "1", "--text", "a"], &["--text"]);
    refuse(
        &["token", trace(), "--id", "1", "--layer", "77"],
        &["--layer 77", "0-5"],
    );
    refuse(
        &["token", trace(), "--id", "1", "--layers", "77"],
        &["--layers 77", "0-5"],
    );
    refuse(
        &["token", trace(), "--id", "1", "--heaviest", "5"],
        &["LAYER:EXPERT"],
    );
    refuse(
        &["token", trace(), "--id", "1", "--heaviest", "2:99"],
        &["expert 99", "0 to 7"],
    );
    refuse(
        &["token", trace(), "--id", "1", "--heaviest", "2:1,2:3"],
        &["two experts of layer 2"],
    );
}
