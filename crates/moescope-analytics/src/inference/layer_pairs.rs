//! Which experts of two layers the same token chooses.

use moescope_core::Progress;

use super::{BlockCounting, BlockCounts, co_activation::needs_rank};
use crate::{
    AnalyticsError, MeasureRequest, TraceData,
    data::{DecisionNeeds, DocumentDecisions, Selection},
};

/// Which experts of two layers make a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PairedChoices {
    /// The first choice of both.
    First,
    /// The choices of equal rank: k pairs of a token, as `OLMoE`'s code counts.
    SlotBySlot,
}

/// Shows every counted token's rows at some layers of a selection: `rows[place]` is `None` where it has no decision.
pub(crate) fn for_tokens(
    decisions: &DocumentDecisions<'_>,
    layer_places: &[Option<usize>],
    layers: usize,
    mut visit: impl FnMut(&[Option<usize>]),
) {
    let mut rows = vec![None; layers];
    let mut start = 0;
    for token in decisions.position.chunk_by(|a, b| a == b) {
        let of_token = start..start + token.len();
        start += token.len();
        if !decisions.counted[of_token.start] {
            continue;
        }
        rows.fill(None);
        for row in of_token {
            if let Some(place) = layer_places[decisions.layer(row)] {
                rows[place] = Some(row);
            }
        }
        visit(&rows);
    }
}

/// Counts `[pairs of layers, E × E]`; the pairs are places in the selection's layers.
pub(crate) fn count_layer_pairs(
    data: &TraceData,
    selection: &Selection,
    request: &MeasureRequest,
    metric: &str,
    (choices, pairs): (PairedChoices, &[(usize, usize)]),
    progress: &dyn Progress,
) -> Result<BlockCounts, AnalyticsError> {
    needs_rank(data, metric, "capture with this toolkit")?;
    if pairs.is_empty() {
        return Err(AnalyticsError::TooLittle {
            metric: metric.to_owned(),
            found: "there is one layer only".to_owned(),
            help: "choose at least two recorded layers with --layers".to_owned(),
        });
    }
    let experts = usize::from(data.model().num_experts);
    let places = selection.layer_places(data);
    let layers = selection.layers.len();
    let slots = match choices {
        PairedChoices::First => 1,
        PairedChoices::SlotBySlot => usize::from(data.model().top_k),
    };
    let add = |decisions: &DocumentDecisions<'_>, weight: f64, counts: &mut [f64]| {
        for_tokens(decisions, &places, layers, |rows| {
            for (pair, (from, to)) in pairs.iter().enumerate() {
                let (Some(from), Some(to)) = (rows[*from], rows[*to]) else {
                    continue;
                };
                let (from, to) = (decisions.experts(from), decisions.experts(to));
                for (from, to) in from.iter().zip(to).take(slots) {
                    let cell = (pair * experts + usize::from(*from)) * experts + usize::from(*to);
                    counts[cell] += weight;
                }
            }
        });
    };
    let counting = BlockCounting {
        needs: DecisionNeeds::of(&request.scope),
        rows: pairs.len(),
        columns: experts * experts,
        add: &add,
    };
    BlockCounts::count(data, selection, request, metric, &counting, progress)
}
