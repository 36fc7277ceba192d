//! What became of the documents and tokens that were to be matched.

use super::tokens::{Basis, TokenMatches};

/// How many documents of two traces were matched, and how.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct MatchingCounts {
    by_token: usize,
    by_bytes: usize,
    unmatched: usize,
    moved: usize,
    /// Counted tokens of the reference in documents matched by bytes, and the part of them that was matched.
    tokens_by_bytes: f64,
    matched_by_bytes: f64,
}

impl MatchingCounts {
    /// Adds a document.
    pub(crate) fn add(&mut self, matches: &TokenMatches) {
        match matches.basis {
            Basis::Tokens => self.by_token += 1,
            Basis::Bytes => {
                self.by_bytes += 1;
                #[expect(clippy::cast_precision_loss, reason = "a number of tokens")]
                let counted = matches.counted as f64;
                self.tokens_by_bytes += counted;
                self.matched_by_bytes += matches.pairs.iter().map(|m| m.weight).sum::<f64>();
            }
            Basis::Nothing => self.unmatched += 1,
        }
        self.moved += usize::from(matches.is_moved);
    }

    /// Whether no document could be matched.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_token + self.by_bytes == 0
    }

    /// What a reader must know, for a trace of this name.
    pub(crate) fn notes(&self, other: &str) -> Vec<String> {
        let mut notes = Vec::new();
        if self.by_token > 0 {
            notes.push(format!(
                "{other}: {} documents hold the same counted tokens and are matched token by token",
                self.by_token
            ));
        }
        if self.by_bytes > 0 {
            notes.push(format!(
                "{other}: {} documents are cut into other tokens and are matched by the bytes that tokens share: {:.1} % of the reference's tokens in them, each pair weighted by the share of the reference's token",
                self.by_bytes,
                100.0 * self.matched_by_bytes / self.tokens_by_bytes.max(1.0)
            ));
        }
        if self.unmatched > 0 {
            notes.push(format!(
                "{other}: {} documents hold another text, or neither its tokens nor its bytes are known; only their distributions could be compared, and they are left out",
                self.unmatched
            ));
        }
        if self.moved > 0 {
            notes.push(format!(
                "{other}: in {} documents the same tokens stand at other positions, behind another prompt",
                self.moved
            ));
        }
        notes
    }
}
