//! What a token is known by: its own entry of the vocabulary, those around it, or its place.

use crate::data::{DecisionNeeds, DocumentDecisions};

/// The value of a token of which nothing is known.
pub(crate) const UNKNOWN: u32 = u32::MAX;

/// What tokens are told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenClass {
    /// The token's own id.
    Input,
    /// The id that the model thought most likely to follow.
    Predicted,
    /// The id that followed.
    Next,
    /// The token's position in its document.
    Position,
}

impl TokenClass {
    /// The name in variants.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Predicted => "predicted",
            Self::Next => "next",
            Self::Position => "position",
        }
    }

    /// Adds what must be read for it.
    pub(crate) fn add_needs(self, needs: &mut DecisionNeeds) {
        match self {
            Self::Input | Self::Next => needs.token_ids = true,
            Self::Predicted => needs.predicted_ids = true,
            Self::Position => {}
        }
    }

    /// The value of every token of a document, `[tokens]`; [`UNKNOWN`] where there is none.
    pub(crate) fn values(self, decisions: &DocumentDecisions<'_>) -> Vec<u32> {
        let tokens = &decisions.tokens;
        match self {
            Self::Input => tokens.ids.to_vec(),
            Self::Predicted => tokens.predicted_ids.to_vec(),
            Self::Position => tokens.position.to_vec(),
            Self::Next => (0..tokens.ids.len())
                .map(|token| {
                    let next = tokens.position.get(token + 1).copied();
                    let follows = next == tokens.position[token].checked_add(1);
                    if follows && next.is_some() {
                        tokens.ids[token + 1]
                    } else {
                        UNKNOWN
                    }
                })
                .collect(),
        }
    }
}
