//! Which tokens of a document count by where they stand in it.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{CoreError, ranges};

/// A range that ends here has no end.
const LARGEST: Option<u32> = Some(u32::MAX);

/// Which tokens of a document count, by their position in it (0 is its first token), such as `all`, `0,5-8` or `16-`.
///
/// Prompt and generated tokens are counted through.
///
/// ```
/// use moescope_core::PositionSelection;
///
/// let positions: PositionSelection = "0,16-".parse()?;
/// assert!(positions.contains(0) && !positions.contains(15) && positions.contains(1_000));
/// assert_eq!(positions.to_string(), "0,16-");
/// # Ok::<(), moescope_core::CoreError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum PositionSelection {
    /// Every token.
    #[default]
    All,
    /// Inclusive ranges; one that ends at `u32::MAX` has no end.
    Ranges(Vec<(u32, u32)>),
}

impl PositionSelection {
    /// Whether a token at this position counts.
    #[must_use]
    pub fn contains(&self, position: u32) -> bool {
        match self {
            Self::All => true,
            Self::Ranges(ranges) => ranges::contain(ranges, position),
        }
    }

    /// Whether every token counts, wherever it stands.
    #[must_use]
    pub fn is_all(&self) -> bool {
        *self == Self::All
    }
}

impl FromStr for PositionSelection {
    type Err = CoreError;

    fn from_str(text: &str) -> Result<Self, CoreError> {
        if text.trim() == "all" {
            return Ok(Self::All);
        }
        let ranges = ranges::parse(text, LARGEST).map_err(|part| CoreError::PositionSelection {
            found: text.to_owned(),
            part: part.to_owned(),
        })?;
        Ok(Self::Ranges(ranges))
    }
}

impl fmt::Display for PositionSelection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Ranges(ranges) => f.write_str(&ranges::to_text(ranges, LARGEST)),
        }
    }
}

impl TryFrom<String> for PositionSelection {
    type Error = CoreError;

    fn try_from(text: String) -> Result<Self, CoreError> {
        text.parse()
    }
}

impl From<PositionSelection> for String {
    fn from(selection: PositionSelection) -> Self {
        selection.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_read_as_they_are_written() {
        for text in ["all", "0", "0,5-8", "16-", "0-3,7,4294967295", "0-"] {
            let positions: PositionSelection = text.parse().unwrap();
            assert_eq!(positions.to_string(), text);
            let json = serde_json::to_string(&positions).unwrap();
            assert_eq!(json, format!("\"{text}\""));
            assert_eq!(
                serde_json::from_str::<PositionSelection>(&json).unwrap(),
                positions
            );
        }
        let spaced: PositionSelection = " 0, 5 - 8 ".parse().unwrap();
        assert_eq!(spaced.to_string(), "0,5-8");
    }

    #[test]
    fn ranges_hold_both_ends_and_may_have_none() {
        let positions: PositionSelection = "0,5-8,16-".parse().unwrap();
        let held: Vec<u32> = (0..20).filter(|p| positions.contains(*p)).collect();
        assert_eq!(held, [0, 5, 6, 7, 8, 16, 17, 18, 19]);
        assert!(positions.contains(u32::MAX) && !positions.is_all());
        let all = PositionSelection::default();
        assert!(all.is_all() && all.contains(0) && all.contains(u32::MAX));
    }

    #[test]
    fn what_is_no_list_is_refused_with_examples() {
        for (text, part) in [
            ("", "''"),
            ("a", "'a'"),
            ("0,8-5", "'8-5'"),
            ("-5", "'-5'"),
            ("-", "'-'"),
            ("1,,2", "''"),
            ("4294967296", "'4294967296'"),
            ("1-2-3", "'1-2-3'"),
        ] {
            let error = text.parse::<PositionSelection>().unwrap_err().to_string();
            assert!(error.contains(&format!("at {part}")), "{error}");
            assert!(error.contains("'0,5-8', '16-' or 'all'"), "{error}");
        }
    }
}
