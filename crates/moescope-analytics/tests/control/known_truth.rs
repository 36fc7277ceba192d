//! By hand, and on traces whose truth is known.

use moescope_analytics::{Control, MeasureRequest, TraceData};
use moescope_core::Sample;

use super::{close, document, trace, variant};
use crate::common::{fails, measure, quick, sample};

/// Token 5 goes to expert 0 always; token 6 to expert 1 but once.
fn two_documents() -> TraceData {
    let choices = |rows: &[(u32, u16)]| {
        rows.iter()
            .map(|(id, e)| (*id, vec![*e]))
            .collect::<Vec<_>>()
    };
    let math = choices(&[(5, 0), (5, 0), (6, 1), (6, 1)]);
    let law = choices(&[(5, 0), (6, 1), (6, 1), (6, 0)]);
    let meta = |label: &str| sample(label, label, label);
    trace(
        2,
        1,
        vec![
            document(meta("math"), 2, 1, math),
            document(meta("law"), 2, 1, law),
        ],
    )
}

#[test]
fn information_within_a_token_by_hand() {
    // Token 6 is ⅝ of all. Math has (0, 2), law (1, 2): H(⅕, ⅘) − ⅗ H(⅓, ⅔) = 0.721928 − 0.550978; times ⅝.
    let found = measure(&two_documents(), "conditional_mutual_information", &quick()).remove(0);
    assert!((found.values[0] - 0.106_844).abs() < 1e-6, "{found:?}");
    // By label alone both use the experts alike.
    let found = measure(&two_documents(), "mutual_information", &quick()).remove(0);
    assert!(found.values[0].abs() < 1e-12);
}

#[test]
fn a_partition_by_hand() {
    // Total: 8 − (4² + 4²) / 8 = 4. Token ids: 3² / 3 + (1² + 4²) / 5 − 4 = 2.4.
    // Label after token: math keeps (2, 2) − 2 (3, 0) / 3 − 2 (1, 4) / 5 = (−0.4, 0.4) of 4 − 4/3 − 4/5 = 28/15 tokens: 0.32 · 15/28.
    let found = measure(&two_documents(), "variance_partition", &quick()).remove(0);
    let value = |name: &str| found.values[variant(&found, name)];
    close(value("token_alone"), 0.6);
    close(value("discipline_alone"), 0.0);
    close(value("discipline_last"), 0.32 * 15.0 / 28.0 / 4.0);
    close(value("document_in_order"), 0.0);
    close(value("residual"), 0.4 - 0.32 * 15.0 / 28.0 / 4.0);
    // Exchanging the two labels changes nothing, so nothing is left.
    close(value("discipline_beyond_the_rest"), 0.0);
}

/// Routing that depends on the token alone, and labels with words of their own; every document has preferences of its own.
fn words_alone(effect_of_label: f64) -> TraceData {
    use rand::{RngExt as _, SeedableRng as _};
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(9);
    let mut documents = Vec::new();
    for (number, label) in (0u32..40).map(|n| (n, ["math", "law"][(n % 2) as usize])) {
        let own: u16 = rng.random_range(0..8);
        let choices: Vec<(u32, Vec<u16>)> = (0..120)
            .map(|_| {
                let word: u32 = rng.random_range(0..12);
                let id = if rng.random_bool(0.5) {
                    word
                } else {
                    word % 4 + 3 * (number % 2)
                };
                let expert = if rng.random_bool(0.6) {
                    (id % 8) as u16
                } else {
                    rng.random_range(0..8)
                };
                let expert = if rng.random_bool(0.05) { own } else { expert };
                let by_label = rng.random_bool(effect_of_label);
                (
                    id,
                    vec![if by_label {
                        (number % 2) as u16
                    } else {
                        expert
                    }],
                )
            })
            .collect();
        let id = format!("d{number:02}");
        documents.push(document(sample(&id, label, &id), 8, 1, choices));
    }
    trace(8, 1, documents)
}

#[test]
fn what_words_explain_is_not_ascribed_to_the_label() {
    let request = MeasureRequest {
        permutations: 300,
        resamples: 200,
        ..MeasureRequest::default()
    };
    let p = |data: &TraceData, metric: &str, name: &str| {
        let found = measure(data, metric, &request).remove(0);
        let place = variant(&found, name);
        (
            found.nulls.as_ref().unwrap()[place].unwrap().p,
            found.values[place],
        )
    };
    let (explained, real) = (words_alone(0.0), words_alone(0.15));
    let conditional = "conditional_mutual_information";
    let corrected = "minus_permutation_mean";
    assert!(p(&explained, "mutual_information", corrected).0 < 0.01);
    assert!(p(&explained, conditional, corrected).0 > 0.05);
    assert!(
        p(
            &explained,
            "variance_partition",
            "discipline_beyond_the_rest"
        )
        .0 > 0.05
    );
    assert!(p(&explained, "variance_partition", "discipline_alone").0 < 0.01);
    for (metric, name) in [
        (conditional, corrected),
        ("variance_partition", "discipline_beyond_the_rest"),
    ] {
        let (p, value) = p(&real, metric, name);
        assert!(p < 0.01 && value > 0.002, "{metric}: p {p}, value {value}");
        let found = measure(&real, metric, &request).remove(0);
        let interval = found.intervals.as_ref().unwrap()[variant(&found, name)].unwrap();
        assert!(interval.low > 0.0 && interval.high > value, "{interval:?}");
    }
}

/// Genre decides the routing; math is mostly abstracts, physics mostly textbooks, law all statutes.
fn confounded() -> TraceData {
    let mut documents = Vec::new();
    for (label, genre, first, number) in [
        ("math", "abstract", 0, 20),
        ("math", "textbook", 1, 6),
        ("physics", "abstract", 0, 6),
        ("physics", "textbook", 1, 20),
        ("law", "statute", 2, 9),
    ] {
        for i in 0..number {
            let id = format!("{label}-{genre}-{i:02}");
            let meta = Sample {
                genre: Some(genre.into()),
                ..sample(&id, label, &id)
            };
            let choices = (0..20).map(|t| (t, vec![if t < 12 + i % 3 { first } else { 3 }]));
            documents.push(document(meta, 4, 1, choices));
        }
    }
    trace(4, 1, documents)
}

#[test]
fn matching_removes_what_another_variable_explains() {
    let mut request = MeasureRequest {
        permutations: 200,
        ..quick()
    };
    request.scope.labels = vec!["math".into(), "physics".into()];
    let value = |request: &MeasureRequest| measure(&confounded(), "jsd", request).remove(0);
    let plain = value(&request);
    assert!(plain.value(&[0, 0, 1]) > 0.05);
    assert!(plain.nulls.unwrap()[1].unwrap().p < 0.05);
    request.match_on = vec![Control::Label("genre".into())];
    let matched = value(&request);
    assert!(matched.value(&[0, 0, 1]) < 1e-3, "{matched:?}");
    assert!(matched.nulls.unwrap()[1].unwrap().p > 0.05);
    // 6 documents of each genre and label count: 24 of 52.
    let notes = matched.protocol.notes.join("\n");
    assert!(notes.contains("46 % of the tokens"), "{notes}");
    assert!(notes.contains("every document has counterparts"), "{notes}");
}

#[test]
fn what_cannot_be_matched_is_refused_with_what_can() {
    let request = MeasureRequest {
        match_on: vec![Control::Label("genre".into())],
        ..quick()
    };
    let message = fails(&confounded(), "mutual_information", &request);
    assert!(
        message.contains("no value of genre occurs under every discipline"),
        "{message}"
    );
    assert!(message.contains("--labels math,physics"), "{message}");
    let message = fails(&confounded(), "fingerprint_knn", &request);
    assert!(
        message.contains("does not compare matched labels"),
        "{message}"
    );
    let by_position = MeasureRequest {
        match_on: vec![Control::Position],
        ..quick()
    };
    let message = fails(&confounded(), "first_choice_repetition", &by_position);
    assert!(message.contains("by position"), "{message}");
    assert_eq!(measure(&confounded(), "nmi", &by_position).len(), 1);
    let weighted = MeasureRequest {
        scope: moescope_core::Scope {
            weighting: moescope_core::Weighting::Document,
            ..moescope_core::Scope::default()
        },
        ..quick()
    };
    let message = fails(&confounded(), "conditional_mutual_information", &weighted);
    assert!(message.contains("counts tokens"), "{message}");
}
