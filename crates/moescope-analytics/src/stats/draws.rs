//! Resamples and permutations of units, and a statistic of many of them at a time.
//!
//! The sums of a draw are a small product: how often each unit is drawn, times the units' rows (those of its parts, each with
//! its weight, where labels are matched). A strip of columns of all units stays in the second-level cache while it is summed for one draw after another, and one label's sums of a strip
//! stay in registers. Units are added in ascending order, so every sum is the one that a plain loop over units gives.

use moescope_core::Cancelled;
use rayon::prelude::*;

use super::{statistic::Statistic, units::UnitTable};

/// Values of a draw, given how often each unit is drawn, or its label; an error when the caller asked to stop.
pub(crate) type OfDraw<'a, T> = dyn Fn(&[T]) -> Result<Vec<f64>, Cancelled> + Sync + 'a;

/// Columns that are summed at a time: eight vector registers of two numbers.
const STRIP: usize = 16;
/// Draws whose sums one thread makes from a strip before it goes to the next strip.
const DRAWS_AT_A_TIME: usize = 16;
/// The most sums that these draws may have together, so that they stay near (256 KiB).
const SUMS_AT_A_TIME: usize = 1 << 15;

/// The parts of units that each label has in one draw.
#[derive(Clone, Debug, Default)]
pub(crate) struct Draw {
    /// Parts by label, ascending within each.
    parts: Vec<u32>,
    /// How much each of them counts.
    weights: Vec<f64>,
    /// Where each label's parts end.
    ends: Vec<usize>,
}

impl Draw {
    /// A draw of units that keep their labels: how often each is drawn, `[units]`.
    pub(crate) fn resample(table: &UnitTable, times: &[u32]) -> Self {
        Self::new(table, |unit| times[unit], |unit| table.label[unit])
    }

    /// All units once, with other labels, `[units]`.
    pub(crate) fn permutation(table: &UnitTable, labels: &[usize]) -> Self {
        Self::new(table, |_| 1, |unit| labels[unit])
    }

    fn new(
        table: &UnitTable,
        times: impl Fn(usize) -> u32,
        label: impl Fn(usize) -> usize,
    ) -> Self {
        let mut drawn = Vec::with_capacity(table.parts());
        let mut next = vec![0; table.labels()];
        table.each_part(times, label, |part, label, weight| {
            drawn.push((part, label, weight));
            next[label] += 1;
        });
        let mut end = 0;
        for start in &mut next {
            end += *start;
            *start = end - *start;
        }
        let mut parts = vec![0; drawn.len()];
        let mut weights = vec![0.0; drawn.len()];
        for (part, label, weight) in drawn {
            parts[next[label]] = number(part);
            weights[next[label]] = weight;
            next[label] += 1;
        }
        Self {
            parts,
            weights,
            ends: next,
        }
    }
}

fn number(part: usize) -> u32 {
    u32::try_from(part).expect("no table here has 2³² parts")
}

/// One layer of a table in strips of columns.
#[derive(Debug, Default)]
pub(crate) struct Strips {
    /// `[strips, parts]`, zeros behind the last column.
    rows: Vec<[f64; STRIP]>,
    parts: usize,
    columns: usize,
}

impl Strips {
    /// Takes in a layer, in the memory of the one before.
    pub(crate) fn load(&mut self, table: &UnitTable, layer: usize) {
        (self.parts, self.columns) = (table.parts(), table.columns);
        let strips = self.columns.div_ceil(STRIP);
        self.rows.clear();
        self.rows.resize(strips * self.parts, [0.0; STRIP]);
        for part in 0..self.parts {
            let row = table.row(layer, part);
            for (strip, columns) in row.chunks(STRIP).enumerate() {
                self.rows[strip * self.parts + part][..columns.len()].copy_from_slice(columns);
            }
        }
    }

    /// The sums of each label in each draw, `[draws, labels × columns]`.
    fn sum(&self, draws: &[Draw], sums: &mut [f64]) {
        let strips = self.rows.chunks_exact(self.parts.max(1));
        for (strip, rows) in strips.enumerate() {
            let columns = strip * STRIP..self.columns.min((strip + 1) * STRIP);
            let size = sums.len() / draws.len();
            for (draw, sums) in draws.iter().zip(sums.chunks_exact_mut(size)) {
                let mut start = 0;
                for (end, sums) in draw.ends.iter().zip(sums.chunks_exact_mut(self.columns)) {
                    let total =
                        sum_rows(rows, &draw.parts[start..*end], &draw.weights[start..*end]);
                    sums[columns.clone()].copy_from_slice(&total[..columns.len()]);
                    start = *end;
                }
            }
        }
    }
}

/// One strip's sums over some parts.
fn sum_rows(rows: &[[f64; STRIP]], parts: &[u32], weights: &[f64]) -> [f64; STRIP] {
    let mut total = [0.0; STRIP];
    for (part, weight) in parts.iter().zip(weights) {
        let row = &rows[*part as usize];
        for (sum, value) in total.iter_mut().zip(row) {
            *sum += weight * value;
        }
    }
    total
}

/// The statistic of every draw at one layer, `[draws × len]`; `check` is asked now and then whether to go on.
///
/// # Errors
/// What `check` gives.
pub(crate) fn evaluate_draws(
    strips: &Strips,
    statistic: &Statistic<'_>,
    draws: &[Draw],
    values: &mut Vec<f64>,
    check: &(dyn Fn() -> Result<(), Cancelled> + Sync),
) -> Result<(), Cancelled> {
    values.clear();
    values.resize(draws.len() * statistic.len, 0.0);
    let Some(labels) = draws.first().map(|draw| draw.ends.len()) else {
        return Ok(());
    };
    if statistic.len == 0 {
        return Ok(());
    }
    let size = labels * strips.columns;
    let at_a_time = (SUMS_AT_A_TIME / size.max(1)).clamp(1, DRAWS_AT_A_TIME);
    values
        .par_chunks_mut(at_a_time * statistic.len)
        .zip(draws.par_chunks(at_a_time))
        .try_for_each_init(
            || vec![0.0; at_a_time * size],
            |sums, (values, draws)| {
                check()?;
                let sums = &mut sums[..draws.len() * size];
                // A table without units has sums of 0.
                sums.fill(0.0);
                strips.sum(draws, sums);
                let values = values.chunks_exact_mut(statistic.len);
                for (draw, values) in values.enumerate() {
                    (statistic.evaluate)(&sums[draw * size..(draw + 1) * size], values);
                }
                Ok(())
            },
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{
        random::{self, Purpose},
        statistic::Sides,
        units::Strata,
    };

    /// Three labels of 4, 0 and 7 units with 19 columns (one strip and a part) of fractions that no sum of holds exactly.
    fn table() -> UnitTable {
        let label = [vec![0; 4], vec![2; 7]].concat();
        let mut table = UnitTable::new(3, label, 2, 19);
        let mut rng = random::stream(7, Purpose::Bootstrap, 0);
        for layer in 0..2 {
            for unit in 0..11 {
                for value in table.row_mut(layer, unit) {
                    *value = f64::from(u32::try_from(random::below(&mut rng, 1000)).unwrap()) / 7.0;
                }
            }
        }
        table
    }

    fn sums(table: &UnitTable, layer: usize, draws: &[Draw]) -> Vec<f64> {
        let mut strips = Strips::default();
        // What another layer left behind must not show.
        strips.load(table, 1 - layer);
        strips.load(table, layer);
        let statistic = Statistic {
            len: 3 * 19,
            evaluate: &|sums, out| out.copy_from_slice(sums),
            sides: &|_| Sides::All,
        };
        let mut values = Vec::new();
        evaluate_draws(&strips, &statistic, draws, &mut values, &|| Ok(())).unwrap();
        values
    }

    #[test]
    fn sums_of_draws_are_those_of_a_loop_over_units_to_the_last_bit() {
        let table = table();
        let mut rng = random::stream(8, Purpose::Permutation, 0);
        let mut draws = Vec::new();
        let mut expected = Vec::new();
        let mut sums_of_one = vec![0.0; 3 * 19];
        for _ in 0..40 {
            let times: Vec<u32> = (0..11)
                .map(|_| u32::try_from(random::below(&mut rng, 3)).unwrap())
                .collect();
            draws.push(Draw::resample(&table, &times));
            table.sum_into(
                1,
                &mut sums_of_one,
                |unit| times[unit],
                |unit| table.label[unit],
            );
            expected.extend_from_slice(&sums_of_one);
            let mut labels = table.label.clone();
            random::shuffle(&mut rng, &mut labels);
            draws.push(Draw::permutation(&table, &labels));
            table.sum_into(1, &mut sums_of_one, |_| 1, |unit| labels[unit]);
            expected.extend_from_slice(&sums_of_one);
        }
        assert_eq!(sums(&table, 1, &draws), expected);
    }

    #[test]
    fn sums_of_draws_of_matched_units_are_weighted_anew() {
        // Two labels of three units; every unit has a part in both strata, of different masses.
        let unit: Vec<usize> = (0..12).map(|part| part / 2).collect();
        let strata = Strata {
            stratum: (0..12).map(|part| part % 2).collect(),
            mass: (0..12).map(|part| f64::from(1 + 5 * part % 7)).collect(),
            target: vec![4.0, 3.0],
            unit,
        };
        let blocks = vec![(0..6).collect()];
        let mut table = UnitTable::new(2, vec![0, 0, 0, 1, 1, 1], 2, 3).with_strata(strata, blocks);
        for part in 0..12 {
            for (column, value) in table.row_mut(1, part).iter_mut().enumerate() {
                *value = f64::from(u32::try_from(part * 5 + column * 3).unwrap() % 11);
            }
        }
        let (times, labels) = ([2, 0, 1, 1, 1, 1], [1, 0, 1, 0, 0, 1]);
        let mut expected = vec![0.0; 12];
        let (resampled, permuted) = expected.split_at_mut(6);
        table.sum_into(1, resampled, |unit| times[unit], |unit| table.label[unit]);
        table.sum_into(1, permuted, |_| 1, |unit| labels[unit]);
        let draws = [
            Draw::resample(&table, &times),
            Draw::permutation(&table, &labels),
        ];
        let mut strips = Strips::default();
        strips.load(&table, 1);
        let mut found = vec![0.0; 12];
        strips.sum(&draws, &mut found);
        assert_eq!(found, expected);
    }

    #[test]
    fn a_cancel_is_heard_while_draws_are_evaluated() {
        let table = table();
        let mut strips = Strips::default();
        strips.load(&table, 0);
        let statistic = Statistic {
            len: 1,
            evaluate: &|sums, out| out[0] = sums[0],
            sides: &|_| Sides::All,
        };
        let draws = vec![Draw::resample(&table, &[1; 11]); 100];
        let found = evaluate_draws(&strips, &statistic, &draws, &mut Vec::new(), &|| {
            Err(Cancelled)
        });
        assert_eq!(found, Err(Cancelled));
    }
}
