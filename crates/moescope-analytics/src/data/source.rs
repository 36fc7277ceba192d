//! Where a trace's rows are: in memory, in Parquet files, or in two other traces.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::Path,
};

use moescope_core::Progress;

use super::{
    DecisionNeeds, DecisionShard, Document, MemoryDocument, TraceData,
    joined::JoinedTraces,
    memory,
    parquet::{ParquetCursor, ParquetTrace},
};
use crate::AnalyticsError;

/// Where the rows are.
pub(super) enum Source {
    Memory(Vec<MemoryDocument>),
    Parquet(Box<ParquetTrace>),
    /// Two traces, of which the second is compared with the first.
    Joined(JoinedTraces),
}

/// A column of a trace that an import may not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OptionalColumn {
    TokenId,
    ByteRange,
    Margin,
}

impl Source {
    pub(super) fn folder(&self) -> &Path {
        match self {
            Self::Memory(_) => Path::new("(in memory)"),
            Self::Parquet(trace) => trace.folder(),
            Self::Joined(_) => Path::new("(two traces)"),
        }
    }

    /// What to know of captures that have not ended.
    pub(super) fn unfinished(&self) -> Vec<String> {
        match self {
            Self::Memory(_) => Vec::new(),
            Self::Parquet(trace) => trace.unfinished().into_iter().collect(),
            Self::Joined(traces) => traces.unfinished(),
        }
    }
}

impl TraceData {
    /// The decisions from the first document on, read as they are asked for; `None` for joined traces, which are read one
    /// by one.
    pub(crate) fn cursor<'a>(
        &'a self,
        needs: DecisionNeeds,
        metric: &'a str,
        progress: &'a dyn Progress,
    ) -> Option<DecisionCursor<'a>> {
        Some(match &self.source {
            Source::Memory(documents) => DecisionCursor::Memory {
                data: self,
                documents,
                needs,
                metric,
                next: 0,
                last: Box::default(),
            },
            Source::Parquet(trace) => {
                DecisionCursor::Parquet(Box::new(trace.cursor(self, needs, metric, progress)))
            }
            Source::Joined(_) => return None,
        })
    }

    /// Whether some row has a value of this column.
    pub(crate) fn knows(&self, column: OptionalColumn) -> bool {
        let name = match column {
            OptionalColumn::TokenId => "tokens.token_id",
            OptionalColumn::ByteRange => "tokens.byte_start",
            OptionalColumn::Margin => "routing.margin",
        };
        match &self.source {
            Source::Memory(documents) => memory::knows(documents, name),
            Source::Parquet(trace) => trace.knows(name),
            Source::Joined(traces) => traces.knows(column),
        }
    }

    /// A digest of every document's text; `None` where the text was not kept.
    pub(crate) fn text_digests(
        &self,
        progress: &dyn Progress,
    ) -> Result<Vec<Option<u64>>, AnalyticsError> {
        let of_sample: HashMap<u32, u64> = match &self.source {
            Source::Memory(documents) => memory::text_digests(documents),
            Source::Parquet(trace) => trace.text_digests(progress)?,
            Source::Joined(_) => HashMap::new(),
        };
        let digest = |document: &Document| of_sample.get(&document.sample).copied();
        Ok(self.documents.iter().map(digest).collect())
    }

    /// Whether the documents of two traces are here twice, as pairs.
    pub(crate) fn is_paired(&self) -> bool {
        matches!(&self.source, Source::Joined(traces) if traces.is_paired)
    }

    /// The document that is the same text in the other trace of a pair.
    pub(crate) fn partner(&self, document: usize) -> Option<usize> {
        // The first trace's documents come first, in the order of the second's.
        let half = self.documents.len() / 2;
        self.is_paired()
            .then(|| (document + half) % self.documents.len())
    }

    /// Whether two traces are here of which one counts other tokens than those that are asked for.
    pub(crate) fn has_own_tokens(&self) -> bool {
        matches!(&self.source, Source::Joined(traces) if traces.has_own_tokens())
    }

    /// Whether the documents of two traces are here, labelled by their trace.
    pub(crate) fn is_joined(&self) -> bool {
        matches!(self.source, Source::Joined(_))
    }
}

/// The decisions of a trace, some whole documents at a time, in order of shards and samples.
pub(crate) enum DecisionCursor<'a> {
    /// Documents in memory, one by one.
    Memory {
        /// The trace.
        data: &'a TraceData,
        /// Its documents.
        documents: &'a [MemoryDocument],
        /// What is read.
        needs: DecisionNeeds,
        /// Who reads.
        metric: &'a str,
        /// The document that comes next.
        next: usize,
        /// The one that was shown last.
        last: Box<DecisionShard>,
    },
    /// Files.
    Parquet(Box<ParquetCursor<'a>>),
}

impl DecisionCursor<'_> {
    /// Reads the next documents; `None` at the end.
    ///
    /// # Errors
    /// When the trace lacks a needed column, a table is malformed, or the work is cancelled.
    pub(crate) fn next(&mut self) -> Result<Option<&DecisionShard>, AnalyticsError> {
        match self {
            Self::Memory {
                data,
                documents,
                needs,
                metric,
                next,
                last,
            } => {
                let Some(document) = documents.get(*next) else {
                    return Ok(None);
                };
                **last = memory::read_shard(data, *next, document, needs, metric)?;
                *next += 1;
                Ok(Some(&**last))
            }
            Self::Parquet(files) => files.next(),
        }
    }
}

/// A number that two texts share only if they are equal, but for a chance of 2⁻⁶⁴.
pub(super) fn digest(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
