//! From what the engine recorded to a row of each table.

use moescope_core::{LayerId, TokenRow};
use moescope_engine::{SequenceRecord, Tokenizer};
use moescope_trace::SampleRecord;

use super::{layers, planned::PlannedSample};

/// Joins a sample with what the engine recorded of it; only `layers` stay, where not all do.
pub(crate) fn sample_record(
    number: u32,
    planned: &PlannedSample,
    mut record: SequenceRecord,
    layers: Option<&[LayerId]>,
    seed: Option<u64>,
    tokenizer: &Tokenizer,
) -> SampleRecord {
    let rows = (0..record.tokens.len()).map(|place| token_row(planned, &record, place, tokenizer));
    let tokens: Vec<TokenRow> = rows.collect();
    if let Some(layers) = layers {
        layers::retain(&mut record.decisions, layers);
    }
    SampleRecord {
        sample: number,
        meta: planned.sample.clone(),
        num_prompt_tokens: u32::try_from(record.num_prompt_tokens).ok(),
        seed,
        tokens,
        decisions: record.decisions,
    }
}

/// The row of a token, by its place in the sequence.
pub(crate) fn token_row(
    planned: &PlannedSample,
    record: &SequenceRecord,
    place: usize,
    tokenizer: &Tokenizer,
) -> TokenRow {
    let token = &record.tokens[place];
    let given = planned.tokens.get(place);
    let bytes = given.and_then(super::PlannedToken::bytes);
    let is_special = given.map_or_else(|| tokenizer.is_special(token.id), |given| given.is_special);
    TokenRow {
        position: u32::try_from(place).expect("a context is far below 2^32 tokens"),
        token_id: Some(token.id),
        text: Some(token_text(planned, record, place, tokenizer)),
        byte_start: bytes.as_ref().map(|bytes| bytes.start),
        byte_end: bytes.map(|bytes| bytes.end),
        phase: token.phase,
        role: given.map_or_else(|| Some(planned.reply_role()), |given| given.role),
        is_special: Some(is_special),
        is_template: Some(given.is_some_and(|given| given.is_template)),
        is_routed: token.phase.is_some(),
        surprisal: token.surprisal,
        predicted_id: token.predicted_id,
    }
}

/// The text of a token: its own bytes of the given text, or what it adds after the token before it.
pub(crate) fn token_text(
    planned: &PlannedSample,
    record: &SequenceRecord,
    place: usize,
    tokenizer: &Tokenizer,
) -> String {
    let id = record.tokens[place].id;
    let given = planned.tokens.get(place);
    let slice = given
        .and_then(super::PlannedToken::bytes)
        .and_then(|bytes| {
            let bytes = bytes.start as usize..bytes.end as usize;
            planned.sample.text.get(bytes)
        });
    let previous = place.checked_sub(1).map(|before| record.tokens[before].id);
    match (slice, given) {
        (Some(slice), _) => slice.to_owned(),
        // A template's token stands by itself.
        (None, Some(given)) if given.is_template || given.is_special => tokenizer.piece(id),
        (None, _) => generated_piece(tokenizer, previous, id, tokenizer.is_special(id)),
    }
}

/// The text that a generated token adds after the one before it; some decoders drop the space before a lone token.
fn generated_piece(
    tokenizer: &Tokenizer,
    previous: Option<u32>,
    id: u32,
    is_special: bool,
) -> String {
    let alone = || tokenizer.piece(id);
    let (Some(previous), false) = (previous, is_special) else {
        return alone();
    };
    let (Ok(before), Ok(both)) = (
        tokenizer.decode(&[previous]),
        tokenizer.decode(&[previous, id]),
    ) else {
        return alone();
    };
    match both.strip_prefix(&before) {
        Some(added) if !added.is_empty() => added.to_owned(),
        _ => alone(),
    }
}
