//! Metrics of token order and of fingerprints against numpy, scipy and scikit-learn; `oracle/generate_sequence.py` made the values.

#![expect(clippy::cast_precision_loss, reason = "numbers of documents")]

use moescope_analytics::{ExpertsOrder, FingerprintKind, MeasureRequest, TraceData};
use moescope_core::Measurement;
use serde::Deserialize;

use crate::common::{chosen, measure, model, quick, sample};

#[derive(Deserialize)]
struct Oracle {
    labels: Vec<String>,
    documents: Vec<Row>,
    lags: Vec<Vec<[f64; 4]>>,
    runs: Vec<f64>,
    segments: Vec<[f64; 5]>,
    drops: Vec<Vec<[f64; 2]>>,
    separation: Separation,
    silhouettes: Vec<f64>,
    nearest: Vec<usize>,
    divergence: Vec<Vec<Vec<f64>>>,
    loss_bits: f64,
}

#[derive(Deserialize)]
struct Row {
    id: String,
    label: usize,
    group: String,
    experts: Vec<[u16; 2]>,
}

#[derive(Deserialize)]
struct Separation {
    silhouette_all_pairs: f64,
    within: f64,
    across: f64,
    cohens_d: f64,
}

fn oracle() -> Oracle {
    serde_json::from_str(include_str!("oracle/sequence.json")).unwrap()
}

fn data(oracle: &Oracle) -> TraceData {
    let model = model(1, 6, 2);
    let documents = oracle.documents.iter().map(|row| {
        let meta = sample(&row.id, &oracle.labels[row.label], &row.group);
        chosen(&model, meta, &row.experts)
    });
    let documents = documents.collect();
    TraceData::in_memory(model, ExpertsOrder::ByWeight, documents).unwrap()
}

fn request() -> MeasureRequest {
    MeasureRequest {
        fingerprint: FingerprintKind::SelectionFrequency,
        lags: 4,
        segment: 8,
        window: 16,
        ..quick()
    }
}

/// The value under these labels of the axes, in their order.
#[track_caller]
fn at(found: &Measurement, labels: &[&str]) -> f64 {
    let index: Vec<usize> = found
        .axes
        .iter()
        .zip(labels)
        .map(|(axis, label)| axis.labels.iter().position(|l| l == label).unwrap())
        .collect();
    found.value(&index)
}

/// Both sides are f64; they differ in the order of summation only.
#[track_caller]
fn close(found: f64, expected: f64) {
    assert!(
        (found - expected).abs() < 1e-9,
        "found {found}, expected {expected}"
    );
}

#[test]
fn overlaps_and_runs_agree_with_numpy() {
    let oracle = oracle();
    let found = measure(&data(&oracle), "overlap_by_lag", &request());
    for (label, of_lags) in oracle.labels.iter().zip(&oracle.lags) {
        for (lag, expected) in (1..).zip(of_lags) {
            let names = [
                "overlap_observed",
                "overlap_shuffled",
                "first_choice_observed",
                "first_choice_shuffled",
            ];
            for (name, expected) in names.iter().zip(expected) {
                close(
                    at(&found[0], &["1", label, &lag.to_string(), name]),
                    *expected,
                );
            }
        }
    }
    for (label, expected) in oracle.labels.iter().zip(&oracle.runs) {
        close(
            at(&found[1], &["1", label, "run_length_observed"]),
            *expected,
        );
    }
}

#[test]
fn segments_agree_with_scikit_learns_f1_and_with_every_set_of_experts() {
    let oracle = oracle();
    let data = data(&oracle);
    let consistency = measure(&data, "segment_routing_consistency", &request()).remove(0);
    let caches = measure(&data, "expert_cache_hit_rate", &request()).remove(0);
    for (label, [srp, size_ratio, of_2, of_3, of_4]) in oracle.labels.iter().zip(&oracle.segments) {
        let check = |found: &Measurement, name: &str, expected: f64| {
            close(at(found, &["1", label, name]), expected);
        };
        check(&consistency, "srp_observed", *srp);
        check(&consistency, "size_ratio_observed", *size_ratio);
        check(&consistency, "fixed_k_share_observed", *of_2);
        check(&caches, "fixed_1k_observed", *of_2);
        check(&caches, "fixed_1.5k_observed", *of_3);
        check(&caches, "fixed_2k_observed", *of_4);
    }
}

#[test]
fn drops_agree_with_a_plain_count() {
    let oracle = oracle();
    let found = measure(&data(&oracle), "capacity_drop", &request()).remove(0);
    for (label, of_parts) in oracle.labels.iter().zip(&oracle.drops) {
        for (part, expected) in found.axes[2].labels.iter().zip(of_parts) {
            close(at(&found, &["1", label, part, "c1_observed"]), expected[0]);
            close(at(&found, &["1", label, part, "c2_observed"]), expected[1]);
        }
    }
}

#[test]
fn separation_agrees_with_scikit_learn() {
    let oracle = oracle();
    let found = measure(&data(&oracle), "fingerprint_separation", &request());
    let expected = oracle.separation;
    close(
        at(&found[0], &["silhouette_all_pairs"]),
        expected.silhouette_all_pairs,
    );
    close(at(&found[0], &["within_similarity"]), expected.within);
    close(at(&found[0], &["across_similarity"]), expected.across);
    close(at(&found[0], &["cohens_d"]), expected.cohens_d);
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    close(at(&found[0], &["silhouette"]), mean(&oracle.silhouettes));
    for (label, silhouettes) in oracle.labels.iter().zip(oracle.silhouettes.chunks(4)) {
        close(at(&found[1], &[label, "silhouette"]), mean(silhouettes));
    }
    // Three groups a label.
    assert!(found[0].intervals.is_none());
    assert!(
        found[0]
            .protocol
            .interval_method
            .contains("3 groups (math)")
    );
    let by_layer = measure(&data(&self::oracle()), "fingerprint_by_layer", &request()).remove(0);
    close(
        at(&by_layer, &["1", "silhouette"]),
        mean(&oracle.silhouettes),
    );
}

#[test]
fn nearest_profiles_agree_with_scikit_learns_cosine_similarity() {
    let oracle = oracle();
    let found = measure(&data(&oracle), "profile_identification", &request());
    let is_right = oracle
        .documents
        .iter()
        .zip(&oracle.nearest)
        .filter(|(row, n)| row.label == **n);
    close(
        at(&found[0], &["fingerprint"]),
        is_right.count() as f64 / 12.0,
    );
    for (own, label) in oracle.labels.iter().enumerate() {
        for (other, name) in oracle.labels.iter().enumerate() {
            let nearest = &oracle.nearest[4 * own..4 * (own + 1)];
            let share = nearest.iter().filter(|n| **n == other).count() as f64 / 4.0;
            close(at(&found[1], &[label, name]), share);
        }
    }
}

#[test]
fn windows_agree_with_scipy() {
    let oracle = oracle();
    let found = measure(&data(&oracle), "label_drift", &request());
    for (label, rows) in oracle.labels.iter().zip(&oracle.divergence) {
        for (other, places) in oracle.labels.iter().zip(rows) {
            for (place, expected) in ["0-15", "16-31", "32-47"].iter().zip(places) {
                close(at(&found[0], &[label, other, place]), *expected);
            }
        }
    }
    close(at(&found[2], &["raw_loss_bits"]), oracle.loss_bits);
}
