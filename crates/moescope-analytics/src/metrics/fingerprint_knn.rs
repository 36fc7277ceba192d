//! How well a document's neighbours in routing tell its label, beside what simpler things tell.

use moescope_core::{AxisKind, Measurement, Progress};

use crate::{
    About, AnalyticsError, Input, MeasureRequest, Metric, TraceData,
    data::Selection,
    fingerprint::{Matrix, Saturation, TokenBags, dot, fingerprints, nearest, votes},
    inference::{
        Prediction, Predictions, accuracy, check_classifiable, measure_predictions,
        permuted_labels, token_bags,
    },
    stats::number::as_f64,
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
        check_classifiable(&selection, about.name, MOST_DOCUMENTS)?;
        let points = fingerprints(data, &selection, request, about.name, progress)?;
        let experts = usize::from(data.model().num_experts);
        let saturation = Saturation::of(&points, experts, &selection.tokens);
        progress.report(0, 3, "neighbours by fingerprint")?;
        let by_fingerprint = by_fingerprint(&points, &selection);
        progress.report(1, 3, "neighbours by length")?;
        let by_length = by_length(&selection);
        progress.report(2, 3, "neighbours by tokens")?;
        let (by_tokens, missing) =
            match token_bags(data, &selection, request, about.name, progress)? {
                Ok(bags) => (Some(by_tokens(&bags, &selection)), None),
                Err(missing) => (None, Some(missing)),
            };
        let predict = |neighbours: Vec<Vec<usize>>| predict(&neighbours, &selection, request);
        let predictions = Predictions {
            selection: &selection,
            request,
            by_fingerprint: predict(by_fingerprint),
            by_length: predict(by_length),
            by_tokens: by_tokens.map(predict),
            chance: 1.0 / as_f64(selection.labels.len()),
        };
        let mut protocol = selection.protocol(request);
        if request.permutations > 0 {
            protocol.null_method = format!(
                "labels permuted over groups, {} permutations, one-sided",
                request.permutations
            );
        }
        let kind = request.fingerprint;
        protocol.notes.push(format!(
            "{NEIGHBOURS} nearest neighbours of other groups, majority vote, cosine distance of {kind}; baselines with the same documents, folds and classifier"
        ));
        protocol.notes.push(saturation.note(kind));
        protocol.notes.extend(missing);
        let measurement = measure_predictions(&about, protocol, &predictions, progress)?;
        measurement.check()?;
        Ok(vec![measurement])
    }
}

/// The nearest documents of other groups.
fn neighbours(
    selection: &Selection,
    distances: impl Fn(usize, &mut [f64]) + Sync,
) -> Vec<Vec<usize>> {
    let group = &selection.group;
    nearest(selection.documents.len(), NEIGHBOURS, distances, |i, j| {
        group[i] != group[j]
    })
}

/// The nearest documents of other groups by the cosine of fingerprints.
pub(super) fn by_fingerprint(points: &Matrix, selection: &Selection) -> Vec<Vec<usize>> {
    let points = points.normalized_rows();
    neighbours(selection, |i, row| {
        for (distance, other) in row.iter_mut().zip(points.iter_rows()) {
            *distance = 1.0 - dot(points.row(i), other);
        }
    })
}

fn by_length(selection: &Selection) -> Vec<Vec<usize>> {
    let lengths: Vec<f64> = selection.tokens.iter().map(|n| n.ln()).collect();
    neighbours(selection, |i, row| {
        for (distance, other) in row.iter_mut().zip(&lengths) {
            *distance = (lengths[i] - other).abs();
        }
    })
}

fn by_tokens(bags: &TokenBags, selection: &Selection) -> Vec<Vec<usize>> {
    neighbours(selection, |i, row| bags.distances(i, row))
}

/// Votes with the true labels, and with labels permuted over units.
fn predict(
    neighbours: &[Vec<usize>],
    selection: &Selection,
    request: &MeasureRequest,
) -> Prediction {
    let labels = selection.labels.len();
    let shuffled: Vec<f64> =
        permuted_labels(selection, request.seed, request.permutations as usize)
            .map(|label| accuracy(&votes(neighbours, &label, labels)))
            .collect();
    Prediction::new(votes(neighbours, &selection.label, labels), &shuffled)
}
