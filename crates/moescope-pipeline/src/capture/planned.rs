//! Samples with their tokens, before they are run.

use std::ops::Range;

use moescope_core::{Role, Sample};

/// A sample with its tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedSample {
    /// The sample; its text is what the tokens are of, cut where the document was.
    pub sample: Sample,
    /// Its tokens.
    pub tokens: Vec<PlannedToken>,
}

impl PlannedSample {
    /// Whose words a generated token is: the model's reply in a conversation, the document's own otherwise.
    pub(crate) fn reply_role(&self) -> Role {
        let is_conversation = self.tokens.iter().any(|t| t.role == Some(Role::User));
        if is_conversation {
            Role::Assistant
        } else {
            Role::Document
        }
    }
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
    /// Whether a chat template, or the marks around science units, put it there.
    pub is_template: bool,
    /// Whose words it is; nobody's, where a template wrote it.
    pub role: Option<Role>,
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
            is_template: false,
            role: Some(Role::Document),
        }
    }

    /// The same token in another one's words.
    #[must_use]
    pub fn of_role(self, role: Role) -> Self {
        Self {
            role: Some(role),
            ..self
        }
    }

    /// A token that a template put there, or that is in a message other than the document.
    #[must_use]
    pub fn of_template(id: u32, role: Option<Role>, is_special: bool) -> Self {
        Self {
            is_template: true,
            role,
            ..Self::new(id, None, is_special)
        }
    }

    /// Its place in the text; `None` for tokens that the tokenizer added.
    #[must_use]
    pub fn bytes(&self) -> Option<Range<u32>> {
        (self.start != u32::MAX).then_some(self.start..self.end)
    }

    /// Whether the tokenizer or a template added it.
    pub(super) fn is_added(&self) -> bool {
        (self.is_special || self.is_template) && self.start == u32::MAX
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
