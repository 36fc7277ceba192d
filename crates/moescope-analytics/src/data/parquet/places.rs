//! The token of each decision.

use std::mem;

use rayon::prelude::*;

use crate::data::DecisionShard;

/// Rows whose tokens are looked for at a time; documents longer than this are shared between threads.
const ROWS_AT_A_TIME: usize = 1 << 16;

/// Rows of one document.
struct Piece<'a> {
    /// Which of the shard's documents.
    document: usize,
    /// The row before the first one, which must come before it.
    before: Option<(u32, u16)>,
    position: &'a [u32],
    layers: &'a [u16],
    token: &'a mut [u32],
    counted: &'a mut [bool],
}

/// Finds the token of every decision of a shard's documents, whose tokens are sorted.
///
/// Gives the document and the position of the first decision without a token, or that is not behind the one before it.
pub(super) fn find_places(shard: &mut DecisionShard) -> Option<(usize, u32)> {
    let DecisionShard {
        documents,
        position,
        layers,
        token,
        counted,
        tokens,
        ..
    } = shard;
    let mut pieces = Vec::new();
    let (mut token, mut counted) = (token.as_mut_slice(), counted.as_mut_slice());
    for (place, document) in documents.iter().enumerate() {
        let rows = &document.rows;
        for start in rows.clone().step_by(ROWS_AT_A_TIME) {
            let end = rows.end.min(start + ROWS_AT_A_TIME);
            let (first, rest) = mem::take(&mut token).split_at_mut(end - start);
            let (first_counted, rest_counted) = mem::take(&mut counted).split_at_mut(end - start);
            (token, counted) = (rest, rest_counted);
            pieces.push(Piece {
                document: place,
                before: (start > rows.start).then(|| (position[start - 1], layers[start - 1])),
                position: &position[start..end],
                layers: &layers[start..end],
                token: first,
                counted: first_counted,
            });
        }
    }
    pieces
        .into_par_iter()
        .map(|piece| {
            let tokens_of = documents[piece.document].tokens.clone();
            let document = piece.document;
            let misplaced = piece.place(
                &tokens.position[tokens_of.clone()],
                &tokens.counted[tokens_of],
            );
            misplaced.map(|position| (document, position))
        })
        .collect::<Vec<_>>()
        .into_iter()
        .flatten()
        .next()
}

impl Piece<'_> {
    /// Fills in the tokens' places; gives the position of the first row that has none or is not sorted.
    fn place(self, positions: &[u32], is_counted: &[bool]) -> Option<u32> {
        let first = *self.position.first()?;
        let mut at = positions.partition_point(|position| *position < first);
        let mut before = self.before;
        for (row, (position, layer)) in self.position.iter().zip(self.layers).enumerate() {
            let key = (*position, *layer);
            while positions.get(at).is_some_and(|found| found < position) {
                at += 1;
            }
            let is_sorted = before.is_none_or(|before| before < key);
            if !is_sorted || positions.get(at) != Some(position) {
                return Some(*position);
            }
            before = Some(key);
            self.token[row] = u32::try_from(at).expect("a document's positions are 32-bit");
            self.counted[row] = is_counted[at];
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::decisions::DocumentRows;
    use crate::data::decisions::TokenColumns;

    /// One document of two layers with tokens at positions 0, 1 and 4, the last of which does not count.
    fn places(position: &[u32], layers: &[u16]) -> Result<(Vec<u32>, Vec<bool>), (usize, u32)> {
        let mut shard = DecisionShard {
            documents: vec![DocumentRows {
                document: 0,
                rows: 0..position.len(),
                tokens: 0..3,
            }],
            position: position.to_vec(),
            layers: layers.to_vec(),
            token: vec![0; position.len()],
            counted: vec![false; position.len()],
            tokens: TokenColumns {
                position: vec![0, 1, 4],
                counted: vec![true, true, false],
                ..TokenColumns::default()
            },
            ..DecisionShard::default()
        };
        match find_places(&mut shard) {
            None => Ok((shard.token, shard.counted)),
            Some(misplaced) => Err(misplaced),
        }
    }

    #[test]
    fn decisions_find_their_tokens_and_whether_these_count() {
        let found = places(&[0, 0, 4, 4], &[0, 1, 0, 1]).unwrap();
        assert_eq!(found, (vec![0, 0, 2, 2], vec![true, true, false, false]));
    }

    #[test]
    fn a_decision_without_a_token_or_out_of_order_is_named_by_its_position() {
        assert_eq!(places(&[0, 2], &[0, 0]), Err((0, 2)));
        assert_eq!(places(&[1, 0], &[0, 0]), Err((0, 0)));
        // The same token twice at one layer.
        assert_eq!(places(&[4, 4], &[1, 1]), Err((0, 4)));
    }
}
