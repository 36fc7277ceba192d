//! How far two traces choose the same experts for the same tokens, summed per document.

use std::sync::Arc;

use moescope_core::{LayerId, Progress, Scope};
use rayon::prelude::*;

use super::{InStep, MatchedDocument, MatchingCounts, TraceSet};
use crate::{
    AnalyticsError, ExpertsOrder,
    comparison::bins::{MARGIN_BINS, margin_bin},
    data::{DecisionNeeds, DocumentTensor, OptionalColumn, TokenSelection, check_same_experts},
};

/// Numbers per range of margins.
const WIDTH: usize = 4;
/// Ranges of margins, and one for decisions whose margin is unknown.
const BINS: usize = MARGIN_BINS + 1;

/// Sums over matched tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct AgreementSums {
    /// Weight of the matches: tokens, where tokens match one to one.
    pub(crate) tokens: f64,
    /// Of those whose sets of experts are equal.
    pub(crate) equal: f64,
    /// Sum of |A ∩ B| / k.
    pub(crate) overlap: f64,
    /// Of those whose heaviest experts are equal; meaningless without ranks.
    pub(crate) first: f64,
}

/// The agreement of a trace with the reference.
#[derive(Debug)]
pub(crate) struct Agreement {
    /// `[common documents, reference layers, BINS × WIDTH]`.
    sums: DocumentTensor,
    /// How documents were matched.
    pub(crate) matching: MatchingCounts,
    /// Layers of the reference that the other trace lacks.
    missing_layers: Vec<LayerId>,
    /// Whether both traces know which expert is the heaviest.
    pub(crate) has_ranks: bool,
    /// Whether the reference's margins are known.
    pub(crate) has_margins: bool,
}

impl Agreement {
    /// Compares a trace with the reference, or remembers that it was.
    pub(crate) fn of(
        traces: &TraceSet,
        other: usize,
        scope: &Scope,
        metric: &str,
        progress: &dyn Progress,
    ) -> Result<Arc<Self>, AnalyticsError> {
        let key = (other, TokenSelection::of(scope));
        if let Some(known) = traces.known_agreement(&key) {
            return Ok(known);
        }
        let found = Arc::new(Self::compare(traces, other, scope, metric, progress)?);
        traces.keep_agreement(key, &found);
        Ok(found)
    }

    fn compare(
        traces: &TraceSet,
        other: usize,
        scope: &Scope,
        metric: &str,
        progress: &dyn Progress,
    ) -> Result<Self, AnalyticsError> {
        let (a, b) = (traces.trace(other), traces.reference());
        check_same_experts((traces.name(other), a), (traces.reference_name(), b))?;
        let number = |layer: &LayerId| a.layer_index(*layer);
        let layers: Vec<(usize, usize)> = (0..b.layers().len())
            .filter_map(|layer| Some((number(&b.layers()[layer])?, layer)))
            .collect();
        let missing_layers = b.layers().iter().filter(|layer| number(layer).is_none());
        let missing_layers: Vec<LayerId> = missing_layers.copied().collect();
        if layers.is_empty() {
            return Err(AnalyticsError::Request(format!(
                "{} and {} have no recorded layer in common",
                traces.name(other),
                traces.reference_name()
            )));
        }
        let has_margins = b.knows(OptionalColumn::Margin);
        let needs = DecisionNeeds {
            margin: has_margins,
            ..DecisionNeeds::of(scope)
        };
        let documents = traces.common_documents().len();
        let mut found = Self {
            sums: DocumentTensor::of(documents, b.layers().len(), BINS * WIDTH),
            matching: MatchingCounts::default(),
            missing_layers,
            has_ranks: [a.experts_order(), b.experts_order()] == [ExpertsOrder::ByWeight; 2],
            has_margins,
        };
        InStep::new(traces, other, needs, progress)?.visit(metric, progress, &mut |matched| {
            let sums: Vec<Vec<f64>> = matched.par_iter().map(|m| sum(m, &layers)).collect();
            for (document, sums) in matched.iter().zip(sums) {
                found.matching.add(&document.matches);
                for ((_, layer), sums) in layers.iter().zip(sums.chunks_exact(BINS * WIDTH)) {
                    let row = found.sums.row_mut(document.place, *layer);
                    row.copy_from_slice(sums);
                }
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// The sums of a document at one of the reference's layers, over some ranges of margins.
    pub(crate) fn sums(
        &self,
        document: usize,
        layer: usize,
        bins: impl Iterator<Item = usize>,
    ) -> AgreementSums {
        let row = self.sums.row(document, layer);
        let mut total = AgreementSums::default();
        for bin in bins {
            let numbers = &row[bin * WIDTH..(bin + 1) * WIDTH];
            total.tokens += numbers[0];
            total.equal += numbers[1];
            total.overlap += numbers[2];
            total.first += numbers[3];
        }
        total
    }

    /// Whether a document has a matched token.
    pub(crate) fn has(&self, document: usize) -> bool {
        let sums = |layer| self.sums(document, layer, Self::all_bins());
        (0..self.sums.layers()).any(|layer| sums(layer).tokens > 0.0)
    }

    /// What a reader must know, for a trace of this name.
    pub(crate) fn notes(&self, other: &str) -> Vec<String> {
        let mut notes = self.matching.notes(other);
        if !self.missing_layers.is_empty() {
            let layers = self.missing_layers.iter().map(ToString::to_string);
            let layers: Vec<String> = layers.collect();
            notes.push(format!(
                "{other} did not record layers {}",
                layers.join(",")
            ));
        }
        notes
    }

    /// Every range of margins, and the unknown ones.
    pub(crate) fn all_bins() -> std::ops::Range<usize> {
        0..BINS
    }
}

/// A document's numbers, `[layers × BINS × WIDTH]`.
fn sum(document: &MatchedDocument<'_>, layers: &[(usize, usize)]) -> Vec<f64> {
    let mut numbers = vec![0.0; layers.len() * BINS * WIDTH];
    document.decisions(layers, |place, other, reference, weight| {
        let (a, b) = (
            document.other.experts(other),
            document.reference.experts(reference),
        );
        let margin = document.reference.margin.get(reference);
        let bin = margin.and_then(|margin| margin_bin(*margin));
        let shared = b.iter().filter(|expert| a.contains(expert)).count();
        #[expect(clippy::cast_precision_loss, reason = "a few experts per token")]
        let overlap = shared as f64 / b.len() as f64;
        let start = (place * BINS + bin.unwrap_or(MARGIN_BINS)) * WIDTH;
        let values = [
            1.0,
            f64::from(u8::from(shared == b.len())),
            overlap,
            f64::from(u8::from(a.first() == b.first())),
        ];
        for (number, value) in numbers[start..start + WIDTH].iter_mut().zip(values) {
            *number += weight * value;
        }
    });
    numbers
}
