//! Which documents count, and what they are compared by; shared by every verb that measures.

use clap::Args;
use moescope_core::{LabelFilter, LabelGroup, LabelList};

/// Labels of documents.
#[derive(Args, Debug)]
pub(crate) struct LabelArgs {
    /// The label column to compare by; `all` puts all documents together
    #[arg(long, default_value = "discipline", value_name = "COLUMN")]
    pub(crate) by: String,
    /// Take labels of that column for one of another name, like science=chemistry,physics; once for each name; an =
    /// within the name is written \=
    #[arg(long, value_name = "NAME=LABELS")]
    pub(crate) merge: Vec<LabelGroup>,
    /// Only documents with these labels, like law,math; a comma within a label is written \,
    #[arg(long, value_name = "LABELS")]
    labels: Vec<LabelList>,
    /// Only documents with one of these labels of any column, like genre=abstract,review; once for each column, and every
    /// one must hold; an = within the column's name is written \=
    #[arg(long, value_name = "COLUMN=LABELS")]
    pub(crate) only: Vec<LabelFilter>,
}

impl LabelArgs {
    /// The labels that documents must have.
    pub(crate) fn labels(&self) -> Vec<String> {
        LabelList::all_of(&self.labels)
    }
}
