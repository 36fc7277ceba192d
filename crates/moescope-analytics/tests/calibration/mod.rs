//! Our own tests and intervals, tested by simulation: false positives at the nominal rate, intervals that cover.
//!
//! The short version runs always; `MOESCOPE_FULL_CALIBRATION=1` runs 2,000 traces per test and 500 per interval, of three
//! seeds each, and writes `docs/CALIBRATION.md`.
//! Another number is that of traces per row, and writes nothing. `MOESCOPE_CALIBRATE_ONLY=METRIC` makes the rows of one metric
//! alone, and puts them in the place of those in the page.
//! Every metric of the catalogue is simulated as soon as it is listed; `rows.rs` adds rows for other requests, one line each.

mod families;
mod rows;
mod simulate;
mod specials;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::Path,
};

use moescope_analytics::uncalibrated;
use rayon::prelude::*;
use rows::{LooksAt, Outcome, PLANS, Plan, not_simulated, only};

/// Traces per row of the full version: of tests, and of intervals, which take longer.
const FULL: usize = 2000;
const FULL_INTERVALS: usize = 500;
/// Traces per row of the version that always runs.
const SHORT: usize = 60;

/// One row of the calibration table.
struct Row {
    seed: u64,
    what: String,
    rate: f64,
    trials: usize,
    low: f64,
    high: f64,
}

impl Row {
    fn line(&self) -> String {
        format!(
            "| {} | {} | {:.4} | {:.4} to {:.4} | {} | {} |",
            self.what,
            self.seed,
            self.rate,
            self.low,
            self.high,
            self.trials,
            self.verdict()
        )
    }

    fn verdict(&self) -> &'static str {
        let is_coverage = self.what.starts_with("coverage");
        if self.rate < self.low {
            if is_coverage {
                "no: too narrow"
            } else {
                "conservative"
            }
        } else if self.rate > self.high {
            if is_coverage {
                "conservative"
            } else {
                "no: too many false positives"
            }
        } else {
            "yes"
        }
    }
}

/// The interval in which so many standard deviations' worth of binomial rates lie, with continuity correction.
#[expect(clippy::cast_precision_loss, reason = "a number of traces")]
fn binomial(rate: f64, trials: usize, deviations: f64) -> (f64, f64) {
    let n = trials as f64;
    let half = deviations * (rate * (1.0 - rate) / n).sqrt() + 0.5 / n;
    (rate - half, rate + half)
}

/// The rows of one plan and seed.
fn rows_of(plan: &Plan, trials: usize, seed: u64) -> Vec<Row> {
    let outcomes: Vec<Vec<(String, Outcome)>> = (0..trials as u64)
        .into_par_iter()
        .map(|trial| {
            let seed = seed << 32 | (trial + 1);
            plan.outcomes(seed)
        })
        .collect();
    let mut by_row: BTreeMap<String, Vec<Outcome>> = BTreeMap::new();
    for (row, outcome) in outcomes.into_iter().flatten() {
        by_row.entry(row).or_default().push(outcome);
    }
    let truths = match plan.looks_at {
        LooksAt::Nulls => BTreeMap::new(),
        LooksAt::Intervals => plan.truths(),
    };
    by_row
        .into_iter()
        .map(|(row, outcomes)| make_row(seed, &row, &outcomes, &truths))
        .collect()
}

#[expect(clippy::cast_precision_loss, reason = "numbers of traces")]
fn make_row(seed: u64, row: &str, outcomes: &[Outcome], truths: &BTreeMap<String, f64>) -> Row {
    let trials = outcomes.len();
    // 99.9 %; the short version, which nobody reads row by row, is as strict as it can be without failing by chance.
    let deviations = if trials >= FULL { 3.29 } else { 3.89 };
    let values = || {
        outcomes.iter().map(|outcome| match outcome {
            Outcome::Interval { value, .. } => *value,
            Outcome::Rejected(_) => f64::NAN,
        })
    };
    let mean = values().sum::<f64>() / trials as f64;
    let truth = truths.get(row).copied().unwrap_or(mean);
    let hits = outcomes
        .iter()
        .filter(|outcome| match outcome {
            Outcome::Rejected(rejected) => *rejected,
            Outcome::Interval { low, high, .. } => (*low..=*high).contains(&truth),
        })
        .count();
    let is_interval = matches!(outcomes[0], Outcome::Interval { .. });
    let (what, low, high) = if is_interval {
        let (low, high) = if trials >= FULL_INTERVALS {
            (0.92, 0.97)
        } else {
            (
                binomial(0.92, trials, deviations).0,
                binomial(0.97, trials, deviations).1,
            )
        };
        (format!("coverage: {row}"), low, high)
    } else {
        let (low, high) = binomial(0.05, trials, deviations);
        (format!("false positives: {row}"), low, high)
    };
    Row {
        seed,
        what,
        rate: hits as f64 / trials as f64,
        trials,
        low,
        high,
    }
}

#[test]
fn tests_and_intervals_are_calibrated_or_say_that_they_are_not() {
    let asked = std::env::var("MOESCOPE_FULL_CALIBRATION").ok();
    let is_full = asked.as_deref() == Some("1");
    let asked: Option<usize> = asked.and_then(|n| n.parse().ok());
    let trials = |plan: &Plan| match plan.looks_at {
        LooksAt::Nulls if is_full => FULL,
        LooksAt::Intervals if is_full => FULL_INTERVALS,
        _ => asked.unwrap_or(SHORT),
    };
    let seeds: &[u64] = if is_full { &[1, 2, 3] } else { &[1] };
    let mut rows: Vec<Row> = Vec::new();
    for plan in PLANS {
        for seed in seeds {
            rows.extend(rows_of(plan, trials(plan), *seed));
        }
    }
    rows.sort_by(|a, b| a.what.cmp(&b.what).then(a.seed.cmp(&b.seed)));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/CALIBRATION.md");
    let mut lines: Vec<String> = rows.iter().map(Row::line).collect();
    if is_full && only().is_some() {
        // The other metrics keep theirs.
        let page = fs::read_to_string(&path).unwrap();
        let made: BTreeSet<&str> = rows.iter().map(|row| row.what.as_str()).collect();
        let is_other = |line: &&str| {
            let what = line
                .strip_prefix("| ")
                .and_then(|rest| rest.split(" | ").next());
            what.is_some_and(|what| what.contains(": ") && !made.contains(what))
        };
        lines.extend(page.lines().filter(is_other).map(str::to_owned));
        lines.sort();
    }
    let mut page = String::from(include_str!("head.md"));
    for line in lines {
        page.push_str(&line);
        page.push('\n');
    }
    page.push_str("\n## Not simulated\n\n");
    for (name, reason) in not_simulated() {
        _ = writeln!(page, "- `{name}`: {reason}.");
    }
    println!("{page}");
    if is_full {
        fs::write(path, &page).unwrap();
    }
    // With 99.9 % bounds and hundreds of rows one may fail by chance: two seeds of three decide.
    let decisive = seeds.len().min(2);
    let mut failures: BTreeMap<&str, usize> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.verdict().starts_with("no")) {
        *failures.entry(&row.what).or_default() += 1;
    }
    let is_labelled = |what: &str| {
        let mut known = uncalibrated().iter();
        known.any(|(_, known, _)| what.starts_with(known))
    };
    let unlabelled: Vec<(&str, usize)> = failures
        .iter()
        .filter(|(what, n)| **n >= decisive && !is_labelled(what))
        .map(|(what, n)| (*what, *n))
        .collect();
    assert!(
        unlabelled.is_empty(),
        "not calibrated, and not labelled so: {unlabelled:#?}"
    );
    let known: Vec<&str> = uncalibrated().iter().map(|(_, what, _)| *what).collect();
    let gone: Vec<&str> = known
        .iter()
        .copied()
        .filter(|known| {
            let mut rows = failures.iter();
            is_full
                && only().is_none()
                && !rows.any(|(what, n)| what.starts_with(known) && *n >= decisive)
        })
        .collect();
    assert!(
        gone.is_empty(),
        "calibrated now, so no longer to be labelled otherwise: {gone:#?}"
    );
}
