//! Documents chosen by several columns, and labels taken together: the numbers of a trace that holds only these
//! documents, or that carries these names.

use moescope_analytics::{
    ExpertConfig, ExpertsOrder, MeasureRequest, MemoryDocument, TokenConfig, TraceData,
    expert_profile, token_profile,
};
use moescope_core::{Discipline, LabelSize, LayerId, NoProgress, Scope};

use crate::common::{NAMES, Synthetic, close, counted, fails, measure, model, quick, sample};

/// One layer, 4 experts, top-2.
///
/// | document | discipline | genre | assignments |
/// |---|---|---|---|
/// | a | chemistry | abstract | 2 1 1 0 |
/// | b | chemistry | textbook | 0 1 1 2 |
/// | c | physics | abstract | 1 0 0 1 |
/// | d | law | abstract | 0 2 1 1 |
/// | e | law | unknown | 1 1 0 0 |
fn small() -> TraceData {
    let model = model(1, 4, 2);
    let documents = [
        ("a", "chemistry", Some("abstract"), [2, 1, 1, 0]),
        ("b", "chemistry", Some("textbook"), [0, 1, 1, 2]),
        ("c", "physics", Some("abstract"), [1, 0, 0, 1]),
        ("d", "law", Some("abstract"), [0, 2, 1, 1]),
        ("e", "law", None, [1, 1, 0, 0]),
    ];
    let documents = documents.map(|(id, discipline, genre, counts)| {
        let mut meta = sample(id, discipline, id);
        meta.genre = genre.map(str::to_owned);
        counted(&model, meta, &[counts.to_vec()])
    });
    TraceData::in_memory(model, ExpertsOrder::ByWeight, documents.to_vec()).unwrap()
}

fn request(only: &[&str], merge: &[&str]) -> MeasureRequest {
    MeasureRequest {
        scope: Scope {
            only: only.iter().map(|filter| filter.parse().unwrap()).collect(),
            ..Scope::default()
        },
        merge: merge.iter().map(|group| group.parse().unwrap()).collect(),
        ..quick()
    }
}

#[track_caller]
fn check(request: &MeasureRequest, labels: &[&str], expected: &[f64]) {
    let found = measure(&small(), "assignment_share", request).remove(0);
    assert_eq!(found.axes[1].labels, labels);
    close(&found.values, expected, 1e-12);
}

#[test]
fn only_documents_with_a_label_of_every_filter_count() {
    check(
        &request(&["genre=abstract"], &[]),
        &["physics", "chemistry", "law"],
        &[
            0.5, 0.0, 0.0, 0.5, 0.5, 0.25, 0.25, 0.0, 0.0, 0.5, 0.25, 0.25,
        ],
    );
    check(
        &request(&["genre=abstract,textbook", "discipline=chemistry"], &[]),
        &["chemistry"],
        &[0.25, 0.25, 0.25, 0.25],
    );
    let mut chosen = request(&["genre=textbook,abstract"], &[]);
    chosen.scope.labels = vec!["law".into()];
    check(&chosen, &["law"], &[0.0, 0.5, 0.25, 0.25]);

    let found = measure(
        &small(),
        "assignment_share",
        &request(&["genre=abstract"], &[]),
    );
    let protocol = &found[0].protocol;
    // 2 + 1 + 2 tokens.
    assert_eq!((protocol.n_documents, protocol.n_tokens), (3, 5));
    assert!(protocol.line().contains("only where genre is abstract"));
    let left_out = "1 documents without genre are left out by the filter";
    assert!(protocol.notes.iter().any(|note| note == left_out));
}

#[test]
fn merged_labels_are_one_label() {
    // Science has 3, 2, 2 and 3 of 10 assignments, law 1, 3, 1 and 1 of 6.
    let science = ["science=chemistry,physics"];
    let law = [1.0, 3.0, 1.0, 1.0].map(|n| n / 6.0);
    let merged = [0.3, 0.2, 0.2, 0.3];
    check(
        &request(&[], &science),
        &["law", "science"],
        &[law, merged].concat(),
    );
    let mut chosen = request(&[], &science);
    chosen.scope.labels = vec!["science".into()];
    check(&chosen, &["science"], &merged);
    // Of abstracts: 3, 1, 1 and 1 of 6, and 0, 2, 1 and 1 of 4.
    check(
        &request(&["genre=abstract"], &science),
        &["law", "science"],
        &[0.0, 0.5, 0.25, 0.25, 0.5, 1.0 / 6.0, 1.0 / 6.0, 1.0 / 6.0],
    );
    let contrast = MeasureRequest {
        contrast: Some(("science".into(), "law".into())),
        ..request(&[], &science)
    };
    let found = measure(&small(), "assignment_share", &contrast).remove(0);
    let difference: Vec<f64> = merged.iter().zip(law).map(|(a, b)| a - b).collect();
    close(&found.values, &difference, 1e-12);
    assert!(
        found
            .protocol
            .scope
            .ends_with("science for chemistry and physics")
    );
    let size = |label: &str, n_tokens, n| LabelSize {
        label: label.into(),
        n_tokens,
        n_documents: n,
        n_groups: n,
    };
    let expected = [size("science", 5, 3), size("law", 3, 2)];
    assert_eq!(found.protocol.label_sizes, expected);
    // A group may be called as one of its labels.
    check(
        &request(&[], &["physics=chemistry,physics"]),
        &["physics", "law"],
        &[merged, law].concat(),
    );
}

fn synthetic() -> Synthetic {
    Synthetic {
        groups_per_label: 12,
        ..Synthetic::default()
    }
}

fn data(documents: Vec<MemoryDocument>) -> TraceData {
    TraceData::in_memory(synthetic().model(), ExpertsOrder::ByWeight, documents).unwrap()
}

/// What a request finds in one trace is what another finds in the other, to the last digit.
#[track_caller]
fn same(scoped: (&TraceData, &MeasureRequest), made: (&TraceData, &MeasureRequest)) {
    for name in [
        "assignment_share",
        "jsd",
        "mutual_information",
        "routing_entropy",
    ] {
        let found = measure(scoped.0, name, scoped.1);
        let expected = measure(made.0, name, made.1);
        assert_eq!(found.len(), expected.len(), "{name}");
        assert!(found.iter().any(|table| table.intervals.is_some()));
        for (found, expected) in found.iter().zip(&expected) {
            let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            assert_eq!(found.axes, expected.axes, "{name}");
            assert_eq!(bits(&found.values), bits(&expected.values), "{name}");
            assert_eq!(found.intervals, expected.intervals, "{name}");
            assert_eq!(found.nulls, expected.nulls, "{name}");
            assert_eq!(
                found.protocol.label_sizes, expected.protocol.label_sizes,
                "{name}"
            );
        }
    }
    let config = ExpertConfig {
        layer: LayerId(3),
        expert: 1,
        top: 5,
        contexts: 0,
        window: 2,
    };
    let profile = |(data, request): (&TraceData, &MeasureRequest)| {
        expert_profile(data, request, &config, &NoProgress).unwrap()
    };
    let (found, expected) = (profile(scoped), profile(made));
    assert_eq!(found.labels, expected.labels);
    assert_eq!(found.sizes, expected.sizes);
    assert_eq!(found.tokens, expected.tokens);
    let config = TokenConfig {
        id: 3,
        contexts: 0,
        window: 2,
    };
    let profile = |(data, request): (&TraceData, &MeasureRequest)| {
        token_profile(data, request, &config, &NoProgress).unwrap()
    };
    let (found, expected) = (profile(scoped), profile(made));
    assert!(found.occurrences > 0);
    assert_eq!(found.labels, expected.labels);
    assert_eq!(found.first_choices, expected.first_choices);
}

#[test]
fn a_filter_gives_the_numbers_of_a_trace_of_these_documents() {
    let all = synthetic().documents();
    let mut abstracts = all.clone();
    abstracts.retain(|document| document.sample.genre.as_deref() == Some("abstract"));
    assert_eq!((all.len(), abstracts.len()), (36, 18));
    same(
        (&data(all), &request(&["genre=abstract"], &[])),
        (&data(abstracts), &quick()),
    );
}

#[test]
fn a_group_gives_the_numbers_of_a_trace_that_carries_its_name() {
    let all = synthetic().documents();
    let mut renamed = all.clone();
    for document in &mut renamed {
        let discipline = document.sample.discipline.as_ref();
        if discipline.is_some_and(|own| NAMES[..2].contains(&own.as_str())) {
            document.sample.discipline = Some(Discipline::new("science").unwrap());
        }
    }
    let group = format!("science={},{}", NAMES[0], NAMES[1]);
    same(
        (&data(all), &request(&[], &[&group])),
        (&data(renamed), &quick()),
    );
}

#[test]
fn what_does_not_occur_is_refused_with_near_names() {
    let refused = |request: &MeasureRequest, wanted: &[&str]| {
        let error = fails(&small(), "assignment_share", request);
        // The request can be checked before anything is measured, and says the same.
        let checked = request.check_in(&small()).unwrap_err();
        assert_eq!(checked.to_string(), error);
        for words in wanted {
            assert!(error.contains(words), "'{words}' is not in: {error}");
        }
    };
    refused(
        &request(&["gnere=abstract"], &[]),
        &["no column 'gnere'", "did you mean 'genre'?"],
    );
    refused(
        &request(&["genre=abstrct"], &[]),
        &[
            "no document has genre 'abstrct'",
            "did you mean 'abstract'?",
        ],
    );
    refused(
        &request(&[], &["science=chemisty"]),
        &[
            "no document has discipline 'chemisty'",
            "did you mean 'chemistry'?",
        ],
    );
    refused(
        &request(&[], &["law=chemistry,physics"]),
        &["as 'law', which is another discipline"],
    );
    let mut unmerged = request(&[], &["science=chemistry,physics"]);
    unmerged.scope.labels = vec!["physics".into()];
    refused(&unmerged, &["name 'science' in its place"]);
    let contrast = MeasureRequest {
        contrast: Some(("law".into(), "chemisty".into())),
        ..request(&[], &[])
    };
    refused(&contrast, &["no document has discipline 'chemisty'"]);
}

#[test]
fn a_scope_of_known_labels_that_no_document_has_together_is_empty() {
    let mut nothing = request(&["genre=textbook"], &[]);
    nothing.scope.labels = vec!["physics".into()];
    nothing.check_in(&small()).unwrap();
    let error = fails(&small(), "assignment_share", &nothing);
    for words in ["0 of 5 documents", "without --only"] {
        assert!(error.contains(words), "'{words}' is not in: {error}");
    }
}
