//! Labels that are taken for one.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{CoreError, LabelList};

/// Labels that documents are compared by under one name, such as `science` for chemistry and physics.
///
/// On a command line it is written like a [`LabelList`] with the name before it.
///
/// ```
/// use moescope_core::LabelGroup;
///
/// let group: LabelGroup = "science=chemistry,physics".parse()?;
/// assert_eq!((group.name.as_str(), group.labels.len()), ("science", 2));
/// assert_eq!(group.to_string(), "science=chemistry,physics");
/// # Ok::<(), moescope_core::CoreError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelGroup {
    /// What the labels are called together.
    pub name: String,
    /// The labels.
    pub labels: Vec<String>,
}

impl LabelGroup {
    /// The group in words: `science for chemistry and physics`.
    #[must_use]
    pub fn describe(&self) -> String {
        format!("{} for {}", self.name, self.labels.join(" and "))
    }
}

impl FromStr for LabelGroup {
    type Err = CoreError;

    fn from_str(text: &str) -> Result<Self, CoreError> {
        match LabelList::named(text) {
            Some((name, LabelList(labels))) if !name.is_empty() && !labels.is_empty() => {
                Ok(Self { name, labels })
            }
            _ => Err(CoreError::LabelGroup(text.to_owned())),
        }
    }
}

impl fmt::Display for LabelGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&LabelList::of_named(&self.name, &self.labels))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_read_as_it_is_written() {
        let group = LabelGroup {
            name: "law & order".into(),
            labels: vec!["law: civil".into(), "ethics".into()],
        };
        assert_eq!(group.to_string(), r"law & order=law\: civil,ethics");
        assert_eq!(group.describe(), "law & order for law: civil and ethics");
        assert_eq!(group.to_string().parse(), Ok(group));
        for wrong in ["science", "science=", "=chemistry", ""] {
            let error = wrong.parse::<LabelGroup>().unwrap_err().to_string();
            assert!(error.contains("science=chemistry,physics"), "{error}");
        }
    }
}
