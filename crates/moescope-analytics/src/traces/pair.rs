//! A trace joined with the reference: which documents and tokens of both count, and what a contrast of them is called.

use moescope_core::{AxisKind, Measurement, Progress};

use super::{
    TraceSet,
    difference::{Contrast, no_difference},
};
use crate::{
    AnalyticsError, MeasureRequest, TraceData,
    data::{JoinedMember, ProfileColumn, TokenSelection},
};

/// A trace joined with the reference.
pub(super) struct Pair<'a> {
    pub(super) data: TraceData,
    /// The names of the trace and of the reference.
    names: [&'a str; 2],
    notes: Vec<String>,
}

impl<'a> Pair<'a> {
    pub(super) fn new(
        traces: &'a TraceSet,
        other: usize,
        request: &MeasureRequest,
        metric: &str,
        progress: &dyn Progress,
    ) -> Result<Self, AnalyticsError> {
        let names = [traces.name(other), traces.reference_name()];
        let of_reference = request.of_reference();
        let sides = Sides {
            traces,
            places: [other, traces.reference_index()],
            requests: [request, &of_reference],
        };
        let is_paired = traces.common_documents().len() > 0;
        let (documents, mut notes) = if is_paired {
            sides.pairs(metric, progress)?
        } else {
            let note = format!(
                "{} and {} have no document in common: they are compared as two independent samples, and a difference may be one of their texts",
                names[0], names[1]
            );
            (sides.samples()?, vec![note])
        };
        if !request.reference.is_as_scope() {
            let scope = request.reference.describe();
            notes.push(format!("of {} counts: {scope}", names[1]));
        }
        let counts = documents.each_ref().map(Vec::len);
        if counts.contains(&0) {
            return Err(nothing_in_scope(names, counts, request, metric));
        }
        let member = |side: usize, tokens: Option<TokenSelection>| JoinedMember {
            name: names[side],
            data: traces.trace(sides.places[side]),
            documents: &documents[side],
            tokens,
        };
        let chooses_tokens = request.reference.chooses_tokens();
        let of_own = chooses_tokens.then(|| TokenSelection::of(&of_reference.scope));
        let members = [member(0, None), member(1, of_own)];
        Ok(Self {
            data: TraceData::join(members, request, is_paired)?,
            names,
            notes,
        })
    }

    /// Takes a contrast of labels for what it is: one of traces.
    pub(super) fn finish(
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
                let name = self.names[1];
                found.title = if request.reference.is_as_scope() {
                    format!("{title}: trace minus {name}")
                } else {
                    let scope = request.reference.describe();
                    format!("{title}: trace minus {name} ({scope})")
                };
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
        if let Some(phase) = request.reference.phase {
            protocol.phase = format!("{}; reference: {}", protocol.phase, phase.name());
        }
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

/// The trace and the reference, each with what is asked of it.
struct Sides<'a> {
    traces: &'a TraceSet,
    /// The places of both among the traces.
    places: [usize; 2],
    requests: [&'a MeasureRequest; 2],
}

impl Sides<'_> {
    fn data(&self, side: usize) -> &TraceData {
        self.traces.trace(self.places[side])
    }

    fn is_wanted(&self, side: usize, document: usize) -> bool {
        self.requests[side].is_wanted(&self.data(side).documents()[document])
    }

    /// The documents of both sides, pair by pair, and what a reader must know of them.
    ///
    /// The reference's labels count, but where it has filters of its own both documents of a pair must be wanted.
    fn pairs(
        &self,
        metric: &str,
        progress: &dyn Progress,
    ) -> Result<([Vec<usize>; 2], Vec<String>), AnalyticsError> {
        let [request, _] = self.requests;
        let has_filters = !request.reference.only.is_empty();
        if has_filters {
            request.check_filters(self.data(0))?;
        }
        let common = self.traces.common_documents();
        let [of_own, of_reference] = self.places.map(|trace| &common.of_trace[trace]);
        let mut pairs: Vec<(usize, usize)> = of_own
            .iter()
            .copied()
            .zip(of_reference.iter().copied())
            .filter(|(_, b)| self.is_wanted(1, *b))
            .filter(|(a, _)| !has_filters || self.is_wanted(0, *a))
            .collect();
        let mut notes = common.notes.clone();
        if !request.reference.is_as_scope() {
            notes.extend(self.keep_counted(&mut pairs, metric, progress)?);
        }
        notes.extend(notes_of_pairs(
            self.traces,
            self.places[0],
            &pairs,
            request,
            progress,
        )?);
        let (a, b) = pairs.into_iter().unzip();
        Ok(([a, b], notes))
    }

    /// Leaves out pairs of which one document has no token in scope, such as a prompt without a reply; a note where there
    /// are some.
    fn keep_counted(
        &self,
        pairs: &mut Vec<(usize, usize)>,
        metric: &str,
        progress: &dyn Progress,
    ) -> Result<Option<String>, AnalyticsError> {
        let has_tokens = |side: usize| -> Result<Vec<bool>, AnalyticsError> {
            let (data, scope) = (self.data(side), &self.requests[side].scope);
            let tokens = data.tensor_in(ProfileColumn::Tokens, scope, metric, progress)?;
            let is_counted = |document: usize| {
                let mut layers = data.layers().iter().enumerate();
                layers.any(|(place, layer)| {
                    scope.layers.contains(*layer) && tokens.row(document, place)[0] > 0.0
                })
            };
            Ok((0..data.documents().len()).map(is_counted).collect())
        };
        let (own, reference) = (has_tokens(0)?, has_tokens(1)?);
        let before = pairs.len();
        pairs.retain(|(a, b)| own[*a] && reference[*b]);
        let lost = before - pairs.len();
        Ok((lost > 0).then(|| {
            format!(
                "{lost} of {before} pairs of documents have no token in scope in one of the traces and are left out"
            )
        }))
    }

    /// The documents of both sides where they have none in common: each trace's own labels count.
    fn samples(&self) -> Result<[Vec<usize>; 2], AnalyticsError> {
        let request = self.requests[0];
        request.check_filters(self.data(0))?;
        // A trace without the column is compared as a whole, and has no label to be called alike.
        if let Ok(own) = self.data(0).labels(&request.by) {
            request.check_group_names(&own)?;
        }
        Ok([0, 1].map(|side| {
            let documents = 0..self.data(side).documents().len();
            documents.filter(|d| self.is_wanted(side, *d)).collect()
        }))
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
        help: "widen the scope, e.g. without --only, --labels or --reference-only".to_owned(),
    }
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
