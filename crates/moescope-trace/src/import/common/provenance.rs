//! What the manifest of an imported trace says about the import.

use serde::{Deserialize, Serialize};

use crate::Manifest;

/// The field of the manifest's `settings` that holds an [`ImportProvenance`].
pub(crate) const IMPORT: &str = "import";

/// How an imported trace came about: `settings.import` of its manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportProvenance {
    /// The format's name, as `moescope import --list` shows it.
    pub format: String,
    /// Columns that the source does not hold and that were computed from what it holds.
    #[serde(default)]
    pub derived: Vec<Derived>,
    /// Tokens whose routing the source does not hold; their `is_routed` is false.
    #[serde(default)]
    pub tokens_without_routing: u64,
    /// What else a reader must know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// A column that the source does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Derived {
    /// The column as `table.column`.
    pub column: String,
    /// What it was computed from, and how.
    pub from: String,
}

impl Derived {
    pub(crate) fn new(column: &str, from: &str) -> Self {
        Self {
            column: column.to_owned(),
            from: from.to_owned(),
        }
    }
}

impl Manifest {
    /// How the trace was imported; `None` for a capture.
    #[must_use]
    pub fn import(&self) -> Option<ImportProvenance> {
        serde_json::from_value(self.settings.get(IMPORT)?.clone()).ok()
    }
}
