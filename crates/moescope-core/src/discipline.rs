//! The label that every question of this project is about.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::CoreError;

/// The disciplines of our own data sets, in the order in which tables and figures list them.
pub const STANDARD_DISCIPLINES: [&str; 15] = [
    "math",
    "physics",
    "chemistry",
    "materials",
    "biology",
    "medicine",
    "cs",
    "code",
    "astronomy",
    "earth",
    "economics",
    "law",
    "humanities",
    "smiles",
    "protein",
];

/// A validated label of a document's field; OLMoE's paper says *domain*.
///
/// Any non-empty label of at most 64 characters without control characters will do;
/// [`STANDARD_DISCIPLINES`] are the names that our own data uses.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Discipline(String);

impl Discipline {
    /// Checks a label and makes it a discipline; surrounding white space is dropped.
    ///
    /// # Errors
    /// When the label is empty, longer than 64 characters or holds control characters.
    pub fn new(label: &str) -> Result<Self, CoreError> {
        let label = label.trim();
        let reason = if label.is_empty() {
            Some("it is empty")
        } else if label.chars().count() > 64 {
            Some("it is longer than 64 characters")
        } else if label.chars().any(char::is_control) {
            Some("it holds control characters")
        } else {
            None
        };
        match reason {
            Some(reason) => Err(CoreError::Discipline {
                found: label.chars().take(80).collect(),
                reason,
            }),
            None => Ok(Self(label.to_owned())),
        }
    }

    /// The label itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A sort key: our standard disciplines first and in their order, all others after them by name.
    #[must_use]
    pub fn display_order(label: &str) -> (usize, &str) {
        let standard = STANDARD_DISCIPLINES.iter().position(|name| *name == label);
        (standard.unwrap_or(STANDARD_DISCIPLINES.len()), label)
    }
}

impl fmt::Display for Discipline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Discipline {
    type Error = CoreError;

    fn try_from(label: String) -> Result<Self, CoreError> {
        Self::new(&label)
    }
}

impl From<Discipline> for String {
    fn from(discipline: Discipline) -> Self {
        discipline.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_trimmed_and_checked() {
        assert_eq!(Discipline::new(" law ").unwrap().as_str(), "law");
        assert!(Discipline::new("  ").is_err());
        assert!(Discipline::new("a\nb").is_err());
        assert!(Discipline::new(&"x".repeat(65)).is_err());
    }

    #[test]
    fn standard_disciplines_sort_before_others() {
        let mut labels = vec!["zoology", "protein", "math", "art"];
        labels.sort_by_key(|label| Discipline::display_order(label));
        assert_eq!(labels, ["math", "protein", "art", "zoology"]);
    }
}
