//! Documents longer than the limit: cut, taken in pieces, or left out.

use std::ops::Range;

use super::planned::PlannedToken;

/// Tokens that a tokenizer puts before and after a text, counted on a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) leading: usize,
    pub(super) trailing: usize,
}

impl Frame {
    /// Finds the special tokens at both ends.
    pub(super) fn of(tokens: &[PlannedToken]) -> Self {
        let leading = tokens.iter().take_while(|token| token.is_added()).count();
        let trailing = tokens[leading..]
            .iter()
            .rev()
            .take_while(|token| token.is_added())
            .count();
        Self { leading, trailing }
    }

    /// How many tokens of text fit beside them.
    pub(super) fn room(self, max_tokens: usize) -> usize {
        max_tokens.saturating_sub(self.leading + self.trailing)
    }

    /// The text's own tokens.
    pub(super) fn content(self, tokens: &[PlannedToken]) -> &[PlannedToken] {
        &tokens[self.leading..tokens.len() - self.trailing]
    }
}

/// The first piece of at most `room` tokens: how many tokens, ended where no character is cut in two.
///
/// Byte-level tokens may each hold a part of one character; their places in the text then overlap.
pub(super) fn piece_len(content: &[PlannedToken], room: usize) -> usize {
    if content.len() <= room {
        return content.len();
    }
    let is_clean = |end: usize| match (content[end - 1].bytes(), content[end].bytes()) {
        (Some(before), Some(after)) => before.end <= after.start,
        _ => true,
    };
    // A character has at most four bytes, so a clean end is near; a text without one is cut where it must be.
    (1..=room)
        .rev()
        .take(8)
        .find(|end| is_clean(*end))
        .unwrap_or(room)
}

/// The bytes of the text that some of its tokens cover.
pub(super) fn covered(piece: &[PlannedToken]) -> Range<u32> {
    let places = || piece.iter().filter_map(PlannedToken::bytes);
    let start = places().map(|bytes| bytes.start).min().unwrap_or(0);
    let end = places().map(|bytes| bytes.end).max().unwrap_or(start);
    start..end
}

/// The tokens of a piece between the special ones of its document, with their places in the piece's own text.
pub(super) fn framed(
    tokens: &[PlannedToken],
    frame: Frame,
    piece: &[PlannedToken],
    text: &Range<u32>,
) -> Vec<PlannedToken> {
    let moved = piece.iter().map(|token| token.moved(text));
    tokens[..frame.leading]
        .iter()
        .copied()
        .chain(moved)
        .chain(tokens[tokens.len() - frame.trailing..].iter().copied())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(id: u32, bytes: Option<(u32, u32)>) -> PlannedToken {
        PlannedToken::new(id, bytes, bytes.is_none())
    }

    #[test]
    fn a_piece_never_ends_inside_a_character() {
        // Tokens 1 and 2 are the two halves of a character at bytes 1..3.
        let content = [
            token(5, Some((0, 1))),
            token(6, Some((1, 3))),
            token(7, Some((1, 3))),
            token(8, Some((3, 4))),
        ];
        assert_eq!(piece_len(&content, 4), 4);
        assert_eq!(piece_len(&content, 3), 3);
        assert_eq!(piece_len(&content, 2), 1);
        assert_eq!(piece_len(&content, 1), 1);
    }

    #[test]
    fn special_tokens_frame_every_piece() {
        let tokens = [
            token(1, None),
            token(5, Some((0, 2))),
            token(6, Some((2, 4))),
            token(2, None),
        ];
        let frame = Frame::of(&tokens);
        assert_eq!(
            frame,
            Frame {
                leading: 1,
                trailing: 1
            }
        );
        assert_eq!(frame.room(3), 1);
        let piece = &frame.content(&tokens)[1..2];
        let text = covered(piece);
        assert_eq!(text, 2..4);
        let framed = framed(&tokens, frame, piece, &text);
        assert_eq!(
            framed,
            [token(1, None), token(6, Some((0, 2))), token(2, None)]
        );
    }
}
