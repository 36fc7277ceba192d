//! Which documents count by what they are in one column.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{CoreError, LabelList};

/// Labels of a column of samples, of which a document must have one.
///
/// On a command line it is written like a [`LabelList`] with the column before it.
///
/// ```
/// use moescope_core::LabelFilter;
///
/// let filter: LabelFilter = "genre=abstract,review".parse()?;
/// assert_eq!((filter.column.as_str(), filter.labels.len()), ("genre", 2));
/// assert_eq!(filter.to_string(), "genre=abstract,review");
/// # Ok::<(), moescope_core::CoreError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelFilter {
    /// The column.
    pub column: String,
    /// The labels that count.
    pub labels: Vec<String>,
}

impl LabelFilter {
    /// The filter in words: `genre is abstract or review`.
    #[must_use]
    pub fn describe(&self) -> String {
        format!("{} is {}", self.column, self.labels.join(" or "))
    }
}

impl FromStr for LabelFilter {
    type Err = CoreError;

    fn from_str(text: &str) -> Result<Self, CoreError> {
        match LabelList::named(text) {
            Some((column, LabelList(labels))) if !column.is_empty() && !labels.is_empty() => {
                Ok(Self { column, labels })
            }
            _ => Err(CoreError::LabelFilter(text.to_owned())),
        }
    }
}

impl fmt::Display for LabelFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&LabelList::of_named(&self.column, &self.labels))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_read_as_it_is_written() {
        let filter = LabelFilter {
            column: "kind=of text".into(),
            labels: vec!["arts, letters".into(), "a=b".into()],
        };
        assert_eq!(filter.to_string(), r"kind\=of text=arts\, letters,a=b");
        assert_eq!(filter.to_string().parse(), Ok(filter));
        for wrong in ["genre", "genre=", "=abstract", ""] {
            let error = wrong.parse::<LabelFilter>().unwrap_err().to_string();
            assert!(error.contains("genre=abstract,review"), "{error}");
        }
    }
}
