//! How sure a window's label is, on documents that did not decide it.

use moescope_core::{Axis, AxisKind, Measurement, Progress};

use super::Window;
use crate::{
    About, AnalyticsError, MeasureRequest,
    data::Selection,
    inference::{PerLabel, deal_groups, measure_per_label},
    stats::{correlation::mean, interval::IntervalMethod, number::as_f64, units::UnitTable},
};

/// Folds of groups.
const FOLDS: usize = 5;
/// Windows in order of their probability are cut into so many parts.
const TENTHS: usize = 10;
/// The search for β ends here.
const LARGEST_BETA: f64 = 10.0;
/// Sums of a tenth: probability, right ones and windows, calibrated and raw, each in tenths of its own order.
const BLOCK: usize = 6;
const BY_TENTH: [&str; 4] = ["probability", "right", "raw_probability", "raw_right"];
const OVERALL: [&str; 8] = [
    "probability",
    "right",
    "raw_probability",
    "calibration_error",
    "raw_calibration_error",
    "loss_bits",
    "raw_loss_bits",
    "beta",
];

/// The factor on log-likelihoods of every fold, fitted on the others.
pub(super) struct Calibration {
    /// The fold of each selected document.
    fold: Vec<usize>,
    /// β of each fold.
    beta: Vec<f64>,
}

impl Calibration {
    /// Fits β for every fold on the windows of the other folds.
    pub(super) fn fit(selection: &Selection, windows: &[Vec<Window>], seed: u64) -> Self {
        let fold = deal_groups(selection, FOLDS, seed);
        let folds = fold.iter().max().map_or(0, |last| last + 1);
        let beta = (0..folds)
            .map(|held_out| beta_of(selection, windows, |i| fold[i] != held_out))
            .collect();
        Self { fold, beta }
    }

    /// β fitted on the windows of all documents: for texts that are in none of the folds.
    pub(super) fn beta_for_others(selection: &Selection, windows: &[Vec<Window>]) -> f64 {
        beta_of(selection, windows, |_| true)
    }

    /// Probabilities of the labels in a window of a selected document, `[labels]`.
    pub(super) fn probabilities(&self, document: usize, window: &Window) -> Vec<f64> {
        softmax(&window.likelihood, self.beta[self.fold[document]])
    }

    /// The tables by tenth and over all windows.
    pub(super) fn measure(
        &self,
        about: &About,
        selection: &Selection,
        request: &MeasureRequest,
        windows: &[Vec<Window>],
        progress: &dyn Progress,
    ) -> Result<[Measurement; 2], AnalyticsError> {
        let pooled = selection.with_layers_together().pooled(selection.groups);
        let table = self.table(&pooled, selection, windows);
        let beta = mean(&self.beta);
        let table_of = |title, unit: &str, axes: Vec<Axis>, evaluate: Evaluate<'_>, reference| {
            let width = axes.iter().map(Axis::len).product();
            let mut found = measure_per_label(
                &pooled,
                request,
                PerLabel {
                    about: About {
                        title,
                        ..about.clone()
                    },
                    unit: unit.to_owned(),
                    table: &table,
                    width,
                    evaluate,
                    last_axis: Some(Axis::new(AxisKind::Variant, vec![String::new(); width])),
                    method: IntervalMethod::Percentile,
                    has_null: false,
                    reference,
                },
                progress,
            )?;
            found.axes = axes;
            found.protocol.notes.push(format!(
                "β of the folds: {}; 1 would be independent tokens and layers",
                self.beta
                    .iter()
                    .map(|b| format!("{b:.4}"))
                    .collect::<Vec<_>>()
                    .join(", ")
            ));
            if self.beta.iter().any(|b| *b >= LARGEST_BETA) {
                found.protocol.notes.push(
                    "every window of some folds is right at any β: too few or too easy documents to calibrate".to_owned(),
                );
            }
            Ok::<_, AnalyticsError>(found)
        };
        let tenths = (1..=TENTHS).map(|i| i.to_string()).collect();
        let names = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
        Ok([
            table_of(
                "Reliability of the label's probability, by tenth of windows",
                "probability",
                vec![
                    Axis::new(AxisKind::Rank, tenths),
                    Axis::new(AxisKind::Variant, names(&BY_TENTH)),
                ],
                &|sums, out| {
                    let tenths = sums[..TENTHS * BLOCK].chunks_exact(BLOCK);
                    for (sums, out) in tenths.zip(out.chunks_exact_mut(BY_TENTH.len())) {
                        let values = [
                            sums[0] / sums[2],
                            sums[1] / sums[2],
                            sums[3] / sums[5],
                            sums[4] / sums[5],
                        ];
                        out.copy_from_slice(&values);
                    }
                },
                None,
            )?,
            table_of(
                "Calibration of the label's probability",
                "probability, bits or 1",
                vec![Axis::new(AxisKind::Variant, names(&OVERALL))],
                &|sums, out| {
                    overall(sums, out);
                    out[OVERALL.len() - 1] = beta;
                },
                Some(1.0 / as_f64(selection.labels.len())),
            )?,
        ])
    }

    /// Sums of every group: by tenth, then losses.
    fn table(
        &self,
        pooled: &Selection,
        selection: &Selection,
        windows: &[Vec<Window>],
    ) -> UnitTable {
        let mut judged: Vec<Judged> = Vec::new();
        for (document, windows) in windows.iter().enumerate() {
            judged.extend(windows.iter().map(|window| {
                let label = selection.label[document];
                Judged {
                    unit: pooled.unit[document],
                    calibrated: Guess::of(&self.probabilities(document, window), label),
                    raw: Guess::of(&softmax(&window.likelihood, 1.0), label),
                }
            }));
        }
        let columns = TENTHS * BLOCK + 2;
        let mut table = UnitTable::new(1, pooled.unit_label.clone(), 1, columns);
        let n = judged.len();
        for is_raw in [false, true] {
            let guess = |judged: &Judged| {
                if is_raw {
                    judged.raw
                } else {
                    judged.calibrated
                }
            };
            judged.sort_by(|a, b| guess(a).probability.total_cmp(&guess(b).probability));
            let start = if is_raw { 3 } else { 0 };
            for (place, window) in judged.iter().enumerate() {
                let guess = guess(window);
                let row = table.row_mut(0, window.unit);
                let block = &mut row[place * TENTHS / n * BLOCK..][..BLOCK];
                block[start] += guess.probability;
                block[start + 1] += f64::from(u8::from(guess.is_right));
                block[start + 2] += 1.0;
                row[TENTHS * BLOCK + usize::from(is_raw)] += guess.loss_bits;
            }
        }
        table
    }
}

type Evaluate<'a> = &'a (dyn Fn(&[f64], &mut [f64]) + Sync);

/// One window's most likely label, calibrated and raw.
#[derive(Clone, Copy)]
struct Judged {
    unit: usize,
    calibrated: Guess,
    raw: Guess,
}

#[derive(Clone, Copy)]
struct Guess {
    probability: f64,
    is_right: bool,
    loss_bits: f64,
}

impl Guess {
    fn of(probabilities: &[f64], label: usize) -> Self {
        let most = probabilities.iter().copied().fold(0.0, f64::max);
        Self {
            probability: most,
            is_right: probabilities.iter().position(|p| *p >= most) == Some(label),
            // A probability of 0 in f64 would make the mean infinite; 1,000 bits are as wrong as it gets.
            loss_bits: (-probabilities[label].log2()).min(1000.0),
        }
    }
}

/// All but β, from sums by tenth and losses.
fn overall(sums: &[f64], out: &mut [f64]) {
    let (tenths, losses) = sums.split_at(TENTHS * BLOCK);
    let sum = |column: usize| tenths.iter().skip(column).step_by(BLOCK).sum::<f64>();
    let n = sum(2);
    let error = |column: usize| {
        let gap = |sums: &[f64]| (sums[column] - sums[column + 1]).abs();
        tenths.chunks_exact(BLOCK).map(gap).sum::<f64>() / n
    };
    let values = [
        sum(0) / n,
        sum(1) / n,
        sum(3) / n,
        error(0),
        error(3),
        losses[0] / n,
        losses[1] / n,
    ];
    out[..values.len()].copy_from_slice(&values);
}

/// β fitted on the windows of some documents, each against profiles without its own group.
fn beta_of(
    selection: &Selection,
    windows: &[Vec<Window>],
    is_wanted: impl Fn(usize) -> bool,
) -> f64 {
    let wanted = windows.iter().enumerate().filter(|(i, _)| is_wanted(*i));
    let fitted: Vec<(&[f64], usize)> = wanted
        .flat_map(|(i, windows)| {
            windows
                .iter()
                .map(move |window| (window.likelihood.as_slice(), selection.label[i]))
        })
        // A label whose only group is the document's own cannot be found.
        .filter(|(likelihood, label)| likelihood[*label].is_finite())
        .collect();
    best_beta(&fitted)
}

/// The β ≥ 0 that makes the true labels most likely; the log-likelihood is concave in β, so its slope is bisected.
fn best_beta(windows: &[(&[f64], usize)]) -> f64 {
    let slope = |beta: f64| -> f64 {
        let of = |(likelihood, label): &(&[f64], usize)| {
            let probabilities = softmax(likelihood, beta);
            let known = likelihood
                .iter()
                .zip(&probabilities)
                .filter(|(l, _)| l.is_finite());
            likelihood[*label] - known.map(|(l, p)| l * p).sum::<f64>()
        };
        windows.iter().map(of).sum()
    };
    let (mut low, mut high) = (0.0, LARGEST_BETA);
    // Where every label is already certain, rounding leaves a slope of 0.
    if slope(high) >= 0.0 {
        return high;
    }
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if slope(middle) > 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

/// Softmax of β times log-likelihoods; a label at −∞ has probability 0.
pub(super) fn softmax(likelihood: &[f64], beta: f64) -> Vec<f64> {
    let most = likelihood.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let part = |l: &f64| {
        if l.is_finite() {
            (beta * (l - most)).exp()
        } else {
            0.0
        }
    };
    let parts: Vec<f64> = likelihood.iter().map(part).collect();
    let total: f64 = parts.iter().sum();
    parts.iter().map(|x| x / total).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beta_undoes_a_tenfold_repetition_of_the_evidence() {
        // Likelihood ratios of 4 to 1, right in 4 of 5 windows, but told ten times over: β = 1/10.
        let (right, wrong) = ([10.0 * 4f64.ln(), 0.0], [0.0, 10.0 * 4f64.ln()]);
        let mut windows: Vec<(&[f64], usize)> = vec![(&right, 0); 4];
        windows.push((&wrong, 0));
        assert!((best_beta(&windows) - 0.1).abs() < 1e-9);
        assert!((softmax(&right, 0.1)[0] - 0.8).abs() < 1e-12);
        // Evidence that says nothing gets no weight.
        assert!(best_beta(&[(&right, 0), (&wrong, 0), (&right, 1), (&wrong, 1)]) < 1e-9);
    }

    #[test]
    fn a_label_without_profile_is_impossible() {
        assert_eq!(softmax(&[0.0, f64::NEG_INFINITY], 1.0), [1.0, 0.0]);
    }
}
