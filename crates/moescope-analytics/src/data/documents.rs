//! Documents and their labels.

use std::collections::{BTreeMap, BTreeSet};

use moescope_core::{Discipline, Sample};

use crate::AnalyticsError;

/// The column that labels documents unless the request names another.
const DISCIPLINE: &str = "discipline";
/// The column that says what kind of text a document is.
pub(crate) const GENRE: &str = "genre";
/// The pseudo column that puts every document under one label.
pub(crate) const ALL: &str = "all";

/// A document of the trace with its labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Its number in the trace.
    pub sample: u32,
    /// Its unique id.
    pub id: String,
    /// Every label it carries: discipline, group, genre, source, licence, pair and the user's own columns.
    pub labels: BTreeMap<String, String>,
}

impl Document {
    /// The document of a sample in memory.
    pub(crate) fn from_sample(number: u32, sample: &Sample) -> Self {
        let own = [
            (
                DISCIPLINE,
                sample.discipline.as_ref().map(Discipline::as_str),
            ),
            ("group", sample.group.as_deref()),
            (GENRE, sample.genre.as_deref()),
            ("source", sample.source.as_deref()),
            ("licence", sample.licence.as_deref()),
            ("pair", sample.pair.as_deref()),
        ];
        let mut labels = sample.labels.clone();
        labels.extend(
            own.into_iter()
                .filter_map(|(column, value)| Some((column.to_owned(), value?.to_owned()))),
        );
        Self {
            sample: number,
            id: sample.id.clone(),
            labels,
        }
    }

    /// The document's label in a column; `id` and `all` are columns too.
    #[must_use]
    pub fn label(&self, column: &str) -> Option<&str> {
        match column {
            "id" => Some(&self.id),
            ALL => Some(ALL),
            _ => self.labels.get(column).map(String::as_str),
        }
    }
}

/// Every column that some document has a label in, sorted.
pub(crate) fn columns(documents: &[Document]) -> Vec<String> {
    let mut found: BTreeSet<&str> = ["id", ALL].into();
    found.extend(
        documents
            .iter()
            .flat_map(|d| d.labels.keys().map(String::as_str)),
    );
    found.into_iter().map(ToOwned::to_owned).collect()
}

/// The labels that occur in a column, in display order.
pub(crate) fn labels(documents: &[Document], column: &str) -> Result<Vec<String>, AnalyticsError> {
    let found: BTreeSet<&str> = documents.iter().filter_map(|d| d.label(column)).collect();
    if found.is_empty() {
        return Err(AnalyticsError::UnknownColumn {
            column: column.to_owned(),
            available: columns(documents),
        });
    }
    let mut labels: Vec<String> = found.into_iter().map(ToOwned::to_owned).collect();
    labels.sort_by(|a, b| Discipline::display_order(a).cmp(&Discipline::display_order(b)));
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_come_in_display_order_and_unknown_columns_name_the_known() {
        let document = |id: &str, discipline: &str| {
            Document::from_sample(
                0,
                &Sample {
                    id: id.into(),
                    discipline: Some(Discipline::new(discipline).unwrap()),
                    ..Sample::default()
                },
            )
        };
        let documents = [
            document("a", "zoology"),
            document("b", "law"),
            document("c", "math"),
        ];
        assert_eq!(
            labels(&documents, "discipline").unwrap(),
            ["math", "law", "zoology"]
        );
        assert_eq!(labels(&documents, "all").unwrap(), ["all"]);
        let error = labels(&documents, "genre").unwrap_err().to_string();
        assert!(error.contains("discipline"), "{error}");
    }
}
