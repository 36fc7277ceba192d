//! Experts that are chosen for the same tokens.

use std::collections::HashMap;

use moescope_core::{Progress, Protocol, Weighting};
use rayon::prelude::*;

use super::{LayerPairs, Mapping};
use crate::{
    AnalyticsError, MeasureRequest,
    comparison::ratios::{Ratio, Ratios, ratios},
    data::{DecisionNeeds, DocumentTensor, Selection},
    traces::{InStep, MatchedDocument, MatchingCounts, TraceSet},
};

/// Joint counts beyond this are refused: they would not fit beside the traces.
const MOST_COUNTS: usize = 1 << 27;

/// The matching by tokens that both chose an expert for.
#[derive(Debug)]
pub(crate) struct CoSelection {
    /// By layer, from all tokens.
    pub(crate) mappings: Vec<Mapping>,
    /// By layer: the share of assignments that experts of the same number share; `None` for other numbers of experts.
    pub(crate) by_id: Option<Vec<f64>>,
    /// By layer: what mappings made from half of the groups share on the other half; `None` with a single group.
    pub(crate) held_out: Option<Ratios>,
    pub(crate) protocol: Protocol,
}

impl CoSelection {
    /// Matches experts by the tokens that choose them, or says why that cannot be.
    pub(crate) fn of(
        traces: &TraceSet,
        other: usize,
        layers: &LayerPairs,
        request: &MeasureRequest,
        metric: &str,
        progress: &dyn Progress,
    ) -> Result<Result<Self, String>, AnalyticsError> {
        let common = traces.common_documents();
        let reference = traces.reference();
        let places = common.places(traces.reference_index());
        if places.is_empty() {
            return Ok(Err(format!(
                "no matching by co-selection: {} and {} have no document in common",
                traces.name(other),
                traces.reference_name()
            )));
        }
        let keep = |document: usize| {
            places.contains_key(&document) && request.is_wanted(&reference.documents()[document])
        };
        let mut all = request.divided_by("all");
        all.scope.labels.clear();
        let selection = Selection::among(reference, &all, metric, progress, &keep)?;
        let mut fold_of = vec![None; common.len()];
        for (document, group) in selection.documents.iter().zip(&selection.group) {
            fold_of[places[document]] = Some(group % 2);
        }
        let in_step = InStep::new(traces, other, DecisionNeeds::of(&request.scope), progress)?;
        let shape = Shape {
            experts: usize::from(traces.trace(other).model().num_experts),
            reference_experts: usize::from(reference.model().num_experts),
            layers: layers.pairs.clone(),
        };
        let mut counts = shape.counts(metric)?;
        let mut matching = MatchingCounts::default();
        let visited = in_step.visit(metric, progress, &mut |matched| {
            matched.iter().for_each(|m| matching.add(&m.matches));
            counts.add(&shape, matched, &fold_of);
            Ok(())
        });
        match visited {
            Err(AnalyticsError::MissingInput { missing, .. }) => {
                return Ok(Err(format!(
                    "no matching by co-selection: the traces do not hold {missing}"
                )));
            }
            visited => visited?,
        }
        if matching.is_empty() {
            return Ok(Err(format!(
                "no matching by co-selection: no document of {} and {} holds the same text",
                traces.name(other),
                traces.reference_name()
            )));
        }
        let rows = layers.pairs.len();
        let held_out = if selection.groups > 1 {
            let maps: Vec<[Mapping; 2]> = (0..rows)
                .map(|layer| [1, 0].map(|fold| counts.map(layer, Some(fold))))
                .collect();
            let sums = shape.apply(&in_step, &maps, &fold_of, metric, progress)?;
            Some(shares_held_out(
                &selection, &all, &sums, &places, rows, progress,
            )?)
        } else {
            None
        };
        let mut protocol = selection.protocol(&all);
        protocol.scope = request.describe_scope();
        if request.scope.weighting == Weighting::Document {
            let note = "co-selection counts every token alike, whatever the weighting";
            protocol.notes.push(note.to_owned());
        }
        protocol.notes.extend(common.notes.iter().cloned());
        protocol.notes.extend(matching.notes(traces.name(other)));
        Ok(Ok(Self {
            by_id: shape.has_same_experts().then(|| {
                let by_id = (0..rows).map(|layer| counts.by_id(layer));
                by_id.collect()
            }),
            mappings: (0..rows).map(|layer| counts.map(layer, None)).collect(),
            held_out,
            protocol,
        }))
    }
}

/// The share of assignments that mappings of the other half share, by pair of layers.
fn shares_held_out(
    selection: &Selection,
    request: &MeasureRequest,
    sums: &DocumentTensor,
    places: &HashMap<usize, usize>,
    rows: usize,
    progress: &dyn Progress,
) -> Result<Ratios, AnalyticsError> {
    let fill = |document: usize, row: usize, out: &mut [[f64; 2]]| {
        let sums = sums.row(places[&document], row);
        out[0] = [sums[0], sums[1]];
    };
    let mut found = ratios(selection, request, &[Ratio::Mean], rows, fill, progress)?;
    let has_intervals = found.intervals[0].iter().any(Option::is_some);
    found.protocol.level = has_intervals.then_some(request.level);
    Ok(found)
}

/// Sizes of both models.
struct Shape {
    experts: usize,
    reference_experts: usize,
    /// Layers of the other trace and of the reference.
    layers: Vec<(usize, usize)>,
}

impl Shape {
    fn has_same_experts(&self) -> bool {
        self.experts == self.reference_experts
    }

    fn counts(&self, metric: &str) -> Result<Counts, AnalyticsError> {
        let pairs = self.experts * self.reference_experts;
        if self.layers.len().saturating_mul(2 * pairs) > MOST_COUNTS {
            return Err(AnalyticsError::TooLittle {
                metric: metric.to_owned(),
                found: format!(
                    "{} layers of {} × {} experts need more memory than is sensible",
                    self.layers.len(),
                    self.experts,
                    self.reference_experts
                ),
                help: "choose fewer --layers".to_owned(),
            });
        }
        let layer = LayerCounts {
            joint: [vec![0.0; pairs], vec![0.0; pairs]],
            chosen: vec![0.0; self.reference_experts],
            assignments: 0.0,
        };
        Ok(Counts {
            experts: self.experts,
            layers: vec![layer; self.layers.len()],
        })
    }

    /// Per document and pair of layers: assignments shared after relabelling by the other fold, and assignments.
    fn apply(
        &self,
        in_step: &InStep<'_>,
        maps: &[[Mapping; 2]],
        fold_of: &[Option<usize>],
        metric: &str,
        progress: &dyn Progress,
    ) -> Result<DocumentTensor, AnalyticsError> {
        let mut sums = DocumentTensor::of(fold_of.len(), self.layers.len(), 2);
        in_step.visit(metric, progress, &mut |matched| {
            let found: Vec<Vec<f64>> = matched
                .par_iter()
                .map(|document| {
                    let mut sums = vec![0.0; 2 * self.layers.len()];
                    let Some(fold) = fold_of[document.place] else {
                        return sums;
                    };
                    document.decisions(&self.layers, |layer, other, reference, weight| {
                        let chosen = document.other.experts(other);
                        let own = document.reference.experts(reference);
                        let map = &maps[layer][fold].expert;
                        let is_shared = |expert: &&u16| {
                            let mapped = map[usize::from(**expert)];
                            mapped.is_some_and(|m| chosen.iter().any(|e| usize::from(*e) == m))
                        };
                        #[expect(clippy::cast_precision_loss, reason = "a few experts per token")]
                        let (shared, all) = (
                            own.iter().filter(is_shared).count() as f64,
                            own.len() as f64,
                        );
                        sums[2 * layer] += weight * shared;
                        sums[2 * layer + 1] += weight * all;
                    });
                    sums
                })
                .collect();
            for (document, found) in matched.iter().zip(found) {
                sums.document_mut(document.place).copy_from_slice(&found);
            }
            Ok(())
        })?;
        Ok(sums)
    }
}

/// How often every pair of experts was chosen for a matched token.
struct Counts {
    experts: usize,
    /// By pairs of layers.
    layers: Vec<LayerCounts>,
}

#[derive(Clone, Default)]
struct LayerCounts {
    /// `[folds][reference experts, other experts]`.
    joint: [Vec<f64>; 2],
    /// Matched tokens that chose each of the reference's experts.
    chosen: Vec<f64>,
    assignments: f64,
}

impl Counts {
    fn add(&mut self, shape: &Shape, matched: &[MatchedDocument<'_>], fold_of: &[Option<usize>]) {
        let experts = self.experts;
        // Layers do not share counts, so each is counted by itself: documents in order, whatever the threads do.
        self.layers
            .par_iter_mut()
            .enumerate()
            .for_each(|(layer, counts)| {
                let only = &shape.layers[layer..=layer];
                for document in matched {
                    let Some(fold) = fold_of[document.place] else {
                        continue;
                    };
                    document.decisions(only, |_, other, reference, weight| {
                        for own in document.reference.experts(reference) {
                            counts.chosen[usize::from(*own)] += weight;
                            counts.assignments += weight;
                            for expert in document.other.experts(other) {
                                let place = usize::from(*own) * experts + usize::from(*expert);
                                counts.joint[fold][place] += weight;
                            }
                        }
                    });
                }
            });
    }

    /// The best mapping of a layer, by one fold or by both.
    fn map(&self, layer: usize, fold: Option<usize>) -> Mapping {
        let counts = &self.layers[layer];
        let joint: Vec<f64> = if let Some(fold) = fold {
            counts.joint[fold].clone()
        } else {
            let [a, b] = &counts.joint;
            a.iter().zip(b).map(|(a, b)| a + b).collect()
        };
        let mut mapping = Mapping::best(&joint, &counts.chosen);
        mapping.score /= counts.assignments;
        mapping
    }

    /// The share of assignments that experts of the same number share.
    fn by_id(&self, layer: usize) -> f64 {
        let counts = &self.layers[layer];
        let diagonal = (0..self.experts).map(|e| e * (self.experts + 1));
        let shared: f64 = diagonal
            .map(|at| counts.joint[0][at] + counts.joint[1][at])
            .sum();
        shared / counts.assignments
    }
}
