//! What is chosen of labels, as far as traces have these; what they lack stays chosen for traces that have it.

use moescope_analytics::MeasureRequest;
use moescope_core::{LabelFilter, LabelGroup};

use crate::traces::OpenTrace;

/// What was chosen, without the labels that one of these traces lacks: in filters, in groups, and of the scope.
///
/// Where one lacks the label column, documents are divided by the usual one, or by none where it is not there either.
pub(crate) fn fitted(chosen: &MeasureRequest, traces: &[&OpenTrace]) -> MeasureRequest {
    fitted_to(chosen, |column| {
        traces.iter().map(|trace| trace.labels(column)).collect()
    })
}

/// The same, by the labels of a column in each trace.
fn fitted_to<'a>(
    chosen: &MeasureRequest,
    labels_of: impl Fn(&str) -> Vec<&'a [String]>,
) -> MeasureRequest {
    let has = |column: &str| labels_of(column).iter().all(|own| !own.is_empty());
    let mut request = chosen.clone();
    let filters = &mut request.scope.only;
    for filter in &mut *filters {
        keep_known(&mut filter.labels, &labels_of(&filter.column));
    }
    filters.retain(|filter| !filter.labels.is_empty());
    if !has(&chosen.by) {
        let usual = MeasureRequest::default().by;
        request.by = if has(&usual) { usual } else { "all".to_owned() };
        request.merge.clear();
        request.scope.labels.clear();
        return request;
    }
    let own = labels_of(&chosen.by);
    for group in &mut request.merge {
        keep_known(&mut group.labels, &own);
    }
    // Labels are not taken together under the name of another label.
    request.merge.retain(|group| {
        let is_another = own.iter().any(|labels| labels.contains(&group.name));
        !group.labels.is_empty() && (!is_another || group.labels.contains(&group.name))
    });
    let merge = &request.merge;
    request.scope.labels.retain(|label| {
        let is_group = merge.iter().any(|group| group.name == *label);
        is_group || own.iter().all(|labels| labels.contains(label))
    });
    request
}

/// Leaves out labels that are not in every list.
fn keep_known(labels: &mut Vec<String>, known: &[&[String]]) {
    labels.retain(|label| known.iter().all(|known| known.contains(label)));
}

/// A request that was changed where `shown` was shown of a trace, with what is chosen and this trace lacks.
pub(crate) fn with_unseen(
    mut request: MeasureRequest,
    shown: &MeasureRequest,
    chosen: &MeasureRequest,
) -> MeasureRequest {
    let is_same = request.by == shown.by && request.merge == shown.merge;
    if is_same && request.scope.labels == shown.scope.labels {
        request.by.clone_from(&chosen.by);
        request.merge.clone_from(&chosen.merge);
        request.scope.labels.clone_from(&chosen.scope.labels);
    } else if request.by == shown.by && shown.by == chosen.by {
        request.merge = merge_with_unseen(request.merge, &shown.merge, &chosen.merge);
        add_unseen(
            &mut request.scope.labels,
            &shown.scope.labels,
            &chosen.scope.labels,
        );
    }
    let only = request.scope.only;
    request.scope.only = only_with_unseen(only, &shown.scope.only, &chosen.scope.only);
    request
}

/// Adds what is chosen and was not shown.
fn add_unseen(labels: &mut Vec<String>, shown: &[String], chosen: &[String]) {
    let unseen = chosen.iter().filter(|label| !shown.contains(label));
    let added: Vec<String> = unseen
        .filter(|label| !labels.contains(label))
        .cloned()
        .collect();
    labels.extend(added);
}

fn merge_with_unseen(
    groups: Vec<LabelGroup>,
    shown: &[LabelGroup],
    chosen: &[LabelGroup],
) -> Vec<LabelGroup> {
    let find = |groups: &[LabelGroup], name: &str| {
        let found = groups.iter().find(|group| group.name == name);
        found.cloned()
    };
    let mut kept = Vec::new();
    for mut group in groups {
        // A group that stayed as it was shown is the one that was chosen, with labels that were not shown.
        if let Some(whole) = find(chosen, &group.name)
            && find(shown, &group.name).as_ref() == Some(&group)
        {
            group = whole;
        }
        kept.push(group);
    }
    for group in chosen.iter().filter(|g| find(shown, &g.name).is_none()) {
        // A label is in one group, and the new one is what was asked for last.
        let is_in_the_way = |other: &LabelGroup| {
            let has = |label: &String| other.labels.contains(label);
            other.name == group.name || group.labels.iter().any(has)
        };
        if !kept.iter().any(is_in_the_way) {
            kept.push(group.clone());
        }
    }
    kept
}

fn only_with_unseen(
    mut filters: Vec<LabelFilter>,
    shown: &[LabelFilter],
    chosen: &[LabelFilter],
) -> Vec<LabelFilter> {
    if filters == shown {
        return chosen.to_vec();
    }
    let labels_of = |filters: &[LabelFilter], column: &str| -> Vec<String> {
        let found = filters.iter().find(|filter| filter.column == column);
        found.map_or_else(Vec::new, |filter| filter.labels.clone())
    };
    for filter in &mut filters {
        let column = &filter.column;
        let (seen, all) = (labels_of(shown, column), labels_of(chosen, column));
        add_unseen(&mut filter.labels, &seen, &all);
    }
    let unseen = chosen.iter().filter(|filter| {
        let mut others = filters.iter().chain(shown);
        !others.any(|other| other.column == filter.column)
    });
    let unseen: Vec<LabelFilter> = unseen.cloned().collect();
    filters.extend(unseen);
    filters
}

/// Names of the label column that are chosen and not shown: labels, and groups of which none is shown.
pub(crate) fn unseen_labels(shown: &MeasureRequest, chosen: &MeasureRequest) -> Vec<String> {
    let mut unseen = Vec::new();
    for group in &chosen.merge {
        match shown.merge.iter().find(|known| known.name == group.name) {
            Some(known) => add_unseen(&mut unseen, &known.labels, &group.labels),
            None => add_unseen(&mut unseen, &[], std::slice::from_ref(&group.name)),
        }
    }
    add_unseen(&mut unseen, &shown.scope.labels, &chosen.scope.labels);
    unseen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(merge: &[&str], labels: &[&str], only: &[&str]) -> MeasureRequest {
        let mut request = MeasureRequest {
            merge: merge.iter().map(|group| group.parse().unwrap()).collect(),
            ..MeasureRequest::default()
        };
        request.scope.labels = labels.iter().map(|label| (*label).to_owned()).collect();
        request.scope.only = only.iter().map(|filter| filter.parse().unwrap()).collect();
        request
    }

    /// What is measured of traces of these disciplines, all of the genre abstract.
    fn of_disciplines(chosen: &MeasureRequest, traces: &[&[&str]]) -> MeasureRequest {
        let owned = |labels: &[&str]| -> Vec<String> {
            labels.iter().map(|label| (*label).to_owned()).collect()
        };
        let disciplines: Vec<Vec<String>> = traces.iter().map(|labels| owned(labels)).collect();
        let genres = owned(&["abstract"]);
        fitted_to(chosen, |column| {
            let of_traces = disciplines.iter().map(|own| match column {
                "discipline" => own.as_slice(),
                "genre" => genres.as_slice(),
                _ => &[],
            });
            of_traces.collect()
        })
    }

    #[test]
    fn only_labels_that_every_trace_has_are_left() {
        let chosen = request(
            &["science=math,physics", "arts=history"],
            &["law", "physics", "science", "arts"],
            &["genre=abstract,review", "book=first", "discipline=physics"],
        );
        let one = of_disciplines(&chosen, &[&["law", "math"]]);
        let expected = request(&["science=math"], &["law", "science"], &["genre=abstract"]);
        assert_eq!(one, expected);
        let two = of_disciplines(&chosen, &[&["law", "math"], &["law"]]);
        assert_eq!(two, request(&[], &["law"], &["genre=abstract"]));
        // What a trace has all of stays as it is, and so does a group of its own name.
        let chosen = request(&["math=math,law"], &["math"], &["genre=abstract"]);
        assert_eq!(of_disciplines(&chosen, &[&["law", "math"]]), chosen);
        // Another label's name is no name of a group.
        let chosen = request(&["law=math"], &["law"], &[]);
        let fitted = of_disciplines(&chosen, &[&["law", "math"]]);
        assert_eq!(fitted, request(&[], &["law"], &[]));
        let mut elsewhere = request(&["science=math"], &["science"], &[]);
        elsewhere.by = "book".to_owned();
        let fitted = of_disciplines(&elsewhere, &[&["law", "math"]]);
        assert_eq!(fitted, MeasureRequest::default());
    }

    #[test]
    fn a_change_keeps_what_was_not_shown() {
        let chosen = request(
            &["science=math,physics", "arts=history"],
            &["law", "arts"],
            &["genre=abstract,review", "book=first"],
        );
        let shown = of_disciplines(&chosen, &[&["law", "math", "logic"]]);
        assert_eq!(unseen_labels(&shown, &chosen), ["physics", "arts"]);
        let change = |change: fn(&mut MeasureRequest)| {
            let mut request = shown.clone();
            change(&mut request);
            with_unseen(request, &shown, &chosen)
        };
        let other = change(|request| request.seed = 7);
        let expected = MeasureRequest {
            seed: 7,
            ..chosen.clone()
        };
        assert_eq!(other, expected);
        let labels = change(|request| request.scope.labels = vec!["logic".into()]);
        assert_eq!(labels.scope.labels, ["logic", "arts"]);
        assert_eq!(labels.merge, chosen.merge);
        let apart = change(|request| request.merge.clear());
        assert_eq!(apart.merge, request(&["arts=history"], &[], &[]).merge);
        let together = change(|request| request.merge.push("arts=logic".parse().unwrap()));
        let groups = ["science=math,physics", "arts=logic"];
        assert_eq!(together.merge, request(&groups, &[], &[]).merge);
        together.check().unwrap();
        let unfiltered = change(|request| request.scope.only.clear());
        let expected = request(&[], &[], &["book=first"]);
        assert_eq!(unfiltered.scope.only, expected.scope.only);
    }
}
