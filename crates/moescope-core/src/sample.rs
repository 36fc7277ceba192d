//! One labelled text, as it comes in.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Discipline;

/// A document to be run through a model, with all that is known about it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// Unique within a data set.
    pub id: String,
    /// The document's field, if it is known.
    pub discipline: Option<Discipline>,
    /// The parent document (book, article, notebook): the unit of resampling. Defaults to `id`.
    pub group: Option<String>,
    /// What kind of text it is: textbook, abstract, source code, …
    pub genre: Option<String>,
    /// Where the text comes from.
    pub source: Option<String>,
    /// The text's licence.
    pub licence: Option<String>,
    /// Links the members of a matched pair.
    pub pair: Option<String>,
    /// The text itself.
    pub text: String,
    /// Further label columns that the user asked to keep.
    pub labels: BTreeMap<String, String>,
}

impl Sample {
    /// The unit of resampling: `group`, or the sample's own id where no group is given.
    #[must_use]
    pub fn group_or_id(&self) -> &str {
        self.group.as_deref().unwrap_or(&self.id)
    }
}
