//! How often documents' labels are told right, by routing and by simpler things.

use moescope_core::{Axis, AxisKind, Interval, Measurement, NullComparison, Progress, Protocol};

use crate::{
    About, AnalyticsError, MeasureRequest, TraceData,
    data::{Selection, TokenSelection},
    fingerprint::TokenBags,
    stats::{
        bootstrap::{Bootstrap, BootstrapConfig, FEWEST_GROUPS, bootstrap},
        correlation::mean,
        interval::{IntervalMethod, wilson},
        number::as_f64,
        permutation::share_of,
        random::{self, Purpose},
        statistic::{Sides, Statistic},
        units::UnitTable,
    },
};

/// Which documents one classifier tells right, and how well it does on permuted labels.
#[derive(Clone, Debug)]
pub(crate) struct Prediction {
    is_right: Vec<bool>,
    null: Option<NullComparison>,
}

impl Prediction {
    /// From right and wrong documents and the accuracies under permuted labels.
    pub(crate) fn new(is_right: Vec<bool>, shuffled: &[f64]) -> Self {
        let observed = accuracy(&is_right) - 1e-12;
        let exceeding = shuffled.iter().filter(|x| **x >= observed).count();
        let null = (!shuffled.is_empty()).then(|| NullComparison {
            null_mean: mean(shuffled),
            p: share_of(exceeding, shuffled.len()),
            p_corrected: None,
        });
        Self { is_right, null }
    }

    fn accuracy(&self) -> f64 {
        accuracy(&self.is_right)
    }
}

/// One classifier on routing and on its baselines, with the same documents and folds.
pub(crate) struct Predictions<'a> {
    pub(crate) selection: &'a Selection,
    pub(crate) request: &'a MeasureRequest,
    pub(crate) by_fingerprint: Prediction,
    pub(crate) by_length: Prediction,
    /// `None` where the trace holds no token ids.
    pub(crate) by_tokens: Option<Prediction>,
    /// Accuracy of an indifferent guess.
    pub(crate) chance: f64,
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

/// The accuracies with their intervals and nulls.
pub(crate) fn measure_predictions(
    about: &About,
    mut protocol: Protocol,
    predictions: &Predictions<'_>,
    progress: &dyn Progress,
) -> Result<Measurement, AnalyticsError> {
    let request = predictions.request;
    let resampled = predictions.resample(progress)?;
    let fingerprint = &predictions.by_fingerprint;
    let tokens = predictions.by_tokens.as_ref();
    let token_accuracy = tokens.map_or(f64::NAN, Prediction::accuracy);
    let values = vec![
        fingerprint.accuracy(),
        token_accuracy,
        predictions.by_length.accuracy(),
        fingerprint.null.map_or(f64::NAN, |null| null.null_mean),
        predictions.majority(),
        fingerprint.accuracy() - token_accuracy,
    ];
    let difference_error = resampled.standard_errors[3];
    if difference_error.is_finite() {
        protocol.notes.push(format!(
            "power: a difference between fingerprint and bag of tokens of about {:.3} would be seen (80 % power at the 5 % level)",
            2.8 * difference_error
        ));
    }
    let interval_of = |prediction: &Prediction, column: usize| {
        predictions
            .independent_interval(prediction)
            .or(resampled.intervals[column])
    };
    let intervals = vec![
        interval_of(fingerprint, 0),
        tokens.and_then(|tokens| interval_of(tokens, 1)),
        interval_of(&predictions.by_length, 2),
        None,
        None,
        tokens.and(resampled.intervals[3]),
    ];
    let nulls = vec![
        fingerprint.null,
        tokens.and_then(|tokens| tokens.null),
        predictions.by_length.null,
        None,
        None,
        None,
    ];
    protocol.interval_method = predictions.interval_words();
    protocol.level = Some(request.level);
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
        nulls: nulls.iter().any(Option::is_some).then_some(nulls),
        reference: Some(predictions.chance),
        protocol,
    })
}

impl Predictions<'_> {
    /// Accuracies of fingerprint, tokens and length, and the paired difference, over resampled groups.
    fn resample(&self, progress: &dyn Progress) -> Result<Bootstrap, AnalyticsError> {
        let selection = self.selection;
        let mut table = UnitTable::new(1, vec![0; selection.groups], 1, 4);
        for (document, group) in selection.group.iter().enumerate() {
            let right =
                |prediction: &Prediction| f64::from(u8::from(prediction.is_right[document]));
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

    fn independent_interval(&self, prediction: &Prediction) -> Option<Interval> {
        let trials = prediction.is_right.len();
        let right = prediction.is_right.iter().filter(|right| **right).count();
        (self.is_independent() && trials >= FEWEST_GROUPS)
            .then(|| wilson(right, trials, self.request.level))
            .flatten()
    }

    fn majority(&self) -> f64 {
        let mut count = vec![0usize; self.selection.labels.len()];
        for label in &self.selection.label {
            count[*label] += 1;
        }
        as_f64(count.into_iter().max().unwrap_or(0)) / as_f64(self.selection.documents.len().max(1))
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

/// Refuses what no classifier can be tested on.
pub(crate) fn check_classifiable(
    selection: &Selection,
    metric: &str,
    most_documents: usize,
) -> Result<(), AnalyticsError> {
    let too_little = |found: String, help: &str| {
        Err(AnalyticsError::TooLittle {
            metric: metric.to_owned(),
            found,
            help: help.to_owned(),
        })
    };
    if selection.labels.len() < 2 || selection.groups < 2 {
        return too_little(
            format!(
                "there are {} labels in {} groups",
                selection.labels.len(),
                selection.groups
            ),
            "a classifier needs two labels and two groups, e.g. another --by",
        );
    }
    if selection.documents.len() > most_documents {
        return too_little(
            format!("there are {} documents", selection.documents.len()),
            "it compares every two documents; choose fewer labels",
        );
    }
    Ok(())
}

/// The label of each document in every permutation of labels over units; the same for every classifier.
pub(crate) fn permuted_labels(
    selection: &Selection,
    seed: u64,
    permutations: usize,
) -> impl ExactSizeIterator<Item = Vec<usize>> {
    (0..permutations).map(move |i| {
        let mut labels = selection.unit_label.clone();
        random::shuffle(
            &mut random::stream(seed, Purpose::Permutation, i as u64),
            &mut labels,
        );
        selection.unit.iter().map(|unit| labels[*unit]).collect()
    })
}

/// The selected documents as bags of tokens, or why there are none.
pub(crate) fn token_bags(
    data: &TraceData,
    selection: &Selection,
    request: &MeasureRequest,
    metric: &str,
    progress: &dyn Progress,
) -> Result<Result<TokenBags, String>, AnalyticsError> {
    let missing = |missing: &str, help: &str| {
        format!("no bag-of-tokens baseline: the trace does not hold {missing}; {help}")
    };
    let tokens = TokenSelection::of(&request.scope);
    let counts = match data.token_counts(&tokens, metric, progress) {
        Ok(counts) => counts,
        Err(AnalyticsError::MissingInput {
            missing: what,
            help,
            ..
        }) => return Ok(Err(missing(&what, &help))),
        Err(error) => return Err(error),
    };
    let selected: Vec<&[(u32, u32)]> = selection
        .documents
        .iter()
        .map(|document| counts[*document].as_slice())
        .collect();
    if selected.iter().all(|counts| counts.is_empty()) {
        return Ok(Err(missing(
            "tokens of the documents",
            "capture with this toolkit",
        )));
    }
    Ok(Ok(TokenBags::new(&selected)))
}

/// Share of right ones.
pub(crate) fn accuracy(is_right: &[bool]) -> f64 {
    let right = is_right.iter().filter(|right| **right).count();
    as_f64(right) / as_f64(is_right.len())
}
