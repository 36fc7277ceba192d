//! The tokens of a piece as JSON, after its length in four bytes.

use moescope_core::{Phase, Role, TokenRow};
use serde::{Deserialize, Serialize};

/// The most bytes of a piece's tokens: far more than the hundreds of tokens that are written at a time, and little enough that
/// what they become fits into memory.
const MOST_BYTES: usize = 16 << 20;

/// A piece's tokens, and what the document had taken by then.
#[derive(Debug, Serialize, Deserialize)]
struct Tokens {
    elapsed_secs: f64,
    tokens: Vec<Entry>,
}

/// A token without its place, which follows from those before it.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    id: Option<u32>,
    text: Option<String>,
    bytes: Option<(u32, u32)>,
    phase: Option<Phase>,
    role: Option<Role>,
    special: Option<bool>,
    template: Option<bool>,
    /// The bits, so that every float comes back as it was.
    surprisal: Option<u32>,
    predicted: Option<u32>,
}

/// The bytes of some tokens.
pub(super) fn encode(elapsed_secs: f64, tokens: &[TokenRow]) -> Result<Vec<u8>, ()> {
    let entry = |token: &TokenRow| Entry {
        id: token.token_id,
        text: token.text.clone(),
        bytes: token.byte_start.zip(token.byte_end),
        phase: token.phase,
        role: token.role,
        special: token.is_special,
        template: token.is_template,
        surprisal: token.surprisal.map(f32::to_bits),
        predicted: token.predicted_id,
    };
    let tokens = Tokens {
        elapsed_secs,
        tokens: tokens.iter().map(entry).collect(),
    };
    let json = serde_json::to_vec(&tokens).map_err(|_| ())?;
    if json.len() > MOST_BYTES {
        return Err(());
    }
    let length = u32::try_from(json.len()).map_err(|_| ())?;
    let mut bytes = length.to_le_bytes().to_vec();
    bytes.extend(json);
    Ok(bytes)
}

/// Seconds, tokens that follow `first`, and the bytes after them.
pub(super) fn decode(payload: &[u8], first: u32) -> Option<(f64, Vec<TokenRow>, &[u8])> {
    let (length, rest) = payload.split_first_chunk()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    if length > MOST_BYTES {
        return None;
    }
    let (json, rest) = rest.split_at_checked(length)?;
    let Tokens {
        elapsed_secs,
        tokens,
    } = serde_json::from_slice(json).ok()?;
    let last = u32::try_from(tokens.len()).ok()?;
    first.checked_add(last)?;
    let row = |(position, entry): (u32, Entry)| TokenRow {
        position,
        token_id: entry.id,
        text: entry.text,
        byte_start: entry.bytes.map(|(start, _)| start),
        byte_end: entry.bytes.map(|(_, end)| end),
        phase: entry.phase,
        role: entry.role,
        is_special: entry.special,
        is_template: entry.template,
        is_routed: true,
        surprisal: entry.surprisal.map(f32::from_bits),
        predicted_id: entry.predicted,
    };
    Some((elapsed_secs, (first..).zip(tokens).map(row).collect(), rest))
}
