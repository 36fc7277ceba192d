//! Counts of rows and columns of which most are 0, per block of groups, and the bootstrap over these blocks.

use moescope_core::{Cancelled, Progress};
use rayon::prelude::*;

use super::{
    bootstrap::{BootstrapConfig, FEWEST_GROUPS, Summary, summarize},
    interval::expanded_tail,
    random::{self, Purpose},
};

/// One count on its way into a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    /// The row, e.g. a token id.
    pub(crate) row: u64,
    /// The column, e.g. an expert.
    pub(crate) column: u32,
    /// The block of groups.
    pub(crate) block: u32,
    /// How often.
    pub(crate) count: u32,
}

/// Counts that grow, merged whenever they have doubled.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    entries: Vec<Entry>,
    merged: usize,
}

impl Counts {
    /// Adds counts.
    pub(crate) fn extend(&mut self, entries: impl IntoIterator<Item = Entry>) {
        const FEWEST_TO_MERGE: usize = 1 << 16;
        self.entries.extend(entries);
        if self.entries.len() > (2 * self.merged).max(FEWEST_TO_MERGE) {
            self.merge();
        }
    }

    fn merge(&mut self) {
        // Sorted by all cores first, so that nothing is left to sort.
        self.entries.par_sort_unstable();
        merge(&mut self.entries);
        self.merged = self.entries.len();
    }

    /// The table of so many blocks.
    pub(crate) fn table(mut self, blocks: usize) -> SparseTable {
        self.merge();
        SparseTable::new(&self.entries, blocks)
    }
}

/// Sorts entries and adds up those of one row, column and block.
pub(crate) fn merge(entries: &mut Vec<Entry>) {
    entries.sort_unstable();
    entries.dedup_by(|later, kept| {
        let is_same = (later.row, later.column, later.block) == (kept.row, kept.column, kept.block);
        if is_same {
            kept.count += later.count;
        }
        is_same
    });
}

/// Counts by row and column, and what each block adds to them.
#[derive(Clone, Debug)]
pub(crate) struct SparseTable {
    blocks: usize,
    /// Names of the rows that occur, ascending.
    rows: Vec<u64>,
    /// Where each row's slots begin, `[rows + 1]`.
    starts: Vec<usize>,
    /// The column of each slot.
    columns: Vec<u32>,
    /// Slot, block and count of everything that was counted.
    parts: Vec<(u32, u32, u32)>,
}

/// One row of a table: its name, its columns and their counts.
pub(crate) type SparseRow<'a> = (u64, &'a [u32], &'a [f64]);

/// A function of all rows with given counts.
pub(crate) type SparseStatistic<'a> = dyn Fn(&SparseTable, &[f64], &mut [f64]) + Sync + 'a;

impl SparseTable {
    /// From merged entries.
    fn new(entries: &[Entry], blocks: usize) -> Self {
        let mut table = Self {
            blocks,
            rows: Vec::new(),
            starts: Vec::new(),
            columns: Vec::new(),
            parts: Vec::with_capacity(entries.len()),
        };
        for cell in entries.chunk_by(|a, b| (a.row, a.column) == (b.row, b.column)) {
            if table.rows.last() != Some(&cell[0].row) {
                table.rows.push(cell[0].row);
                table.starts.push(table.columns.len());
            }
            let slot = u32::try_from(table.columns.len()).expect("fewer than 2³² cells");
            table.columns.push(cell[0].column);
            let parts = cell.iter().map(|entry| (slot, entry.block, entry.count));
            table.parts.extend(parts);
        }
        table.starts.push(table.columns.len());
        table
    }

    /// Number of blocks.
    pub(crate) fn blocks(&self) -> usize {
        self.blocks
    }

    /// The counts of all slots with every block counted `times(block)` times.
    pub(crate) fn sum_into(&self, sums: &mut Vec<f64>, times: impl Fn(usize) -> u32) {
        sums.clear();
        sums.resize(self.columns.len(), 0.0);
        for (slot, block, count) in &self.parts {
            let times = times(*block as usize);
            if times > 0 {
                sums[*slot as usize] += f64::from(times) * f64::from(*count);
            }
        }
    }

    /// The counts of all slots as observed.
    pub(crate) fn sums(&self) -> Vec<f64> {
        let mut sums = Vec::new();
        self.sum_into(&mut sums, |_| 1);
        sums
    }

    /// Every row with its columns and their part of `sums`.
    pub(crate) fn rows<'a>(&'a self, sums: &'a [f64]) -> impl Iterator<Item = SparseRow<'a>> {
        self.rows.iter().enumerate().map(|(place, row)| {
            let slots = self.starts[place]..self.starts[place + 1];
            (*row, &self.columns[slots.clone()], &sums[slots])
        })
    }

    /// A statistic's values as observed.
    pub(crate) fn values(&self, len: usize, statistic: &SparseStatistic<'_>) -> Vec<f64> {
        let mut values = vec![0.0; len];
        statistic(self, &self.sums(), &mut values);
        values
    }
}

/// Operations that a bootstrap of one table may take: resamples are fewer where a table is large.
const MOST_OPERATIONS: usize = 4_000_000_000;
/// Resamples below which an interval says little.
const FEWEST_RESAMPLES: u32 = 100;

/// The number of resamples that tables of so many counts get.
pub(crate) fn affordable_resamples(asked: u32, parts: usize) -> u32 {
    let affordable = u32::try_from(MOST_OPERATIONS / parts.max(1)).unwrap_or(u32::MAX);
    asked.min(affordable.max(FEWEST_RESAMPLES))
}

impl SparseTable {
    /// Counts that every resample adds up.
    pub(crate) fn parts(&self) -> usize {
        self.parts.len()
    }
}

/// Resamples blocks with replacement; one summary per value, empty ones where there are too few blocks.
///
/// # Errors
/// When cancelled.
pub(crate) fn bootstrap_sparse(
    table: &SparseTable,
    len: usize,
    statistic: &SparseStatistic<'_>,
    config: BootstrapConfig,
    progress: &dyn Progress,
) -> Result<Vec<Summary>, Cancelled> {
    progress.report(0, 0, "bootstrap over groups")?;
    let blocks = table.blocks();
    if blocks < FEWEST_GROUPS || config.resamples == 0 {
        return Ok((0..len).map(|_| Summary::default()).collect());
    }
    let observed = table.values(len, statistic);
    let mut values = vec![0.0; config.resamples as usize * len];
    values
        .par_chunks_mut(len)
        .zip(0..config.resamples)
        .for_each_init(
            || (Vec::new(), vec![0; blocks]),
            |(sums, times), (values, resample)| {
                let mut rng = random::stream(config.seed, Purpose::Bootstrap, u64::from(resample));
                times.fill(0);
                for _ in 0..blocks {
                    times[random::below(&mut rng, blocks)] += 1;
                }
                table.sum_into(sums, |block| times[block]);
                statistic(table, sums, values);
            },
        );
    let tail = expanded_tail(config.level, blocks);
    Ok((0..len)
        .map(|value| {
            let column = values.iter().skip(value).step_by(len).copied().collect();
            summarize(column, observed[value], tail, config.method)
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_cells_are_added_and_rows_keep_their_columns() {
        let entry = |row, column, block, count| Entry {
            row,
            column,
            block,
            count,
        };
        let mut counts = Counts::default();
        counts.extend([entry(7, 1, 0, 2), entry(3, 0, 1, 1), entry(7, 1, 0, 1)]);
        counts.extend([entry(7, 0, 1, 4)]);
        let table = counts.table(2);
        // Row 3: column 0 once. Row 7: column 0 four times in block 1, column 1 three times in block 0.
        let sums = table.sums();
        let rows: Vec<SparseRow<'_>> = table.rows(&sums).collect();
        assert_eq!(
            rows,
            [(3, &[0][..], &[1.0][..]), (7, &[0, 1][..], &[4.0, 3.0][..])]
        );
        let mut twice = Vec::new();
        table.sum_into(&mut twice, |block| [0, 2][block]);
        assert_eq!(twice, [2.0, 8.0, 0.0]);
    }

    #[test]
    fn large_tables_get_fewer_resamples_but_never_too_few() {
        assert_eq!(affordable_resamples(1000, 1_000_000), 1000);
        assert_eq!(affordable_resamples(1000, 20_000_000), 200);
        assert_eq!(affordable_resamples(1000, usize::MAX), 100);
        assert_eq!(affordable_resamples(50, 1), 50);
    }
}
