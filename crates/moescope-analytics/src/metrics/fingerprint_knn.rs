//! How well a document's neighbours in routing tell its label, beside what simpler things tell.

use moescope_core::{Axis, AxisKind, Interval, Measurement, NullComparison, Progress, Protocol};

use crate::{
    About, AnalyticsError, FingerprintKind, Input, MeasureRequest, Metric, TraceData,
    data::Selection,
    fingerprint::{Matrix, Saturation, TokenBags, fingerprints, nearest, votes},
    stats::{
        bootstrap::{Bootstrap, BootstrapConfig, FEWEST_GROUPS, bootstrap},
        correlation::mean,
        interval::{IntervalMethod, wilson},
        permutation::share_of,
        random::{self, Purpose},
        statistic::{Sides, Statistic},
        units::UnitTable,
    },
};

/// Accuracy of a nearest-neighbour classifier on fingerprints and on its baselines.
pub(super) struct FingerprintKnn;

/// Neighbours that vote.
const NEIGHBOURS: usize = 5;
/// Distances of all pairs are computed.
const MOST_DOCUMENTS: usize = 50_000;

impl Metric for FingerprintKnn {
    fn about(&self) -> About {
        About {
            name: "fingerprint_knn",
            title: "Label told by the five nearest documents",
            formula: "Share of documents whose label is that of the majority of the 5 nearest documents of other groups (leave-one-group-out; ties to the nearest). Variants: `fingerprint` by cosine distance of fingerprints (kinds as of `fingerprint_map`); `bag_of_tokens` by cosine distance of token-id counts; `length_only` by |ln n − ln m| of the numbers of tokens; `label_shuffle` mean accuracy of the fingerprint with labels permuted over groups; `majority` share of the most frequent label; `fingerprint_minus_bag_of_tokens` paired difference",
            unit: "share of documents",
            range: "0 to 1 (the difference from −1 to 1); an indifferent guess gives 1 / number of labels",
            edge_cases: "All variants use the same documents, folds and classifier. A document whose group is the only one counts as wrong. Without token ids in the trace, both token variants are NaN and a note says so.",
            uncertainty: "Wilson where every group is one document; else percentile bootstrap over groups, predictions fixed. Paired bootstrap for the difference. Null: labels permuted over groups, one-sided, not corrected over variants.",
            citation: "Closest published analogue: routing signatures, arXiv 2603.11114; leave-one-group-out as of scikit-learn's `LeaveOneGroupOut`.",
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
        let documents = selection.documents.len();
        let too_little = |found: String, help: &str| AnalyticsError::TooLittle {
            metric: about.name.to_owned(),
            found,
            help: help.to_owned(),
        };
        if selection.labels.len() < 2 || selection.groups < 2 {
            return Err(too_little(
                format!(
                    "there are {} labels in {} groups",
                    selection.labels.len(),
                    selection.groups
                ),
                "a classifier needs two labels and two groups, e.g. another --by",
            ));
        }
        if documents > MOST_DOCUMENTS {
            return Err(too_little(
                format!("there are {documents} documents"),
                "it compares every two documents; choose fewer labels",
            ));
        }
        let points = fingerprints(data, &selection, request, about.name, progress)?;
        let experts = usize::from(data.model().num_experts);
        let saturation = Saturation::of(&points, experts, &selection.tokens);
        progress.report(0, 4, "neighbours by fingerprint")?;
        let by_fingerprint = Classifier::by_fingerprint(&points, &selection);
        progress.report(1, 4, "neighbours by length")?;
        let by_length = Classifier::by_length(&selection);
        progress.report(2, 4, "neighbours by tokens")?;
        let (by_tokens, missing) = match bags(data, &selection, request, progress) {
            Ok(bags) => (Some(Classifier::by_tokens(&bags, &selection)), None),
            Err(AnalyticsError::MissingInput { missing, help, .. }) => (
                None,
                Some(format!(
                    "no bag-of-tokens baseline: the trace does not hold {missing}; {help}"
                )),
            ),
            Err(error) => return Err(error),
        };
        progress.report(3, 4, "label shuffles")?;
        let rivals = Rivals {
            selection: &selection,
            request,
            by_fingerprint,
            by_length,
            by_tokens,
        };
        let mut protocol = selection.protocol(request);
        describe(&mut protocol, &rivals, request.fingerprint);
        protocol.notes.push(saturation.note(request.fingerprint));
        protocol.notes.extend(missing);
        let measurement = rivals.measure(&about, protocol, progress)?;
        measurement.check()?;
        Ok(vec![measurement])
    }
}

/// The nearest documents of other groups, and whether they tell the label.
struct Classifier {
    neighbours: Vec<Vec<usize>>,
    is_right: Vec<bool>,
}

impl Classifier {
    fn new(selection: &Selection, distances: impl Fn(usize, &mut [f64]) + Sync) -> Self {
        let group = &selection.group;
        let neighbours = nearest(selection.documents.len(), NEIGHBOURS, distances, |i, j| {
            group[i] != group[j]
        });
        let is_right = votes(&neighbours, &selection.label, selection.labels.len());
        Self {
            neighbours,
            is_right,
        }
    }

    fn by_fingerprint(points: &Matrix, selection: &Selection) -> Self {
        let points = points.normalized_rows();
        Self::new(selection, |i, row| {
            for (distance, other) in row.iter_mut().zip(points.iter_rows()) {
                let cosine: f64 = points.row(i).iter().zip(other).map(|(a, b)| a * b).sum();
                *distance = 1.0 - cosine;
            }
        })
    }

    fn by_length(selection: &Selection) -> Self {
        let lengths: Vec<f64> = selection.tokens.iter().map(|n| n.ln()).collect();
        Self::new(selection, |i, row| {
            for (distance, other) in row.iter_mut().zip(&lengths) {
                *distance = (lengths[i] - other).abs();
            }
        })
    }

    fn by_tokens(bags: &TokenBags, selection: &Selection) -> Self {
        Self::new(selection, |i, row| bags.distances(i, row))
    }

    fn accuracy(&self) -> f64 {
        accuracy(&self.is_right)
    }

    /// Accuracies with labels permuted over units; the same permutations for every classifier.
    fn shuffled(
        &self,
        selection: &Selection,
        request: &MeasureRequest,
        progress: &dyn Progress,
    ) -> Result<Vec<f64>, AnalyticsError> {
        let all = u64::from(request.permutations);
        (0..all)
            .map(|i| {
                progress.report(i, all, "permutations of labels")?;
                let mut labels = selection.unit_label.clone();
                random::shuffle(
                    &mut random::stream(request.seed, Purpose::Permutation, i),
                    &mut labels,
                );
                let label: Vec<usize> = selection.unit.iter().map(|unit| labels[*unit]).collect();
                Ok(accuracy(&votes(
                    &self.neighbours,
                    &label,
                    selection.labels.len(),
                )))
            })
            .collect()
    }

    fn null(
        &self,
        selection: &Selection,
        request: &MeasureRequest,
        progress: &dyn Progress,
    ) -> Result<Option<NullComparison>, AnalyticsError> {
        let shuffled = self.shuffled(selection, request, progress)?;
        let observed = self.accuracy() - 1e-12;
        let exceeding = shuffled.iter().filter(|x| **x >= observed).count();
        Ok((!shuffled.is_empty()).then(|| NullComparison {
            null_mean: mean(&shuffled),
            p: share_of(exceeding, shuffled.len()),
            p_corrected: None,
        }))
    }
}

/// The classifiers that are compared.
struct Rivals<'a> {
    selection: &'a Selection,
    request: &'a MeasureRequest,
    by_fingerprint: Classifier,
    by_length: Classifier,
    by_tokens: Option<Classifier>,
}

/// The variants in the order of the axis.
const VARIANTS: [&str; 6] = [
    "fingerprint",
    "bag_of_tokens",
    "length_only",
    "label_shuffle",
    "majority",
    "fingerprint_minus_bag_of_tokens",
];

impl Rivals<'_> {
    fn measure(
        &self,
        about: &About,
        mut protocol: Protocol,
        progress: &dyn Progress,
    ) -> Result<Measurement, AnalyticsError> {
        let (selection, request) = (self.selection, self.request);
        let resampled = self.resample(progress)?;
        let null_of = |classifier: &Classifier| classifier.null(selection, request, progress);
        let null = null_of(&self.by_fingerprint)?;
        let tokens = self.by_tokens.as_ref();
        let token_accuracy = tokens.map_or(f64::NAN, Classifier::accuracy);
        let values = vec![
            self.by_fingerprint.accuracy(),
            token_accuracy,
            self.by_length.accuracy(),
            null.map_or(f64::NAN, |null| null.null_mean),
            self.majority(),
            self.by_fingerprint.accuracy() - token_accuracy,
        ];
        let difference_error = resampled.standard_errors[3];
        if difference_error.is_finite() {
            protocol.notes.push(format!(
                "power: a difference between fingerprint and bag of tokens of about {:.3} would be seen (80 % power at the 5 % level)",
                2.8 * difference_error
            ));
        }
        let interval_of = |classifier: &Classifier, column: usize| {
            self.independent_interval(classifier)
                .or(resampled.intervals[column])
        };
        let intervals = vec![
            interval_of(&self.by_fingerprint, 0),
            tokens.and_then(|tokens| interval_of(tokens, 1)),
            interval_of(&self.by_length, 2),
            None,
            None,
            tokens.and(resampled.intervals[3]),
        ];
        let nulls = vec![
            null,
            tokens.map(null_of).transpose()?.flatten(),
            null_of(&self.by_length)?,
            None,
            None,
            None,
        ];
        protocol.interval_method = self.interval_words();
        protocol.level = Some(request.level);
        #[expect(clippy::cast_precision_loss, reason = "a number of labels")]
        let chance = 1.0 / selection.labels.len() as f64;
        Ok(Measurement {
            metric: about.name.to_owned(),
            title: about.title.to_owned(),
            unit: about.unit.to_owned(),
            axes: vec![Axis::new(
                AxisKind::Variant,
                VARIANTS.map(str::to_owned).to_vec(),
            )],
            values,
            intervals: intervals.iter().any(Option::is_some).then_some(intervals),
            nulls: (request.permutations > 0).then_some(nulls),
            reference: Some(chance),
            protocol,
        })
    }

    /// Accuracies of fingerprint, tokens and length, and the paired difference, over resampled groups.
    fn resample(&self, progress: &dyn Progress) -> Result<Bootstrap, AnalyticsError> {
        let selection = self.selection;
        let mut table = UnitTable::new(1, vec![0; selection.groups], 1, 4);
        for (document, group) in selection.group.iter().enumerate() {
            let right =
                |classifier: &Classifier| f64::from(u8::from(classifier.is_right[document]));
            let row = table.row_mut(0, *group);
            row[0] += right(&self.by_fingerprint);
            row[1] += self.by_tokens.as_ref().map_or(f64::NAN, right);
            row[2] += right(&self.by_length);
            row[3] += 1.0;
        }
        let statistic = Statistic {
            len: 4,
            evaluate: &|sums, out| {
                for (out, sum) in out.iter_mut().zip(&sums[..3]) {
                    *out = sum / sums[3];
                }
                out[3] = (sums[0] - sums[1]) / sums[3];
            },
            sides: &|_| Sides::All,
        };
        let config = BootstrapConfig {
            resamples: self.request.resamples,
            seed: self.request.seed,
            level: self.request.level,
            method: IntervalMethod::Percentile,
        };
        Ok(bootstrap(&table, &statistic, config, progress)?)
    }

    /// Whether every document is its own group, so that right and wrong are independent.
    fn is_independent(&self) -> bool {
        self.selection.groups == self.selection.documents.len()
    }

    fn independent_interval(&self, classifier: &Classifier) -> Option<Interval> {
        let trials = classifier.is_right.len();
        let right = classifier.is_right.iter().filter(|right| **right).count();
        (self.is_independent() && trials >= FEWEST_GROUPS)
            .then(|| wilson(right, trials, self.request.level))
            .flatten()
    }

    fn majority(&self) -> f64 {
        let mut count = vec![0usize; self.selection.labels.len()];
        for label in &self.selection.label {
            count[*label] += 1;
        }
        #[expect(clippy::cast_precision_loss, reason = "numbers of documents")]
        let share = count.into_iter().max().unwrap_or(0) as f64
            / self.selection.documents.len().max(1) as f64;
        share
    }

    fn interval_words(&self) -> String {
        if self.selection.groups < FEWEST_GROUPS {
            return format!("no interval: {} groups", self.selection.groups);
        }
        let over_groups = format!(
            "percentile bootstrap over groups, predictions fixed, {} resamples",
            self.request.resamples
        );
        if self.is_independent() {
            format!("Wilson (every group is one document); difference: {over_groups}")
        } else {
            over_groups
        }
    }
}

fn describe(protocol: &mut Protocol, rivals: &Rivals<'_>, kind: FingerprintKind) {
    let permutations = rivals.request.permutations;
    if permutations > 0 {
        protocol.null_method =
            format!("labels permuted over groups, {permutations} permutations, one-sided");
    }
    protocol.notes.push(format!(
        "{NEIGHBOURS} nearest neighbours of other groups, majority vote, cosine distance of {kind}; baselines with the same documents, folds and classifier"
    ));
}

fn bags(
    data: &TraceData,
    selection: &Selection,
    request: &MeasureRequest,
    progress: &dyn Progress,
) -> Result<TokenBags, AnalyticsError> {
    let scope = &request.scope;
    let counts = data.token_counts(
        scope.phase,
        scope.include_special,
        "fingerprint_knn",
        progress,
    )?;
    let selected: Vec<&[(u32, u32)]> = selection
        .documents
        .iter()
        .map(|document| counts[*document].as_slice())
        .collect();
    if selected.iter().all(|counts| counts.is_empty()) {
        return Err(AnalyticsError::MissingInput {
            metric: "fingerprint_knn".to_owned(),
            missing: "tokens of the documents".to_owned(),
            help: "capture with this toolkit".to_owned(),
        });
    }
    Ok(TokenBags::new(&selected))
}

fn accuracy(is_right: &[bool]) -> f64 {
    let right: Vec<f64> = is_right.iter().map(|r| f64::from(u8::from(*r))).collect();
    mean(&right)
}
