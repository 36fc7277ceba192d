//! Numbers that depend on the order of a document's tokens, counted in that order and in random ones.

use std::sync::Arc;

use moescope_core::{Progress, Weighting};

use crate::{
    AnalyticsError, MeasureRequest, TraceData,
    data::{DecisionNeeds, DocumentDecisions, DocumentTensor, Selection, Summary},
    stats::{
        number::as_f64,
        random::{self, Purpose},
        units::UnitTable,
    },
};

/// Random orders per document and layer.
const SHUFFLES: u32 = 4;

/// What is counted of a document's tokens at one layer.
pub(crate) struct OrderCounts<'a> {
    /// What the numbers are, with every parameter they depend on.
    pub(crate) name: String,
    /// Numbers per layer.
    pub(crate) columns: usize,
    /// Adds the decisions of one layer, as stretches of neighbouring tokens (rows), to its numbers.
    pub(crate) add: &'a AddStretches<'a>,
}

/// From decisions and stretches of their rows to numbers, which are added to.
type AddStretches<'a> = dyn Fn(&DocumentDecisions<'_>, &[&[usize]], &mut [f64]) + Sync + 'a;

/// Counts every document, `[documents, layers, observed | shuffled]`; `shuffled` is the mean over random orders of the document's
/// counted tokens, cut into stretches of the same lengths.
pub(crate) fn count_orders(
    data: &TraceData,
    request: &MeasureRequest,
    counts: &OrderCounts<'_>,
    metric: &str,
    progress: &dyn Progress,
) -> Result<Arc<DocumentTensor>, AnalyticsError> {
    let half = counts.columns;
    let layers = data.layers().len();
    let add = |decisions: &DocumentDecisions<'_>, numbers: &mut [f64]| {
        let rows_of_layers = decisions.counted_rows_of_layers(layers);
        let numbers = numbers.chunks_exact_mut(2 * half);
        for (layer, (mut rows, numbers)) in rows_of_layers.into_iter().zip(numbers).enumerate() {
            let (observed, shuffled) = numbers.split_at_mut(half);
            let stretches: Vec<&[usize]> = stretches(decisions, &rows).collect();
            (counts.add)(decisions, &stretches, observed);
            let lengths: Vec<usize> = stretches.iter().map(|rows| rows.len()).collect();
            let stream = (decisions.document as u64) << 16 | layer as u64;
            let mut rng = random::stream(request.seed, Purpose::TokenOrder, stream);
            for _ in 0..SHUFFLES {
                random::shuffle(&mut rng, &mut rows);
                (counts.add)(decisions, &cut(&rows, &lengths), shuffled);
            }
            for x in shuffled {
                *x /= f64::from(SHUFFLES);
            }
        }
    };
    let summary = Summary {
        name: format!("{}, seed {}", counts.name, request.seed),
        needs: DecisionNeeds::of(&request.scope),
        columns: 2 * half,
        add: &add,
    };
    data.summarize(&summary, metric, progress)
}

/// The sums of [`count_orders`] per unit.
///
/// Columns come in blocks of which the last counts what the others are shares of; under document weighting it is 1 for every document.
pub(crate) fn order_table(
    selection: &Selection,
    request: &MeasureRequest,
    counts: &DocumentTensor,
    block: usize,
) -> UnitTable {
    selection.unit_table(counts.columns(), |document, layer, row| {
        row.copy_from_slice(counts.row(document, layer));
        if request.scope.weighting == Weighting::Document {
            weigh_blocks_alike(row, block);
        }
    })
}

/// Divides every block by its last number.
pub(crate) fn weigh_blocks_alike(row: &mut [f64], block: usize) {
    for block in row.chunks_exact_mut(block) {
        let total = block.last().copied().unwrap_or_default();
        if total > 0.0 {
            for x in block {
                *x /= total;
            }
        }
    }
}

/// The rows of one layer, in stretches of neighbouring positions.
pub(crate) fn stretches<'r>(
    decisions: &DocumentDecisions<'_>,
    rows: &'r [usize],
) -> impl Iterator<Item = &'r [usize]> {
    let position = decisions.position;
    rows.chunk_by(move |a, b| position[*a].checked_add(1) == Some(position[*b]))
}

fn cut<'r>(mut rows: &'r [usize], lengths: &[usize]) -> Vec<&'r [usize]> {
    let mut parts = Vec::with_capacity(lengths.len());
    for length in lengths {
        let (part, rest) = rows.split_at(*length);
        parts.push(part);
        rows = rest;
    }
    parts
}

/// How often two different random tokens of a document choose the same.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Coincidence {
    /// Expected share of the k experts in common, `Σ_e n_e (n_e − 1) / (k n (n − 1))`.
    pub(crate) overlap: f64,
    /// Probability of the same first choice.
    pub(crate) first_choice: f64,
}

impl Coincidence {
    /// From a document's own counts at one layer; 0 below two tokens.
    pub(crate) fn of(decisions: &DocumentDecisions<'_>, rows: &[usize]) -> Self {
        if rows.len() < 2 {
            return Self::default();
        }
        let pairs = as_f64(rows.len() * (rows.len() - 1));
        let same = |mut chosen: Vec<u16>| {
            chosen.sort_unstable();
            let runs = chosen.chunk_by(|a, b| a == b);
            let same: usize = runs.map(|run| run.len() * (run.len() - 1)).sum();
            as_f64(same) / pairs
        };
        let all = rows.iter().flat_map(|row| decisions.experts(*row));
        Self {
            overlap: same(all.copied().collect()) / as_f64(decisions.top_k),
            first_choice: same(rows.iter().map(|row| decisions.experts(*row)[0]).collect()),
        }
    }
}
