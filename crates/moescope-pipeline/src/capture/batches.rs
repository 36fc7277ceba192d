//! Which samples go through the model together.

use std::ops::Range;

/// Most samples in one batch, however short they are.
const MOST_SAMPLES: usize = 256;

/// Cuts samples of the given lengths (tokens, generated ones included) into batches of at most `budget` tokens.
///
/// A sample longer than the budget goes alone. The cut depends on nothing else, so it can be repeated.
pub(super) fn plan(lengths: &[usize], budget: usize) -> Vec<Range<usize>> {
    let mut batches = Vec::new();
    let (mut start, mut tokens) = (0, 0usize);
    for (number, length) in lengths.iter().enumerate() {
        let is_full = tokens.saturating_add(*length) > budget || number - start >= MOST_SAMPLES;
        if number > start && is_full {
            batches.push(start..number);
            (start, tokens) = (number, 0);
        }
        tokens = tokens.saturating_add(*length);
    }
    if start < lengths.len() {
        batches.push(start..lengths.len());
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_follow_the_order_and_the_budget() {
        // 3 + 4 ≤ 8 < 3 + 4 + 2; 20 goes alone.
        assert_eq!(plan(&[3, 4, 2, 20, 1, 7], 8), [0..2, 2..3, 3..4, 4..6]);
        assert!(plan(&[], 8).is_empty());
        assert_eq!(plan(&[9, 9], 8), [0..1, 1..2]);
        assert_eq!(plan(&[0; 300], 8), [0..256, 256..300]);
    }
}
