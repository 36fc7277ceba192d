//! What a metric of one trace comes to in another: the value of the trace minus that of the reference.

use moescope_core::{Axis, AxisKind, Measurement, Progress, Scope};

use super::{
    TraceSet,
    pair::Pair,
    stack::{Cell, stack},
};
use crate::{
    AnalyticsError, MeasureRequest, Metric, ReferenceScope,
    data::{LABEL_IN_TRACE, TRACE, label_in_trace},
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
/// Where the request says what counts of the reference, that may be another part of the same documents, such as their
/// prompts, or other documents.
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
    request.check()?;
    let of_reference = request.of_reference();
    super::tables::check(traces, &of_reference, about.name)?;
    let has = |kind| about.axes.contains(&kind);
    let is_of_labels = contrast == Contrast::Difference && !has(AxisKind::Group);
    if is_of_labels && !has(AxisKind::Layer)
        || contrast == Contrast::Difference && has(AxisKind::GroupB)
    {
        return Err(no_difference(about.name));
    }
    let labels = labels_of(traces, &of_reference)?;
    let mut of_all = Vec::new();
    let mut of_labels = Vec::new();
    for other in traces.others() {
        let pair = Pair::new(traces, other, request, about.name, progress)?;
        let names = [traces.name(other), traces.reference_name()];
        let run = |column: &str, labels: Option<[String; 2]>| {
            // What a difference is called, by its two sides.
            let [a, b] = labels.clone().unwrap_or(names.map(str::to_owned));
            let sides = format!(": {a} minus {b}");
            // What is in scope by its labels, and what of the reference is, was chosen when the traces were joined.
            let inner = MeasureRequest {
                contrast: labels.map(|[a, b]| (a, b)),
                scope: Scope {
                    labels: Vec::new(),
                    only: Vec::new(),
                    ..request.scope.clone()
                },
                reference: ReferenceScope::default(),
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

/// The labels of a request that occur in the reference; none where all documents are put together.
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

/// Refuses a metric whose values in two traces cannot be subtracted.
pub(super) fn no_difference(metric: &str) -> AnalyticsError {
    AnalyticsError::Request(format!(
        "{metric} has no difference of two traces; `moescope measure` with several traces puts its values side by side"
    ))
}
