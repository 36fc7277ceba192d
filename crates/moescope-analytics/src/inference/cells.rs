//! Sparse counts of what tokens are against what is chosen for them, observed and with tokens shuffled within documents.

use moescope_core::Progress;

use super::{
    Blocks,
    token_classes::{TokenClass, UNKNOWN},
};
use crate::{
    AnalyticsError, MeasureRequest, TraceData,
    data::{DecisionNeeds, DocumentDecisions, Selection},
    stats::{
        bootstrap::{BootstrapConfig, Summary},
        interval::IntervalMethod,
        random::{self, Purpose},
        sparse::{
            Counts, Entry, SparseStatistic, SparseTable, affordable_resamples, bootstrap_sparse,
            merge,
        },
    },
};

/// Counts that are held at a time, shuffled ones included; what is more is read in several passes.
const MOST_COUNTS: f64 = 2.4e7;
/// Counts that all shuffles together may make.
const MOST_SHUFFLED: f64 = 1e8;
/// Shuffles: enough for a mean, and for p below 0.05.
const SHUFFLES: u32 = 24;
/// Shuffles that even the largest trace gets.
const FEWEST_SHUFFLES: u32 = 3;

/// Takes the table, row and column of one choice of a document.
pub(crate) type Sink<'a> = dyn FnMut(usize, u64, u32) + 'a;

/// What is counted.
pub(crate) struct CellCounting<'a> {
    /// What tokens are told apart by.
    pub(crate) classes: &'a [TokenClass],
    /// Tables per class, such as one per layer.
    pub(crate) tables: usize,
    /// Counts that a token adds to all tables of a class.
    pub(crate) counts_per_token: usize,
    /// Tells a document's choices, given the class of each of its tokens, `[tokens]`.
    pub(crate) tell: &'a (dyn Fn(&DocumentDecisions<'_>, &[u32], &mut Sink<'_>) + Sync),
}

impl CellCounting<'_> {
    /// The units of resampling: groups, or few blocks of them where counts are many.
    pub(crate) fn blocks(&self, selection: &Selection, seed: u64) -> Blocks {
        const FEW: usize = 32;
        let is_large = counts_of(selection, self) > MOST_COUNTS;
        Blocks::new(selection, if is_large { FEW } else { usize::MAX }, seed)
    }
}

/// One table of counts with its shuffled counterparts.
pub(crate) struct CellTable {
    /// Index into the classes.
    pub(crate) class: usize,
    /// The table.
    pub(crate) table: usize,
    /// The label.
    pub(crate) label: usize,
    /// As observed.
    pub(crate) observed: SparseTable,
    /// With the classes shuffled among the tokens of each document.
    pub(crate) shuffled: Vec<SparseTable>,
}

/// Where counts come from, and for whom.
#[derive(Clone, Copy)]
pub(crate) struct CellSource<'a> {
    /// The trace.
    pub(crate) data: &'a TraceData,
    /// Its documents that count.
    pub(crate) selection: &'a Selection,
    /// What is resampled.
    pub(crate) blocks: &'a Blocks,
    /// What is asked.
    pub(crate) request: &'a MeasureRequest,
    /// The metric.
    pub(crate) metric: &'a str,
    /// Who waits.
    pub(crate) progress: &'a dyn Progress,
}

/// How many shuffles a request gets for counts of so many classes.
fn shuffles(selection: &Selection, request: &MeasureRequest, counting: &CellCounting<'_>) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to a small number"
    )]
    let affordable = (MOST_SHUFFLED / counts_of(selection, counting))
        .clamp(f64::from(FEWEST_SHUFFLES), f64::from(SHUFFLES)) as u32;
    affordable.min(request.permutations)
}

fn counts_of(selection: &Selection, counting: &CellCounting<'_>) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let per_token = (counting.classes.len() * counting.counts_per_token) as f64;
    selection.tokens.iter().sum::<f64>() * per_token
}

/// Counts every table of every class and label, and shows them one by one.
pub(crate) fn for_cell_tables(
    source: CellSource<'_>,
    counting: &CellCounting<'_>,
    shuffles: u32,
    visit: &mut dyn FnMut(CellTable) -> Result<(), AnalyticsError>,
) -> Result<(), AnalyticsError> {
    let CellSource {
        data,
        selection,
        blocks,
        request,
        metric,
        progress,
    } = source;
    let mut needs = DecisionNeeds::of(&request.scope);
    for class in counting.classes {
        class.add_needs(&mut needs);
    }
    let labels = selection.labels.len();
    let arrangements = shuffles as usize + 1;
    let places = selection.places(data);
    let all = counting.classes.len() * counting.tables;
    let held = counts_of(selection, counting) * f64::from(shuffles + 1);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a small number, at most one pass per table"
    )]
    let passes = ((held / MOST_COUNTS).ceil() as usize).clamp(1, all.max(1));
    for pass in 0..passes {
        let is_now = |table: usize| table % passes == pass;
        let mut counts = vec![Counts::default(); all * labels * arrangements];
        data.map_documents(
            needs.clone(),
            metric,
            progress,
            &|decisions| {
                let Some(place) = places[decisions.document] else {
                    return Ok(Vec::new());
                };
                let label = selection.label[place];
                let block = blocks.of_unit(selection.unit[place]) - blocks.first_of(label);
                let block = u32::try_from(block).expect("fewer than 2³² groups");
                let told = tell_document(decisions, counting, arrangements, request.seed, &is_now);
                Ok(told
                    .into_iter()
                    .map(|(table, arrangement, mut entries)| {
                        if arrangement == 0 {
                            entries.iter_mut().for_each(|entry| entry.block = block);
                        }
                        let place = (table * labels + label) * arrangements + arrangement;
                        (place, entries)
                    })
                    .collect())
            },
            &mut |_, told| {
                for (place, entries) in told {
                    counts[place].extend(entries);
                }
                Ok(())
            },
        )?;
        let mut counts = counts.into_iter();
        for table in 0..all {
            for label in 0..labels {
                let of_label = blocks.of_label(label);
                let mut tables = counts
                    .by_ref()
                    .take(arrangements)
                    .zip(std::iter::once(of_label).chain(std::iter::repeat(1)))
                    .map(|(counts, blocks)| counts.table(blocks));
                let observed = tables.next().expect("the observed arrangement comes first");
                let permuted = tables.collect();
                if is_now(table) {
                    visit(CellTable {
                        class: table / counting.tables,
                        table: table % counting.tables,
                        label,
                        observed,
                        shuffled: permuted,
                    })?;
                }
            }
        }
    }
    Ok(())
}

/// One document's counts by table and arrangement, all of block 0.
fn tell_document(
    decisions: &DocumentDecisions<'_>,
    counting: &CellCounting<'_>,
    arrangements: usize,
    seed: u64,
    is_now: &dyn Fn(usize) -> bool,
) -> Vec<(usize, usize, Vec<Entry>)> {
    let mut told = Vec::new();
    for (class, kind) in counting.classes.iter().enumerate() {
        let first = class * counting.tables;
        let mut values = kind.values(decisions);
        for arrangement in 0..arrangements {
            if arrangement > 0 {
                shuffle_known(decisions, &mut values, seed, arrangement);
            }
            let mut entries = vec![Vec::new(); counting.tables];
            (counting.tell)(decisions, &values, &mut |table, row, column| {
                if is_now(first + table) {
                    entries[table].push(Entry {
                        row,
                        column,
                        block: 0,
                        count: 1,
                    });
                }
            });
            for (table, mut entries) in entries.into_iter().enumerate() {
                merge(&mut entries);
                told.push((first + table, arrangement, entries));
            }
        }
    }
    told
}

/// Shuffles what is known among a document's counted tokens.
fn shuffle_known(
    decisions: &DocumentDecisions<'_>,
    values: &mut [u32],
    seed: u64,
    arrangement: usize,
) {
    let counted = decisions.tokens.counted;
    let known: Vec<usize> = (0..values.len())
        .filter(|token| counted[*token] && values[*token] != UNKNOWN)
        .collect();
    let mut shuffled: Vec<u32> = known.iter().map(|token| values[*token]).collect();
    let stream = (decisions.document as u64) << 16 | arrangement as u64;
    random::shuffle(
        &mut random::stream(seed, Purpose::TokenShuffle, stream),
        &mut shuffled,
    );
    for (token, value) in known.into_iter().zip(shuffled) {
        values[token] = value;
    }
}

/// A statistic of tables, and how it is resampled.
pub(crate) struct CellQuantity<'a> {
    /// Values of each table.
    pub(crate) len: usize,
    /// From a table to its values.
    pub(crate) statistic: &'a SparseStatistic<'a>,
    /// How intervals are made.
    pub(crate) method: IntervalMethod,
}

/// The values of all tables, `[classes, tables, labels, len]`.
pub(crate) struct CellValues {
    /// As observed.
    pub(crate) observed: Vec<f64>,
    /// What the resamples say.
    pub(crate) summaries: Vec<Summary>,
    /// With shuffled tokens, `[shuffles]` of each value.
    pub(crate) shuffled: Vec<Vec<f64>>,
    /// Resamples that were drawn.
    pub(crate) resamples: u32,
    tables: usize,
    labels: usize,
    len: usize,
}

impl CellValues {
    /// Measures a statistic of all tables.
    pub(crate) fn measure(
        source: CellSource<'_>,
        counting: &CellCounting<'_>,
        quantity: &CellQuantity<'_>,
    ) -> Result<Self, AnalyticsError> {
        let (selection, request) = (source.selection, source.request);
        let shuffles = shuffles(selection, request, counting);
        let (labels, len) = (selection.labels.len(), quantity.len);
        let size = counting.classes.len() * counting.tables * labels * len;
        let mut found = Self {
            observed: vec![f64::NAN; size],
            summaries: vec![Summary::default(); size],
            shuffled: vec![Vec::new(); size],
            resamples: request.resamples,
            tables: counting.tables,
            labels,
            len,
        };
        for_cell_tables(source, counting, shuffles, &mut |cells| {
            let first = found.place(cells.class, cells.table, cells.label, 0);
            let table = &cells.observed;
            let resamples = affordable_resamples(request.resamples, table.parts());
            found.resamples = found.resamples.min(resamples);
            let config = BootstrapConfig {
                resamples,
                seed: request.seed,
                level: request.level,
                method: quantity.method,
            };
            let observed = table.values(len, quantity.statistic);
            let summaries =
                bootstrap_sparse(table, len, quantity.statistic, config, source.progress)?;
            found.observed[first..first + len].copy_from_slice(&observed);
            found.summaries[first..first + len].copy_from_slice(&summaries);
            for shuffled in &cells.shuffled {
                let values = shuffled.values(len, quantity.statistic);
                for (value, kept) in values.into_iter().zip(&mut found.shuffled[first..]) {
                    kept.push(value);
                }
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// Where a value is.
    pub(crate) fn place(&self, class: usize, table: usize, label: usize, value: usize) -> usize {
        ((class * self.tables + table) * self.labels + label) * self.len + value
    }
}
