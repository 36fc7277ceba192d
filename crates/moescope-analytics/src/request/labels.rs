//! What the labels of a request mean: which documents count, and under which name.

use std::collections::BTreeSet;

use moescope_core::{Discipline, LabelFilter, LabelGroup};

use super::MeasureRequest;
use crate::{AnalyticsError, Document, TraceData};

impl MeasureRequest {
    /// The scope in words, with the labels that are taken together and what counts of a reference.
    #[must_use]
    pub fn describe_scope(&self) -> String {
        let mut scope = self.scope.describe();
        for group in &self.merge {
            scope.push_str(", ");
            scope.push_str(&group.describe());
        }
        if !self.reference.is_as_scope() {
            scope.push_str("; reference: ");
            scope.push_str(&self.reference.describe());
        }
        scope
    }

    /// The labels that documents count under where their column holds these, in display order: the names of groups stand
    /// for their labels.
    #[must_use]
    pub fn merged_labels(&self, labels: &[String]) -> Vec<String> {
        if self.merge.is_empty() {
            return labels.to_vec();
        }
        let merged: BTreeSet<&str> = labels.iter().map(|label| self.merged(label)).collect();
        let mut merged: Vec<String> = merged.into_iter().map(ToOwned::to_owned).collect();
        merged.sort_by(|a, b| Discipline::display_order(a).cmp(&Discipline::display_order(b)));
        merged
    }

    /// The name of the group that a label is in, or the label.
    fn merged<'a>(&'a self, label: &'a str) -> &'a str {
        self.group_of(label)
            .map_or(label, |group| group.name.as_str())
    }

    fn group_of(&self, label: &str) -> Option<&LabelGroup> {
        let is_in = |group: &&LabelGroup| group.labels.iter().any(|known| known == label);
        self.merge.iter().find(is_in)
    }

    /// The label that a document counts under, if it has one in the column of the request.
    pub(crate) fn label_of<'a>(&'a self, document: &'a Document) -> Option<&'a str> {
        document.label(&self.by).map(|label| self.merged(label))
    }

    /// Whether a document has one of the labels of every filter.
    pub(crate) fn lets_through(&self, document: &Document) -> bool {
        self.scope.only.iter().all(|filter| {
            let label = document.label(&filter.column);
            label.is_some_and(|label| filter.labels.iter().any(|known| known == label))
        })
    }

    /// Whether a document has no label at all in a column that is filtered by.
    pub(crate) fn lacks_filtered_column(&self, document: &Document) -> bool {
        let mut filters = self.scope.only.iter();
        filters.any(|filter| document.label(&filter.column).is_none())
    }

    /// Whether a document is in scope by its labels.
    #[must_use]
    pub fn is_wanted(&self, document: &Document) -> bool {
        let wanted = &self.scope.labels;
        let is_chosen = || {
            let label = self.label_of(document);
            label.is_some_and(|label| wanted.iter().any(|known| known == label))
        };
        self.lets_through(document) && (wanted.is_empty() || is_chosen())
    }

    /// The same request with documents divided by a column; what names labels of another column is left out.
    pub(crate) fn divided_by(&self, column: &str) -> Self {
        let mut request = self.clone();
        if request.by != column {
            column.clone_into(&mut request.by);
            request.merge.clear();
            request.scope.labels.clear();
            request.contrast = None;
        }
        request
    }

    /// Checks that a trace has what the request names: its label column, and the labels of groups, of filters, and of the
    /// scope or the contrast.
    ///
    /// # Errors
    /// When there is no such column, or a filter, a group, the scope or the contrast names a label that no document has;
    /// when filters or groups contradict themselves, or a group has the name of another label.
    pub fn check_in(&self, data: &TraceData) -> Result<(), AnalyticsError> {
        let available = self.labels_in(data)?;
        self.check_labels(&self.named_labels(), &available)
    }

    /// The labels that are named to be measured: both of a contrast, or those in scope.
    pub(crate) fn named_labels(&self) -> Vec<String> {
        match &self.contrast {
            Some((a, b)) => vec![a.clone(), b.clone()],
            None => self.scope.labels.clone(),
        }
    }

    /// The labels that documents of a trace can count under, in display order.
    ///
    /// # Errors
    /// When there is no such column, or a filter or a group contradicts itself or names what no document has.
    pub(crate) fn labels_in(&self, data: &TraceData) -> Result<Vec<String>, AnalyticsError> {
        self.check_filters_and_groups()?;
        self.check_filters(data)?;
        let own = data.labels(&self.by)?;
        for group in &self.merge {
            must_occur(&group.labels, &self.by, &own)?;
        }
        self.check_group_names(&own)?;
        Ok(self.merged_labels(&own))
    }

    /// Refuses groups that are called as a label which is none of theirs.
    pub(crate) fn check_group_names(&self, own: &[String]) -> Result<(), AnalyticsError> {
        let is_another = |LabelGroup { name, labels }: &&LabelGroup| {
            own.contains(name) && !labels.contains(name)
        };
        match self.merge.iter().find(is_another) {
            Some(LabelGroup { name, .. }) => Err(AnalyticsError::Request(format!(
                "labels cannot be taken together as '{name}', which is another {}; give them a name of their own, or add '{name}' to them",
                self.by
            ))),
            None => Ok(()),
        }
    }

    /// Refuses filters on columns and labels that no document of a trace has.
    pub(crate) fn check_filters(&self, data: &TraceData) -> Result<(), AnalyticsError> {
        self.scope.only.iter().try_for_each(|filter| {
            let available = data.labels(&filter.column)?;
            must_occur(&filter.labels, &filter.column, &available)
        })
    }

    /// Refuses labels that are not among those that documents can count under.
    pub(crate) fn check_labels(
        &self,
        wanted: &[String],
        available: &[String],
    ) -> Result<(), AnalyticsError> {
        let unknown = wanted.iter().find(|label| !available.contains(label));
        let group = unknown.and_then(|label| Some((label, self.group_of(label)?)));
        if let Some((label, group)) = group {
            return Err(AnalyticsError::Request(format!(
                "'{label}' is taken together with other labels; name '{}' in its place",
                group.name
            )));
        }
        must_occur(wanted, &self.by, available)
    }

    /// Refuses filters and groups that contradict themselves, whatever the trace holds.
    pub(super) fn check_filters_and_groups(&self) -> Result<(), AnalyticsError> {
        let error = |reason: String| Err(AnalyticsError::Request(reason));
        check_consistent(&self.scope.only, "--only")?;
        check_consistent(&self.reference.only, "--reference-only")?;
        let (mut names, mut labels) = (BTreeSet::new(), BTreeSet::new());
        for group in &self.merge {
            let name = &group.name;
            if name.is_empty() || group.labels.is_empty() {
                return error(format!(
                    "a group of labels needs a name and a label, found '{group}'; write e.g. --merge science=chemistry,physics"
                ));
            }
            if !names.insert(name) {
                return error(format!(
                    "two groups of labels are called '{name}'; give each a name of its own"
                ));
            }
            if let Some(label) = group.labels.iter().find(|label| !labels.insert(*label)) {
                return error(format!(
                    "'{label}' is named twice in groups of labels; a label belongs to one"
                ));
            }
        }
        Ok(())
    }
}

/// Refuses filters that name nothing, and two on one column.
fn check_consistent(filters: &[LabelFilter], option: &str) -> Result<(), AnalyticsError> {
    let error = |reason: String| Err(AnalyticsError::Request(reason));
    let mut columns = BTreeSet::new();
    for LabelFilter { column, labels } in filters {
        if labels.is_empty() {
            return error(format!(
                "the filter on {column} names no label; name those that count, e.g. {option} {column}=LABEL"
            ));
        }
        if !columns.insert(column) {
            return error(format!(
                "two filters are on {column}; name all labels that count in one, e.g. {option} {column}=LABEL,LABEL"
            ));
        }
    }
    Ok(())
}

/// Refuses labels that do not occur in a column.
fn must_occur(labels: &[String], column: &str, available: &[String]) -> Result<(), AnalyticsError> {
    match labels.iter().find(|label| !available.contains(label)) {
        Some(unknown) => Err(AnalyticsError::UnknownLabel {
            label: unknown.clone(),
            by: column.to_owned(),
            available: available.to_vec(),
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merging(groups: &[&str]) -> MeasureRequest {
        MeasureRequest {
            merge: groups.iter().map(|group| group.parse().unwrap()).collect(),
            ..MeasureRequest::default()
        }
    }

    fn filtering(filters: &[&str]) -> MeasureRequest {
        let mut request = MeasureRequest::default();
        request.scope.only = filters.iter().map(|f| f.parse().unwrap()).collect();
        request
    }

    #[test]
    fn groups_and_filters_that_contradict_themselves_are_refused_in_words() {
        let refused = |request: MeasureRequest, wanted: &str| {
            let error = request.check().unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
        };
        refused(merging(&["a=math,law", "b=law"]), "'law' is named twice");
        refused(merging(&["a=law,law"]), "'law' is named twice");
        refused(merging(&["a=math", "a=law"]), "two groups of labels");
        refused(
            filtering(&["genre=abstract", "genre=review"]),
            "--only genre=LABEL,LABEL",
        );
        let mut of_reference = MeasureRequest::default();
        of_reference.reference.only = filtering(&["genre=abstract", "genre=review"]).scope.only;
        refused(of_reference, "--reference-only genre=LABEL,LABEL");
        let mut empty = merging(&["a=math"]);
        empty.merge[0].labels.clear();
        refused(empty, "found 'a='");
        let mut empty = filtering(&["genre=abstract"]);
        empty.scope.only[0].labels.clear();
        refused(empty, "names no label");
        merging(&["a=math,law", "b=physics"]).check().unwrap();
        filtering(&["genre=abstract", "source=arxiv"])
            .check()
            .unwrap();
    }

    #[test]
    fn merged_labels_stand_in_display_order_and_are_told() {
        let request = merging(&["zeta=law,math"]);
        let labels = ["math", "physics", "law", "zoology"].map(str::to_owned);
        // Standard disciplines come first, others by name.
        assert_eq!(
            request.merged_labels(&labels),
            ["physics", "zeta", "zoology"]
        );
        assert!(
            request
                .describe_scope()
                .ends_with("token weighting, zeta for law and math")
        );
        let other = request.divided_by("genre");
        assert_eq!((other.by.as_str(), other.merge.len()), ("genre", 0));
        assert_eq!(request.divided_by("discipline"), request);
    }

    #[test]
    fn requests_of_before_filters_and_groups_are_read() {
        let old: MeasureRequest =
            serde_json::from_str(r#"{"by": "genre", "scope": {"labels": ["abstract"]}}"#).unwrap();
        assert_eq!(old.by, "genre");
        assert!(old.merge.is_empty() && old.scope.only.is_empty());
    }
}
