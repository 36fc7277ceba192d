//! A trace as the metrics see it: documents with their labels, sums per document, and decisions in order.

mod decisions;
mod documents;
mod joined;
mod memory;
mod parquet;
mod profiles;
mod selection;
mod source;
mod summary;

use std::{
    collections::HashMap,
    fmt,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use moescope_core::{LayerId, ModelSpec, Phase, PhaseSelection, Progress};
use moescope_trace::{ExpertsOrder, RoutingTrace};
use rayon::prelude::*;

use crate::AnalyticsError;
use source::Source;

pub use documents::Document;
pub use memory::MemoryDocument;

pub(crate) use decisions::{DecisionNeeds, DecisionShard, DocumentDecisions, DocumentTokens};
pub(crate) use documents::GENRE;
pub(crate) use joined::{JoinedMember, LABEL_IN_TRACE, TRACE, check_same_experts, label_in_trace};
pub(crate) use profiles::{DocumentTensor, ProfileColumn};
pub(crate) use selection::Selection;
pub(crate) use source::OptionalColumn;
pub(crate) use summary::Summary;

/// A trace opened for measuring; cheap to share between metrics, which it caches sums for.
pub struct TraceData {
    model: ModelSpec,
    layers: Vec<LayerId>,
    order: ExpertsOrder,
    /// Sorted by id, so that no result depends on the order in which documents were captured.
    documents: Vec<Document>,
    /// Index into `documents` by sample number.
    by_sample: HashMap<u32, usize>,
    source: Source,
    /// A handful of entries, so a list is enough.
    cache: Mutex<Vec<(CacheKey, Arc<DocumentTensor>)>>,
    summaries: Mutex<Vec<(SummaryKey, Arc<DocumentTensor>)>>,
}

/// What a cached tensor holds: a column of the profiles, and a phase.
type CacheKey = (ProfileColumn, PhaseSelection);

/// What a kept summary holds: its name, and what was read for it.
type SummaryKey = (String, DecisionNeeds);

impl TraceData {
    /// Opens the trace in a folder and reads its samples.
    ///
    /// # Errors
    /// When the folder is no trace, or its samples cannot be read.
    pub fn open(folder: &Path) -> Result<Self, AnalyticsError> {
        Self::from_trace(&RoutingTrace::open(folder)?)
    }

    /// Reads the samples of an open trace; everything else is read when a metric asks for it.
    ///
    /// # Errors
    /// When the samples cannot be read or two of them have one id.
    pub fn from_trace(trace: &RoutingTrace) -> Result<Self, AnalyticsError> {
        let (parquet, documents) = parquet::ParquetTrace::open(trace)?;
        let manifest = trace.manifest();
        Self::assemble(
            manifest.model.clone(),
            manifest.recorded_layers().to_vec(),
            manifest.scores.experts_order,
            documents,
            Source::Parquet(Box::new(parquet)),
        )
    }

    /// Takes documents that are in memory, such as those of a running capture.
    ///
    /// # Errors
    /// When two documents have one id, or a profile or decision does not fit the model.
    pub fn in_memory(
        model: ModelSpec,
        order: ExpertsOrder,
        documents: Vec<MemoryDocument>,
    ) -> Result<Self, AnalyticsError> {
        memory::check(&model, &documents)?;
        let described = (0u32..)
            .zip(&documents)
            .map(|(number, document)| Document::from_sample(number, &document.sample))
            .collect();
        let layers = model.moe_layers.clone();
        Self::assemble(model, layers, order, described, Source::Memory(documents))
    }

    fn assemble(
        model: ModelSpec,
        layers: Vec<LayerId>,
        order: ExpertsOrder,
        mut documents: Vec<Document>,
        source: Source,
    ) -> Result<Self, AnalyticsError> {
        documents.sort_by(|a, b| a.id.cmp(&b.id));
        if let Some(pair) = documents.windows(2).find(|pair| pair[0].id == pair[1].id) {
            return Err(AnalyticsError::Malformed {
                table: "samples",
                reason: format!("two samples have the id '{}'", pair[0].id),
                path: source.folder().to_owned(),
            });
        }
        let by_sample: HashMap<u32, usize> = documents
            .iter()
            .enumerate()
            .map(|(index, document)| (document.sample, index))
            .collect();
        if by_sample.len() != documents.len() {
            return Err(AnalyticsError::Malformed {
                table: "samples",
                reason: "two samples have the same number".to_owned(),
                path: source.folder().to_owned(),
            });
        }
        Ok(Self {
            model,
            layers,
            order,
            documents,
            by_sample,
            source,
            cache: Mutex::default(),
            summaries: Mutex::default(),
        })
    }

    /// The model that made the trace.
    #[must_use]
    pub fn model(&self) -> &ModelSpec {
        &self.model
    }

    /// The layers whose decisions were recorded, ascending.
    #[must_use]
    pub fn layers(&self) -> &[LayerId] {
        &self.layers
    }

    /// Whether the first expert of a decision is the heaviest.
    #[must_use]
    pub fn experts_order(&self) -> ExpertsOrder {
        self.order
    }

    /// Every document, sorted by id.
    #[must_use]
    pub fn documents(&self) -> &[Document] {
        &self.documents
    }

    /// The values of a label column that occur, in display order.
    ///
    /// # Errors
    /// When there is no such column.
    pub fn labels(&self, column: &str) -> Result<Vec<String>, AnalyticsError> {
        documents::labels(&self.documents, column)
    }

    /// Every column that can label documents, sorted.
    #[must_use]
    pub fn label_columns(&self) -> Vec<String> {
        documents::columns(&self.documents)
    }

    /// One column of the profiles over all documents and layers, `[documents, layers, columns]`.
    ///
    /// Kept for the next metric that asks for the same.
    pub(crate) fn tensor(
        &self,
        column: ProfileColumn,
        phase: PhaseSelection,
        include_special: bool,
        metric: &str,
        progress: &dyn Progress,
    ) -> Result<Arc<DocumentTensor>, AnalyticsError> {
        if include_special {
            return profiles::from_decisions(self, column, phase, metric, progress);
        }
        let key = (column, phase);
        let cache = || self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, tensor)) = cache().iter().find(|(known, _)| *known == key) {
            return Ok(Arc::clone(tensor));
        }
        let tensor = Arc::new(match &self.source {
            Source::Memory(documents) => memory::tensor(self, documents, column, phase, metric)?,
            Source::Parquet(trace) => trace.tensor(self, column, phase, metric, progress)?,
            Source::Joined(traces) => traces.tensor(self, column, phase, metric, progress)?,
        });
        cache().push((key, Arc::clone(&tensor)));
        Ok(tensor)
    }

    /// Shows some whole documents at a time with all their decisions, in order of shards and samples.
    ///
    /// What is in memory at a time is bounded by the size of one shard of the trace.
    pub(crate) fn visit_shards(
        &self,
        needs: DecisionNeeds,
        metric: &str,
        progress: &dyn Progress,
        visit: &mut dyn FnMut(&DecisionShard) -> Result<(), AnalyticsError>,
    ) -> Result<(), AnalyticsError> {
        let shards = self.shards();
        let mut rows = 0;
        for shard in 0..shards {
            progress.report(shard as u64, shards as u64, "reading decisions")?;
            let shard = self.read_shard(shard, needs, metric, progress)?;
            rows += shard.position.len();
            visit(&shard)?;
        }
        if rows == 0 && !matches!(self.source, Source::Memory(_)) {
            return Err(AnalyticsError::MissingInput {
                metric: metric.to_owned(),
                missing: "decisions one by one (its routing table is empty)".to_owned(),
                help: "its source knew sums only; use a metric of counts, or capture with this toolkit"
                    .to_owned(),
            });
        }
        Ok(())
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

    /// Whether the documents of two traces are here, labelled by their trace.
    pub(crate) fn is_joined(&self) -> bool {
        matches!(self.source, Source::Joined(_))
    }

    /// Turns every document's decisions into something, on all cores, and takes the results in order of shards and samples.
    ///
    /// `map` sees one document, `take` its index among [`Self::documents`] and what was made of it.
    pub(crate) fn map_documents<T: Send>(
        &self,
        needs: DecisionNeeds,
        metric: &str,
        progress: &dyn Progress,
        map: &(dyn Fn(&DocumentDecisions<'_>) -> Result<T, AnalyticsError> + Sync),
        take: &mut dyn FnMut(usize, T) -> Result<(), AnalyticsError>,
    ) -> Result<(), AnalyticsError> {
        self.visit_shards(needs, metric, progress, &mut |shard| {
            let made: Vec<(usize, T)> = (0..shard.len())
                .into_par_iter()
                .map(|place| {
                    let decisions = shard.document(place);
                    Ok((decisions.document, map(&decisions)?))
                })
                .collect::<Result<_, AnalyticsError>>()?;
            made.into_iter()
                .try_for_each(|(document, made)| take(document, made))
        })
    }

    /// Shows every document's decisions, in order of shards and samples.
    pub(crate) fn visit_decisions(
        &self,
        needs: DecisionNeeds,
        metric: &str,
        progress: &dyn Progress,
        visit: &mut dyn FnMut(DocumentDecisions<'_>) -> Result<(), AnalyticsError>,
    ) -> Result<(), AnalyticsError> {
        self.visit_shards(needs, metric, progress, &mut |shard| {
            (0..shard.len()).try_for_each(|place| visit(shard.document(place)))
        })
    }

    fn known_summary(&self, key: &SummaryKey) -> Option<Arc<DocumentTensor>> {
        let summaries = self
            .summaries
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let known = summaries.iter().find(|(known, _)| known == key);
        known.map(|(_, tensor)| Arc::clone(tensor))
    }

    fn keep_summary(&self, key: SummaryKey, tensor: &Arc<DocumentTensor>) {
        let mut summaries = self
            .summaries
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        summaries.push((key, Arc::clone(tensor)));
    }

    /// How often each token id occurs in each document, `(id, count)` by ascending id; tokens out of scope do not count.
    pub(crate) fn token_counts(
        &self,
        phase: PhaseSelection,
        include_special: bool,
        metric: &str,
        progress: &dyn Progress,
    ) -> Result<Vec<Vec<(u32, u32)>>, AnalyticsError> {
        match &self.source {
            Source::Memory(documents) => {
                memory::token_counts(self, documents, phase, include_special, metric)
            }
            Source::Parquet(trace) => {
                trace.token_counts(self, phase, include_special, metric, progress)
            }
            Source::Joined(traces) => {
                traces.token_counts(self, phase, include_special, metric, progress)
            }
        }
    }

    /// The place of a document among [`Self::documents`] by its sample number.
    pub(crate) fn index_of(&self, sample: u32) -> Option<usize> {
        self.by_sample.get(&sample).copied()
    }

    /// The place of a layer among [`Self::layers`].
    pub(crate) fn layer_index(&self, layer: LayerId) -> Option<usize> {
        self.layers.binary_search(&layer).ok()
    }
}

impl fmt::Debug for TraceData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TraceData")
            .field("folder", &self.source.folder())
            .field("documents", &self.documents.len())
            .field("moe_layers", &self.model.moe_layers.len())
            .finish_non_exhaustive()
    }
}

/// Whether a token of this phase counts; a source that does not know the phase gave text, which is prefill.
pub(crate) fn is_in_phase(phase: Option<Phase>, selection: PhaseSelection) -> bool {
    selection.contains(phase.unwrap_or(Phase::Prefill))
}
