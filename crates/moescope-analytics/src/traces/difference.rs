//! What a metric of one trace comes to in another: the value of the trace minus that of the reference.

use moescope_core::{Axis, AxisKind, Measurement, Progress, Scope};

use super::{
    TraceSet,
    stack::{Cell, stack},
};
use crate::{
    AnalyticsError, MeasureRequest, Metric, TraceData,
    data::{JoinedMember, LABEL_IN_TRACE, TRACE, label_in_trace},
};

/// What a metric gives for a contrast of two labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contrast {
    /// The first label's value minus the second's.
    Difference,
    /// A distance between both.
    Divergence,
}

/// Measures every trace minus the reference: over all documents, and by the label of the request where it is not `all`.
///
/// Documents are paired by id, so groups are drawn from both traces together and the null swaps the two traces of a
/// group. Where the traces have no document in common they are compared as two independent samples.
///
/// # Errors
/// When the metric has no difference of two labels, the models have other layers or experts, or as the metric itself.
pub fn difference_of_traces(
    traces: &TraceSet,
    metric: &dyn Metric,
    request: &MeasureRequest,
    progress: &dyn Progress,
) -> Result<Vec<Measurement>, AnalyticsError> {
    contrast_traces(traces, metric, Contrast::Difference, request, progress)
}

/// Contrasts every trace with the reference by a metric that can contrast two labels.
pub(crate) fn contrast_traces(
    traces: &TraceSet,
    metric: &dyn Metric,
    contrast: Contrast,
    request: &MeasureRequest,
    progress: &dyn Progress,
) -> Result<Vec<Measurement>, AnalyticsError> {
    let about = metric.about();
    super::tables::check(traces, request, about.name)?;
    let has = |kind| about.axes.contains(&kind);
    let is_of_labels = contrast == Contrast::Difference && !has(AxisKind::Group);
    if is_of_labels && !has(AxisKind::Layer)
        || contrast == Contrast::Difference && has(AxisKind::GroupB)
    {
        return Err(no_difference(about.name));
    }
    let labels = labels_of(traces, request)?;
    let mut of_all = Vec::new();
    let mut of_labels = Vec::new();
    for other in traces.others() {
        let pair = Pair::new(traces, other, request, about.name, progress)?;
        let names = [traces.name(other), traces.reference_name()];
        let run = |column: &str, labels: Option<[String; 2]>| {
            // What a difference is called, by its two sides.
            let [a, b] = labels.clone().unwrap_or(names.map(str::to_owned));
            let sides = format!(": {a} minus {b}");
            // What is in scope by its labels was chosen when the traces were joined.
            let inner = MeasureRequest {
                contrast: labels.map(|[a, b]| (a, b)),
                scope: Scope {
                    labels: Vec::new(),
                    only: Vec::new(),
                    ..request.scope.clone()
                },
                ..request.divided_by(column)
            };
            let found = metric.measure(&pair.data, &inner, progress)?;
            let checked = found
                .into_iter()
                .map(|m| pair.finish(m, contrast, &sides, request));
            checked.collect::<Result<Vec<_>, _>>()
        };
        let own = names[0].to_owned();
        if is_of_labels {
            // One value for all labels of a trace together.
            of_all.push((own, run(LABEL_IN_TRACE, None)?));
            continue;
        }
        of_all.push((own, run(TRACE, Some(names.map(str::to_owned)))?));
        for label in &labels {
            let cells = names.map(|name| label_in_trace(label, name));
            let found = match run(LABEL_IN_TRACE, Some(cells)) {
                // A label may lack documents or tokens in one of the traces.
                Err(AnalyticsError::UnknownLabel { .. } | AnalyticsError::TooLittle { .. }) => {
                    Vec::new()
                }
                found => found?,
            };
            of_labels.push((format!("{label} in {}", names[0]), found));
        }
    }
    let axis = traces.axis_of_others();
    let mut found = stack_all(of_all, &axis, None);
    if !labels.is_empty() && !is_of_labels {
        let labels = Axis::new(AxisKind::Group, labels);
        found.extend(stack_all(of_labels, &axis, Some(&labels)));
    }
    for measurement in &mut found {
        measurement.protocol.by.clone_from(&request.by);
        if !is_of_labels && !measurement.axes.iter().any(|a| a.kind == AxisKind::Group) {
            "all".clone_into(&mut measurement.protocol.by);
        }
        measurement.check()?;
    }
    Ok(found)
}

/// The labels of the request that occur in the reference; none where all documents are put together.
fn labels_of(traces: &TraceSet, request: &MeasureRequest) -> Result<Vec<String>, AnalyticsError> {
    if request.by == "all" {
        return Ok(Vec::new());
    }
    let wanted = &request.scope.labels;
    let labels = request.labels_in(traces.reference())?.into_iter();
    Ok(labels
        .filter(|label| wanted.is_empty() || wanted.contains(label))
        .collect())
}

/// Tables at the same place of every cell are one table.
fn stack_all(
    cells: Vec<(String, Vec<Measurement>)>,
    traces: &Axis,
    labels: Option<&Axis>,
) -> Vec<Measurement> {
    let tables = cells
        .iter()
        .map(|(_, found)| found.len())
        .max()
        .unwrap_or(0);
    let (names, mut found): (Vec<String>, Vec<_>) = cells
        .into_iter()
        .map(|(name, found)| (name, found.into_iter()))
        .unzip();
    (0..tables)
        .flat_map(|_| {
            let cells: Vec<Cell> = names
                .iter()
                .zip(&mut found)
                .map(|(name, found)| Cell {
                    name: name.clone(),
                    found: found.next(),
                })
                .collect();
            stack(&cells, traces, labels)
        })
        .collect()
}

/// A trace joined with the reference.
struct Pair<'a> {
    data: TraceData,
    /// The names of the trace and of the reference.
    names: [&'a str; 2],
    notes: Vec<String>,
}

impl<'a> Pair<'a> {
    fn new(
        traces: &'a TraceSet,
        other: usize,
        request: &MeasureRequest,
        metric: &str,
        progress: &dyn Progress,
    ) -> Result<Self, AnalyticsError> {
        let reference = traces.reference_index();
        let names = [traces.name(other), traces.reference_name()];
        let is_wanted = |trace: usize, document: usize| {
            request.is_wanted(&traces.trace(trace).documents()[document])
        };
        let common = traces.common_documents();
        let is_paired = common.len() > 0;
        let (documents, notes) = if is_paired {
            let pairs = common.of_trace[other]
                .iter()
                .zip(&common.of_trace[reference]);
            let pairs: Vec<(usize, usize)> = pairs
                .map(|(a, b)| (*a, *b))
                .filter(|(_, b)| is_wanted(reference, *b))
                .collect();
            let mut notes = common.notes.clone();
            notes.extend(notes_of_pairs(traces, other, &pairs, request, progress)?);
            let (a, b): (Vec<usize>, Vec<usize>) = pairs.into_iter().unzip();
            ([a, b], notes)
        } else {
            // Of pairs the reference's labels count, otherwise each trace's own.
            request.check_filters(traces.trace(other))?;
            let all = |trace: usize| {
                let documents = 0..traces.trace(trace).documents().len();
                documents.filter(|d| is_wanted(trace, *d)).collect()
            };
            let note = format!(
                "{} and {} have no document in common: they are compared as two independent samples, and a difference may be one of their texts",
                names[0], names[1]
            );
            ([all(other), all(reference)], vec![note])
        };
        let counts = documents.each_ref().map(Vec::len);
        if counts.contains(&0) {
            return Err(nothing_in_scope(names, counts, request, metric));
        }
        let member = |side: usize, trace: usize| JoinedMember {
            name: names[side],
            data: traces.trace(trace),
            documents: &documents[side],
        };
        let members = [member(0, other), member(1, reference)];
        Ok(Self {
            data: TraceData::join(members, request, is_paired)?,
            names,
            notes,
        })
    }

    /// Takes a contrast of labels for what it is: one of traces.
    fn finish(
        &self,
        mut found: Measurement,
        contrast: Contrast,
        sides: &str,
        request: &MeasureRequest,
    ) -> Result<Measurement, AnalyticsError> {
        let lengths = [AxisKind::Group, AxisKind::GroupB]
            .map(|kind| found.axis(kind).map(|(_, axis)| axis.len()));
        let title = found.title.strip_suffix(sides).map(ToOwned::to_owned);
        // What is of two labels has two axes of one label; what is of all of them has neither.
        match (contrast, title, lengths) {
            (Contrast::Difference, Some(title), [Some(1), Some(1)] | [None, None]) => {
                found.title = format!("{title}: trace minus {}", self.names[1]);
            }
            (Contrast::Divergence, _, [Some(1), Some(1)]) => {}
            _ => return Err(no_difference(&found.metric)),
        }
        // Axes of one label: the values stay where they are.
        found
            .axes
            .retain(|axis| !matches!(axis.kind, AxisKind::Group | AxisKind::GroupB));
        let protocol = &mut found.protocol;
        protocol.scope = request.describe_scope();
        // Those of the traces, which stand for labels here.
        protocol.label_sizes.clear();
        for note in &mut protocol.notes {
            *note = note.replace("between two labels", "between two traces");
        }
        protocol.notes.extend(self.notes.iter().cloned());
        if self.data.is_paired() {
            protocol.n_documents /= 2;
            protocol.n_tokens /= 2;
            let note = "documents are paired; tokens are the mean of both traces";
            protocol.notes.push(note.to_owned());
        }
        Ok(found)
    }
}

fn nothing_in_scope(
    names: [&str; 2],
    [a, b]: [usize; 2],
    request: &MeasureRequest,
    metric: &str,
) -> AnalyticsError {
    AnalyticsError::TooLittle {
        metric: metric.to_owned(),
        found: format!(
            "{a} documents of {} and {b} of {} are in scope ({})",
            names[0],
            names[1],
            request.describe_scope()
        ),
        help: "widen the scope, e.g. without --only or --labels".to_owned(),
    }
}

fn no_difference(metric: &str) -> AnalyticsError {
    AnalyticsError::Request(format!(
        "{metric} has no difference of two traces; `moescope measure` with several traces puts its values side by side"
    ))
}

/// What a reader must know of documents that are taken for the same.
fn notes_of_pairs(
    traces: &TraceSet,
    other: usize,
    pairs: &[(usize, usize)],
    request: &MeasureRequest,
    progress: &dyn Progress,
) -> Result<Vec<String>, AnalyticsError> {
    let reference = traces.reference_index();
    let (a, b) = (traces.trace(other), traces.reference());
    let texts = traces.texts(progress)?;
    let of = |(first, second): &(usize, usize)| texts[other][*first].zip(texts[reference][*second]);
    let other_texts = pairs.iter().filter_map(of).filter(|(a, b)| a != b).count();
    let label = |data: &TraceData, document: usize| {
        let label = request.label_of(&data.documents()[document]);
        label.map(ToOwned::to_owned)
    };
    let other_labels = pairs
        .iter()
        .filter(|(first, second)| label(a, *first) != label(b, *second))
        .count();
    let names = [traces.name(other), traces.reference_name()];
    let mut notes = Vec::new();
    if other_texts > 0 {
        notes.push(format!(
            "{other_texts} of {} paired documents hold another text in {} than in {}: a difference may be one of the texts",
            pairs.len(),
            names[0],
            names[1]
        ));
    }
    if other_labels > 0 {
        notes.push(format!(
            "{other_labels} documents carry another {} in {}; that of {} counts",
            request.by, names[0], names[1]
        ));
    }
    Ok(notes)
}
