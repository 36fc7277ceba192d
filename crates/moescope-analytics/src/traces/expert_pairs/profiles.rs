//! Experts that are chosen for the same labels.

use moescope_core::{LayerSelection, NullComparison, Progress, Protocol, Scope};

use super::{LayerPairs, Mapping};
use crate::{
    AnalyticsError, MeasureRequest, TraceData,
    data::{ProfileColumn, Selection},
    inference::{load_table, null_words},
    stats::{
        assignment_problem::{best_assignment, total},
        permutation::{NullFamily, Tail},
        statistic::{Sides, Statistic},
        units::UnitTable,
    },
    traces::TraceSet,
};

/// Every permutation needs a matching of its own, so there are at most so many.
const MOST_PERMUTATIONS: u32 = 199;

/// The matching by profiles over labels.
#[derive(Clone, Debug)]
pub(crate) struct ProfileMatching {
    /// By layer.
    pub(crate) mappings: Vec<Mapping>,
    /// The scores beside those of permuted labels.
    pub(crate) nulls: Option<Vec<Option<NullComparison>>>,
    pub(crate) null_method: String,
    pub(crate) protocol: Protocol,
}

/// One trace's assignments by label.
struct Side {
    selection: Selection,
    table: UnitTable,
}

impl Side {
    /// The sides of the other trace and of the reference; `request` is of all layers.
    fn both(
        traces: &TraceSet,
        other: usize,
        request: &MeasureRequest,
        metric: &str,
        progress: &dyn Progress,
    ) -> Result<[Self; 2], AnalyticsError> {
        let own: &TraceData = traces.trace(other);
        let reference = traces.reference();
        let common = traces.common_documents();
        let [of_own, of_reference] = if common.len() == 0 {
            let of = |data: &TraceData| Selection::new(data, request, metric, progress);
            [of(own)?, of(reference)?]
        } else {
            // Of documents that both hold the reference's labels count, where both have tokens in scope.
            let places = common.places(traces.reference_index());
            let place = |document: &usize| Some(common.of_trace[other][*places.get(document)?]);
            let tokens = own.tensor_in(ProfileColumn::Tokens, &request.scope, metric, progress)?;
            let has_tokens = |document: usize| {
                let mut layers = 0..own.layers().len();
                layers.any(|layer| tokens.row(document, layer)[0] > 0.0)
            };
            let keep = |document: usize| place(&document).is_some_and(has_tokens);
            let selection = Selection::among(reference, request, metric, progress, &keep)?;
            let moved = selection.in_other_trace(own, |document| {
                place(&document).expect("only documents of both traces are kept")
            });
            [moved, selection]
        };
        let side = |data: &TraceData, selection: Selection| -> Result<Self, AnalyticsError> {
            let table = load_table(data, &selection, request, metric, progress)?;
            Ok(Self { selection, table })
        };
        Ok([side(own, of_own)?, side(reference, of_reference)?])
    }

    /// Where each of some labels is among this side's.
    fn places(&self, labels: &[String]) -> Vec<usize> {
        let place = |label: &String| self.selection.labels.iter().position(|l| l == label);
        labels.iter().filter_map(place).collect()
    }
}

impl ProfileMatching {
    /// Matches experts by their profiles, or says why that cannot be.
    pub(crate) fn of(
        traces: &TraceSet,
        other: usize,
        layers: &LayerPairs,
        request: &MeasureRequest,
        metric: &str,
        progress: &dyn Progress,
    ) -> Result<Result<Self, String>, AnalyticsError> {
        // The other model may number its layers in its own way, so all are read and pairs are taken by index.
        let of_all_layers = MeasureRequest {
            scope: Scope {
                layers: LayerSelection::All,
                ..request.scope.clone()
            },
            ..request.clone()
        };
        let [a, b] = Side::both(traces, other, &of_all_layers, metric, progress)?;
        let in_both = |label: &&String| a.selection.labels.contains(label);
        let labels: Vec<String> = b.selection.labels.iter().filter(in_both).cloned().collect();
        if labels.len() < 2 {
            return Ok(Err(format!(
                "no matching by profiles: {} has {} of the labels that both traces hold, and two are needed",
                request.by,
                labels.len()
            )));
        }
        let (of_a, of_b) = (a.places(&labels), b.places(&labels));
        let experts = a.table.columns;
        let permutations = request.permutations.min(MOST_PERMUTATIONS);
        let mut family = NullFamily::new(Tail::Greater, permutations, request.seed);
        let mut mappings = Vec::new();
        for (done, (layer_a, layer_b)) in (0u64..).zip(&layers.pairs) {
            progress.report(
                done,
                layers.pairs.len() as u64,
                "matching experts by profiles",
            )?;
            let reference = joint(&b.table.sums(*layer_b), b.table.columns, &of_b);
            let similar =
                |sums: &[f64]| similarity(&reference, &joint(sums, experts, &of_a), labels.len());
            let most: Vec<f64> = reference
                .chunks_exact(labels.len())
                .map(|p| p.iter().sum())
                .collect();
            mappings.push(Mapping::best(&similar(&a.table.sums(*layer_a)), &most));
            if permutations > 0 {
                let evaluate = |sums: &[f64], out: &mut [f64]| {
                    let weights = similar(sums);
                    let found = best_assignment(&weights, most.len(), experts);
                    out[0] = total(&weights, experts, &found);
                };
                let statistic = Statistic {
                    len: 1,
                    evaluate: &evaluate,
                    sides: &|_| Sides::All,
                };
                family.add(&a.table.only(*layer_a), &statistic, progress)?;
            }
        }
        let mut protocol = b.selection.protocol(request);
        protocol.notes.extend(family.note());
        protocol.notes.push(format!(
            "{} labels with equal weight are the profile of an expert",
            labels.len()
        ));
        Ok(Ok(Self {
            mappings,
            null_method: null_words(&family, Tail::Greater, "layers"),
            nulls: (permutations > 0).then(|| family.finish()),
            protocol,
        }))
    }
}

/// The joint distribution of expert and label, `[experts, labels]`, with the same weight for every label.
fn joint(sums: &[f64], experts: usize, labels: &[usize]) -> Vec<f64> {
    let mut joint = vec![0.0; experts * labels.len()];
    for (place, label) in labels.iter().enumerate() {
        let row = &sums[label * experts..(label + 1) * experts];
        let total: f64 = row.iter().sum();
        for (expert, mass) in row.iter().enumerate() {
            #[expect(clippy::cast_precision_loss, reason = "a number of labels")]
            let share = mass / total / labels.len() as f64;
            // A label without mass has no shares.
            joint[expert * labels.len() + place] = if total > 0.0 { share } else { 0.0 };
        }
    }
    joint
}

/// `Σ_d min(p(e, d), p'(e', d))` of every pair, `[reference experts, other experts]`.
fn similarity(reference: &[f64], other: &[f64], labels: usize) -> Vec<f64> {
    let of_other = || other.chunks_exact(labels);
    reference
        .chunks_exact(labels)
        .flat_map(|p| of_other().map(move |q| p.iter().zip(q).map(|(p, q)| p.min(*q)).sum::<f64>()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relabelled_experts_are_found_and_score_one() {
        // Two labels over three experts; the other model has the same experts in the order 2, 0, 1.
        let reference = joint(&[6.0, 3.0, 1.0, 1.0, 1.0, 8.0], 3, &[0, 1]);
        let other = joint(&[3.0, 1.0, 6.0, 1.0, 8.0, 1.0], 3, &[0, 1]);
        let most: Vec<f64> = reference.chunks_exact(2).map(|p| p.iter().sum()).collect();
        let found = Mapping::best(&similarity(&reference, &other, 2), &most);
        assert_eq!(found.expert, [Some(2), Some(0), Some(1)]);
        assert!((found.score - 1.0).abs() < 1e-12);
        assert!(
            found
                .explained
                .iter()
                .all(|part| (part - 1.0).abs() < 1e-12)
        );
        // Without relabelling: ½ (min(6,3) + min(3,1) + min(1,6) + min(1,1) + min(1,8) + min(8,1)) / 10 = 0.4.
        let weights = similarity(&reference, &other, 2);
        let by_id: f64 = (0..3).map(|e| weights[e * 3 + e]).sum();
        assert!((by_id - 0.4).abs() < 1e-12, "{by_id}");
    }
}
