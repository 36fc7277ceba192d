//! Reading a trace's Parquet files: row groups in parallel, only the columns that are needed, in bounded memory.

mod places;
mod profile_rows;
mod routing_rows;
mod token_rows;
mod windows;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use moescope_core::{Cancelled, PhaseSelection, Progress};
use moescope_trace::{
    Number as _, RoutingTrace, TableReader, TraceError,
    schema::{self, Table},
};
use rayon::prelude::*;

use super::{
    DecisionNeeds, DecisionShard, Document, DocumentTensor, ProfileColumn, TokenSelection,
    TraceData,
    source::digest,
    steps::Steps,
    texts::{TokenText, VisitTexts},
};
use crate::AnalyticsError;
use token_rows::TokenRows;
use windows::{Window, Windows};

/// The files of a trace.
#[derive(Debug)]
pub(super) struct ParquetTrace {
    trace: RoutingTrace,
    /// The files whose checksums were compared.
    checked: Mutex<HashSet<(usize, Table)>>,
}

impl ParquetTrace {
    pub(super) fn open(trace: &RoutingTrace) -> Result<(Self, Vec<Document>), AnalyticsError> {
        let samples = trace.samples_without_text()?;
        let documents = samples
            .iter()
            .map(|row| Document::from_sample(row.sample, &row.meta))
            .collect();
        let files = Self {
            trace: trace.clone(),
            checked: Mutex::default(),
        };
        Ok((files, documents))
    }

    pub(super) fn folder(&self) -> &Path {
        self.trace.path()
    }

    /// A file of a table.
    fn path(&self, shard: usize, table: Table) -> PathBuf {
        let index = self.trace.manifest().shards[shard].index;
        self.folder().join(table.shard_file(index))
    }

    /// Opens a file whose checksum is compared at its first use: a measurement of other bits than those that were captured
    /// would look like any other. `check` is asked now and then whether to go on.
    fn open_checked(
        &self,
        shard: usize,
        table: Table,
        check: &(dyn Fn() -> Result<(), Cancelled> + Sync),
    ) -> Result<TableReader, AnalyticsError> {
        let described = &self.trace.manifest().shards[shard];
        let checked = || {
            // A poisoned lock means that a pass was cut short, and what was checked before it stands.
            self.checked.lock().unwrap_or_else(PoisonError::into_inner)
        };
        let is_checked = checked().contains(&(shard, table));
        if !is_checked {
            self.trace
                .check_sum(described, table, |_| check().map_err(TraceError::from))?;
            checked().insert((shard, table));
        }
        Ok(self.trace.table_reader(described, table)?)
    }

    /// Opens every file of a table, as [`Self::open_checked`] does.
    fn open_all(
        &self,
        table: Table,
        check: &(dyn Fn() -> Result<(), Cancelled> + Sync),
    ) -> Result<Vec<TableReader>, AnalyticsError> {
        let shards = self.trace.manifest().shards.len();
        let opened: Vec<Result<TableReader, AnalyticsError>> = (0..shards)
            .into_par_iter()
            .map(|shard| self.open_checked(shard, table, check))
            .collect();
        opened.into_iter().collect()
    }

    pub(super) fn tensor(
        &self,
        data: &TraceData,
        column: ProfileColumn,
        phase: PhaseSelection,
        metric: &str,
        progress: &dyn Progress,
    ) -> Result<DocumentTensor, AnalyticsError> {
        profile_rows::read(self, data, column, phase, metric, progress)
    }

    pub(super) fn visit_shards(
        &self,
        data: &TraceData,
        needs: DecisionNeeds,
        metric: &str,
        progress: &dyn Progress,
        visit: &mut dyn FnMut(&DecisionShard) -> Result<(), AnalyticsError>,
    ) -> Result<(), AnalyticsError> {
        let mut windows = Windows::new(self, data, needs, metric, progress);
        let mut spare = Window::default();
        let mut next = windows.next(&Window::default(), Window::default())?;
        if next.is_none() {
            return Err(AnalyticsError::MissingInput {
                metric: metric.to_owned(),
                missing: "decisions one by one (its routing table is empty)".to_owned(),
                help: "its source knew sums only; use a metric of counts, or capture with this toolkit"
                    .to_owned(),
            });
        }
        while let Some(window) = next {
            let mut following = Ok(None);
            let mut visited = Ok(());
            rayon::in_place_scope(|scope| {
                let (windows, following) = (&mut windows, &mut following);
                let (window, memory) = (&window, std::mem::take(&mut spare));
                scope.spawn(move |_| *following = windows.next(window, memory));
                visited = visit(&window.shard);
            });
            visited?;
            next = following?;
            spare = window.recycle();
        }
        Ok(())
    }

    pub(super) fn token_counts(
        &self,
        data: &TraceData,
        tokens: &TokenSelection,
        metric: &str,
        progress: &dyn Progress,
    ) -> Result<Vec<Vec<(u32, u32)>>, AnalyticsError> {
        let needs = DecisionNeeds {
            tokens: tokens.clone(),
            token_ids: true,
            ..DecisionNeeds::default()
        };
        let missing = || AnalyticsError::MissingInput {
            metric: metric.to_owned(),
            missing: "token ids".to_owned(),
            help: "the bag-of-tokens baseline needs them; capture with this toolkit".to_owned(),
        };
        let total = self.trace.manifest().counts.tokens;
        let steps = Steps::new(total, "reading tokens");
        let readers = self.open_all(Table::Tokens, &|| steps.check(progress))?;
        let groups: Vec<(usize, usize)> = readers
            .iter()
            .enumerate()
            .flat_map(|(shard, reader)| (0..reader.num_row_groups()).map(move |g| (shard, g)))
            .filter(|(shard, group)| readers[*shard].rows(*group) > 0)
            .collect();
        if groups.is_empty() {
            return Err(missing());
        }
        let mut counts: Vec<BTreeMap<u32, u32>> = vec![BTreeMap::new(); data.documents().len()];
        for groups in groups.chunks(2 * rayon::current_num_threads()) {
            let read: Vec<Result<IdCounts, AnalyticsError>> = groups
                .par_iter()
                .map(|(shard, group)| {
                    let tokens = TokenRows::read(&readers[*shard], *shard, *group, &needs)?;
                    steps.add(tokens.columns.ids.len(), progress)?;
                    count_ids(&tokens).ok_or_else(missing)
                })
                .collect();
            for (found, (shard, _)) in read.into_iter().zip(groups) {
                for (sample, found) in found? {
                    let document = data.index_of(sample).ok_or_else(|| {
                        let path = self.path(*shard, Table::Tokens);
                        malformed(Table::Tokens, &path, format!("there is no sample {sample}"))
                    })?;
                    for (id, count) in found {
                        *counts[document].entry(id).or_default() += count;
                    }
                }
            }
        }
        Ok(counts
            .into_iter()
            .map(|counts| counts.into_iter().collect())
            .collect())
    }
}

/// Reads `routing` and `tokens` in order, as it is asked to.
pub(crate) struct ParquetCursor<'a> {
    windows: Windows<'a>,
    window: Window,
}

impl ParquetCursor<'_> {
    /// Reads the next documents; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<&DecisionShard>, AnalyticsError> {
        let Some(next) = self.windows.next(&self.window, Window::default())? else {
            return Ok(None);
        };
        self.window = next;
        Ok(Some(&self.window.shard))
    }
}

impl ParquetTrace {
    /// The decisions from the first document on.
    pub(super) fn cursor<'a>(
        &'a self,
        data: &'a TraceData,
        needs: DecisionNeeds,
        metric: &'a str,
        progress: &'a dyn Progress,
    ) -> ParquetCursor<'a> {
        ParquetCursor {
            windows: Windows::new(self, data, needs, metric, progress),
            window: Window::default(),
        }
    }

    /// How much of an unfinished capture is here.
    pub(super) fn unfinished(&self) -> Option<String> {
        let manifest = self.trace.manifest();
        let planned: u64 = manifest.inputs.iter().map(|input| input.rows).sum();
        (!manifest.complete).then(|| {
            format!(
                "unfinished capture: {} of {planned} documents are in {}; the same capture with --resume adds the others",
                manifest.counts.samples,
                self.folder().display()
            )
        })
    }

    /// Whether a column, as `table.column`, has a value somewhere.
    pub(super) fn knows(&self, column: &str) -> bool {
        !self.trace.manifest().is_unknown(column)
    }

    /// A digest of each sample's text, where it was kept, read row group by row group.
    pub(super) fn text_digests(
        &self,
        progress: &dyn Progress,
    ) -> Result<HashMap<u32, u64>, AnalyticsError> {
        let steps = Steps::new(self.trace.manifest().counts.samples, "comparing texts");
        let mut digests = HashMap::new();
        for reader in self.open_all(Table::Samples, &|| steps.check(progress))? {
            for group in 0..reader.num_row_groups() {
                let rows = reader.row_group(group)?;
                let mut samples = vec![0; rows.rows()];
                rows.numbers(schema::SAMPLE, &mut samples)?;
                let mut texts = vec![None; rows.rows()];
                rows.texts(schema::TEXT, &mut texts)?;
                steps.add(samples.len(), progress)?;
                let kept = samples.into_iter().zip(texts);
                digests.extend(kept.filter_map(|(sample, text)| Some((sample, digest(&text?)))));
            }
        }
        Ok(digests)
    }

    /// Shows the ids and texts of the tokens of some documents, row group by row group; stops where no more are wanted.
    pub(super) fn visit_texts(
        &self,
        data: &TraceData,
        is_wanted: &dyn Fn(usize) -> bool,
        progress: &dyn Progress,
        visit: &mut VisitTexts<'_>,
    ) -> Result<(), AnalyticsError> {
        let steps = Steps::new(self.trace.manifest().counts.tokens, "reading texts");
        let needs = DecisionNeeds {
            token_ids: true,
            ..DecisionNeeds::default()
        };
        // A document may go on in the next row group.
        let mut begun: Option<(usize, Vec<TokenText>)> = None;
        for shard in 0..self.trace.manifest().shards.len() {
            let reader = self.open_checked(shard, Table::Tokens, &|| steps.check(progress))?;
            for group in 0..reader.num_row_groups() {
                let tokens = TokenRows::read(&reader, shard, group, &needs)?;
                steps.add(tokens.columns.ids.len(), progress)?;
                let mut texts: Option<Vec<Option<String>>> = None;
                for run in &tokens.runs {
                    let document = data.index_of(run.sample).ok_or_else(|| {
                        let reason = format!("there is no sample {}", run.sample);
                        malformed(Table::Tokens, reader.path(), reason)
                    })?;
                    if begun.as_ref().is_some_and(|(begun, _)| *begun != document)
                        && let Some((done, tokens)) = begun.take()
                        && !visit(done, tokens)
                    {
                        return Ok(());
                    }
                    if !is_wanted(document) {
                        continue;
                    }
                    if texts.is_none() {
                        let mut read = vec![None; tokens.columns.ids.len()];
                        reader.row_group(group)?.texts(schema::TEXT, &mut read)?;
                        texts = Some(read);
                    }
                    let (_, found) = begun.get_or_insert_with(|| (document, Vec::new()));
                    found.extend(run.rows.clone().map(|row| TokenText {
                        position: tokens.columns.position[row],
                        id: Some(tokens.columns.ids[row]).filter(|id| *id != u32::NULL),
                        text: texts.as_mut().and_then(|texts| texts[row].take()),
                    }));
                }
            }
        }
        if let Some((done, tokens)) = begun {
            visit(done, tokens);
        }
        Ok(())
    }
}

/// How often each id occurs in each sample.
type IdCounts = Vec<(u32, BTreeMap<u32, u32>)>;

/// How often each id occurs among the counted tokens of each sample of a row group; `None` where one is unknown.
fn count_ids(tokens: &TokenRows) -> Option<IdCounts> {
    let columns = &tokens.columns;
    tokens
        .runs
        .iter()
        .map(|run| {
            let mut counts: BTreeMap<u32, u32> = BTreeMap::new();
            for row in run.rows.clone().filter(|row| columns.counted[*row]) {
                let id = Some(columns.ids[row]).filter(|id| *id != u32::NULL)?;
                *counts.entry(id).or_default() += 1;
            }
            Some((run.sample, counts))
        })
        .collect()
}

fn missing_column(metric: &str, what: &str) -> AnalyticsError {
    AnalyticsError::MissingInput {
        metric: metric.to_owned(),
        missing: what.to_owned(),
        help: if what == "router logits" {
            "capture with --logits".to_owned()
        } else {
            "the source of this trace did not know them; capture with this toolkit".to_owned()
        },
    }
}

/// A broken rule in a file of a table.
fn malformed(table: Table, path: &Path, reason: String) -> AnalyticsError {
    AnalyticsError::Malformed {
        table: table.name(),
        reason,
        path: path.to_owned(),
    }
}
