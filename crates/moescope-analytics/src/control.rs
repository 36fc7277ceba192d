//! What is held constant while labels are compared.

use std::{convert::Infallible, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::data::Document;

/// A variable whose distribution a comparison makes equal, or within whose values it looks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Control {
    /// The token's vocabulary entry.
    Token,
    /// The token's position, in the ranges 0–15, 16–63, 64–255, 256–1023, 1024–4095 and the rest.
    Position,
    /// The document's number of counted tokens, in bins each √2 times as wide as the one before.
    Length,
    /// A label column of the documents, such as `genre`.
    Label(String),
}

impl Control {
    /// Its value for all tokens of a document of so many tokens: empty if tokens differ in it, `None` where it is unknown.
    pub(crate) fn of_document(&self, document: &Document, tokens: f64) -> Option<String> {
        match self {
            Self::Label(column) => document.label(column).map(ToOwned::to_owned),
            Self::Length => Some(length_bin(tokens).to_string()),
            Self::Position | Self::Token => Some(String::new()),
        }
    }
}

impl From<String> for Control {
    fn from(name: String) -> Self {
        match name.as_str() {
            "token" => Self::Token,
            "position" => Self::Position,
            "length" => Self::Length,
            _ => Self::Label(name),
        }
    }
}

impl FromStr for Control {
    type Err = Infallible;

    fn from_str(name: &str) -> Result<Self, Infallible> {
        Ok(name.to_owned().into())
    }
}

impl fmt::Display for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Token => "token",
            Self::Position => "position",
            Self::Length => "length",
            Self::Label(column) => column,
        })
    }
}

impl From<Control> for String {
    fn from(control: Control) -> Self {
        control.to_string()
    }
}

/// Names in a list, as notes print them.
pub(crate) fn names(controls: &[Control]) -> String {
    let names: Vec<String> = controls.iter().map(ToString::to_string).collect();
    names.join(" and ")
}

/// Number of ranges of positions.
pub(crate) const POSITION_RANGES: usize = 6;

/// The first positions of a document differ most from each other, so ranges grow by a factor of four:
/// 0–15, 16–63, 64–255, 256–1023, 1024–4095, and the rest.
pub(crate) fn position_range(position: u32) -> usize {
    (1..POSITION_RANGES)
        .take_while(|range| position >= 4 << (2 * range))
        .count()
}

/// The bin of a document's number of tokens; each is √2 times as wide as the one before.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "twice the logarithm of a number of tokens"
)]
pub(crate) fn length_bin(tokens: f64) -> usize {
    (2.0 * tokens.max(1.0).log2()).floor() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_grow_by_a_factor_of_four() {
        let starts = [0, 15, 16, 63, 64, 255, 256, 1024, 4096, u32::MAX];
        let ranges: Vec<usize> = starts.map(position_range).to_vec();
        assert_eq!(ranges, [0, 0, 1, 1, 2, 2, 3, 4, 5, 5]);
        // 2 log2 of 1, 256 and 400: 0, 16, 17.29.
        assert_eq!([0.0, 1.0, 256.0, 400.0].map(length_bin), [0, 0, 16, 17]);
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        for name in ["token", "position", "length", "genre"] {
            let Ok(control) = name.parse::<Control>();
            assert_eq!(control.to_string(), name);
        }
        assert_eq!(
            Control::from("genre".to_owned()),
            Control::Label("genre".into())
        );
    }
}
