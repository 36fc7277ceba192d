//! What the expert tells about the label within conditions, as observed and with labels permuted.

use rayon::prelude::*;

use super::Contingency;
use crate::stats::{
    information::{LabelPrior, miller_madow_bias_nats},
    random::{self, Purpose},
};

/// What a thread needs for one evaluation.
#[derive(Debug, Default)]
struct Scratch {
    order: Vec<u32>,
    next: Vec<u32>,
    pair_label: Vec<u16>,
    count: Vec<u32>,
    touched: Vec<(u16, u16)>,
    mass: Vec<f64>,
    x_ln_x: Vec<f64>,
}

impl Contingency<'_> {
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
        scratch.pair_label.clone_from(&self.pair_label);
    }

    fn label_in_order(&self, scratch: &mut Scratch) {
        scratch.next.clone_from(&self.first_pair);
        for unit in &scratch.order {
            let unit = *unit as usize;
            let pairs = self.first_of_unit[unit]..self.first_of_unit[unit + 1];
            for (pair, condition) in &self.pairs_of_units[pairs] {
                let next = &mut scratch.next[*condition as usize];
                scratch.pair_label[*pair as usize] = self.pair_label[*next as usize];
                *next += 1;
            }
        }
    }

    /// The weight of one assignment of each label under the pairs' labels.
    #[expect(clippy::cast_precision_loss, reason = "numbers of assignments")]
    fn label_weights(&self, prior: LabelPrior, pair_label: &[u16]) -> Vec<f64> {
        let mut totals = self.alone.clone();
        for (label, total) in pair_label.iter().zip(&self.pair_total) {
            totals[usize::from(*label)] += u64::from(*total);
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
            let pairs = condition[0] as usize..condition[1] as usize;
            let entries = self.first_entry[pairs.start]..self.first_entry[pairs.end];
            // Where most cells are filled, looking at all of them is quicker than remembering which are.
            let is_dense = 2 * entries.len() > scratch.count.len();
            for pair in pairs {
                let label = scratch.pair_label[pair];
                totals[usize::from(label)] += self.pair_total[pair];
                let counts =
                    &mut scratch.count[usize::from(label) * self.experts..][..self.experts];
                let entries = self.first_entry[pair]..self.first_entry[pair + 1];
                let experts = &self.entry_expert[entries.clone()];
                for (expert, n) in experts.iter().zip(&self.entry_count[entries]) {
                    let count = &mut counts[usize::from(*expert)];
                    if *count == 0 && !is_dense {
                        scratch.touched.push((label, *expert));
                    }
                    *count += n;
                }
            }
            let table = &scratch.x_ln_x;
            let x_ln_x_of = |n: u32| {
                let known = table.get(n as usize).copied();
                known.unwrap_or_else(|| x_ln_x(f64::from(n)))
            };
            let mut take = |weight: f64, expert: usize, count: &mut u32| {
                let count = std::mem::take(count);
                nats += weight * x_ln_x_of(count);
                scratch.mass[expert] += weight * f64::from(count);
            };
            if is_dense {
                let rows = scratch.count.chunks_exact_mut(self.experts);
                for (weight, row) in weights.iter().zip(rows) {
                    for (expert, count) in row.iter_mut().enumerate() {
                        take(*weight, expert, count);
                    }
                }
            }
            for (label, expert) in scratch.touched.drain(..) {
                let (label, expert) = (usize::from(label), usize::from(expert));
                let count = &mut scratch.count[label * self.experts + expert];
                take(weights[label], expert, count);
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
        let weights = self.label_weights(prior, &self.pair_label);
        let mut masses = vec![0.0; self.labels * self.experts];
        for condition in self.first_pair.windows(2) {
            masses.fill(0.0);
            let pairs = condition[0] as usize..condition[1] as usize;
            for pair in pairs.clone() {
                let start = usize::from(self.pair_label[pair]) * self.experts;
                for entry in self.first_entry[pair]..self.first_entry[pair + 1] {
                    masses[start + usize::from(self.entry_expert[entry])] +=
                        f64::from(self.entry_count[entry]);
                }
            }
            visit(pairs, &masses, &weights);
        }
    }
}

fn x_ln_x(x: f64) -> f64 {
    if x > 0.0 { x * x.ln() } else { 0.0 }
}
