//! The decisions of two traces about the same documents, read side by side.

use std::collections::{BTreeMap, HashMap};

use moescope_core::Progress;
use rayon::prelude::*;

use super::{
    tokens::{TokenMatches, match_tokens},
    trace_set::TraceSet,
};
use crate::{
    AnalyticsError, TraceData,
    data::{DecisionCursor, DecisionNeeds, DecisionShard, DocumentDecisions, OptionalColumn},
};

/// Bytes of documents that may wait for the other trace.
const MOST_WAITING: usize = 1 << 30;

/// One document as two traces saw it.
pub(crate) struct MatchedDocument<'a> {
    /// Its place among the common documents.
    pub(crate) place: usize,
    /// What the other trace's routers decided.
    pub(crate) other: DocumentDecisions<'a>,
    /// What the reference's routers decided.
    pub(crate) reference: DocumentDecisions<'a>,
    /// Which of their tokens are the same.
    pub(crate) matches: TokenMatches,
}

impl MatchedDocument<'_> {
    /// Shows the decisions about each pair of matched tokens: the place among `layers`, the row of the other trace, that of
    /// the reference, and the weight of the match.
    ///
    /// `layers` are pairs of a layer of the other trace and one of the reference, as indices into the traces' layers.
    pub(crate) fn decisions(
        &self,
        layers: &[(usize, usize)],
        mut visit: impl FnMut(usize, usize, usize, f64),
    ) {
        let (a, b) = (Rows::of(&self.other), Rows::of(&self.reference));
        for pair in &self.matches.pairs {
            for (place, (of_other, of_reference)) in layers.iter().enumerate() {
                let row = a.find(pair.other, *of_other);
                let rows = row.zip(b.find(pair.reference, *of_reference));
                if let Some((other, reference)) = rows {
                    visit(place, other, reference, pair.weight);
                }
            }
        }
    }
}

/// The decisions of each token.
struct Rows<'a> {
    decisions: &'a DocumentDecisions<'a>,
    /// Where the rows of each token begin, and where the last ones end.
    starts: Vec<usize>,
}

impl<'a> Rows<'a> {
    fn of(decisions: &'a DocumentDecisions<'a>) -> Self {
        let tokens = decisions.tokens.position.len();
        let starts = (0..=tokens)
            .map(|token| decisions.token.partition_point(|at| (*at as usize) < token))
            .collect();
        Self { decisions, starts }
    }

    /// The row of a token at a layer.
    fn find(&self, token: usize, layer: usize) -> Option<usize> {
        let (start, end) = (self.starts[token], self.starts[token + 1]);
        let is_it = |row: &usize| self.decisions.layer(*row) == layer;
        // Every token has a decision at each recorded layer, so the layer's number is its place almost always.
        let likely = start + layer;
        if likely < end && is_it(&likely) {
            return Some(likely);
        }
        (start..end).find(is_it)
    }
}

/// A trace of a set beside the reference, with the documents that they share.
pub(crate) struct InStep<'a> {
    other: &'a TraceData,
    reference: &'a TraceData,
    /// The documents of both, by their places among the common ones.
    documents: Vec<(usize, usize)>,
    /// Whether both texts of a document are the same; `None` where one was not kept.
    is_same_text: Vec<Option<bool>>,
    needs: [DecisionNeeds; 2],
}

impl<'a> InStep<'a> {
    /// Takes a trace of a set beside its reference; `needs` says what of the reference's decisions is read, and of both
    /// which tokens count.
    pub(crate) fn new(
        traces: &'a TraceSet,
        other: usize,
        needs: DecisionNeeds,
        progress: &dyn Progress,
    ) -> Result<Self, AnalyticsError> {
        let common = traces.common_documents();
        let reference = traces.reference_index();
        let texts = traces.texts(progress)?;
        let documents: Vec<(usize, usize)> = common.of_trace[other]
            .iter()
            .copied()
            .zip(common.of_trace[reference].iter().copied())
            .collect();
        let is_same_text = documents
            .iter()
            .map(|(a, b)| Some(texts[other][*a]? == texts[reference][*b]?))
            .collect();
        let with_tokens = |trace: usize, needs: DecisionNeeds| DecisionNeeds {
            token_ids: traces.trace(trace).knows(OptionalColumn::TokenId),
            byte_ranges: traces.trace(trace).knows(OptionalColumn::ByteRange),
            ..needs
        };
        let of_other = DecisionNeeds {
            tokens: needs.tokens.clone(),
            ..DecisionNeeds::default()
        };
        Ok(Self {
            other: traces.trace(other),
            reference: traces.reference(),
            documents,
            is_same_text,
            needs: [with_tokens(other, of_other), with_tokens(reference, needs)],
        })
    }

    /// Shows all common documents, some whole ones at a time.
    ///
    /// Both traces are read once, in their own order; a document waits until the other trace has come to it as well. Traces
    /// of one order wait for a window of decisions at most, and those whose orders differ so much that a gigabyte waits are
    /// refused.
    pub(crate) fn visit(
        &self,
        metric: &str,
        progress: &dyn Progress,
        visit: &mut dyn FnMut(&[MatchedDocument<'_>]) -> Result<(), AnalyticsError>,
    ) -> Result<(), AnalyticsError> {
        let mut sides = [
            Side::new(
                self.other,
                self.needs[0].clone(),
                metric,
                progress,
                |pair| pair.0,
                &self.documents,
            )?,
            Side::new(
                self.reference,
                self.needs[1].clone(),
                metric,
                progress,
                |pair| pair.1,
                &self.documents,
            )?,
        ];
        while let Some(side) = behind(&sides) {
            sides[side].advance()?;
            let [other, reference] = &mut sides;
            let ready: Vec<usize> = other
                .waiting
                .keys()
                .filter(|place| reference.waiting.contains_key(*place))
                .copied()
                .collect();
            let shards: Vec<(usize, [DecisionShard; 2])> = ready
                .into_iter()
                .filter_map(|place| {
                    let both = [other.take(place)?, reference.take(place)?];
                    Some((place, both))
                })
                .collect();
            let matched: Vec<MatchedDocument<'_>> = shards
                .par_iter()
                .map(|(place, [other, reference])| {
                    let (other, reference) = (other.document(0), reference.document(0));
                    let is_same_text = self.is_same_text[*place];
                    MatchedDocument {
                        place: *place,
                        matches: match_tokens(&other.tokens, &reference.tokens, is_same_text),
                        other,
                        reference,
                    }
                })
                .collect();
            visit(&matched)?;
            if other.bytes + reference.bytes > MOST_WAITING {
                return Err(AnalyticsError::TooLittle {
                    metric: metric.to_owned(),
                    found: "the traces hold their documents in very different orders".to_owned(),
                    help: "capture the same data in the same order".to_owned(),
                });
            }
        }
        if !self.documents.is_empty() && sides.iter().any(|side| side.seen == 0) {
            return Err(AnalyticsError::MissingInput {
                metric: metric.to_owned(),
                missing: "decisions one by one (a routing table is empty)".to_owned(),
                help:
                    "a source knew sums only, whose distributions can be compared (routing_drift)"
                        .to_owned(),
            });
        }
        Ok(())
    }
}

/// The side to read next: the one that has seen fewer documents, of those that are not at their end.
fn behind(sides: &[Side<'_>; 2]) -> Option<usize> {
    let open = (0..2).filter(|side| !sides[*side].is_at_end);
    open.min_by_key(|side| sides[*side].seen)
}

/// One trace on its way through its documents.
struct Side<'a> {
    cursor: DecisionCursor<'a>,
    /// The places of its documents among the common ones.
    places: HashMap<usize, usize>,
    /// Documents that the other trace has not come to, by place.
    waiting: BTreeMap<usize, DecisionShard>,
    bytes: usize,
    seen: usize,
    is_at_end: bool,
}

impl<'a> Side<'a> {
    fn new(
        data: &'a TraceData,
        needs: DecisionNeeds,
        metric: &'a str,
        progress: &'a dyn Progress,
        own: impl Fn(&(usize, usize)) -> usize,
        documents: &[(usize, usize)],
    ) -> Result<Self, AnalyticsError> {
        let cursor = data.cursor(needs, metric, progress).ok_or_else(|| {
            AnalyticsError::Request("joined traces cannot be compared again".to_owned())
        })?;
        Ok(Self {
            cursor,
            places: documents.iter().map(own).zip(0..).collect(),
            waiting: BTreeMap::new(),
            bytes: 0,
            seen: 0,
            is_at_end: false,
        })
    }

    /// Reads further documents and keeps those that both traces hold.
    fn advance(&mut self) -> Result<(), AnalyticsError> {
        let Some(shard) = self.cursor.next()? else {
            self.is_at_end = true;
            return Ok(());
        };
        for (at, document) in shard.indices().enumerate() {
            self.seen += 1;
            if let Some(place) = self.places.get(&document) {
                let own = shard.extract(at);
                self.bytes += own.bytes();
                self.waiting.insert(*place, own);
            }
        }
        Ok(())
    }

    fn take(&mut self, place: usize) -> Option<DecisionShard> {
        let own = self.waiting.remove(&place)?;
        self.bytes -= own.bytes();
        Some(own)
    }
}
