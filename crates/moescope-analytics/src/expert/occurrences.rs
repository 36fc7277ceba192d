//! Where an expert is chosen: positions, and a uniform sample of occurrences in their text.

use std::collections::{BTreeMap, BTreeSet};

use moescope_core::Progress;

use super::{Context, ExpertConfig, PositionBin};
use crate::{
    AnalyticsError, ExpertsOrder, MeasureRequest, TraceData,
    data::{DecisionNeeds, DocumentDecisions, Selection, TokenText, piece_label},
    inference::lacks_predictions,
    stats::{
        bootstrap::{BootstrapConfig, bootstrap},
        interval::IntervalMethod,
        random::{self, Purpose, mix},
        statistic::{Sides, Statistic},
        units::UnitTable,
    },
};

/// Ranges of positions: 0, 1, 2–3, 4–7, … up to the last that a `u32` holds.
const BINS: usize = 33;

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

/// What one reading of the decisions finds.
#[derive(Default)]
pub(super) struct Occurrences {
    pub(super) positions: Vec<PositionBin>,
    pub(super) kept: Kept,
}

/// Occurrences that were drawn, and whether predictions are known.
#[derive(Default)]
pub(super) struct Kept {
    drawn: Vec<Occurrence>,
    lacks_predictions: bool,
}

/// The range that a position is in.
fn bin(position: u32) -> usize {
    (u32::BITS - position.leading_zeros()) as usize
}

/// First and last position of a range.
fn ends(bin: usize) -> (u32, u32) {
    match bin.checked_sub(1) {
        None => (0, 0),
        Some(power) => (1 << power, u32::MAX >> (BINS - 1 - bin)),
    }
}

/// Counts positions and draws occurrences at the one layer of a request.
pub(super) fn occurrences(
    data: &TraceData,
    selection: &Selection,
    request: &MeasureRequest,
    config: &ExpertConfig,
    progress: &dyn Progress,
) -> Result<Occurrences, AnalyticsError> {
    let mut needs = DecisionNeeds::of(&request.scope);
    needs.predicted_ids = true;
    match read(data, selection, request, (config, needs), progress) {
        Err(error) if lacks_predictions(&error) => {
            needs.predicted_ids = false;
            let mut found = read(data, selection, request, (config, needs), progress)?;
            found.kept.lacks_predictions = true;
            Ok(found)
        }
        other => other,
    }
}

/// One document's tokens per range and those that choose the expert, and its occurrences that may be drawn.
type OfDocument = (Vec<[f64; 2]>, Vec<Occurrence>);

fn read(
    data: &TraceData,
    selection: &Selection,
    request: &MeasureRequest,
    (config, needs): (&ExpertConfig, DecisionNeeds),
    progress: &dyn Progress,
) -> Result<Occurrences, AnalyticsError> {
    let layer = selection.layers[0];
    let places = selection.places(data);
    let key = random::key(request.seed, Purpose::Contexts);
    let of_document = |decisions: &DocumentDecisions<'_>| -> OfDocument {
        let mut bins = vec![[0.0; 2]; BINS];
        let mut found = Vec::new();
        let document_key = mix(key, decisions.document as u64);
        for row in decisions
            .counted_rows()
            .filter(|row| decisions.layer(*row) == layer)
        {
            let position = decisions.position[row];
            let bin = &mut bins[bin(position)];
            bin[0] += 1.0;
            let rank = decisions
                .experts(row)
                .iter()
                .position(|e| *e == config.expert);
            let Some(rank) = rank else { continue };
            bin[1] += 1.0;
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
        (bins, found)
    };
    let pooled = selection.clone().under_one_label(request);
    let mut table = UnitTable::new(1, pooled.unit_label.clone(), 1, 2 * BINS);
    let mut drawn = Vec::new();
    data.map_documents(
        needs,
        "the positions of an expert",
        progress,
        &|decisions| Ok(places[decisions.document].map(|_| of_document(decisions))),
        &mut |document, found| {
            if let (Some(place), Some((bins, occurrences))) = (places[document], found) {
                let row = table.row_mut(0, pooled.unit[place]);
                for (sum, count) in row.iter_mut().zip(bins.iter().flatten()) {
                    *sum += count;
                }
                drawn.extend(occurrences);
                drawn.sort_unstable();
                drawn.truncate(config.contexts);
            }
            Ok(())
        },
    )?;
    Ok(Occurrences {
        positions: positions(&table, request, progress)?,
        kept: Kept {
            drawn,
            lacks_predictions: false,
        },
    })
}

/// The share of each range that holds a token.
fn positions(
    table: &UnitTable,
    request: &MeasureRequest,
    progress: &dyn Progress,
) -> Result<Vec<PositionBin>, AnalyticsError> {
    let statistic = Statistic {
        len: BINS,
        evaluate: &|sums, out| {
            for (share, bin) in out.iter_mut().zip(sums.chunks_exact(2)) {
                *share = bin[1] / bin[0];
            }
        },
        sides: &|_| Sides::One(0),
    };
    let config = BootstrapConfig {
        resamples: request.resamples,
        seed: request.seed,
        level: request.level,
        method: IntervalMethod::Percentile,
    };
    let resampled = bootstrap(table, &statistic, config, progress)?;
    let sums = table.sums(0);
    let shares = statistic.values(&sums);
    Ok((0..BINS)
        .filter(|bin| sums[2 * bin] > 0.0)
        .map(|bin| {
            let (first, last) = ends(bin);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a count of tokens"
            )]
            let tokens = sums[2 * bin] as u64;
            PositionBin {
                first,
                last,
                tokens,
                share: shares[bin],
                interval: resampled.intervals[bin],
            }
        })
        .collect())
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
    kept: Kept,
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
            let is_ranked = data.experts_order() == ExpertsOrder::ByWeight;
            Some(Context {
                sample: data.documents()[occurrence.document].id.clone(),
                label: selection.labels[selection.label[place]].clone(),
                position: occurrence.position,
                rank: is_ranked.then_some(occurrence.rank + 1),
                before: spelled(&tokens[at.saturating_sub(config.window)..at]),
                token: spelled(&tokens[at..=at]),
                after: spelled(&tokens[at + 1..tokens.len().min(at + 1 + config.window)]),
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

fn spelled(tokens: &[TokenText]) -> String {
    tokens
        .iter()
        .map(|token| token.text.as_deref().unwrap_or("\u{fffd}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_double_and_meet() {
        let check = |position, first, last| assert_eq!(ends(bin(position)), (first, last));
        check(0, 0, 0);
        check(1, 1, 1);
        check(3, 2, 3);
        check(100, 64, 127);
        check(u32::MAX, 1 << 31, u32::MAX);
        for bin in 1..BINS {
            assert_eq!(u64::from(ends(bin).0), u64::from(ends(bin - 1).1) + 1);
        }
    }
}
