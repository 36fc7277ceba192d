//! Our own tests and intervals, tested by simulation: false positives at the nominal rate, intervals that cover.
//!
//! The short version runs always; `MOESCOPE_FULL_CALIBRATION=1` runs 2,000 traces per row and writes `docs/CALIBRATION.md`.

mod common;

use std::{fmt::Write as _, fs, path::Path};

use common::{NAMES, chosen, counted, measure, model, sample};
use moescope_analytics::{ExpertsOrder, MeasureRequest, TraceData};
use moescope_core::{AxisKind, Measurement};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

const EXPERTS: usize = 8;
/// Assignments per document.
const TOKENS: u32 = 200;

/// A trace of counts: every group draws its own preferences around those of its label.
///
/// Group preferences are gamma-distributed, so shares within a label are Dirichlet and assignments overdispersed, as tokens of one text are.
fn trace(labels: usize, groups: usize, effect: f64, seed: u64) -> TraceData {
    let model = model(1, 8, 1);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut documents = Vec::new();
    for (label, name) in NAMES.iter().enumerate().take(labels) {
        for group in 0..groups {
            let shares: Vec<f64> = truth(label, effect)
                .iter()
                .map(|m| gamma(&mut rng, CONCENTRATION * m))
                .collect();
            let total: f64 = shares.iter().sum();
            let mut counts = vec![0u32; EXPERTS];
            for _ in 0..TOKENS {
                let mut u = rng.random::<f64>() * total;
                let expert = shares.iter().position(|s| {
                    u -= s;
                    u < 0.0
                });
                counts[expert.unwrap_or(EXPERTS - 1)] += 1;
            }
            let id = format!("{name}-{group:03}");
            documents.push(counted(&model, sample(&id, name, &id), &[counts]));
        }
    }
    TraceData::in_memory(model, ExpertsOrder::ByWeight, documents).unwrap()
}

/// Traces per row of the full version.
const FULL: usize = 2000;

/// Dirichlet concentration: a group's shares vary with a standard deviation of about 0.05 around 1/8.
const CONCENTRATION: f64 = 40.0;

/// The shares of a label's population.
fn truth(label: usize, effect: f64) -> Vec<f64> {
    let weight = |expert: usize| if expert == label { 1.0 + effect } else { 1.0 };
    let total: f64 = (0..EXPERTS).map(weight).sum();
    (0..EXPERTS).map(|expert| weight(expert) / total).collect()
}

/// Marsaglia and Tsang's method, for shapes of at least 1.
#[expect(clippy::many_single_char_names, reason = "the names of the paper")]
fn gamma(rng: &mut ChaCha8Rng, shape: f64) -> f64 {
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x = f64::from(common::normal(rng));
        let v = (1.0 + c * x).powi(3);
        let u: f64 = 1.0 - rng.random::<f64>();
        if v > 0.0 && u.ln() < 0.5 * x * x + d - d * v + d * v.ln() {
            return d * v;
        }
    }
}

/// One row of the calibration table.
struct Row {
    what: String,
    hits: usize,
    trials: usize,
    low: f64,
    high: f64,
}

impl Row {
    #[expect(clippy::cast_precision_loss, reason = "numbers of traces")]
    fn rate(&self) -> f64 {
        self.hits as f64 / self.trials as f64
    }

    fn is_calibrated(&self) -> bool {
        (self.low..=self.high).contains(&self.rate())
    }
}

/// The interval in which 99.9 % of binomial rates lie, by the normal approximation with continuity correction.
#[expect(clippy::cast_precision_loss, reason = "a number of traces")]
fn binomial(rate: f64, trials: usize) -> (f64, f64) {
    let n = trials as f64;
    let half = 3.29 * (rate * (1.0 - rate) / n).sqrt() + 0.5 / n;
    (rate - half, rate + half)
}

/// How often something holds over simulated traces.
fn count(trials: usize, seed: u64, holds: impl Fn(u64) -> bool + Sync) -> usize {
    (0..trials as u64)
        .into_par_iter()
        .filter(|i| holds(seed << 32 | i))
        .count()
}

fn request(seed: u64, resamples: u32, permutations: u32) -> MeasureRequest {
    MeasureRequest {
        resamples,
        permutations,
        seed,
        ..MeasureRequest::default()
    }
}

/// False positives at 5 % where labels do not matter.
fn false_positives(metric: &str, groups: usize, trials: usize, seed: u64) -> Row {
    let hits = count(trials, seed, |seed| {
        let found = measure(&trace(3, groups, 0.0, seed), metric, &request(seed, 0, 99)).remove(0);
        let nulls = found.nulls.unwrap();
        // The first variant, or the smallest corrected p of the family.
        let corrected = nulls.iter().flatten().map(|null| null.p_corrected.unwrap());
        corrected.fold(1.0, f64::min) <= 0.05
    });
    let (low, high) = binomial(0.05, trials);
    Row {
        what: format!("{metric}: any q ≤ 0.05 under the null, 3 labels × {groups} groups"),
        hits,
        trials,
        low,
        high,
    }
}

/// A trace of tokens whose order means nothing: every document draws its experts from preferences of its own.
fn unordered(groups: usize, seed: u64) -> TraceData {
    let model = model(1, 8, 1);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut documents = Vec::new();
    for group in 0..groups {
        let weights: Vec<f64> = (0..EXPERTS).map(|_| gamma(&mut rng, 2.0)).collect();
        let total: f64 = weights.iter().sum();
        let tokens = rng.random_range(40..100);
        let choices: Vec<[u16; 1]> = (0..tokens)
            .map(|_| {
                let mut u = rng.random::<f64>() * total;
                let expert = (0u16..).zip(&weights).find(|(_, weight)| {
                    u -= **weight;
                    u < 0.0
                });
                [expert.map_or(0, |(expert, _)| expert)]
            })
            .collect();
        let id = format!("math-{group:03}");
        documents.push(chosen(&model, sample(&id, "math", &id), &choices));
    }
    TraceData::in_memory(model, ExpertsOrder::ByWeight, documents).unwrap()
}

/// False positives at 5 % where the order of tokens does not matter.
fn false_orders(metric: &str, groups: usize, trials: usize, seed: u64) -> Row {
    let hits = count(trials, seed, |seed| {
        let request = MeasureRequest {
            lags: 4,
            segment: 8,
            ..request(seed, 0, 99)
        };
        let found = measure(&unordered(groups, seed), metric, &request).remove(0);
        let nulls = found.nulls.unwrap();
        let corrected = nulls.iter().flatten().map(|null| null.p_corrected.unwrap());
        corrected.fold(1.0, f64::min) <= 0.05
    });
    let (low, high) = binomial(0.05, trials);
    Row {
        what: format!("{metric}: any q ≤ 0.05 for tokens in random order, {groups} groups"),
        hits,
        trials,
        low,
        high,
    }
}

/// How often a 95 % interval of a value covers the truth.
fn coverage(
    what: &str,
    metric: &str,
    (labels, groups, effect): (usize, usize, f64),
    trials: usize,
    seed: u64,
    value: impl Fn(&Measurement) -> usize + Sync,
    truth: f64,
) -> Row {
    let hits = count(trials, seed, |seed| {
        let found = measure(
            &trace(labels, groups, effect, seed),
            metric,
            &request(seed, 400, 40),
        )
        .remove(0);
        let interval = found.intervals.as_ref().unwrap()[value(&found)].unwrap();
        (interval.low..=interval.high).contains(&truth)
    });
    // Few traces cannot tell 91 from 92 %, so a short run is as strict as it can be.
    let (slack_low, slack_high) = if trials >= FULL {
        (0.92, 0.97)
    } else {
        (binomial(0.92, trials).0, binomial(0.97, trials).1)
    };
    Row {
        what: format!("{what}: coverage of 95 % intervals, {labels} labels × {groups} groups"),
        hits,
        trials,
        low: slack_low,
        high: slack_high,
    }
}

fn entropy_nats(shares: &[f64]) -> f64 {
    -shares.iter().map(|s| s * s.ln()).sum::<f64>()
}

/// Every row of the table; `trials` per row.
fn rows(trials: usize, seed: u64) -> Vec<Row> {
    let label = |found: &Measurement| usize::from(found.axes[1].kind != AxisKind::Group);
    let favourite = truth(0, 1.0);
    let mean: Vec<f64> = (0..EXPERTS)
        .map(|expert| (0..3).map(|label| truth(label, 1.0)[expert]).sum::<f64>() / 3.0)
        .collect();
    let information = (entropy_nats(&mean) - entropy_nats(&favourite)) / std::f64::consts::LN_2;
    let share = favourite[0];
    vec![
        false_positives("mutual_information", 5, trials, seed),
        false_positives("mutual_information", 20, trials, seed + 10),
        false_positives("jsd", 8, trials, seed + 20),
        false_positives("assignment_share", 8, trials, seed + 30),
        false_orders("first_choice_repetition", 12, trials, seed + 31),
        false_orders("overlap_by_lag", 12, trials, seed + 32),
        false_orders("segment_routing_consistency", 12, trials, seed + 33),
        false_orders("expert_cache_hit_rate", 12, trials, seed + 34),
        false_orders("routing_change_points", 12, trials, seed + 35),
        false_orders("position_profile", 12, trials, seed + 36),
        false_orders("capacity_drop", 12, trials, seed + 37),
        coverage(
            "assignment_share",
            "assignment_share",
            (2, 30, 1.0),
            trials,
            seed + 40,
            label,
            share,
        ),
        coverage(
            "load_entropy",
            "load_entropy",
            (2, 30, 1.0),
            trials,
            seed + 50,
            label,
            entropy_nats(&favourite) / 8f64.ln(),
        ),
        coverage(
            "mutual_information, plug_in",
            "mutual_information",
            (3, 30, 1.0),
            trials,
            seed + 60,
            |_| 0,
            information,
        ),
        coverage(
            "mutual_information, minus_permutation_mean",
            "mutual_information",
            (3, 30, 1.0),
            trials,
            seed + 70,
            |_| 1,
            information,
        ),
    ]
}

#[test]
fn tests_and_intervals_are_calibrated() {
    let is_full = std::env::var_os("MOESCOPE_FULL_CALIBRATION").is_some();
    let trials = if is_full { FULL } else { 150 };
    let seeds: &[u64] = if is_full { &[1, 2, 3] } else { &[1] };
    let mut page = String::from(
        "# Calibration\n\nEach row is a simulation: so many traces with the same design, measured as a user would, with 99 permutations or 400 resamples.\nShares within a label are Dirichlet (concentration 40), 200 assignments per document, 8 experts.\nRates must lie within the bounds: false positives within the 99.9 % binomial interval of 5 %, coverage between 92 % and 97 %.\n\n| seed | what | rate | bounds | traces | calibrated |\n|---|---|---|---|---|---|\n",
    );
    let mut failed = Vec::new();
    for seed in seeds {
        for row in rows(trials, *seed) {
            _ = writeln!(
                page,
                "| {seed} | {} | {:.4} | {:.4} to {:.4} | {} | {} |",
                row.what,
                row.rate(),
                row.low,
                row.high,
                row.trials,
                if row.is_calibrated() { "yes" } else { "no" }
            );
            if !row.is_calibrated() {
                failed.push(format!("{} (rate {:.4})", row.what, row.rate()));
            }
        }
    }
    println!("{page}");
    if is_full {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/CALIBRATION.md");
        fs::write(path, &page).unwrap();
    }
    assert!(failed.is_empty(), "not calibrated: {failed:#?}");
}
