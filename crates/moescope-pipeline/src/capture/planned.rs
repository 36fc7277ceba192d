//! Samples with their tokens, before they are run.

use std::ops::Range;

use moescope_core::Sample;

/// A sample with its tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedSample {
    /// The sample; its text is what the tokens are of, cut where the document was.
    pub sample: Sample,
    /// Its tokens.
    pub tokens: Vec<PlannedToken>,
}

/// A token of a text, in 16 bytes: a corpus has millions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlannedToken {
    /// Entry of the vocabulary.
    pub id: u32,
    start: u32,
    end: u32,
    /// Whether it is a special token.
    pub is_special: bool,
}

impl PlannedToken {
    /// A token at bytes `start..end` of its text, or nowhere in it.
    #[must_use]
    pub fn new(id: u32, bytes: Option<(u32, u32)>, is_special: bool) -> Self {
        let (start, end) = bytes.unwrap_or((u32::MAX, u32::MAX));
        Self {
            id,
            start,
            end,
            is_special,
        }
    }

    /// Its place in the text; `None` for tokens that the tokenizer added.
    #[must_use]
    pub fn bytes(&self) -> Option<Range<u32>> {
        (self.start != u32::MAX).then_some(self.start..self.end)
    }

    /// Whether the tokenizer added it.
    pub(super) fn is_added(&self) -> bool {
        self.is_special && self.start == u32::MAX
    }

    /// The same token, its place counted from the start of a piece of the text.
    pub(super) fn moved(mut self, piece: &Range<u32>) -> Self {
        if self.start != u32::MAX {
            self.start -= piece.start;
            self.end -= piece.start;
        }
        self
    }
}
