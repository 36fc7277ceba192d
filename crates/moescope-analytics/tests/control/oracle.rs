//! Against numpy and scipy.

use std::sync::atomic::{AtomicU64, Ordering};

use moescope_analytics::{BiasCorrection, Control, LabelPrior, MeasureRequest, TraceData, find};
use moescope_core::{Cancelled, Progress, Sample};
use serde::Deserialize;

use super::{close, document, trace, variant};
use crate::common::{fails, measure, quick, sample};

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
    serde_json::from_str(include_str!("../oracle/control.json")).unwrap()
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
