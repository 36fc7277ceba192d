//! Comparing with what another implementation computed from the same weights.

mod expected;
mod greedy;
mod prefill;

use std::path::Path;

use moescope_core::{DecisionBatch, Progress, SelectionRule};
use serde::Serialize;

use self::expected::Expected;
use crate::{decoder::MoeModel, error::EngineError};

/// Examples of differing selections that a report keeps.
const EXAMPLES: usize = 20;
/// Upper ends of the ranges of margins that selections are counted by; one more takes what is larger or unknown.
const MARGINS: [f64; 4] = [1e-4, 1e-3, 1e-2, 1e-1];

/// The largest differences that pass.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Tolerances {
    /// On next-token and router logits, absolute.
    pub logits: f64,
    /// On routing weights, absolute.
    pub weights: f64,
    /// A selection may differ where our margin between the last chosen and the first left out is at most this; 0
    /// excuses none. The margin is in units of the router's scores. Where experts are in groups it is also that between
    /// the last group that is kept and the first that is not, if that is smaller.
    pub near_tie: f64,
}

impl Tolerances {
    /// Whether a selection with this margin may differ.
    fn is_near_tie(&self, margin: f32) -> bool {
        self.near_tie > 0.0 && f64::from(margin) <= self.near_tie
    }
}

impl Default for Tolerances {
    fn default() -> Self {
        Self {
            logits: 1e-4,
            weights: 1e-5,
            near_tie: 0.0,
        }
    }
}

/// The largest difference of one kind of value, and where it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LargestError {
    /// Values compared.
    pub compared: u64,
    /// Largest absolute difference.
    pub largest: f64,
    /// Tensor and place of the largest.
    pub at: String,
}

/// A decision whose chosen set differs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DifferingSelection {
    /// Name of the tensor and row.
    pub at: String,
    /// What the other implementation chose.
    pub expected: Vec<u16>,
    /// What we chose.
    pub found: Vec<u16>,
    /// Our margin between the last chosen and the first left out; a tiny one excuses much.
    pub margin: f32,
}

/// How selections of some margins compare.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MarginBin {
    /// Margins up to this, above the bin before; `None` for all that are larger, or not known.
    pub at_most: Option<f64>,
    /// Decisions compared.
    pub selections: u64,
    /// Decisions that differ.
    pub differing: u64,
}

/// What a comparison found.
///
/// Where a selection differs, whatever the reason, the token's later layers compute with other experts, and so do all
/// later tokens that attend to it. These are counted as `downstream` and not compared: they tell nothing of precision.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VerifyReport {
    /// Next-token logits.
    pub logits: LargestError,
    /// Router logits.
    pub router_logits: LargestError,
    /// Routing weights, expert by expert.
    pub weights: LargestError,
    /// Decisions compared as sets.
    pub selections: u64,
    /// Decisions that differ.
    pub differing: u64,
    /// Those of them that a near tie excuses.
    pub near_ties: u64,
    /// Decisions that were not compared, because a selection before them differs.
    pub downstream: u64,
    /// Decisions by our margin.
    pub by_margin: Vec<MarginBin>,
    /// The first that differ.
    pub examples: Vec<DifferingSelection>,
    /// Greedy tokens compared.
    pub greedy_tokens: u64,
    /// Greedy tokens that differ.
    pub differing_greedy: u64,
    /// Those of them that the two largest logits excuse: they are as near as the tolerance.
    pub greedy_near_ties: u64,
    /// Greedy tokens that were not compared: the logits before them differ by more than the tolerance, and a near tie of
    /// a router comes before them.
    pub downstream_greedy: u64,
    /// What fails, in words; empty when the comparison passes.
    pub failures: Vec<String>,
}

impl Default for VerifyReport {
    fn default() -> Self {
        let bin = |at_most| MarginBin {
            at_most,
            selections: 0,
            differing: 0,
        };
        Self {
            logits: LargestError::default(),
            router_logits: LargestError::default(),
            weights: LargestError::default(),
            selections: 0,
            differing: 0,
            near_ties: 0,
            downstream: 0,
            by_margin: MARGINS
                .map(|most| bin(Some(most)))
                .into_iter()
                .chain([bin(None)])
                .collect(),
            examples: Vec::new(),
            greedy_tokens: 0,
            differing_greedy: 0,
            greedy_near_ties: 0,
            downstream_greedy: 0,
            failures: Vec::new(),
        }
    }
}

impl VerifyReport {
    /// Whether everything agrees within the tolerances.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.failures.is_empty()
    }
}

/// Compares a model with `expected`, a safetensors file that holds for some lengths T
/// `input_ids.T [T]`, and any of `logits.T [T, vocab]`, `router_logits.T.L [T, experts]`, `selected.T.L [T, k]`,
/// `weights.T.L [T, k]` for the layers L that have a router, in the model's numbering; and `generated [n]` with `generated_logits [n, vocab]`: greedy tokens after
/// the prompt of length 7 (or the shortest one above 1) with a KV cache.
///
/// # Errors
/// When the file cannot be read, or holds neither logits nor selections to compare.
pub fn verify(
    model: &MoeModel,
    expected: &Path,
    tolerances: Tolerances,
    progress: &dyn Progress,
) -> Result<VerifyReport, EngineError> {
    let expected = Expected::open(expected)?;
    let lengths = expected.lengths();
    let mut report = VerifyReport::default();
    for (done, length) in lengths.iter().enumerate() {
        progress.report(
            done as u64,
            lengths.len() as u64,
            &format!("comparing {length} tokens"),
        )?;
        prefill::compare(model, &expected, length, tolerances, &mut report)?;
    }
    greedy::compare(model, &expected, &lengths, tolerances, &mut report)?;
    judge(&mut report, tolerances);
    Ok(report)
}

fn judge(report: &mut VerifyReport, tolerances: Tolerances) {
    let mut failures = Vec::new();
    if report.logits.compared == 0 {
        failures.push("no next-token logits were compared".to_owned());
    }
    if report.selections == 0 {
        failures.push("no layer's selections were compared".to_owned());
    }
    for (what, error, tolerance) in [
        ("next-token logits", &report.logits, tolerances.logits),
        ("router logits", &report.router_logits, tolerances.logits),
        ("routing weights", &report.weights, tolerances.weights),
    ] {
        if error.compared > 0 && (error.largest > tolerance || error.largest.is_nan()) {
            failures.push(format!(
                "{what} differ by {:e} at {} (allowed {tolerance:e})",
                error.largest, error.at
            ));
        }
    }
    let beyond = report.differing - report.near_ties;
    if beyond > 0 {
        failures.push(if tolerances.near_tie > 0.0 {
            format!(
                "{beyond} of {} selections differ by more than a near tie, {} by less",
                report.selections, report.near_ties
            )
        } else {
            format!("{beyond} of {} selections differ", report.selections)
        });
    }
    if report.differing_greedy > report.greedy_near_ties {
        failures.push("greedy generation differs".to_owned());
    }
    report.failures = failures;
}

/// The smaller of a decision's margin between experts and its margin between groups of experts; NaN where neither is
/// known.
fn least_margin(model: &MoeModel, decisions: &DecisionBatch, row: usize) -> f32 {
    let margins = decisions.margin.as_ref();
    let margin = margins.map_or(f32::NAN, |margins| margins[row]);
    let rule = SelectionRule {
        gating: &model.spec().gating,
        correction_bias: model.correction_bias(decisions.layer[row]),
    };
    let group_margin = decisions
        .logits(row)
        .and_then(|logits| rule.group_margin(logits));
    #[expect(clippy::cast_possible_truncation, reason = "a difference of scores")]
    group_margin.map_or(margin, |group| margin.min(group as f32))
}

impl LargestError {
    /// Compares the first `comparable` of `rows` rows.
    fn compare_rows(
        &mut self,
        name: &str,
        wanted: &[f32],
        found: &[f32],
        rows: usize,
        comparable: usize,
    ) -> Result<(), EngineError> {
        if wanted.len() != found.len() {
            return self.compare(name, wanted, found);
        }
        let values = wanted.len() / rows.max(1) * comparable;
        self.compare(name, &wanted[..values], &found[..values])
    }

    fn compare(&mut self, name: &str, wanted: &[f32], found: &[f32]) -> Result<(), EngineError> {
        if wanted.len() != found.len() {
            return Err(EngineError::Expected(format!(
                "{name} has {} values, the model gives {}",
                wanted.len(),
                found.len()
            )));
        }
        for (place, (a, b)) in wanted.iter().zip(found).enumerate() {
            let difference = (f64::from(*a) - f64::from(*b)).abs();
            self.compared += 1;
            if difference > self.largest || difference.is_nan() {
                self.largest = if difference.is_nan() {
                    f64::INFINITY
                } else {
                    difference
                };
                self.at = format!("{name}[{place}]");
            }
        }
        Ok(())
    }
}
