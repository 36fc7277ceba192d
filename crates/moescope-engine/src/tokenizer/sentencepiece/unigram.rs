//! The most likely cut of a text under a unigram model.
//!
//! Kudo, "Subword regularization" (2018); the search keeps, for every place of the text, the best way to get there.

use std::ops::Range;

use super::vocabulary::Vocabulary;

/// What a character without a piece costs below the worst piece.
const UNKNOWN_PENALTY: f32 = 10.0;
/// Sums beyond this start again at zero, so that long texts keep their precision.
const LARGEST_SUM: f32 = 100_000.0;

#[derive(Clone, Copy)]
struct Best {
    score: f32,
    /// Where the last piece begins, and its id.
    from: Option<(usize, Option<u32>)>,
}

/// The pieces of a normalised text, each as its bytes and, where there is one, its id.
pub(super) fn encode(vocabulary: &Vocabulary, text: &str) -> Vec<(Range<usize>, Option<u32>)> {
    let nowhere = Best {
        score: 0.0,
        from: None,
    };
    let mut best = vec![nowhere; text.len() + 1];
    let unknown = vocabulary.lowest_score - UNKNOWN_PENALTY;
    let mut furthest = 0;
    for (start, first) in text.char_indices() {
        if best[start].score.abs() > LARGEST_SUM {
            let sum = best[start].score;
            for (place, best) in best.iter_mut().enumerate().take(furthest + 1).skip(start) {
                if place == start || best.from.is_some() {
                    best.score -= sum;
                }
            }
        }
        let here = best[start].score;
        let mut reach = |len: usize, score: f32, id: Option<u32>| {
            let target = &mut best[start + len];
            furthest = furthest.max(start + len);
            if target.from.is_none() || score + here > target.score {
                *target = Best {
                    score: score + here,
                    from: Some((start, id)),
                };
            }
        };
        let mut has_single = false;
        for (len, id) in vocabulary.regular_prefixes(&text.as_bytes()[start..]) {
            if !vocabulary.is_unused(id) {
                reach(len, score(vocabulary, id, len), Some(id));
                has_single |= len == first.len_utf8();
            }
        }
        if !has_single {
            reach(first.len_utf8(), unknown, None);
        }
    }
    let mut pieces = Vec::new();
    let mut end = text.len();
    while let Some((start, id)) = best[end].from {
        pieces.push((start..end, id));
        end = start;
    }
    pieces.reverse();
    pieces
}

/// Scores are logarithms, so nothing trained is above zero; a user's own symbols are, the longer the better.
fn score(vocabulary: &Vocabulary, id: u32, len: usize) -> f32 {
    if vocabulary.is_user_defined(id) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            reason = "a piece is shorter than 8,000 bytes"
        )]
        let bonus = (0.1 * (len - 1) as f64) as f32;
        bonus
    } else {
        vocabulary.score(id)
    }
}
