//! Counts of experts by condition and unit, and what the expert tells about the label within conditions.

use rayon::prelude::*;

use super::{
    information::{LabelPrior, miller_madow_bias_nats},
    random::{self, Purpose},
};

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
    first_pair: Vec<usize>,
    pair_unit: Vec<u32>,
    /// The first entry of each pair, and the end.
    first_entry: Vec<usize>,
    entry_expert: Vec<u16>,
    entry_count: Vec<u32>,
    /// Pairs by unit, and the first of each unit with the end.
    pairs_of_units: Vec<u32>,
    first_of_unit: Vec<usize>,
    condition_of_pair: Vec<u32>,
    /// Assignments of each label in conditions of one label.
    alone: Vec<u64>,
    /// All assignments of each unit.
    unit_total: Vec<u64>,
}

/// What a thread needs for one evaluation.
#[derive(Debug, Default)]
struct Scratch {
    order: Vec<u32>,
    next: Vec<usize>,
    pair_label: Vec<u16>,
    count: Vec<u32>,
    touched: Vec<(u16, u16)>,
    mass: Vec<f64>,
    x_ln_x: Vec<f64>,
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
            first_entry: vec![0],
            entry_expert: Vec::new(),
            entry_count: Vec::new(),
            pairs_of_units: Vec::new(),
            first_of_unit: vec![0; unit_label.len() + 1],
            condition_of_pair: Vec::new(),
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
        let condition = u32::try_from(self.first_pair.len() - 1).expect("conditions are 32-bit");
        for pair in records.chunk_by(|a, b| a.unit == b.unit) {
            for entry in pair.chunk_by(|a, b| a.expert == b.expert) {
                self.entry_expert.push(entry[0].expert);
                self.entry_count
                    .push(entry.iter().map(|r| u32::from(r.count)).sum());
            }
            self.pair_unit.push(pair[0].unit);
            self.condition_of_pair.push(condition);
            self.first_entry.push(self.entry_expert.len());
        }
        self.first_pair.push(self.pair_unit.len());
    }

    fn index_by_unit(&mut self) {
        for unit in &self.pair_unit {
            self.first_of_unit[*unit as usize + 1] += 1;
        }
        for unit in 0..self.unit_label.len() {
            self.first_of_unit[unit + 1] += self.first_of_unit[unit];
        }
        let mut next = self.first_of_unit.clone();
        self.pairs_of_units = vec![0; self.pair_unit.len()];
        for (pair, unit) in (0u32..).zip(&self.pair_unit) {
            self.pairs_of_units[next[*unit as usize]] = pair;
            next[*unit as usize] += 1;
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

    /// I(label; expert | condition) in bits, as observed.
    pub(crate) fn information_bits(&self, prior: LabelPrior) -> f64 {
        let mut scratch = self.scratch();
        self.label_as_observed(&mut scratch);
        self.evaluate(prior, &mut scratch)
    }

    /// The same for each of some permutations of labels over the units of every condition.
    ///
    /// Each permutation draws one order of all units; in every condition, the labels that its units have go to them in that
    /// order. So every condition keeps its labels, and units keep similar labels in all conditions, as a group's tokens do.
    pub(crate) fn permuted_bits(
        &self,
        prior: LabelPrior,
        seed: u64,
        permutations: std::ops::Range<u64>,
    ) -> Vec<f64> {
        permutations
            .into_par_iter()
            .map_init(
                || self.scratch(),
                |scratch, index| {
                    scratch.order.clear();
                    scratch.order.extend((0u32..).take(self.unit_label.len()));
                    let mut rng = random::stream(seed, Purpose::Permutation, index);
                    random::shuffle(&mut rng, &mut scratch.order);
                    self.label_in_order(scratch);
                    self.evaluate(prior, scratch)
                },
            )
            .collect()
    }

    fn scratch(&self) -> Scratch {
        /// Larger counts are rare enough to compute.
        const TABULATED: u32 = 4096;
        Scratch {
            pair_label: vec![0; self.pair_unit.len()],
            count: vec![0; self.labels * self.experts],
            mass: vec![0.0; self.experts],
            x_ln_x: (0..TABULATED).map(|n| x_ln_x(f64::from(n))).collect(),
            ..Scratch::default()
        }
    }

    fn label_as_observed(&self, scratch: &mut Scratch) {
        for (label, unit) in scratch.pair_label.iter_mut().zip(&self.pair_unit) {
            *label = narrow(self.unit_label[*unit as usize]);
        }
    }

    fn label_in_order(&self, scratch: &mut Scratch) {
        scratch.next.clone_from(&self.first_pair);
        for unit in &scratch.order {
            let unit = *unit as usize;
            for pair in &self.pairs_of_units[self.first_of_unit[unit]..self.first_of_unit[unit + 1]]
            {
                let next = &mut scratch.next[self.condition_of_pair[*pair as usize] as usize];
                let from = self.pair_unit[*next] as usize;
                scratch.pair_label[*pair as usize] = narrow(self.unit_label[from]);
                *next += 1;
            }
        }
    }

    /// Assignments of each label under the pairs' labels.
    #[expect(clippy::cast_precision_loss, reason = "numbers of assignments")]
    fn label_weights(&self, prior: LabelPrior, pair_label: &[u16]) -> Vec<f64> {
        let mut totals = self.alone.clone();
        for (pair, label) in pair_label.iter().enumerate() {
            let counts = &self.entry_count[self.first_entry[pair]..self.first_entry[pair + 1]];
            totals[usize::from(*label)] += counts.iter().map(|n| u64::from(*n)).sum::<u64>();
        }
        let all: u64 = totals.iter().sum();
        totals
            .iter()
            .map(|total| {
                let total = *total as f64;
                prior.weight(total, all as f64, self.labels) / total
            })
            .collect()
    }

    /// `Σ p(d, z, e) log p(e | d, z) / p(e | z)` with every label's assignments weighted by its prior.
    fn evaluate(&self, prior: LabelPrior, scratch: &mut Scratch) -> f64 {
        let weights = self.label_weights(prior, &scratch.pair_label);
        let mut nats = 0.0;
        let mut totals = vec![0u32; self.labels];
        for condition in self.first_pair.windows(2) {
            for pair in condition[0]..condition[1] {
                let label = scratch.pair_label[pair];
                let start = usize::from(label) * self.experts;
                for entry in self.first_entry[pair]..self.first_entry[pair + 1] {
                    let expert = self.entry_expert[entry];
                    let count = &mut scratch.count[start + usize::from(expert)];
                    if *count == 0 {
                        scratch.touched.push((label, expert));
                    }
                    *count += self.entry_count[entry];
                    totals[usize::from(label)] += self.entry_count[entry];
                }
            }
            let table = &scratch.x_ln_x;
            let x_ln_x_of = |n: u32| {
                let known = table.get(n as usize).copied();
                known.unwrap_or_else(|| x_ln_x(f64::from(n)))
            };
            for (label, expert) in scratch.touched.drain(..) {
                let (label, expert) = (usize::from(label), usize::from(expert));
                let count = std::mem::take(&mut scratch.count[label * self.experts + expert]);
                nats += weights[label] * x_ln_x_of(count);
                scratch.mass[expert] += weights[label] * f64::from(count);
            }
            let mut mass = 0.0;
            for (total, weight) in totals.iter_mut().zip(&weights) {
                nats -= weight * x_ln_x_of(*total);
                mass += weight * f64::from(std::mem::take(total));
            }
            nats += x_ln_x(mass);
            for mass in &mut scratch.mass {
                nats -= x_ln_x(std::mem::take(mass));
            }
        }
        (nats / std::f64::consts::LN_2).max(0.0)
    }

    /// Sums of `log2 p(e | d, z) / p(e | z)` over each unit's assignments, and their number.
    #[expect(clippy::cast_precision_loss, reason = "numbers of assignments")]
    pub(crate) fn pointwise_bits(&self, prior: LabelPrior) -> Vec<(f64, f64)> {
        let mut sums: Vec<(f64, f64)> = self
            .unit_total
            .iter()
            .map(|total| (0.0, *total as f64))
            .collect();
        self.each_condition(prior, |pairs, masses, weights| {
            let totals: Vec<f64> = masses
                .chunks_exact(self.experts)
                .map(|m| m.iter().sum())
                .collect();
            let all: f64 = totals
                .iter()
                .zip(weights)
                .map(|(total, weight)| total * weight)
                .sum();
            let mixture = |expert: usize| -> f64 {
                (0..self.labels)
                    .map(|label| weights[label] * masses[label * self.experts + expert])
                    .sum()
            };
            let mixture: Vec<f64> = (0..self.experts).map(mixture).collect();
            for pair in pairs {
                let unit = self.pair_unit[pair] as usize;
                let label = self.unit_label[unit];
                for entry in self.first_entry[pair]..self.first_entry[pair + 1] {
                    let expert = usize::from(self.entry_expert[entry]);
                    let own = masses[label * self.experts + expert] / totals[label];
                    sums[unit].0 +=
                        f64::from(self.entry_count[entry]) * (own / (mixture[expert] / all)).log2();
                }
            }
        });
        sums
    }

    /// The bias of [`Self::information_bits`] if assignments were independent, as of Miller and Madow.
    pub(crate) fn miller_madow_bias_bits(&self, prior: LabelPrior) -> f64 {
        let mut nats = 0.0;
        self.each_condition(prior, |_, masses, weights| {
            let totals = masses
                .chunks_exact(self.experts)
                .map(|m| m.iter().sum::<f64>());
            let shares: Vec<f64> = totals.zip(weights).map(|(total, w)| total * w).collect();
            let all: f64 = shares.iter().sum();
            nats +=
                all * miller_madow_bias_nats(masses, self.experts, |label, _| shares[label] / all);
        });
        nats / std::f64::consts::LN_2
    }

    /// Shows every condition's pairs and counts `[labels × experts]`, as observed, with the weights of labels.
    fn each_condition(
        &self,
        prior: LabelPrior,
        mut visit: impl FnMut(std::ops::Range<usize>, &[f64], &[f64]),
    ) {
        let mut scratch = self.scratch();
        self.label_as_observed(&mut scratch);
        let weights = self.label_weights(prior, &scratch.pair_label);
        let mut masses = vec![0.0; self.labels * self.experts];
        for condition in self.first_pair.windows(2) {
            masses.fill(0.0);
            for pair in condition[0]..condition[1] {
                let start = usize::from(scratch.pair_label[pair]) * self.experts;
                for entry in self.first_entry[pair]..self.first_entry[pair + 1] {
                    masses[start + usize::from(self.entry_expert[entry])] +=
                        f64::from(self.entry_count[entry]);
                }
            }
            visit(condition[0]..condition[1], &masses, &weights);
        }
    }
}

fn x_ln_x(x: f64) -> f64 {
    if x > 0.0 { x * x.ln() } else { 0.0 }
}

fn narrow(label: usize) -> u16 {
    u16::try_from(label).expect("fewer labels than 2¹⁶, which the caller checks")
}

#[cfg(test)]
mod tests {
    use super::*;

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
