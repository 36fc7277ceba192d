//! Labels compared while other variables are held constant: against numpy, by hand, and on traces whose truth is known.

mod common;

use std::sync::atomic::{AtomicU64, Ordering};

use common::{fails, measure, model, quick, sample, token};
use moescope_analytics::{
    BiasCorrection, Control, ExpertsOrder, LabelPrior, MeasureRequest, MemoryDocument, TraceData,
    find,
};
use moescope_core::{Cancelled, DecisionBatch, Measurement, Progress, Sample};
use serde::Deserialize;

/// Every expected value of `tests/oracle/generate_control.py`.
#[derive(Deserialize)]
struct Oracle {
    experts: u16,
    top_k: u16,
    documents: Vec<OracleDocument>,
    conditional: Vec<Conditional>,
    partition: std::collections::BTreeMap<String, f64>,
    label_of_what_is_left: f64,
    matched: Vec<Matched>,
    bits: f64,
    miller_madow_bias: f64,
}

#[derive(Deserialize)]
struct OracleDocument {
    label: String,
    genre: String,
    tokens: Vec<u32>,
    experts: Vec<Vec<u16>>,
}

#[derive(Deserialize)]
struct Conditional {
    given: Vec<Control>,
    prior: LabelPrior,
    bits: f64,
}

#[derive(Deserialize)]
struct Matched {
    #[serde(rename = "match")]
    match_on: Vec<Control>,
    shares: Vec<f64>,
    bits: f64,
}

fn oracle() -> Oracle {
    serde_json::from_str(include_str!("oracle/control.json")).unwrap()
}

/// A document with one layer of decisions: a token and its experts at every position.
fn document(
    meta: Sample,
    experts: u16,
    top_k: u16,
    choices: impl IntoIterator<Item = (u32, Vec<u16>)>,
) -> MemoryDocument {
    let model = model(1, experts, top_k);
    let mut batch = DecisionBatch::new(usize::from(experts), usize::from(top_k));
    let mut tokens = Vec::new();
    for (position, (id, chosen)) in (0u32..).zip(choices) {
        tokens.push(token(position, id));
        let weights = vec![1.0 / f32::from(top_k); usize::from(top_k)];
        let logits: Vec<f32> = (0..experts)
            .map(|e| if chosen.contains(&e) { 1.0 } else { 0.0 })
            .collect();
        batch.push_decision(
            position,
            model.moe_layers[0],
            0,
            &chosen,
            &weights,
            &logits,
            &model.gating,
        );
    }
    MemoryDocument::from_decisions(&model, meta, tokens, batch)
}

fn trace(experts: u16, top_k: u16, documents: Vec<MemoryDocument>) -> TraceData {
    TraceData::in_memory(model(1, experts, top_k), ExpertsOrder::ByWeight, documents).unwrap()
}

fn oracle_trace(oracle: &Oracle) -> TraceData {
    let documents = oracle.documents.iter().enumerate().map(|(number, of)| {
        let id = format!("d{number:02}");
        let meta = Sample {
            genre: Some(of.genre.clone()),
            ..sample(&id, &of.label, &id)
        };
        let choices = of.tokens.iter().copied().zip(of.experts.iter().cloned());
        document(meta, oracle.experts, oracle.top_k, choices)
    });
    trace(oracle.experts, oracle.top_k, documents.collect())
}

/// Our sums are f64 in another order than numpy's.
#[track_caller]
fn close(found: f64, expected: f64) {
    assert!(
        (found - expected).abs() < 1e-9,
        "found {found}, expected {expected}"
    );
}

fn variant(found: &Measurement, name: &str) -> usize {
    let (_, axis) = found.axis(moescope_core::AxisKind::Variant).unwrap();
    let place = axis.labels.iter().position(|label| label == name);
    place.unwrap_or_else(|| panic!("no {name} among {:?}", axis.labels))
}

#[test]
fn conditional_information_is_that_of_scipys_entropies() {
    let oracle = oracle();
    let data = oracle_trace(&oracle);
    for case in &oracle.conditional {
        let request = MeasureRequest {
            given: case.given.clone(),
            prior: case.prior,
            ..quick()
        };
        let found = measure(&data, "conditional_mutual_information", &request).remove(0);
        close(found.values[0], case.bits);
    }
}

#[test]
fn the_partition_is_that_of_numpys_least_squares() {
    let oracle = oracle();
    let data = oracle_trace(&oracle);
    let found = measure(&data, "variance_partition", &quick()).remove(0);
    for (name, expected) in &oracle.partition {
        let name = name.replace("label", "discipline");
        close(found.values[variant(&found, &name)], *expected);
    }
    // Without permutations nothing is subtracted, and so nothing is reported as corrected.
    let none = MeasureRequest {
        permutations: 0,
        ..quick()
    };
    let plain = measure(&data, "variance_partition", &none).remove(0);
    let corrected = variant(&plain, "discipline_beyond_the_rest");
    assert!(plain.values[corrected].is_nan() && plain.nulls.is_none());
    // With them, what is left is less than the share of what the others leave, by about what chance explains.
    let value = found.values[corrected];
    assert!(
        value < oracle.label_of_what_is_left && value > 0.0,
        "{value}"
    );
}

#[test]
fn matched_labels_have_numpys_shares() {
    let oracle = oracle();
    let data = oracle_trace(&oracle);
    for case in &oracle.matched {
        let request = MeasureRequest {
            match_on: case.match_on.clone(),
            ..quick()
        };
        let shares = measure(&data, "assignment_share", &request).remove(0);
        for (found, expected) in shares.values.iter().zip(&case.shares) {
            close(*found, *expected);
        }
        close(
            measure(&data, "mutual_information", &request)[0].values[0],
            case.bits,
        );
        let notes = shares.protocol.notes.join("\n");
        assert!(
            notes.contains("matched by") && notes.contains("% of the tokens"),
            "{notes}"
        );
    }
}

#[test]
fn miller_and_madows_correction_is_numpys() {
    let oracle = oracle();
    let data = oracle_trace(&oracle);
    let with = |bias| MeasureRequest { bias, ..quick() };
    let found = measure(
        &data,
        "mutual_information",
        &with(BiasCorrection::MillerMadow),
    )
    .remove(0);
    close(found.values[0], oracle.bits);
    close(
        found.values[variant(&found, "minus_miller_madow")],
        oracle.bits - oracle.miller_madow_bias,
    );
    assert!(found.protocol.bias_correction.contains("Miller"));
    let none = measure(&data, "nmi", &with(BiasCorrection::None)).remove(0);
    assert_eq!(
        (none.values.len(), none.protocol.bias_correction.as_str()),
        (1, "none")
    );
    let weighted = MeasureRequest {
        match_on: vec![Control::Label("genre".into())],
        ..with(BiasCorrection::MillerMadow)
    };
    assert!(fails(&data, "nmi", &weighted).contains("leave out document weighting"));
}

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
    let message = fails(&confounded(), "routing_entropy", &by_position);
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

/// Cancels at the sixth report of resampling: with one layer, so many come from within it only.
#[derive(Default)]
struct CancelWithinLayer {
    seen: AtomicU64,
}

impl Progress for CancelWithinLayer {
    fn report(&self, _done: u64, _total: u64, message: &str) -> Result<(), Cancelled> {
        let is_resampling = message.contains("bootstrap") || message.contains("permutations");
        if is_resampling && self.seen.fetch_add(1, Ordering::Relaxed) >= 5 {
            return Err(Cancelled);
        }
        Ok(())
    }
}

#[test]
fn resampling_reports_and_can_be_cancelled_within_a_layer() {
    let data = oracle_trace(&oracle());
    let request = MeasureRequest {
        resamples: 20_000,
        permutations: 20_000,
        ..MeasureRequest::default()
    };
    for name in [
        "mutual_information",
        "assignment_share",
        "jsd",
        "conditional_mutual_information",
        "variance_partition",
        "fingerprint_knn",
    ] {
        let request = MeasureRequest {
            fingerprint: moescope_analytics::FingerprintKind::SelectionFrequency,
            ..request.clone()
        };
        let progress = CancelWithinLayer::default();
        let found = find(name).unwrap().measure(&data, &request, &progress);
        assert_eq!(found.unwrap_err().to_string(), "cancelled", "{name}");
        // Every thread may be about to report once more.
        let late = progress.seen.into_inner() - 6;
        assert!(
            late <= rayon::current_num_threads() as u64,
            "{name}: {late}"
        );
    }
}
