//! How well a linear classifier on routing tells a document's label, beside what simpler things tell.

use std::sync::atomic::{AtomicU64, Ordering};

use moescope_core::{AxisKind, Cancelled, Measurement, Progress};
use rayon::prelude::*;

use crate::{
    About, AnalyticsError, Input, MeasureRequest, Metric, TraceData,
    data::Selection,
    fingerprint::{Saturation, fingerprints},
    inference::{
        Prediction, Predictions, accuracy, check_classifiable, deal_groups, measure_predictions,
        permuted_labels, token_bags,
    },
    stats::{
        logistic::{Features, Logistic, LogisticConfig, Sparse, Standardised},
        number::as_f64,
    },
};

/// Accuracy of multinomial logistic regression on fingerprints and on its baselines.
pub(super) struct FingerprintLogistic;

const FOLDS: usize = 5;
const CONFIG: LogisticConfig = LogisticConfig {
    c: 1.0,
    tolerance: 1e-4,
    most_steps: 300,
};
const MOST_DOCUMENTS: usize = 50_000;
/// Label shuffles fit everything again: their number keeps below about so many multiplications, within these bounds.
const MOST_WORK: f64 = 4e11;
const FEWEST_SHUFFLES: usize = 19;
const MOST_SHUFFLES: usize = 39;

impl Metric for FingerprintLogistic {
    fn about(&self) -> About {
        About {
            name: "fingerprint_logistic",
            title: "Label told by a linear classifier",
            formula: "Share of documents whose label a multinomial logistic regression tells that was fitted on other groups: five folds of whole groups, minimising ½ Σ w² + Σ −ln p(label) (C = 1, intercepts free). Variants: `fingerprint` (kinds as of `fingerprint_map`), every number standardised by the documents of training; `bag_of_tokens` token-id counts of unit length; `length_only` ln n, standardised; `label_shuffle` mean accuracy of the fingerprint with labels permuted over groups and everything fitted again; `majority` share of the most frequent label; `fingerprint_minus_bag_of_tokens` paired difference",
            unit: "share of documents",
            range: "0 to 1 (the difference from −1 to 1); an indifferent guess gives 1 / number of labels",
            edge_cases: "All variants use the same documents, folds and classifier. Every label has its own weights, also where there are two: two labels at C = 1 are scikit-learn's binary regression at C = 2. Label shuffles are costly, so there are at most 39, and fewer (at least 19) on large traces; the protocol says how many. A fit that does not converge in 300 steps is used as it is and a note says so. Without token ids, both token variants are NaN. Under a contrast: the two labels only. For an untrained router as baseline, run the same on a trace of the same text captured with one.",
            uncertainty: "Wilson where every group is one document; else percentile bootstrap over groups, predictions fixed. Paired bootstrap for the difference. Null: labels permuted over groups, one-sided, not corrected over variants.",
            citation: "Logistic regression on routing signatures: arXiv 2603.11114 (4-way); the objective is scikit-learn's `LogisticRegression`.",
            inputs: &[Input::Profiles, Input::Tokens],
            axes: &[AxisKind::Variant],
        }
    }

    fn measure(
        &self,
        data: &TraceData,
        request: &MeasureRequest,
        progress: &dyn Progress,
    ) -> Result<Vec<Measurement>, AnalyticsError> {
        let about = self.about();
        let selection = Selection::new(data, request, about.name, progress)?;
        check_classifiable(&selection, about.name, MOST_DOCUMENTS)?;
        let points = fingerprints(data, &selection, request, about.name, progress)?;
        let experts = usize::from(data.model().num_experts);
        let saturation = Saturation::of(&points, experts, &selection.tokens);
        let shuffles = number_of_shuffles(&selection, points.columns(), request);
        let task = Task {
            selection: &selection,
            request,
            fold: deal_groups(&selection, FOLDS, request.seed),
            shuffles,
        };
        let by_fingerprint = task.predict(
            &Standardised {
                rows: points.iter_rows().collect(),
            },
            "regressions on fingerprints",
            progress,
        )?;
        let lengths: Vec<[f64; 1]> = selection.tokens.iter().map(|n| [n.ln()]).collect();
        let by_length = task.predict(
            &Standardised {
                rows: lengths.iter().map(<[f64; 1]>::as_slice).collect(),
            },
            "regressions on lengths",
            progress,
        )?;
        let bags = token_bags(data, &selection, request, about.name, progress)?;
        let by_tokens = bags.as_ref().ok().map(|bags| {
            let features = Sparse {
                rows: bags.rows(),
                columns: bags.vocabulary(),
            };
            task.predict(&features, "regressions on tokens", progress)
        });
        let by_tokens = by_tokens.transpose()?;
        let mut protocol = selection.protocol(request);
        if shuffles > 0 {
            protocol.null_method = format!(
                "labels permuted over groups and fitted again, {shuffles} permutations, one-sided"
            );
        }
        let kind = request.fingerprint;
        protocol.notes.push(format!(
            "multinomial logistic regression, C = 1, {} folds of groups, standardised {kind}; baselines with the same documents, folds and classifier",
            FOLDS.min(selection.groups)
        ));
        let fits = [Some(&by_fingerprint), Some(&by_length), by_tokens.as_ref()];
        let unfinished: usize = fits
            .into_iter()
            .flatten()
            .map(|found| found.unfinished)
            .sum();
        if unfinished > 0 {
            protocol.notes.push(format!(
                "{unfinished} fits with the true labels stopped at {} steps before they converged",
                CONFIG.most_steps
            ));
        }
        protocol.notes.push(saturation.note(kind));
        protocol.notes.extend(bags.err());
        let predictions = Predictions {
            selection: &selection,
            request,
            by_fingerprint: by_fingerprint.prediction,
            by_length: by_length.prediction,
            by_tokens: by_tokens.map(|found| found.prediction),
            chance: 1.0 / as_f64(selection.labels.len()),
        };
        let measurement = measure_predictions(&about, protocol, &predictions, progress)?;
        measurement.check()?;
        Ok(vec![measurement])
    }
}

/// What every set of features is tried on.
struct Task<'a> {
    selection: &'a Selection,
    request: &'a MeasureRequest,
    /// The fold of each document.
    fold: Vec<usize>,
    shuffles: usize,
}

/// How well a set of features does, and how many of its fits with the true labels did not converge.
struct Found {
    prediction: Prediction,
    unfinished: usize,
}

impl Task<'_> {
    fn predict(
        &self,
        features: &dyn Features,
        doing: &str,
        progress: &dyn Progress,
    ) -> Result<Found, AnalyticsError> {
        let done = AtomicU64::new(0);
        let check = || progress.report(done.load(Ordering::Relaxed), self.shuffles as u64, doing);
        let (is_right, unfinished) =
            self.cross_validate(features, &self.selection.label, &check)?;
        let shuffled: Vec<Vec<usize>> =
            permuted_labels(self.selection, self.request.seed, self.shuffles).collect();
        let accuracies = shuffled
            .par_iter()
            .map(|label| {
                let (is_right, _) = self.cross_validate(features, label, &check)?;
                done.fetch_add(1, Ordering::Relaxed);
                Ok(accuracy(&is_right))
            })
            .collect::<Result<Vec<f64>, Cancelled>>()?;
        Ok(Found {
            prediction: Prediction::new(is_right, &accuracies),
            unfinished,
        })
    }

    /// Whether each document's label is told by the fit on the other folds; and the fits that did not converge.
    fn cross_validate(
        &self,
        features: &dyn Features,
        label: &[usize],
        check: &(dyn Fn() -> Result<(), Cancelled> + Sync),
    ) -> Result<(Vec<bool>, usize), Cancelled> {
        let labels = self.selection.labels.len();
        let folds = self.fold.iter().max().map_or(0, |last| last + 1);
        let found = (0..folds)
            .into_par_iter()
            .map(|fold| {
                let (test, train): (Vec<usize>, Vec<usize>) =
                    (0..label.len()).partition(|document| self.fold[*document] == fold);
                let model = Logistic::fit(features, &train, label, labels, CONFIG, check)?;
                let predicted = model.predict(features, &test);
                Ok((test, predicted, model.is_converged))
            })
            .collect::<Result<Vec<(Vec<usize>, Vec<usize>, bool)>, Cancelled>>()?;
        let mut is_right = vec![false; label.len()];
        for (test, predicted, _) in &found {
            for (document, predicted) in test.iter().zip(predicted) {
                is_right[*document] = label[*document] == *predicted;
            }
        }
        let unfinished = found
            .iter()
            .filter(|(_, _, is_converged)| !is_converged)
            .count();
        Ok((is_right, unfinished))
    }
}

/// As many shuffles as there are permutations, but no more than a minute's work or so.
fn number_of_shuffles(selection: &Selection, columns: usize, request: &MeasureRequest) -> usize {
    /// Steps of a typical fit.
    const STEPS: f64 = 50.0;
    let fit = as_f64(selection.documents.len() * columns * selection.labels.len());
    let work = 2.0 * STEPS * as_f64(FOLDS) * fit;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a number of permutations"
    )]
    let affordable = (MOST_WORK / work) as usize;
    affordable
        .clamp(FEWEST_SHUFFLES, MOST_SHUFFLES)
        .min(request.permutations as usize)
}
