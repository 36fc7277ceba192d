//! Whether a document's routing is nearest to the mean routing of its label.

use moescope_core::{Axis, AxisKind, Cancelled, Measurement, Progress, Protocol};

use crate::{
    About, AnalyticsError, Input, MeasureRequest, Metric, TraceData,
    data::Selection,
    fingerprint::{Saturation, Similarities, chance_of_guessing, fingerprints},
    inference::{
        Prediction, Predictions, accuracy, check_classifiable, measure_predictions, token_bags,
    },
    stats::{
        number::as_f64,
        random::{self, Purpose},
    },
};

/// Share of documents whose nearest label profile is that of their label.
pub(super) struct ProfileIdentification;

/// Similarities of all documents with all units are kept.
const MOST_DOCUMENTS: usize = 5_000;

impl Metric for ProfileIdentification {
    fn about(&self) -> About {
        About {
            name: "profile_identification",
            title: "Label told by the nearest profile",
            formula: "A label's profile is the mean of its documents' fingerprints, each of unit length, without those of the document's group. Share of documents whose nearest profile by cosine is that of their label. Variants: `fingerprint` (kinds as of `fingerprint_map`); `bag_of_tokens` the same of token-id counts; `length_only` the nearest mean of ln n; `label_shuffle` mean accuracy of the fingerprint with labels permuted over groups; `majority` share of the most frequent label; `fingerprint_minus_bag_of_tokens` paired difference. Second table: share of each label's documents that is nearest to each label",
            unit: "share of documents",
            range: "0 to 1 (the difference from −1 to 1); the reference is the exact chance level: the mean over documents of 1 / number of labels that have another group, 0 where the own label has none",
            edge_cases: "All variants use the same documents and leave out the same groups. A document whose label has no other group counts as wrong. Ties go to the first label. Under a contrast: the two labels only, and no second table. At most 5,000 documents. Without token ids, both token variants are NaN and a note says so. For an untrained router as baseline, run the same on a trace of the same text captured with one.",
            uncertainty: "Wilson where every group is one document; else percentile bootstrap over groups, predictions fixed. Paired bootstrap for the difference. Null: labels permuted over groups, one-sided, not corrected over variants. No interval in the second table.",
            citation: "Nearest centroid; leave-one-group-out as of scikit-learn's `LeaveOneGroupOut`; Wilson 1927, J. Am. Stat. Assoc. 22, 209.",
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
        let start_fingerprints = || progress.report(0, 3, "profiles of fingerprints");
        let start_tokens = || progress.report(1, 3, "profiles of tokens");
        let start_lengths = || progress.report(2, 3, "profiles of lengths");
        start_fingerprints()?;
        let similarities = Similarities::new(&points, &selection);
        let products = similarities.unit_products();
        let nearest = |labels: &[usize]| similarities.nearest_profiles(&products, labels);
        let by_fingerprint = predict(&selection, request, &nearest, &start_fingerprints)?;
        start_tokens()?;
        let (by_tokens, missing) =
            match token_bags(data, &selection, request, about.name, progress)? {
                Ok(bags) => {
                    let similarities = Similarities::of(&selection, |i, row| {
                        bags.distances(i, row);
                        row.iter_mut()
                            .for_each(|distance| *distance = 1.0 - *distance);
                    });
                    let products = similarities.unit_products();
                    let nearest =
                        |labels: &[usize]| similarities.nearest_profiles(&products, labels);
                    let found = predict(&selection, request, &nearest, &start_tokens)?;
                    (Some(found), None)
                }
                Err(missing) => (None, Some(missing)),
            };
        let nearest_lengths = |labels: &[usize]| nearest_length(&selection, labels);
        let by_length = predict(&selection, request, &nearest_lengths, &start_lengths)?;
        let predictions = Predictions {
            selection: &selection,
            request,
            by_fingerprint,
            by_length,
            by_tokens,
            chance: chance_of_guessing(&selection),
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
            "nearest mean of {kind} by cosine, without the document's group; the reference is the exact chance level"
        ));
        protocol.notes.push(saturation.note(kind));
        protocol.notes.extend(missing);
        let mut found = vec![measure_predictions(
            &about,
            protocol,
            &predictions,
            progress,
        )?];
        // A contrast has one value of two labels, and none of each.
        if request.contrast.is_none() {
            let protocol = Protocol {
                interval_method: "none: see the first table".to_owned(),
                ..selection.protocol(request)
            };
            found.push(Measurement {
                metric: about.name.to_owned(),
                title: "Nearest profiles of each label's documents".to_owned(),
                unit: about.unit.to_owned(),
                axes: vec![
                    selection.group_axis(),
                    Axis::new(AxisKind::GroupB, selection.labels.clone()),
                ],
                values: confusion(&selection, &nearest(&selection.unit_label)),
                intervals: None,
                nulls: None,
                reference: Some(predictions.chance),
                protocol,
            });
        }
        for measurement in &found {
            measurement.check()?;
        }
        Ok(found)
    }
}

/// Right and wrong with the true labels of units, and accuracies with permuted ones, asking before each whether to go on.
fn predict(
    selection: &Selection,
    request: &MeasureRequest,
    nearest: &(dyn Fn(&[usize]) -> Vec<Option<usize>> + Sync),
    check: &(dyn Fn() -> Result<(), Cancelled> + Sync),
) -> Result<Prediction, Cancelled> {
    use rayon::prelude::*;

    let is_right = |labels: &[usize]| -> Vec<bool> {
        let found = nearest(labels);
        let own = selection.unit.iter().map(|unit| labels[*unit]);
        found
            .iter()
            .zip(own)
            .map(|(found, own)| *found == Some(own))
            .collect()
    };
    let shuffled: Vec<f64> = (0..u64::from(request.permutations))
        .into_par_iter()
        .map(|i| {
            check()?;
            let mut labels = selection.unit_label.clone();
            random::shuffle(
                &mut random::stream(request.seed, Purpose::Permutation, i),
                &mut labels,
            );
            Ok(accuracy(&is_right(&labels)))
        })
        .collect::<Result<_, Cancelled>>()?;
    Ok(Prediction::new(is_right(&selection.unit_label), &shuffled))
}

/// The label whose mean of ln n, without the document's group, is nearest.
fn nearest_length(selection: &Selection, unit_label: &[usize]) -> Vec<Option<usize>> {
    let labels = selection.labels.len();
    let lengths: Vec<f64> = selection.tokens.iter().map(|n| n.ln()).collect();
    let label = |document: usize| unit_label[selection.unit[document]];
    let mut all = vec![(0.0, 0.0); labels];
    let mut own = vec![vec![(0.0, 0.0); labels]; selection.groups];
    for (document, length) in lengths.iter().enumerate() {
        for sums in [&mut all, &mut own[selection.group[document]]] {
            sums[label(document)].0 += length;
            sums[label(document)].1 += 1.0;
        }
    }
    let nearest = |document: usize| {
        let own = &own[selection.group[document]];
        let distance = |l: &usize| {
            let mean = (all[*l].0 - own[*l].0) / (all[*l].1 - own[*l].1);
            (mean - lengths[document]).abs()
        };
        (0..labels)
            .filter(|l| all[*l].1 > own[*l].1)
            .min_by(|a, b| distance(a).total_cmp(&distance(b)))
    };
    (0..lengths.len()).map(nearest).collect()
}

/// Share of each label's documents that was taken for each label, `[labels × labels]`.
fn confusion(selection: &Selection, found: &[Option<usize>]) -> Vec<f64> {
    let labels = selection.labels.len();
    let mut shares = vec![0.0; labels * labels];
    let mut documents = vec![0; labels];
    for (own, found) in selection.label.iter().zip(found) {
        documents[*own] += 1;
        if let Some(found) = found {
            shares[own * labels + found] += 1.0;
        }
    }
    for (shares, documents) in shares.chunks_exact_mut(labels).zip(documents) {
        shares
            .iter_mut()
            .for_each(|share| *share /= as_f64(documents));
    }
    shares
}
