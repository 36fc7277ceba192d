//! Tables of agreement: the same documents for every trace, with intervals from a bootstrap over groups.

use std::{collections::HashMap, sync::Arc};

use moescope_core::{Axis, Measurement, Progress, Protocol, Weighting};

use super::{
    TraceSet,
    agreement::{Agreement, AgreementSums},
};
use crate::{
    AnalyticsError, MeasureRequest,
    comparison::{
        bins,
        measurements::{Words, split},
        ratios::{Ratio, Ratios, ratios},
    },
    data::Selection,
};

/// The agreements of a set of traces with their reference, and the documents that count.
pub(crate) struct AgreementTables<'a> {
    traces: &'a TraceSet,
    request: MeasureRequest,
    /// The scope in words; the labels that it names are chosen here.
    scope: String,
    progress: &'a dyn Progress,
    agreements: Vec<Arc<Agreement>>,
    /// The place among the common documents of each of the reference's documents.
    places: HashMap<usize, usize>,
    notes: Vec<String>,
    /// The documents of the reference in which every trace has a matched token, by the label of the request.
    pub(crate) selection: Selection,
}

impl<'a> AgreementTables<'a> {
    /// The matched documents by the label of the request.
    pub(crate) fn by_label(
        traces: &'a TraceSet,
        request: &MeasureRequest,
        metric: &str,
        progress: &'a dyn Progress,
    ) -> Result<Self, AnalyticsError> {
        Self::new(traces, request, &request.by, metric, progress)
    }

    /// The matched documents of the request put together, whatever their label.
    pub(crate) fn over_all(
        traces: &'a TraceSet,
        request: &MeasureRequest,
        metric: &str,
        progress: &'a dyn Progress,
    ) -> Result<Self, AnalyticsError> {
        Self::new(traces, request, "all", metric, progress)
    }

    fn new(
        traces: &'a TraceSet,
        request: &MeasureRequest,
        by: &str,
        metric: &str,
        progress: &'a dyn Progress,
    ) -> Result<Self, AnalyticsError> {
        request.refuse_reference_scope(metric)?;
        check(traces, request, metric)?;
        let common = traces.common_documents();
        let mut notes = vec![format!(
            "compared with {}, decision by decision about the same tokens",
            traces.reference_name()
        )];
        notes.extend(common.notes.iter().cloned());
        let mut agreements = Vec::new();
        for other in traces.others() {
            let found = Agreement::of(traces, other, &request.scope, metric, progress)?;
            notes.extend(found.notes(traces.name(other)));
            if found.matching.is_empty() {
                return Err(nothing_in_common(traces, other, metric));
            }
            agreements.push(found);
        }
        let reference = traces.reference();
        let places = common.places(traces.reference_index());
        let is_wanted = |document: usize| request.is_wanted(&reference.documents()[document]);
        let is_matched = |document: usize| {
            let place = places.get(&document);
            place.is_some_and(|place| agreements.iter().all(|found| found.has(*place)))
        };
        let mut inner = request.divided_by(by);
        inner.scope.labels.clear();
        let keep = |document| is_wanted(document) && is_matched(document);
        let selection = Selection::among(reference, &inner, metric, progress, &keep)?;
        Ok(Self {
            traces,
            request: inner,
            scope: request.describe_scope(),
            progress,
            agreements,
            places,
            notes,
            selection,
        })
    }

    /// Number of traces beside the reference.
    pub(crate) fn others(&self) -> usize {
        self.agreements.len()
    }

    /// Whether every trace knows which expert is the heaviest.
    pub(crate) fn has_ranks(&self) -> bool {
        self.agreements.iter().all(|agreement| agreement.has_ranks)
    }

    /// Whether the reference's margins are known.
    pub(crate) fn has_margins(&self) -> bool {
        self.agreements
            .iter()
            .all(|agreement| agreement.has_margins)
    }

    /// The sums of one of the reference's documents at some of its layers and ranges of margins.
    pub(crate) fn sums(
        &self,
        other: usize,
        document: usize,
        layers: &[usize],
        bin: Option<usize>,
    ) -> AgreementSums {
        let mut total = AgreementSums::default();
        for layer in layers {
            let bins = bin.map_or(Agreement::all_bins(), |bin| bin..bin + 1);
            let sums = self.agreements[other].sums(self.places[&document], *layer, bins);
            total.tokens += sums.tokens;
            total.equal += sums.equal;
            total.overlap += sums.overlap;
            total.first += sums.first;
        }
        total
    }

    /// The ranges of margins from the first to the last that holds a decision.
    pub(crate) fn used_bins(&self) -> Vec<usize> {
        let count = |bin| {
            let documents = self.selection.documents.iter();
            let of = |document| {
                self.sums(0, document, &self.selection.layers, Some(bin))
                    .tokens
            };
            documents.map(|document| of(*document)).sum::<f64>()
        };
        bins::used(&(0..bins::MARGIN_BINS).map(count).collect::<Vec<_>>())
    }

    /// Ratios for `rows` rows and every label; `parts` gives a document's numerators and denominators in a row.
    ///
    /// Under document weighting every document with a matched token counts as one.
    pub(crate) fn ratios(
        &self,
        kinds: &[Ratio],
        rows: usize,
        parts: impl Fn(usize, usize, &mut [[f64; 2]]),
    ) -> Result<Ratios, AnalyticsError> {
        let fill = |document: usize, row: usize, out: &mut [[f64; 2]]| {
            parts(document, row, out);
            if self.request.scope.weighting == Weighting::Document {
                for [numerator, denominator] in out.iter_mut().filter(|part| part[1] > 0.0) {
                    *numerator /= *denominator;
                    *denominator = 1.0;
                }
            }
        };
        let (selection, request) = (&self.selection, &self.request);
        let mut found = ratios(selection, request, kinds, rows, fill, self.progress)?;
        found.protocol = self.complete(found.protocol);
        Ok(found)
    }

    /// The protocol of tables without ratios.
    pub(crate) fn protocol(&self) -> Protocol {
        self.complete(self.selection.protocol(&self.request))
    }

    fn complete(&self, protocol: Protocol) -> Protocol {
        let mut protocol = Protocol {
            scope: self.scope.clone(),
            ..protocol
        };
        protocol.notes.extend(self.notes.iter().cloned());
        protocol
    }

    /// One measurement per ratio over `[rows…, variants]`, with labels before the variants.
    pub(crate) fn split<'w>(
        &self,
        found: &Ratios,
        words: impl IntoIterator<Item = Words<'w>>,
        axes: &[Axis],
    ) -> Vec<Measurement> {
        split(found, &self.selection, &self.request, words, axes)
    }

    /// The axis of the traces beside the reference.
    pub(crate) fn trace_axis(&self) -> Axis {
        self.traces.axis_of_others()
    }
}

/// Refuses what these tables cannot answer.
pub(super) fn check(
    traces: &TraceSet,
    request: &MeasureRequest,
    metric: &str,
) -> Result<(), AnalyticsError> {
    if request.contrast.is_some() {
        return Err(AnalyticsError::Request(format!(
            "{metric} compares traces, and takes no contrast of labels; leave it out and see the values by label"
        )));
    }
    let available = request.labels_in(traces.reference())?;
    request.check_labels(&request.scope.labels, &available)
}

fn nothing_in_common(traces: &TraceSet, other: usize, metric: &str) -> AnalyticsError {
    AnalyticsError::TooLittle {
        metric: metric.to_owned(),
        found: format!(
            "no document of {} and {} with one id holds the same text",
            traces.name(other),
            traces.reference_name()
        ),
        help: "only distributions of these traces can be compared (routing_drift, or the difference of a metric such as assignment_share)".to_owned(),
    }
}
