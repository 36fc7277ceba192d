//! Which samples go through the model together.

use std::ops::Range;

use moescope_engine::Lanes;

/// Most samples in one batch, however short they are.
const MOST_SAMPLES: usize = 256;
/// The cache of a batch has room for this many times the tokens of a pass, generated ones included. Prompts go through
/// the model in one pass, generated tokens one per sample, so many samples are needed to fill a pass of those.
const CACHE_ROOM: usize = 4;
/// Samples that follow one another in the place of each that is generated at a time. The more, the fewer steps have
/// places without a sample; a batch is also what an interrupted capture repeats.
const WAVES: usize = 4;

/// Cuts samples with prompts of the given lengths into batches: of at most `budget` prompt tokens, or, where up to
/// `generate` tokens follow each of them, of a few samples for each of the [`lanes`].
///
/// A sample that is longer goes alone. The cut depends on nothing else, so it can be repeated.
pub(super) fn plan(prompts: &[usize], generate: usize, budget: usize) -> Vec<Range<usize>> {
    let mut batches = Vec::new();
    let (mut start, mut tokens, mut longest) = (0, 0usize, 0);
    for (number, prompt) in prompts.iter().enumerate() {
        let samples = number - start + 1;
        let together = tokens.saturating_add(*prompt);
        let is_full = if generate == 0 {
            together > budget || samples > MOST_SAMPLES
        } else {
            samples > WAVES * lanes(longest.max(*prompt), generate, budget).count
        };
        if number > start && is_full {
            batches.push(start..number);
            (start, tokens, longest) = (number, *prompt, *prompt);
        } else {
            (tokens, longest) = (together, longest.max(*prompt));
        }
    }
    if start < prompts.len() {
        batches.push(start..prompts.len());
    }
    batches
}

/// How many samples of a batch are generated at a time, by its longest prompt: as many as have room in the cache.
pub(super) fn lanes(longest: usize, generate: usize, budget: usize) -> Lanes {
    let room = budget.saturating_mul(CACHE_ROOM);
    let count = room / longest.saturating_add(generate).max(1);
    Lanes {
        count: count.clamp(1, MOST_SAMPLES),
        pass_tokens: budget,
    }
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
    fn samples_that_are_generated_follow_one_another_in_the_room_of_the_cache() {
        // Room for 32: four of 2 + 5, and four times as many in a batch.
        assert_eq!(lanes(2, 5, 8).count, 4);
        assert_eq!(plan(&[2; 20], 5, 8), [0..16, 16..20]);
        // A prompt of 11 leaves room for two at a time, wherever it stands.
        assert_eq!(lanes(11, 5, 8).count, 2);
        let mut prompts = [2; 20];
        prompts[3] = 11;
        assert_eq!(plan(&prompts, 5, 8), [0..8, 8..20]);
        // One alone may be more than all room.
        assert_eq!(lanes(2, 100, 8).count, 1);
        assert_eq!(plan(&[2; 6], 100, 8), [0..4, 4..6]);
    }
}
