//! A trace as the metrics see it: documents with their labels, sums per document, and decisions in order.

mod decisions;
mod documents;
mod joined;
mod kept;
mod label_counts;
mod load_mass;
mod memory;
mod parquet;
mod profiles;
mod selection;
mod source;
mod steps;
mod summary;
mod texts;
mod token_selection;

use std::{
    collections::HashMap,
    fmt,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use moescope_core::{LayerId, ModelSpec, PhaseSelection, Progress, Scope};
use moescope_trace::{ExpertsOrder, RoutingTrace};
use rayon::prelude::*;

use crate::{AnalyticsError, WeightSource};

pub use documents::Document;
pub use label_counts::{CountSource, LabelCounts};
pub use load_mass::LoadMass;
pub use memory::MemoryDocument;

use kept::KeptSummaries;
use source::Source;

pub(crate) use decisions::{DecisionNeeds, DecisionShard, DocumentDecisions, DocumentTokens};
pub(crate) use documents::{ALL, GENRE};
pub(crate) use joined::{JoinedMember, LABEL_IN_TRACE, TRACE, check_same_experts, label_in_trace};
pub(crate) use profiles::{DocumentTensor, ProfileColumn};
pub(crate) use selection::Selection;
pub(crate) use source::{DecisionCursor, OptionalColumn};
pub(crate) use summary::Summary;
pub(crate) use texts::{TokenText, is_spelling, piece_label, spelled};
pub(crate) use token_selection::TokenSelection;

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
    /// Summaries beside the trace; `None` where none are kept.
    beside: Option<KeptSummaries>,
    /// The weights of the model that made the trace, where a caller gave them.
    weights: Option<Arc<dyn WeightSource>>,
}

/// What a cached tensor holds: a column of the profiles, and a phase.
type CacheKey = (ProfileColumn, PhaseSelection);

/// What a kept summary holds: its name, and what was read for it.
type SummaryKey = (String, DecisionNeeds);

impl TraceData {
    /// Opens the trace in a folder and reads its samples.
    ///
    /// What is computed from the decisions of a large trace is kept in a cache within its folder, where that can be
    /// written to; [`Self::without_cache`] does without.
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
        let mut data = Self::assemble(
            manifest.model.clone(),
            manifest.recorded_layers().to_vec(),
            manifest.scores.experts_order,
            documents,
            Source::Parquet(Box::new(parquet)),
        )?;
        data.beside = KeptSummaries::of(trace);
        Ok(data)
    }

    /// The same data, for which nothing is read from the cache beside a large trace or written to it.
    #[must_use]
    pub fn without_cache(mut self) -> Self {
        self.beside = None;
        self
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
            beside: None,
            weights: None,
        })
    }

    /// The same trace with the weights of the model that made it, for metrics that read them.
    #[must_use]
    pub fn with_weights(mut self, weights: Arc<dyn WeightSource>) -> Self {
        self.weights = Some(weights);
        self
    }

    /// The model's weights, where they were given.
    #[must_use]
    pub fn weights(&self) -> Option<&dyn WeightSource> {
        self.weights.as_deref()
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

    /// [`Self::tensor`] of the tokens that a scope counts; its layers, labels and weighting are left to the caller.
    pub(crate) fn tensor_in(
        &self,
        column: ProfileColumn,
        scope: &Scope,
        metric: &str,
        progress: &dyn Progress,
    ) -> Result<Arc<DocumentTensor>, AnalyticsError> {
        self.tensor(column, &TokenSelection::of(scope), metric, progress)
    }

    /// One column of the profiles over all documents and layers, `[documents, layers, columns]`; summed from the decisions
    /// where the profiles are sums of other tokens.
    ///
    /// Kept for the next metric that asks for the same.
    pub(crate) fn tensor(
        &self,
        column: ProfileColumn,
        tokens: &TokenSelection,
        metric: &str,
        progress: &dyn Progress,
    ) -> Result<Arc<DocumentTensor>, AnalyticsError> {
        let Some(phase) = tokens.in_profiles() else {
            return profiles::from_decisions(self, column, tokens, metric, progress);
        };
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
    /// What is in memory at a time is bounded, by the longest document if that is larger; while some documents are shown
    /// the next are read.
    pub(crate) fn visit_shards(
        &self,
        needs: DecisionNeeds,
        metric: &str,
        progress: &dyn Progress,
        visit: &mut dyn FnMut(&DecisionShard) -> Result<(), AnalyticsError>,
    ) -> Result<(), AnalyticsError> {
        match &self.source {
            Source::Memory(documents) => {
                memory::visit_shards(self, documents, &needs, metric, progress, visit)
            }
            Source::Parquet(trace) => trace.visit_shards(self, needs, metric, progress, visit),
            Source::Joined(traces) => traces.visit_shards(&needs, metric, progress, visit),
        }
    }

    /// Turns every document's decisions into something, on all cores, and takes the results in order of shards and samples.
    ///
    /// `map` sees one document, `take` its index among [`Self::documents`] and what was made of it.
    /// A cancel is heard between documents.
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
                    let made = map(&decisions)?;
                    shard.steps.check(progress)?;
                    Ok((decisions.document, made))
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

    /// The summaries beside the trace.
    fn summaries_beside(&self) -> Option<&KeptSummaries> {
        self.beside.as_ref()
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
        summaries.retain(|((_, known), _)| key.1.tokens.keeps(&known.tokens));
        summaries.push((key, Arc::clone(tensor)));
    }

    /// How often each token id occurs in each document, `(id, count)` by ascending id; tokens out of scope do not count.
    pub(crate) fn token_counts(
        &self,
        tokens: &TokenSelection,
        metric: &str,
        progress: &dyn Progress,
    ) -> Result<Vec<Vec<(u32, u32)>>, AnalyticsError> {
        match &self.source {
            Source::Memory(documents) => memory::token_counts(self, documents, tokens, metric),
            Source::Parquet(trace) => trace.token_counts(self, tokens, metric, progress),
            Source::Joined(traces) => traces.token_counts(self, tokens, metric, progress),
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
