//! Which samples go through the model together.

use std::ops::Range;

/// Most samples in one batch, however short they are.
const MOST_SAMPLES: usize = 256;
/// The cache of a batch has room for this many times the tokens of a pass, generated ones included. Prompts go through
/// the model in one pass, generated tokens one per sample, so many samples are needed to fill a pass of those.
const CACHE_ROOM: usize = 4;

/// Cuts samples with prompts of the given lengths into batches of at most `budget` prompt tokens, and at most
/// `CACHE_ROOM · budget` with the `generate` tokens that may follow each of them.
///
/// A sample that is longer goes alone. The cut depends on nothing else, so it can be repeated.
pub(super) fn plan(prompts: &[usize], generate: usize, budget: usize) -> Vec<Range<usize>> {
    let room = budget.saturating_mul(CACHE_ROOM);
    let mut batches = Vec::new();
    let (mut start, mut tokens) = (0, 0usize);
    for (number, prompt) in prompts.iter().enumerate() {
        let samples = number - start + 1;
        let together = tokens.saturating_add(*prompt);
        let cached = together.saturating_add(generate.saturating_mul(samples));
        let is_full = together > budget || cached > room || samples > MOST_SAMPLES;
        if number > start && is_full {
            batches.push(start..number);
            (start, tokens) = (number, *prompt);
        } else {
            tokens = together;
        }
    }
    if start < prompts.len() {
        batches.push(start..prompts.len());
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_follow_the_order_and_the_budget() {
        // 3 + 4 ≤ 8 < 3 + 4 + 2; 20 goes alone.
        assert_eq!(plan(&[3, 4, 2, 20, 1, 7], 0, 8), [0..2, 2..3, 3..4, 4..6]);
        assert!(plan(&[], 0, 8).is_empty());
        assert_eq!(plan(&[9, 9], 0, 8), [0..1, 1..2]);
        assert_eq!(plan(&[0; 300], 0, 8), [0..256, 256..300]);
    }

    #[test]
    fn generated_tokens_take_room_and_not_the_pass() {
        // Four prompts of 2 fill a pass of 8; with 5 more each they are 28 of 32.
        assert_eq!(plan(&[2; 6], 5, 8), [0..4, 4..6]);
        // 3 · (2 + 7) = 27 and 4 · (2 + 7) = 36.
        assert_eq!(plan(&[2; 6], 7, 8), [0..3, 3..6]);
        // One alone may be more than all room.
        assert_eq!(plan(&[2; 2], 100, 8), [0..1, 1..2]);
    }
}
