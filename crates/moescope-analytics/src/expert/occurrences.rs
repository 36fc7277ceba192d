//! A uniform sample of an expert's occurrences in their text.

use std::collections::{BTreeMap, BTreeSet};

use moescope_core::Progress;

use super::{Context, ExpertConfig};
use crate::{
    AnalyticsError, ExpertsOrder, MeasureRequest, TraceData,
    data::{DecisionNeeds, DocumentDecisions, Selection, piece_label, spelled},
    inference::lacks_predictions,
    stats::random::{self, Purpose, mix},
};

/// An occurrence that was drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Occurrence {
    /// Drawn are the smallest of these, which depend on seed, document and position alone.
    order: u64,
    document: usize,
    position: u32,
    rank: usize,
    /// The most likely next token, `u32::MAX` where unknown.
    predicted: u32,
}

/// Occurrences that were drawn, and whether predictions are known.
#[derive(Default)]
pub(super) struct Kept {
    drawn: Vec<Occurrence>,
    lacks_predictions: bool,
}

/// Draws occurrences at the one layer of a request.
pub(super) fn occurrences(
    data: &TraceData,
    selection: &Selection,
    request: &MeasureRequest,
    config: &ExpertConfig,
    progress: &dyn Progress,
) -> Result<Kept, AnalyticsError> {
    let mut needs = DecisionNeeds::of(&request.scope);
    needs.predicted_ids = true;
    match read(data, selection, request, (config, needs.clone()), progress) {
        Err(error) if lacks_predictions(&error) => {
            needs.predicted_ids = false;
            let mut found = read(data, selection, request, (config, needs), progress)?;
            found.lacks_predictions = true;
            Ok(found)
        }
        other => other,
    }
}

fn read(
    data: &TraceData,
    selection: &Selection,
    request: &MeasureRequest,
    (config, needs): (&ExpertConfig, DecisionNeeds),
    progress: &dyn Progress,
) -> Result<Kept, AnalyticsError> {
    let layer = selection.layers[0];
    let places = selection.places(data);
    let key = random::key(request.seed, Purpose::Contexts);
    let of_document = |decisions: &DocumentDecisions<'_>| {
        let document_key = mix(key, decisions.document as u64);
        let mut found = Vec::new();
        for row in decisions.counted_rows() {
            if decisions.layer(row) != layer {
                continue;
            }
            let chosen = decisions.experts(row);
            let Some(rank) = chosen.iter().position(|e| *e == config.expert) else {
                continue;
            };
            let position = decisions.position[row];
            let predicted = decisions.tokens.predicted_ids.get(decisions.token(row));
            found.push(Occurrence {
                order: mix(document_key, u64::from(position)),
                document: decisions.document,
                position,
                rank,
                predicted: predicted.copied().unwrap_or(u32::MAX),
            });
        }
        found.sort_unstable();
        found.truncate(config.contexts);
        found
    };
    let mut drawn = Vec::new();
    data.map_documents(
        needs,
        "the occurrences of an expert",
        progress,
        &|decisions| {
            Ok(match places[decisions.document] {
                Some(_) => of_document(decisions),
                None => Vec::new(),
            })
        },
        &mut |_, found| {
            drawn.extend(found);
            drawn.sort_unstable();
            drawn.truncate(config.contexts);
            Ok(())
        },
    )?;
    Ok(Kept {
        drawn,
        lacks_predictions: false,
    })
}

/// Occurrences in their text.
pub(super) struct Contexts {
    pub(super) shown: Vec<Context>,
    pub(super) missing: Vec<String>,
}

/// Puts drawn occurrences into their text.
pub(super) fn contexts(
    data: &TraceData,
    selection: &Selection,
    config: &ExpertConfig,
    kept: &Kept,
    progress: &dyn Progress,
) -> Result<Contexts, AnalyticsError> {
    let mut missing = Vec::new();
    if kept.lacks_predictions {
        missing.push("predicted tokens; the source of this trace did not know them".to_owned());
    }
    let documents: BTreeSet<usize> = kept.drawn.iter().map(|o| o.document).collect();
    let texts = data.token_texts(&documents, progress)?;
    let is_spelled = texts.values().flatten().any(|token| token.text.is_some());
    if !kept.drawn.is_empty() && !is_spelled {
        missing.push("the text of tokens; import it with the source's tokenizer, or capture with this toolkit".to_owned());
        return Ok(Contexts {
            shown: Vec::new(),
            missing,
        });
    }
    let predicted: BTreeSet<u32> = kept
        .drawn
        .iter()
        .map(|occurrence| occurrence.predicted)
        .filter(|id| *id != u32::MAX)
        .collect();
    let pieces = data.pieces(&predicted, progress)?;
    let places = selection.places(data);
    let shown = kept
        .drawn
        .iter()
        .filter_map(|occurrence| {
            let place = places[occurrence.document]?;
            let tokens = texts.get(&occurrence.document)?;
            let at = tokens
                .binary_search_by_key(&occurrence.position, |token| token.position)
                .ok()?;
            let end = tokens.len().min((at + 1).saturating_add(config.window));
            let is_ranked = data.experts_order() == ExpertsOrder::ByWeight;
            Some(Context {
                sample: data.documents()[occurrence.document].id.clone(),
                label: selection.labels[selection.label[place]].clone(),
                position: occurrence.position,
                rank: is_ranked.then_some(occurrence.rank + 1),
                before: spelled(&tokens[at.saturating_sub(config.window)..at]),
                token: spelled(&tokens[at..=at]),
                after: spelled(&tokens[at + 1..end]),
                predicted: predicted_piece(&pieces, occurrence.predicted),
                next: tokens.get(at + 1).and_then(|token| token.text.clone()),
            })
        })
        .collect();
    Ok(Contexts { shown, missing })
}

fn predicted_piece(pieces: &BTreeMap<u32, String>, id: u32) -> Option<String> {
    (id != u32::MAX).then(|| piece_label(pieces, id))
}
