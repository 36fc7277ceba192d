//! Groups pooled into blocks, and counts per block, for tables too large for a row per group.

use moescope_core::{Progress, Protocol, Weighting};
use rayon::prelude::*;

use crate::{
    AnalyticsError, MeasureRequest, TraceData,
    data::{DecisionNeeds, DocumentDecisions, Selection},
    stats::{
        bootstrap::FEWEST_GROUPS,
        random::{self, Purpose},
        units::UnitTable,
    },
};

/// Bytes that the counts of all blocks may take.
const MOST_BYTES: usize = 512 << 20;
/// Blocks of a label beyond which intervals gain nothing.
const MOST_BLOCKS: usize = 128;

/// The units of a selection, or random pools of them where there are too many.
#[derive(Clone, Debug)]
pub(crate) struct Blocks {
    /// The label of each block, ascending.
    pub(crate) label: Vec<usize>,
    /// The block of each unit.
    of_unit: Vec<usize>,
    /// Whether some block holds several units.
    is_pooled: bool,
}

impl Blocks {
    /// At most `most` blocks of every label.
    pub(crate) fn new(selection: &Selection, most: usize, seed: u64) -> Self {
        let mut blocks = Self {
            label: Vec::new(),
            of_unit: vec![0; selection.unit_label.len()],
            is_pooled: false,
        };
        for label in 0..selection.labels.len() {
            let mut units: Vec<usize> = (0..selection.unit_label.len())
                .filter(|unit| selection.unit_label[*unit] == label)
                .collect();
            let first = blocks.label.len();
            let count = units.len().min(most.max(1));
            if count < units.len() {
                blocks.is_pooled = true;
                let mut rng = random::stream(seed, Purpose::GroupBlocks, label as u64);
                random::shuffle(&mut rng, &mut units);
            }
            for (place, unit) in units.into_iter().enumerate() {
                blocks.of_unit[unit] = first + place % count;
            }
            blocks.label.extend(std::iter::repeat_n(label, count));
        }
        blocks
    }

    /// The block of a unit.
    pub(crate) fn of_unit(&self, unit: usize) -> usize {
        self.of_unit[unit]
    }

    /// Number of blocks of a label.
    pub(crate) fn of_label(&self, label: usize) -> usize {
        self.label.iter().filter(|l| **l == label).count()
    }

    /// The first block of a label.
    pub(crate) fn first_of(&self, label: usize) -> usize {
        self.label.partition_point(|l| *l < label)
    }

    /// Says what was pooled, and that there is no interval where even that would not fit.
    pub(crate) fn describe(&self, protocol: &mut Protocol) {
        if !self.is_pooled {
            return;
        }
        if self
            .label
            .iter()
            .any(|l| self.of_label(*l) >= FEWEST_GROUPS)
        {
            protocol.notes.push(format!(
                "groups are pooled into {} random blocks, and blocks are resampled: a table per group would not fit",
                self.label.len()
            ));
        } else {
            protocol.interval_method = format!(
                "no interval: tables of {FEWEST_GROUPS} blocks of groups would not fit; choose fewer layers with --layers"
            );
        }
    }
}

/// What is counted in every document.
pub(crate) struct BlockCounting<'a> {
    /// What is read.
    pub(crate) needs: DecisionNeeds,
    /// Tables, such as one per layer.
    pub(crate) rows: usize,
    /// Counts in each table.
    pub(crate) columns: usize,
    /// Adds a document's decisions to `[rows × columns]`, each with this weight.
    pub(crate) add: &'a (dyn Fn(&DocumentDecisions<'_>, f64, &mut [f64]) + Sync),
}

/// Counts of every block.
#[derive(Debug)]
pub(crate) struct BlockCounts {
    /// The blocks.
    pub(crate) blocks: Blocks,
    /// Tables.
    pub(crate) rows: usize,
    /// Counts in each table.
    pub(crate) columns: usize,
    /// `[blocks, rows, columns]`.
    counts: Vec<f64>,
}

impl BlockCounts {
    /// Counts all documents of a selection; a shard's documents of different blocks are counted in parallel.
    ///
    /// # Errors
    /// When one block per label would not fit, or the decisions cannot be read.
    pub(crate) fn count(
        data: &TraceData,
        selection: &Selection,
        request: &MeasureRequest,
        metric: &str,
        counting: &BlockCounting<'_>,
        progress: &dyn Progress,
    ) -> Result<Self, AnalyticsError> {
        let &BlockCounting {
            rows, columns, add, ..
        } = counting;
        let bytes = rows
            .saturating_mul(columns)
            .saturating_mul(size_of::<f64>());
        let labels = selection.labels.len();
        let affordable = MOST_BYTES / bytes.max(1) / labels.max(1);
        if affordable == 0 && bytes.saturating_mul(labels) > 4 * MOST_BYTES {
            return Err(AnalyticsError::TooLittle {
                metric: metric.to_owned(),
                found: format!("{rows} tables of {columns} counts would not fit"),
                help: "choose fewer layers with --layers".to_owned(),
            });
        }
        let most = if affordable < FEWEST_GROUPS {
            1
        } else {
            affordable.min(MOST_BLOCKS)
        };
        let blocks = Blocks::new(selection, most, request.seed);
        let places = selection.places(data);
        let mut counts = vec![0.0; blocks.label.len() * rows * columns];
        data.visit_shards(counting.needs.clone(), metric, progress, &mut |shard| {
            let mut of_block: Vec<Vec<(usize, f64)>> = vec![Vec::new(); blocks.label.len()];
            for at in 0..shard.len() {
                let Some(place) = places[shard.document(at).document] else {
                    continue;
                };
                let weight = match request.scope.weighting {
                    Weighting::Token => 1.0,
                    Weighting::Document => 1.0 / selection.tokens[place],
                };
                of_block[blocks.of_unit(selection.unit[place])].push((at, weight));
            }
            counts
                .par_chunks_mut((rows * columns).max(1))
                .zip(of_block)
                .for_each(|(counts, documents)| {
                    for (at, weight) in documents {
                        add(&shard.document(at), weight, counts);
                    }
                });
            Ok(())
        })?;
        Ok(Self {
            blocks,
            rows,
            columns,
            counts,
        })
    }

    /// One table with a row per block.
    pub(crate) fn table(&self, row: usize, labels: usize) -> UnitTable {
        let mut table = UnitTable::new(labels, self.blocks.label.clone(), 1, self.columns);
        for block in 0..self.blocks.label.len() {
            let start = (block * self.rows + row) * self.columns;
            table
                .row_mut(0, block)
                .copy_from_slice(&self.counts[start..start + self.columns]);
        }
        table
    }
}
