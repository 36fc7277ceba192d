//! Counts of experts by condition and unit.

mod within_conditions;

use rayon::prelude::*;

/// So many times an expert was chosen in a condition by a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CountRecord {
    /// The condition, e.g. a token id.
    pub(crate) condition: u64,
    /// The unit.
    pub(crate) unit: u32,
    /// The expert.
    pub(crate) expert: u16,
    /// How often; the same place may have several records.
    pub(crate) count: u16,
}

/// Counts of one layer, sorted by condition, unit and expert.
///
/// A pair is a unit in a condition. Conditions that occur under one label only say nothing about labels,
/// whichever unit has which label, so they are kept as totals.
#[derive(Debug)]
pub(crate) struct Contingency<'a> {
    experts: usize,
    labels: usize,
    /// The label of each unit, ascending.
    unit_label: &'a [usize],
    /// The first pair of each condition, and the end.
    first_pair: Vec<u32>,
    pair_unit: Vec<u32>,
    pair_label: Vec<u16>,
    pair_total: Vec<u32>,
    /// The first entry of each pair, and the end.
    first_entry: Vec<usize>,
    entry_expert: Vec<u16>,
    entry_count: Vec<u32>,
    /// Pairs by unit, each with its condition, and the first of each unit with the end.
    pairs_of_units: Vec<(u32, u32)>,
    first_of_unit: Vec<usize>,
    /// Assignments of each label in conditions of one label.
    alone: Vec<u64>,
    /// All assignments of each unit.
    unit_total: Vec<u64>,
}

impl<'a> Contingency<'a> {
    /// Sorts and merges records.
    pub(crate) fn new(
        mut records: Vec<CountRecord>,
        unit_label: &'a [usize],
        labels: usize,
        experts: usize,
    ) -> Self {
        records.par_sort_unstable_by_key(|r| (r.condition, r.unit, r.expert));
        let mut table = Self {
            experts,
            labels,
            unit_label,
            first_pair: vec![0],
            pair_unit: Vec::new(),
            pair_label: Vec::new(),
            pair_total: Vec::new(),
            first_entry: vec![0],
            entry_expert: Vec::new(),
            entry_count: Vec::new(),
            pairs_of_units: Vec::new(),
            first_of_unit: vec![0; unit_label.len() + 1],
            alone: vec![0; labels],
            unit_total: vec![0; unit_label.len()],
        };
        for condition in records.chunk_by(|a, b| a.condition == b.condition) {
            table.add_condition(condition);
        }
        table.index_by_unit();
        table
    }

    /// Adds the sorted records of one condition.
    fn add_condition(&mut self, records: &[CountRecord]) {
        let label = |record: &CountRecord| self.unit_label[record.unit as usize];
        let total: u64 = records.iter().map(|r| u64::from(r.count)).sum();
        let (first, last) = (label(&records[0]), label(&records[records.len() - 1]));
        for record in records {
            self.unit_total[record.unit as usize] += u64::from(record.count);
        }
        // Units are sorted by label.
        if first == last {
            self.alone[first] += total;
            return;
        }
        for pair in records.chunk_by(|a, b| a.unit == b.unit) {
            let count = |run: &[CountRecord]| run.iter().map(|r| u32::from(r.count)).sum();
            for entry in pair.chunk_by(|a, b| a.expert == b.expert) {
                self.entry_expert.push(entry[0].expert);
                self.entry_count.push(count(entry));
            }
            let label = u16::try_from(label(&pair[0])).expect("the caller checks that labels fit");
            self.pair_unit.push(pair[0].unit);
            self.pair_label.push(label);
            self.pair_total.push(count(pair));
            self.first_entry.push(self.entry_expert.len());
        }
        let pairs = u32::try_from(self.pair_unit.len()).expect("pairs are numbered in 32 bits");
        self.first_pair.push(pairs);
    }

    fn index_by_unit(&mut self) {
        for unit in &self.pair_unit {
            self.first_of_unit[*unit as usize + 1] += 1;
        }
        for unit in 0..self.unit_label.len() {
            self.first_of_unit[unit + 1] += self.first_of_unit[unit];
        }
        let mut next = self.first_of_unit.clone();
        self.pairs_of_units = vec![(0, 0); self.pair_unit.len()];
        for (condition, pairs) in (0u32..).zip(self.first_pair.windows(2)) {
            for pair in pairs[0]..pairs[1] {
                let unit = self.pair_unit[pair as usize] as usize;
                self.pairs_of_units[next[unit]] = (pair, condition);
                next[unit] += 1;
            }
        }
    }

    /// Entries that every evaluation visits.
    pub(crate) fn entries(&self) -> usize {
        self.entry_expert.len()
    }

    /// The share of assignments in conditions that occur under two labels or more.
    #[expect(clippy::cast_precision_loss, reason = "numbers of assignments")]
    pub(crate) fn shared(&self) -> f64 {
        let all: u64 = self.unit_total.iter().sum();
        1.0 - self.alone.iter().sum::<u64>() as f64 / all as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::information::LabelPrior;

    /// Records as (condition, unit, expert, count).
    fn table(
        records: &[(u64, u32, u16, u16)],
        unit_label: &'static [usize],
    ) -> Contingency<'static> {
        let records = records
            .iter()
            .map(|(condition, unit, expert, count)| CountRecord {
                condition: *condition,
                unit: *unit,
                expert: *expert,
                count: *count,
            })
            .collect();
        Contingency::new(records, unit_label, 2, 2)
    }

    #[test]
    fn information_within_conditions_ignores_what_conditions_explain() {
        // Condition 0 always goes to expert 0, condition 1 to expert 1; labels differ in which conditions they have.
        let explained = table(
            &[(0, 0, 0, 6), (1, 0, 1, 2), (0, 1, 0, 1), (1, 1, 1, 7)],
            &[0, 1],
        );
        assert!(explained.information_bits(LabelPrior::Equal).abs() < 1e-12);
        // Within one condition the labels use different experts: 1 bit; a condition of one label adds nothing.
        // Of 8 assignments of each label, 4 are in the shared condition: ½ bit.
        let told = table(
            &[(0, 0, 0, 4), (7, 0, 1, 4), (0, 1, 1, 4), (9, 1, 0, 4)],
            &[0, 1],
        );
        assert!((told.information_bits(LabelPrior::Equal) - 0.5).abs() < 1e-12);
        assert!((told.shared() - 0.5).abs() < 1e-12);
        let sums = told.pointwise_bits(LabelPrior::Equal);
        // log2 (1 / ½) for four assignments of eight.
        assert_eq!(sums, [(4.0, 8.0), (4.0, 8.0)]);
    }

    #[test]
    fn records_of_one_place_are_merged() {
        let once = table(&[(0, 0, 0, 5), (0, 0, 1, 1), (0, 1, 1, 3)], &[0, 1]);
        let twice = table(
            &[(0, 1, 1, 3), (0, 0, 0, 2), (0, 0, 1, 1), (0, 0, 0, 3)],
            &[0, 1],
        );
        assert_eq!(once.entries(), twice.entries());
        for prior in [LabelPrior::Equal, LabelPrior::Mass] {
            let difference = once.information_bits(prior) - twice.information_bits(prior);
            assert!(difference.abs() < 1e-15);
        }
    }

    #[test]
    fn permutations_keep_the_labels_of_every_condition() {
        // Two units a label, both conditions under both labels; a permutation gives each condition two of each label.
        let records: Vec<(u64, u32, u16, u16)> = (0..4)
            .flat_map(|unit| [(0, unit, u16::from(unit < 2), 3), (1, unit, 0, 1)])
            .collect();
        let table = table(&records, &[0, 0, 1, 1]);
        // Of 6 arrangements, 2 separate the experts (¾ of a bit: three of four assignments), 4 mix them evenly (0).
        let permuted = table.permuted_bits(LabelPrior::Equal, 3, 0..600);
        let separated = permuted
            .iter()
            .filter(|bits| (**bits - 0.75).abs() < 1e-12)
            .count();
        let mixed = permuted.iter().filter(|bits| bits.abs() < 1e-12).count();
        assert_eq!(separated + mixed, 600);
        assert!((150..250).contains(&separated), "{separated}");
        assert!((table.information_bits(LabelPrior::Equal) - 0.75).abs() < 1e-12);
    }
}
