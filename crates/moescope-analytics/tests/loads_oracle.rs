//! Metrics of load, of the router's confidence and of labels' experts against numpy, scipy, scikit-learn and statsmodels.

use moescope_analytics::{ExpertsOrder, LoadMass, MeasureRequest, MemoryDocument, TraceData};
use moescope_core::{DecisionBatch, DecisionStats, Measurement};
use serde::Deserialize;

use crate::common::{
    NAMES, close, first, measure, model, of_counts, quick, sample, token, with_mass,
};

/// `tests/oracle/generate_loads.py` made the values with numpy, scipy, scikit-learn and statsmodels.
#[derive(Deserialize)]
struct Oracle {
    labels: Vec<usize>,
    logits: Vec<Vec<Vec<f32>>>,
    surprisal: Vec<Vec<f32>>,
    margin: Vec<Vec<f64>>,
    lead: Vec<Vec<f64>>,
    weight_ratio: Vec<Vec<f64>>,
    topk_mass: Vec<f64>,
    z_loss: Vec<f64>,
    aux_loss_sums_to_k: Vec<f64>,
    entropy_surprisal_correlation: Vec<f64>,
    entropy_surprisal_correlation_exact: Vec<f64>,
    jaccard_last_token: f64,
    gini_last_token: Vec<f64>,
    counts: Vec<Vec<u32>>,
    gini: Vec<f64>,
    cv: Vec<f64>,
    maxvio: Vec<f64>,
    lorenz: Vec<Vec<f64>>,
    coverage: Vec<Vec<f64>>,
    cramers_v_mass: f64,
    cramers_v_equal: f64,
    npmi: Vec<Vec<f64>>,
    risk_difference: Vec<f64>,
    newcombe: Vec<[f64; 2]>,
    z_test_p: Vec<f64>,
    z_test_q: Vec<f64>,
}

fn oracle() -> Oracle {
    serde_json::from_str(include_str!("oracle/loads.json")).unwrap()
}

/// The decisions of the oracle: two labels of three documents at one layer, 6 experts, top-2.
fn decisions(oracle: &Oracle) -> TraceData {
    let model = model(1, 6, 2);
    let documents = (oracle
        .logits
        .iter()
        .zip(&oracle.surprisal)
        .zip(&oracle.labels))
    .enumerate()
    .map(|(number, ((logits, surprisal), label))| {
        let mut batch = DecisionBatch::new(6, 2);
        let mut tokens = Vec::new();
        for (position, (logits, surprisal)) in (0u32..).zip(logits.iter().zip(surprisal)) {
            let mut order: Vec<u16> = (0..6).collect();
            order.sort_by(|a, b| logits[usize::from(*b)].total_cmp(&logits[usize::from(*a)]));
            let ratio = (logits[usize::from(order[1])] - logits[usize::from(order[0])]).exp();
            let first = 1.0 / (1.0 + ratio);
            batch.push_decision(
                position,
                model.moe_layers[0],
                0,
                &order[..2],
                &[first, 1.0 - first],
                logits,
                &model.gating,
            );
            let mut token = token(position, position);
            token.surprisal = Some(*surprisal);
            tokens.push(token);
        }
        let id = format!("document-{number}");
        MemoryDocument::from_decisions(&model, sample(&id, NAMES[*label], &id), tokens, batch)
    })
    .collect();
    TraceData::in_memory(model, ExpertsOrder::ByWeight, documents).unwrap()
}

#[test]
fn confidence_of_decisions_agrees_with_numpy_and_scipy() {
    let oracle = oracle();
    let data = decisions(&oracle);
    close(&first(&data, "topk_mass").values, &oracle.topk_mass, 1e-6);
    close(&first(&data, "z_loss").values, &oracle.z_loss, 1e-5);
    let loss = first(&data, "aux_loss");
    for (label, expected) in oracle.aux_loss_sums_to_k.iter().enumerate() {
        close(
            &loss.values[2 * label..2 * label + 2],
            &[expected / 2.0, *expected],
            1e-6,
        );
    }
    let correlation = first(&data, "entropy_surprisal_correlation").values;
    close(&correlation, &oracle.entropy_surprisal_correlation, 1e-6);
    // Ties of stored values matter with 57 pairs, a little.
    close(
        &correlation,
        &oracle.entropy_surprisal_correlation_exact,
        0.003,
    );
    let margin = measure(&data, "selection_margin", &quick());
    let ratio = first(&data, "weight_ratio");
    for label in 0..2 {
        let row = |m: &Measurement| m.values[6 * label..6 * label + 6].to_vec();
        for (found, expected, linear, relative) in [
            (row(&margin[0]), &oracle.margin[label], 1e-4, 0.15),
            (row(&margin[1]), &oracle.lead[label], 0.01, 0.0),
            (row(&ratio), &oracle.weight_ratio[label], 0.01, 0.0),
        ] {
            assert!((found[0] - expected[0]).abs() < 1e-6, "the mean is exact");
            for (found, expected) in found.iter().zip(expected) {
                // Both lie in one bin.
                let tolerance = linear + relative * expected;
                assert!((found - expected).abs() < tolerance, "{found} {expected}");
            }
        }
    }
}

#[test]
fn probabilities_at_the_last_token_agree_with_scikit_learn() {
    let oracle = oracle();
    let data = decisions(&oracle);
    let jaccard = first(&data, "top_set_jaccard");
    close(
        &[jaccard.value(&[0, 0, 1])],
        &[oracle.jaccard_last_token],
        1e-12,
    );
    let gini = measure(&data, "gini", &with_mass(LoadMass::LastProbabilities)).remove(0);
    close(&gini.values, &oracle.gini_last_token, 1e-6);
    assert!(
        gini.protocol
            .notes
            .iter()
            .any(|note| note.contains("at the last counted token"))
    );
    // Probabilities of all tokens are another protocol with another value.
    let all = measure(&data, "gini", &with_mass(LoadMass::Probabilities)).remove(0);
    let other = all.values.iter().zip(&gini.values);
    assert!(
        other
            .into_iter()
            .any(|(all, last)| (all - last).abs() > 0.01)
    );
}

#[test]
fn tables_of_counts_agree_with_scipy_and_statsmodels() {
    let oracle = oracle();
    let data = of_counts(6, &oracle.counts);
    close(&first(&data, "gini").values, &oracle.gini, 1e-9);
    let variants = |name: &str, variant: usize| -> Vec<f64> {
        first(&data, name)
            .values
            .iter()
            .skip(variant)
            .step_by(2)
            .copied()
            .collect()
    };
    close(&variants("load_cv", 0), &oracle.cv, 1e-9);
    close(&variants("max_violation", 0), &oracle.maxvio, 1e-9);
    close(
        &first(&data, "lorenz_curve").values,
        &oracle.lorenz.concat(),
        1e-9,
    );
    close(
        &first(&data, "coverage_count").values,
        &oracle.coverage.concat(),
        0.0,
    );
    close(
        &first(&data, "label_lift").values,
        &oracle.npmi.concat(),
        1e-9,
    );
    // scipy takes whole counts; rows of a million assignments are equal enough.
    close(
        &first(&data, "cramers_v").values[..1],
        &[oracle.cramers_v_equal],
        1e-5,
    );
    let by_mass = MeasureRequest {
        prior: serde_json::from_str("\"mass\"").unwrap(),
        ..quick()
    };
    let found = measure(&data, "cramers_v", &by_mass).remove(0);
    close(&found.values[..1], &[oracle.cramers_v_mass], 1e-9);
    close(
        &first(&data, "risk_difference").values,
        &oracle.risk_difference,
        1e-9,
    );
    let found = first(&data, "risk_difference_newcombe");
    close(&found.values, &oracle.risk_difference, 1e-9);
    let intervals = found.intervals.as_ref().unwrap().iter().flatten();
    for (found, expected) in intervals.zip(&oracle.newcombe) {
        close(&[found.low, found.high], expected, 1e-9);
    }
    let nulls = found.nulls.as_ref().unwrap().iter().flatten();
    for ((found, p), q) in nulls.zip(&oracle.z_test_p).zip(&oracle.z_test_q) {
        // The normal tail is good to about 1e-8 of its value.
        close(
            &[found.p / p, found.p_corrected.unwrap() / q],
            &[1.0, 1.0],
            1e-6,
        );
    }
    assert!(
        found
            .protocol
            .notes
            .iter()
            .any(|note| note.contains("not independent"))
    );
}

#[test]
fn without_logits_the_lead_is_left_out_and_a_note_says_so() {
    let oracle = oracle();
    let data = decisions(&oracle);
    let model = data.model().clone();
    assert_eq!(measure(&data, "selection_margin", &quick()).len(), 2);
    let mut batch = DecisionBatch::new(6, 2);
    let logits = &oracle.logits[0][0];
    batch.push_decision(
        0,
        model.moe_layers[0],
        0,
        &[0, 1],
        &[0.6, 0.4],
        logits,
        &model.gating,
    );
    batch.router_logits = None;
    let document =
        MemoryDocument::from_decisions(&model, sample("a", "law", "a"), vec![token(0, 0)], batch);
    let data = TraceData::in_memory(model.clone(), ExpertsOrder::ByWeight, vec![document]).unwrap();
    let found = measure(&data, "selection_margin", &quick());
    assert_eq!(found.len(), 1);
    let p = DecisionStats::probabilities(logits, &model.gating);
    let best = p[2..].iter().copied().fold(0.0, f64::max);
    close(&found[0].values[..1], &[p[0].min(p[1]) - best], 1e-6);
    let notes = &found[0].protocol.notes;
    assert!(
        notes
            .iter()
            .any(|note| note.contains("does not hold router logits")),
        "{notes:?}"
    );
}

#[test]
fn unknown_surprisals_leave_no_correlation() {
    let mut oracle = oracle();
    let surprisals = oracle.surprisal.iter_mut().flatten();
    surprisals.for_each(|surprisal| *surprisal = f32::NAN);
    let found = first(&decisions(&oracle), "entropy_surprisal_correlation");
    assert!(found.values.iter().all(|value| value.is_nan()));
}
