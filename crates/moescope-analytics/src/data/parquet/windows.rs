//! Whole documents of `routing`, some row groups at a time.
//!
//! Row groups know nothing of documents: a window decodes its row groups at once, each into its own part of the window's
//! columns, and the rows of a document that goes on behind the window's end become the beginning of the next window.
//! While one window is looked at the next one is decoded and the files after it are compared with their checksums.

mod queue;

use std::{
    collections::VecDeque,
    ops::{Range, RangeInclusive},
};

use moescope_core::Progress;
use moescope_trace::{Shard, TableReader, schema::Table};
use rayon::prelude::*;

use super::{
    ParquetTrace, malformed, missing_column,
    places::find_places,
    routing_rows::{RoutingColumns, Run},
    token_rows::{TokenRows, groups_of},
};
use crate::{
    AnalyticsError,
    data::{DecisionNeeds, DecisionShard, TraceData, decisions::DocumentRows, steps::Steps},
};

/// What a window's decisions take in memory where there are few threads; two windows are in memory at a time.
const WINDOW_BYTES: usize = 32 << 20;
/// More of it for each thread: about four row groups of expert ids.
const BYTES_PER_THREAD: usize = 16 << 20;

/// Reads `routing` and `tokens` once, in order.
pub(super) struct Windows<'a> {
    files: &'a ParquetTrace,
    data: &'a TraceData,
    needs: DecisionNeeds,
    metric: &'a str,
    progress: &'a dyn Progress,
    columns: RoutingColumns<'a>,
    /// Rows that a window holds, unless a row group or a document is longer.
    pub(super) most_rows: usize,
    steps: Steps,
    /// Shards whose checksums fit and that were not read to their end, in order.
    open: VecDeque<OpenShard>,
    next_shard: usize,
    /// Row groups of `tokens` that coming documents may need, in order.
    tokens: Vec<TokenRows>,
    last_sample: Option<u32>,
}

/// A part of a trace in memory.
#[derive(Default)]
pub(super) struct Window {
    pub(super) shard: DecisionShard,
    /// The rows of a document that has more.
    begun: Option<Found>,
}

struct OpenShard {
    index: usize,
    routing: TableReader,
    tokens: TableReader,
    next_group: usize,
}

/// A row group of `routing` to be read.
struct Job {
    /// Its shard's place in the queue of open ones.
    open: usize,
    group: usize,
    rows: usize,
    ends_shard: bool,
}

/// Rows of a document, in columns of a window.
#[derive(Clone)]
struct Found {
    sample: u32,
    rows: Range<usize>,
    shard: usize,
}

impl<'a> Windows<'a> {
    pub(super) fn new(
        files: &'a ParquetTrace,
        data: &'a TraceData,
        needs: DecisionNeeds,
        metric: &'a str,
        progress: &'a dyn Progress,
    ) -> Self {
        let shards = &files.trace.manifest().shards;
        let rows = |shard: &Shard| shard.tables[Table::Routing.name()].rows;
        let columns = RoutingColumns::new(data, needs.clone(), metric);
        let bytes = WINDOW_BYTES.max(BYTES_PER_THREAD * rayon::current_num_threads());
        Self {
            files,
            data,
            needs,
            metric,
            progress,
            most_rows: bytes / columns.bytes_per_row(),
            columns,
            steps: Steps::new(shards.iter().map(rows).sum(), "reading decisions"),
            open: VecDeque::new(),
            next_shard: 0,
            tokens: Vec::new(),
            last_sample: None,
        }
    }

    /// Decodes what comes after a window into another one whose memory is used again; `None` at the end.
    pub(super) fn next(
        &mut self,
        before: &Window,
        mut window: Window,
    ) -> Result<Option<Window>, AnalyticsError> {
        let shard = &mut window.shard;
        shard.documents.clear();
        shard.tokens.clear();
        shard.steps = self.steps.clone();
        let mut begun = before.begun.clone();
        let mut kept = begun.as_mut().map(|begun| {
            let rows = begun.rows.clone();
            begun.rows = 0..rows.len();
            rows
        });
        let mut rows = kept.as_ref().map_or(0, Range::len);
        let mut found = Vec::new();
        // A document longer than a window makes the window longer.
        while found.is_empty() {
            let jobs = self.plan()?;
            if jobs.is_empty() {
                return Ok(None);
            }
            let first = rows;
            rows += jobs.iter().map(|job| job.rows).sum::<usize>();
            self.columns.resize(shard, rows);
            if let Some(kept) = kept.take() {
                self.columns.copy_rows(shard, &before.shard, kept);
            }
            let runs = self.decode(&jobs, begun.as_ref(), shard, first)?;
            for (job, runs) in jobs.iter().zip(runs) {
                self.enter(job, runs, &mut begun, &mut found)?;
            }
            self.open
                .retain(|shard| shard.next_group < shard.routing.num_row_groups());
        }
        self.assemble(shard, &found)?;
        window.begun = begun;
        Ok(Some(window))
    }

    /// Decodes row groups into a window from row `first` on, reads the tokens that go with them, and opens the next shards
    /// meanwhile. Gives each row group's runs.
    fn decode(
        &mut self,
        jobs: &[Job],
        begun: Option<&Found>,
        shard: &mut DecisionShard,
        first: usize,
    ) -> Result<Vec<Vec<Run>>, AnalyticsError> {
        let slices = self
            .columns
            .slices(shard, first, jobs.iter().map(|job| job.rows));
        let wanted = self.wanted_tokens(jobs, begun);
        let read_routing = || {
            jobs.par_iter()
                .zip(slices)
                .map(|(job, slices)| {
                    let routing = &self.open[job.open].routing;
                    self.steps.check(self.progress)?;
                    let runs = self.columns.decode(routing, job.group, slices)?;
                    self.steps.add(job.rows, self.progress)?;
                    Ok(runs)
                })
                .collect::<Vec<Result<Vec<Run>, AnalyticsError>>>()
        };
        let read_tokens = || {
            wanted
                .par_iter()
                .map(|(open, group)| {
                    self.steps.check(self.progress)?;
                    let shard = &self.open[*open];
                    TokenRows::read(&shard.tokens, shard.index, *group, &self.needs)
                })
                .collect::<Vec<Result<TokenRows, AnalyticsError>>>()
        };
        let open_more = || {
            if self.rows_ahead() < self.most_rows {
                self.open_more()
            } else {
                Ok(Vec::new())
            }
        };
        let (opened, (tokens, runs)) =
            rayon::join(open_more, || rayon::join(read_tokens, read_routing));
        // The first error in the order of the trace is the one that is told, whichever came first in time.
        let runs = runs.into_iter().collect::<Result<_, _>>()?;
        for tokens in tokens {
            let tokens = tokens?;
            if tokens.has_unknown_id() {
                return Err(missing_column(self.metric, "token ids"));
            }
            self.tokens.push(tokens);
        }
        let opened = opened?;
        self.next_shard += opened.len();
        self.open.extend(opened);
        Ok(runs)
    }

    /// The row groups of `tokens` that go with some of `routing` and were not read yet.
    fn wanted_tokens(&self, jobs: &[Job], begun: Option<&Found>) -> Vec<(usize, usize)> {
        let mut wanted = Vec::new();
        for jobs in jobs.chunk_by(|a, b| a.open == b.open) {
            let open = jobs[0].open;
            let shard = &self.open[open];
            let held = |job: &Job| shard.routing.samples(job.group);
            let lowest = jobs.iter().map(|job| *held(job).start()).min();
            let highest = jobs.iter().map(|job| *held(job).end()).max();
            let begun = begun.filter(|begun| begun.shard == shard.index);
            let lowest = lowest
                .into_iter()
                .chain(begun.map(|begun| begun.sample))
                .min();
            let samples: RangeInclusive<u32> = lowest.unwrap_or(0)..=highest.unwrap_or(u32::MAX);
            wanted.extend(
                groups_of(&shard.tokens, &samples)
                    .filter(|group| {
                        let place = (shard.index, *group);
                        !self.tokens.iter().any(|tokens| tokens.place == place)
                    })
                    .map(|group| (open, group)),
            );
        }
        wanted
    }

    /// Adds a row group's runs to the document that has begun, and the documents that end to those found.
    fn enter(
        &mut self,
        job: &Job,
        runs: Vec<Run>,
        begun: &mut Option<Found>,
        found: &mut Vec<Found>,
    ) -> Result<(), AnalyticsError> {
        let shard = &self.open[job.open];
        // Where the row group's rows begin in the window.
        let start = begun
            .as_ref()
            .or(found.last())
            .map_or(0, |last| last.rows.end);
        for run in runs {
            let rows = start + run.rows.start..start + run.rows.end;
            match begun {
                Some(document) if document.sample == run.sample => document.rows.end = rows.end,
                _ => {
                    found.extend(begun.take());
                    if self.last_sample.is_some_and(|last| run.sample <= last) {
                        return Err(malformed(
                            Table::Routing,
                            shard.routing.path(),
                            "rows are not sorted by sample".to_owned(),
                        ));
                    }
                    self.last_sample = Some(run.sample);
                    *begun = Some(Found {
                        sample: run.sample,
                        rows,
                        shard: shard.index,
                    });
                }
            }
        }
        if job.ends_shard {
            found.extend(begun.take());
        }
        Ok(())
    }

    /// Puts the tokens of complete documents beside their decisions.
    fn assemble(
        &mut self,
        shard: &mut DecisionShard,
        found: &[Found],
    ) -> Result<(), AnalyticsError> {
        let path = |found: &Found, table| self.files.path(found.shard, table);
        for document in found {
            let start = shard.tokens.position.len();
            for tokens in &self.tokens {
                if tokens.place.0 == document.shard {
                    tokens.append_sample(document.sample, &mut shard.tokens);
                }
            }
            let tokens = start..shard.tokens.position.len();
            if !shard.tokens.position[tokens.clone()].is_sorted_by(|a, b| a < b) {
                return Err(malformed(
                    Table::Tokens,
                    &path(document, Table::Tokens),
                    format!("the tokens of sample {} are not sorted", document.sample),
                ));
            }
            let index = self.data.index_of(document.sample).ok_or_else(|| {
                malformed(
                    Table::Routing,
                    &path(document, Table::Routing),
                    format!("there is no sample {}", document.sample),
                )
            })?;
            shard.documents.push(DocumentRows {
                document: index,
                rows: document.rows.clone(),
                tokens,
            });
        }
        if let Some((document, position)) = find_places(shard) {
            let found = &found[document];
            return Err(malformed(
                Table::Routing,
                &path(found, Table::Routing),
                format!(
                    "sample {} position {position} has no token, or rows are not sorted",
                    found.sample
                ),
            ));
        }
        // Tokens of samples up to the last complete one are not needed again.
        let last = found.last().map(|document| document.sample);
        self.tokens.retain(|tokens| tokens.last_sample() > last);
        Ok(())
    }
}

impl Window {
    /// Takes the memory for another window.
    pub(super) fn recycle(self) -> Self {
        Self {
            shard: self.shard,
            begun: None,
        }
    }
}
