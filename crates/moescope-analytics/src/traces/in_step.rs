//! The decisions of two traces about the same documents, read side by side.

use std::collections::BTreeMap;

use moescope_core::Progress;
use rayon::prelude::*;

use super::{
    tokens::{TokenMatches, match_tokens},
    trace_set::TraceSet,
};
use crate::{
    AnalyticsError, TraceData,
    data::{DecisionNeeds, DecisionShard, DocumentDecisions, OptionalColumn},
};

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
    ) -> Result<Self, AnalyticsError> {
        let common = traces.common_documents();
        let reference = traces.reference_index();
        let texts = traces.texts()?;
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
            phase: needs.phase,
            include_special: needs.include_special,
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
    /// Documents go by the shards that hold them. With the same order in both traces each shard is read once; never is
    /// more than one shard of each in memory.
    pub(crate) fn visit(
        &self,
        metric: &str,
        progress: &dyn Progress,
        visit: &mut dyn FnMut(&[MatchedDocument<'_>]) -> Result<(), AnalyticsError>,
    ) -> Result<(), AnalyticsError> {
        let mut by_shards: BTreeMap<(usize, usize), Vec<usize>> = BTreeMap::new();
        for (place, (other, reference)) in self.documents.iter().enumerate() {
            let shards = (
                self.other.shard_of(*other),
                self.reference.shard_of(*reference),
            );
            by_shards.entry(shards).or_default().push(place);
        }
        let total = by_shards.len() as u64;
        let [of_other, of_reference] = self.needs;
        let mut other = Reader::new(self.other, of_other);
        let mut reference = Reader::new(self.reference, of_reference);
        let mut seen = 0;
        for (done, ((a, b), places)) in (0u64..).zip(by_shards) {
            progress.report(done, total, "reading decisions of two traces")?;
            let other = other.shard(a, metric, progress)?;
            let reference = reference.shard(b, metric, progress)?;
            let (in_other, in_reference) = (other.places(), reference.places());
            let matched: Vec<MatchedDocument<'_>> = places
                .into_par_iter()
                .filter_map(|place| {
                    let (a, b) = self.documents[place];
                    // A document without a routed token has no decisions.
                    let other = other.document(*in_other.get(&a)?);
                    let reference = reference.document(*in_reference.get(&b)?);
                    Some(MatchedDocument {
                        place,
                        matches: match_tokens(
                            &other.tokens,
                            &reference.tokens,
                            self.is_same_text[place],
                        ),
                        other,
                        reference,
                    })
                })
                .collect();
            seen += matched.len();
            visit(&matched)?;
        }
        if seen == 0 && !self.documents.is_empty() {
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

/// Reads shards and keeps the last one.
struct Reader<'a> {
    data: &'a TraceData,
    needs: DecisionNeeds,
    last: Option<(usize, DecisionShard)>,
}

impl<'a> Reader<'a> {
    fn new(data: &'a TraceData, needs: DecisionNeeds) -> Self {
        Self {
            data,
            needs,
            last: None,
        }
    }

    fn shard(
        &mut self,
        shard: usize,
        metric: &str,
        progress: &dyn Progress,
    ) -> Result<&DecisionShard, AnalyticsError> {
        let kept = self.last.take().filter(|(known, _)| *known == shard);
        let found = match kept {
            Some((_, kept)) => kept,
            None => self.data.read_shard(shard, self.needs, metric, progress)?,
        };
        Ok(&self.last.insert((shard, found)).1)
    }
}
