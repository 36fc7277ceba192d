//! Which tokens of two traces of one document are the same text.

use crate::data::DocumentTokens;

/// How the tokens of a document were matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Basis {
    /// Both counted the same tokens in the same order.
    Tokens,
    /// The same text in other tokens: by the bytes that both cover.
    Bytes,
    /// Other texts, or too little is known of them.
    Nothing,
}

/// A token of the reference and one of the other trace that cover the same text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct TokenMatch {
    /// Index into the other trace's tokens of the document.
    pub(crate) other: usize,
    /// Index into the reference's.
    pub(crate) reference: usize,
    /// The share of the reference's token that they have in common; those of one token sum to at most 1.
    pub(crate) weight: f64,
}

/// The matches of one document.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TokenMatches {
    /// How they were found.
    pub(crate) basis: Basis,
    /// The matches, by the reference's tokens.
    pub(crate) pairs: Vec<TokenMatch>,
    /// Counted tokens of the reference.
    pub(crate) counted: usize,
    /// Whether the same tokens stand at other positions, behind another prompt.
    pub(crate) is_moved: bool,
}

/// Matches the counted tokens of one document in two traces.
///
/// `is_same_text` is `None` where a text was not kept; then only equal tokens can be matched.
pub(crate) fn match_tokens(
    other: &DocumentTokens<'_>,
    reference: &DocumentTokens<'_>,
    is_same_text: Option<bool>,
) -> TokenMatches {
    let (a, b) = (counted(other), counted(reference));
    let mut found = TokenMatches {
        basis: Basis::Nothing,
        pairs: Vec::new(),
        counted: b.len(),
        is_moved: false,
    };
    let ids = |tokens: &DocumentTokens<'_>, counted: &[usize]| -> Option<Vec<u32>> {
        let ids = counted.iter().map(|token| tokens.ids.get(*token).copied());
        ids.collect()
    };
    let (ids_a, ids_b) = (ids(other, &a), ids(reference, &b));
    if ids_a.is_some() && ids_a == ids_b && is_same_text != Some(false) {
        found.basis = Basis::Tokens;
        for (other_token, reference_token) in a.into_iter().zip(b) {
            found.is_moved |= other.position[other_token] != reference.position[reference_token];
            found.pairs.push(TokenMatch {
                other: other_token,
                reference: reference_token,
                weight: 1.0,
            });
        }
    } else if is_same_text == Some(true) {
        let (a, b) = (ranges(other, &a), ranges(reference, &b));
        if !a.is_empty() && !b.is_empty() {
            found.basis = Basis::Bytes;
            found.pairs = overlaps(&a, &b);
        }
    }
    found
}

fn counted(tokens: &DocumentTokens<'_>) -> Vec<usize> {
    let counted = |token: &usize| tokens.counted[*token];
    (0..tokens.counted.len()).filter(counted).collect()
}

/// A token with the bytes that it covers.
type Covered = (usize, (u32, u32));

/// The counted tokens that stand in the text, by where they begin.
fn ranges(tokens: &DocumentTokens<'_>, counted: &[usize]) -> Vec<Covered> {
    let mut ranges: Vec<Covered> = counted
        .iter()
        .filter_map(|token| Some((*token, *tokens.byte_ranges.get(*token)?)))
        .filter(|(_, (start, end))| start < end)
        .collect();
    ranges.sort_by_key(|(_, (start, _))| *start);
    ranges
}

/// The tokens of both that overlap.
///
/// Tokens of bytes of one character may all cover the whole of it, so what overlaps a token can exceed its length;
/// its weights are scaled to sum to 1 then.
fn overlaps(other: &[Covered], reference: &[Covered]) -> Vec<TokenMatch> {
    let mut pairs = Vec::new();
    let mut first = 0;
    for (token, (start, end)) in reference {
        while other.get(first).is_some_and(|(_, (_, end))| end <= start) {
            first += 1;
        }
        let begin = pairs.len();
        let mut total = 0;
        for (other_token, (from, to)) in &other[first..] {
            if from >= end {
                break;
            }
            let shared = (*to).min(*end).saturating_sub((*from).max(*start));
            if shared > 0 {
                total += shared;
                pairs.push(TokenMatch {
                    other: *other_token,
                    reference: *token,
                    weight: f64::from(shared),
                });
            }
        }
        let scale = f64::from(total.max(end - start));
        for pair in &mut pairs[begin..] {
            pair.weight /= scale;
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Tokens {
        position: Vec<u32>,
        ids: Vec<u32>,
        byte_ranges: Vec<(u32, u32)>,
        counted: Vec<bool>,
    }

    /// Tokens as `(id, first byte, one past the last)`; id 0 does not count.
    fn tokens(tokens: &[(u32, u32, u32)]) -> Tokens {
        Tokens {
            position: (0u32..).take(tokens.len()).collect(),
            ids: tokens.iter().map(|(id, ..)| *id).collect(),
            byte_ranges: tokens.iter().map(|(_, from, to)| (*from, *to)).collect(),
            counted: tokens.iter().map(|(id, ..)| *id > 0).collect(),
        }
    }

    fn view(tokens: &Tokens) -> DocumentTokens<'_> {
        DocumentTokens {
            position: &tokens.position,
            counted: &tokens.counted,
            ids: &tokens.ids,
            byte_ranges: &tokens.byte_ranges,
            surprisal: &[],
            predicted_ids: &[],
        }
    }

    fn check(other: &Tokens, reference: &Tokens, is_same_text: Option<bool>) -> TokenMatches {
        match_tokens(&view(other), &view(reference), is_same_text)
    }

    fn triples(found: &TokenMatches) -> Vec<(usize, usize, f64)> {
        let pairs = found.pairs.iter();
        pairs.map(|m| (m.other, m.reference, m.weight)).collect()
    }

    #[test]
    fn equal_tokens_match_one_to_one_whatever_stands_before_them() {
        let plain = tokens(&[(5, 0, 2), (6, 2, 4)]);
        // A template's token before them, which does not count.
        let chat = tokens(&[(0, 0, 0), (5, 0, 2), (6, 2, 4)]);
        let found = check(&chat, &plain, None);
        assert_eq!(found.basis, Basis::Tokens);
        assert_eq!(triples(&found), [(1, 0, 1.0), (2, 1, 1.0)]);
        assert!(found.is_moved && !check(&plain, &plain, None).is_moved);
    }

    #[test]
    fn other_tokens_of_the_same_text_match_by_the_bytes_they_share() {
        // "moescope" as moe|scope and as moesc|o|pe: of `scope` (5 bytes) 2 are in `moesc`, 1 in `o`, 2 in `pe`.
        let reference = tokens(&[(1, 0, 3), (2, 3, 8)]);
        let other = tokens(&[(7, 0, 5), (8, 5, 6), (9, 6, 8)]);
        let found = check(&other, &reference, Some(true));
        assert_eq!((found.basis, found.counted), (Basis::Bytes, 2));
        assert_eq!(
            triples(&found),
            [(0, 0, 1.0), (0, 1, 0.4), (1, 1, 0.2), (2, 1, 0.4)]
        );
    }

    #[test]
    fn bytes_that_one_side_does_not_count_are_not_matched() {
        let reference = tokens(&[(1, 0, 4)]);
        let other = tokens(&[(7, 0, 1), (0, 1, 4)]);
        assert_eq!(
            triples(&check(&other, &reference, Some(true))),
            [(0, 0, 0.25)]
        );
    }

    #[test]
    fn tokens_of_the_bytes_of_one_character_share_it() {
        // Both cut a two-byte character into two tokens that cover all of it; one id differs.
        let reference = tokens(&[(1, 0, 2), (2, 0, 2)]);
        let other = tokens(&[(1, 0, 2), (3, 0, 2)]);
        let found = check(&other, &reference, Some(true));
        assert_eq!(
            triples(&found),
            [(0, 0, 0.5), (1, 0, 0.5), (0, 1, 0.5), (1, 1, 0.5)]
        );
    }

    #[test]
    fn other_texts_have_no_matches() {
        let (a, b) = (tokens(&[(5, 0, 2)]), tokens(&[(5, 0, 2), (6, 2, 4)]));
        for is_same_text in [None, Some(false)] {
            let found = check(&a, &b, is_same_text);
            assert_eq!((found.basis, found.pairs.len()), (Basis::Nothing, 0));
        }
    }
}
