//! Where a trace's rows are: in memory, in Parquet files, or in two other traces.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::Path,
};

use moescope_core::Progress;

use super::{
    DecisionNeeds, DecisionShard, Document, MemoryDocument, TraceData, joined::JoinedTraces,
    memory, parquet::ParquetTrace,
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
}

impl TraceData {
    /// Number of parts in which decisions are read.
    pub(crate) fn shards(&self) -> usize {
        match &self.source {
            Source::Memory(documents) => documents.len(),
            Source::Parquet(trace) => trace.shards(),
            Source::Joined(traces) => traces.shards(),
        }
    }

    /// The part that holds a document's decisions.
    pub(crate) fn shard_of(&self, document: usize) -> usize {
        let sample = self.documents[document].sample;
        match &self.source {
            Source::Memory(_) => sample as usize,
            Source::Parquet(trace) => trace.shard_of(sample),
            Source::Joined(_) => unreachable!("joined traces are read member by member"),
        }
    }

    /// Reads one part of the decisions.
    pub(crate) fn read_shard(
        &self,
        shard: usize,
        needs: DecisionNeeds,
        metric: &str,
        progress: &dyn Progress,
    ) -> Result<DecisionShard, AnalyticsError> {
        match &self.source {
            Source::Memory(documents) => {
                memory::read_shard(self, shard, &documents[shard], needs, metric)
            }
            Source::Parquet(trace) => trace.read_shard(self, shard, needs, metric, progress),
            Source::Joined(traces) => traces.read_shard(shard, needs, metric, progress),
        }
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
    pub(crate) fn text_digests(&self) -> Result<Vec<Option<u64>>, AnalyticsError> {
        let of_sample: HashMap<u32, u64> = match &self.source {
            Source::Memory(documents) => memory::text_digests(documents),
            Source::Parquet(trace) => trace.text_digests()?,
            Source::Joined(_) => HashMap::new(),
        };
        let digest = |document: &Document| of_sample.get(&document.sample).copied();
        Ok(self.documents.iter().map(digest).collect())
    }
}

/// A number that two texts share only if they are equal, but for a chance of 2⁻⁶⁴.
pub(super) fn digest(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
