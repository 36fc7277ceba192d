//! What is known of one token of a captured sample.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The forward pass in which a token was routed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Together with the other tokens of the given text.
    Prefill,
    /// Alone, after it had been generated.
    Decode,
}

impl Phase {
    /// The name in files and on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Prefill => "prefill",
            Self::Decode => "decode",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whose words a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Plain text without a conversation.
    Document,
    /// A conversation's instructions.
    System,
    /// A conversation's user.
    User,
    /// The model's reply.
    Assistant,
}

impl Role {
    /// The name in files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Document => "document",
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// One token of a sample, as the `tokens` table keeps it; `None` is unknown.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenRow {
    /// The token's place within its sample.
    pub position: u32,
    /// Entry of the vocabulary.
    pub token_id: Option<u32>,
    /// The token's piece of text; bytes that are not UTF-8 replaced.
    pub text: Option<String>,
    /// First byte of the token in the sample's text, where it stands there.
    pub byte_start: Option<u32>,
    /// One past the last byte of the token in the sample's text.
    pub byte_end: Option<u32>,
    /// The forward pass that routed it.
    pub phase: Option<Phase>,
    /// Whose words it is.
    pub role: Option<Role>,
    /// Whether it is a special token such as BOS.
    pub is_special: Option<bool>,
    /// Whether a chat template put it there.
    pub is_template: Option<bool>,
    /// Whether it went through the routers; false for a last sampled token that was never fed back.
    pub is_routed: bool,
    /// Nats, of this token given those before it.
    pub surprisal: Option<f32>,
    /// The most likely next token after this one.
    pub predicted_id: Option<u32>,
}

impl TokenRow {
    /// Whether the default scope counts this token: routed, neither special nor from a template.
    #[must_use]
    pub fn is_content(&self) -> bool {
        self.is_routed && !self.is_special.unwrap_or(false) && !self.is_template.unwrap_or(false)
    }
}
