//! The permutation null: labels shuffled over groups, every document's routing left as it is.

use moescope_core::{Cancelled, NullComparison, Progress};
use rayon::prelude::*;

use super::{
    draws::{Draw, OfDraw, Strips, evaluate_draws},
    number::as_f64,
    random::{self, Purpose},
    statistic::Statistic,
    units::UnitTable,
};

/// Equal arrangements give equal values only up to rounding; without this slack ties would count as smaller.
const TIE: f64 = 1e-12;

/// Which values speak against the null.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tail {
    /// Large ones (information, divergence).
    Greater,
    /// Both large and small ones (shares, differences).
    TwoSided,
    /// Both, of values that the null turns into their negatives, so that their mean is 0 exactly.
    ///
    /// A mean estimated from few arrangements would tell a value from its mirror image and halve p.
    AroundZero,
}

/// A family of values tested together, with p values corrected by max-T over the same permutations.
///
/// T is the value minus its mean over all arrangements, divided by their standard deviation (Westfall & Young 1993, single step).
#[derive(Debug)]
pub(crate) struct NullFamily {
    tail: Tail,
    seed: u64,
    largest: Vec<f64>,
    members: Vec<Member>,
    stream: u64,
    fewest_arrangements_ln: f64,
    is_paired: bool,
}

/// One tested value.
#[derive(Clone, Copy, Debug)]
struct Member {
    t: f64,
    p: f64,
    mean: f64,
    sd: f64,
}

impl NullFamily {
    /// An empty family for so many permutations.
    pub(crate) fn new(tail: Tail, permutations: u32, seed: u64) -> Self {
        Self {
            tail,
            seed,
            largest: vec![f64::NEG_INFINITY; permutations as usize],
            members: Vec::new(),
            stream: 0,
            fewest_arrangements_ln: f64::INFINITY,
            is_paired: false,
        }
    }

    /// Tests a statistic at every layer of a table; the members are `[layers × len]`, after those already in.
    ///
    /// # Errors
    /// When cancelled.
    pub(crate) fn add(
        &mut self,
        table: &UnitTable,
        statistic: &Statistic<'_>,
        progress: &dyn Progress,
    ) -> Result<(), Cancelled> {
        let shuffles = self.shuffles(table);
        self.arrange(table);
        let (mut strips, mut permuted) = (Strips::default(), Vec::new());
        for layer in 0..table.layers {
            let check =
                || progress.report(layer as u64, table.layers as u64, "permutations of labels");
            check()?;
            let observed = statistic.values(&table.sums(layer));
            strips.load(table, layer);
            evaluate_draws(&strips, statistic, &shuffles, &mut permuted, &check)?;
            self.enter_all(&observed, &permuted);
        }
        Ok(())
    }

    /// Tests values that are no function of sums: `evaluate` gives them for the labels of units.
    ///
    /// The table gives units and labels only. The members are the values, after those already in.
    ///
    /// # Errors
    /// When `evaluate` says that the caller asked to stop.
    pub(crate) fn add_labelled(
        &mut self,
        table: &UnitTable,
        observed: &[f64],
        evaluate: &OfDraw<'_, usize>,
    ) -> Result<(), Cancelled> {
        self.arrange(table);
        let permuted = self.permuted(table, |labels| evaluate(labels));
        let permuted: Vec<Vec<f64>> = permuted.into_iter().collect::<Result<_, _>>()?;
        for (value, observed) in observed.iter().enumerate() {
            let column: Vec<f64> = permuted.iter().map(|values| values[value]).collect();
            self.enter(*observed, column.iter());
        }
        Ok(())
    }

    /// Tests a statistic at every layer of a table whose columns are two halves that are exchangeable within each unit under the null.
    ///
    /// Each permutation exchanges the halves of every unit or leaves them, each with probability ½: for a difference of the halves
    /// this is the test of signs flipped over groups. The members are `[layers × len]`, after those already in.
    ///
    /// # Errors
    /// When cancelled.
    pub(crate) fn add_swaps(
        &mut self,
        table: &UnitTable,
        statistic: &Statistic<'_>,
        progress: &dyn Progress,
    ) -> Result<(), Cancelled> {
        let (seed, first) = (self.seed, self.stream);
        self.stream += self.largest.len() as u64;
        let swaps: Vec<Vec<bool>> = (0..self.largest.len() as u64)
            .into_par_iter()
            .map(|i| {
                let mut rng = random::stream(seed, Purpose::Swap, first + i);
                (0..table.units())
                    .map(|_| random::below(&mut rng, 2) == 1)
                    .collect()
            })
            .collect();
        let fewest = table.of_label.iter().map(ExactSizeIterator::len).min();
        let arrangements_ln = as_f64(fewest.unwrap_or(0)) * std::f64::consts::LN_2;
        self.fewest_arrangements_ln = self.fewest_arrangements_ln.min(arrangements_ln);
        let half = table.columns / 2;
        let mut parts = Vec::with_capacity(table.parts());
        table.each_part(
            |_| 1,
            |unit| table.label[unit],
            |part, label, weight| parts.push((part, table.unit_of(part), label, weight)),
        );
        self.compare(
            table,
            statistic,
            "exchanges within groups",
            progress,
            |layer, i, sums| {
                sums.fill(0.0);
                for (part, unit, label, weight) in &parts {
                    let target = &mut sums[label * table.columns..(label + 1) * table.columns];
                    let (low, high) = table.row(layer, *part).split_at(half);
                    let (low, high) = if swaps[i][*unit] {
                        (high, low)
                    } else {
                        (low, high)
                    };
                    for (sum, value) in target.iter_mut().zip(low.iter().chain(high)) {
                        *sum += weight * value;
                    }
                }
            },
        )
    }

    /// Compares the values of every layer with those of its permutations, whose sums `permuted(layer, i, sums)` fills.
    fn compare(
        &mut self,
        table: &UnitTable,
        statistic: &Statistic<'_>,
        doing: &str,
        progress: &dyn Progress,
        permuted_sums: impl Fn(usize, usize, &mut [f64]) + Sync,
    ) -> Result<(), Cancelled> {
        for layer in 0..table.layers {
            progress.report(layer as u64, table.layers as u64, doing)?;
            let observed = statistic.values(&table.sums(layer));
            let mut permuted = vec![0.0; self.largest.len() * statistic.len];
            permuted
                .par_chunks_mut(statistic.len.max(1))
                .enumerate()
                .for_each_init(
                    || vec![0.0; table.labels() * table.columns],
                    |sums, (i, values)| {
                        permuted_sums(layer, i, sums);
                        (statistic.evaluate)(sums, values);
                    },
                );
            self.enter_all(&observed, &permuted);
        }
        Ok(())
    }

    /// Remembers how many arrangements of these units exist.
    pub(crate) fn arrange(&mut self, table: &UnitTable) {
        self.fewest_arrangements_ln = self.fewest_arrangements_ln.min(arrangements_ln(table));
        self.is_paired |= table.partners.is_some();
    }

    /// Tests values `[len]` whose permuted values `[permutations × len]` were computed elsewhere.
    pub(crate) fn enter_all(&mut self, observed: &[f64], permuted: &[f64]) {
        for (value, x) in observed.iter().enumerate() {
            self.enter(*x, permuted[value..].iter().step_by(observed.len()));
        }
    }

    /// Tests a value against values of other arrangements that were made elsewhere, as many as there are permutations.
    pub(crate) fn add_value(&mut self, observed: f64, arranged: &[f64]) {
        debug_assert_eq!(arranged.len(), self.largest.len(), "one per arrangement");
        self.enter(observed, arranged.iter());
    }

    /// The comparisons in the order in which the values came in; `None` where a value is undefined.
    pub(crate) fn finish(mut self) -> Vec<Option<NullComparison>> {
        self.largest.sort_unstable_by(f64::total_cmp);
        let permutations = self.largest.len();
        self.members
            .iter()
            .map(|member| {
                if member.t.is_nan() || permutations == 0 {
                    return None;
                }
                let below = self.largest.partition_point(|t| *t < member.t - TIE);
                Some(NullComparison {
                    null_mean: member.mean,
                    p: member.p,
                    p_corrected: Some(share_of(permutations - below, permutations)),
                })
            })
            .collect()
    }

    /// Standard deviation of each value over the arrangements.
    pub(crate) fn deviations(&self) -> Vec<f64> {
        self.members.iter().map(|member| member.sd).collect()
    }

    /// Number of permutations.
    pub(crate) fn permutations(&self) -> usize {
        self.largest.len()
    }

    /// Whether labels were swapped within pairs instead of shuffled over all groups.
    pub(crate) fn is_paired(&self) -> bool {
        self.is_paired
    }

    /// A warning where so few arrangements exist that p cannot be small.
    pub(crate) fn note(&self) -> Option<String> {
        let arrangements = self.fewest_arrangements_ln.exp();
        (arrangements < 100.0).then(|| {
            format!(
                "only {} arrangements of the groups exist under the null: p cannot be below {:.2}",
                arrangements.round(),
                1.0 / arrangements.max(1.0)
            )
        })
    }

    /// The units of each label in each permutation; every call uses streams of its own.
    fn shuffles(&mut self, table: &UnitTable) -> Vec<Draw> {
        self.permuted(table, |labels| Draw::permutation(table, labels))
    }

    /// What is made of the labels of each permutation, `[units]`; every call uses streams of its own.
    fn permuted<T: Send>(
        &mut self,
        table: &UnitTable,
        make: impl Fn(&[usize]) -> T + Sync,
    ) -> Vec<T> {
        let (seed, first) = (self.seed, self.stream);
        self.stream += self.largest.len() as u64;
        (0..self.largest.len() as u64)
            .into_par_iter()
            .map_init(Vec::new, |labels, i| {
                let mut rng = random::stream(seed, Purpose::Permutation, first + i);
                labels.clone_from(&table.label);
                for block in &table.blocks {
                    let mut of_block: Vec<usize> = block.iter().map(|u| table.label[*u]).collect();
                    random::shuffle(&mut rng, &mut of_block);
                    for (unit, label) in block.iter().zip(of_block) {
                        labels[*unit] = label;
                    }
                }
                make(labels)
            })
            .collect()
    }

    /// Adds one value with its permuted values.
    fn enter<'a>(&mut self, observed: f64, permuted: impl Iterator<Item = &'a f64> + Clone) {
        #[expect(clippy::cast_precision_loss, reason = "a number of permutations")]
        let n = self.largest.len() as f64;
        let sum: f64 = permuted.clone().sum();
        // All B + 1 arrangements, the observed one among them, are alike under the null.
        let centre = match self.tail {
            Tail::AroundZero => 0.0,
            // Swapping every pair turns a difference into its mirror image.
            Tail::TwoSided if self.is_paired => 0.0,
            Tail::Greater | Tail::TwoSided => (sum + observed) / (n + 1.0),
        };
        let squares: f64 = permuted.clone().map(|x| (x - centre).powi(2)).sum();
        let sd = ((squares + (observed - centre).powi(2)) / (n + 1.0)).sqrt();
        let tail = self.tail;
        let scale = 1.0_f64.max(centre.abs());
        let t = move |x: f64| {
            let distance = match tail {
                Tail::Greater => x - centre,
                Tail::TwoSided | Tail::AroundZero => (x - centre).abs(),
            };
            if sd > TIE * scale { distance / sd } else { 0.0 }
        };
        // What is not defined has no place among the others.
        let t_observed = if observed.is_nan() {
            f64::NAN
        } else {
            t(observed)
        };
        let mut exceeding = 0;
        for (largest, x) in self.largest.iter_mut().zip(permuted) {
            let t = t(*x);
            exceeding += usize::from(t >= t_observed - TIE);
            // NaN never wins.
            *largest = largest.max(t);
        }
        self.members.push(Member {
            t: t_observed,
            p: share_of(exceeding, self.largest.len()),
            mean: sum / n,
            sd,
        });
    }
}

/// (1 + b) / (1 + B), so that p is never 0 (Phipson & Smyth 2010).
pub(crate) fn share_of(exceeding: usize, permutations: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "numbers of permutations")]
    let share = (1 + exceeding) as f64 / (1 + permutations) as f64;
    share
}

/// The logarithm of the number of ways to give the units of a table their labels, `n! / Π n_k!` in each block.
fn arrangements_ln(table: &UnitTable) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a number of groups")]
    let ln_factorial = |n: usize| (1..=n).map(|i| (i as f64).ln()).sum::<f64>();
    let of_block = |block: &Vec<usize>| {
        let mut count = vec![0; table.labels()];
        for unit in block {
            count[table.label[*unit]] += 1;
        }
        ln_factorial(block.len()) - count.into_iter().map(ln_factorial).sum::<f64>()
    };
    table.blocks.iter().map(of_block).sum()
}

#[cfg(test)]
mod tests {
    use moescope_core::NoProgress;

    use super::*;
    use crate::stats::{statistic::Sides, units::Strata};

    fn difference_of_means(a: &[f64], b: &[f64]) -> (NullComparison, Option<String>) {
        let label = [vec![0; a.len()], vec![1; b.len()]].concat();
        let mut table = UnitTable::new(2, label, 1, 2);
        for (unit, value) in a.iter().chain(b).enumerate() {
            table.row_mut(0, unit).copy_from_slice(&[*value, 1.0]);
        }
        let statistic = Statistic {
            len: 1,
            evaluate: &|s, out| out[0] = s[0] / s[1] - s[2] / s[3],
            sides: &|_| Sides::Two(0, 1),
        };
        let mut family = NullFamily::new(Tail::TwoSided, 2000, 5);
        family.add(&table, &statistic, &NoProgress).unwrap();
        let note = family.note();
        (family.finish()[0].unwrap(), note)
    }

    #[test]
    fn p_is_the_share_of_arrangements_at_least_as_extreme() {
        // Of the 20 ways to choose 3 of 6, two are as extreme as {1,2,3} against {4,5,6}: p = 1/10.
        let (found, note) = difference_of_means(&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0]);
        assert!((found.p - 0.1).abs() < 0.02, "{found:?}");
        assert!(found.null_mean.abs() < 0.15);
        // A family of one needs no correction.
        assert!((found.p_corrected.unwrap() - found.p).abs() < 1e-12);
        assert!(note.unwrap().starts_with("only 20 arrangements"));
    }

    /// The null of Σ first half − Σ second half over differences of parts, each part of a unit.
    fn exchanged(parts: &[(usize, f64)]) -> (NullComparison, Option<String>) {
        let mut table = UnitTable::new(1, vec![0; 4], 1, 2);
        if parts.len() > 4 {
            // Every part is a stratum of its own and keeps its mass.
            let strata = Strata {
                unit: parts.iter().map(|(unit, _)| *unit).collect(),
                stratum: (0..parts.len()).collect(),
                mass: vec![1.0; parts.len()],
                target: vec![1.0; parts.len()],
            };
            table = table.with_strata(strata, vec![(0..4).collect()]);
        }
        for (part, (_, difference)) in parts.iter().enumerate() {
            table
                .row_mut(0, part)
                .copy_from_slice(&[difference + 5.0, 5.0]);
        }
        let statistic = Statistic {
            len: 1,
            evaluate: &|s, out| out[0] = s[0] - s[1],
            sides: &|_| Sides::One(0),
        };
        let mut family = NullFamily::new(Tail::AroundZero, 4000, 5);
        family.add_swaps(&table, &statistic, &NoProgress).unwrap();
        let note = family.note();
        (family.finish()[0].unwrap(), note)
    }

    #[test]
    fn exchanging_halves_flips_signs() {
        // Differences 1, 2, 3, 4 over four units: of 16 sign patterns, 2 reach |10|, so p = 1/8.
        let (found, note) = exchanged(&[(0, 1.0), (1, 2.0), (2, 3.0), (3, 4.0)]);
        assert!((found.p - 0.125).abs() < 0.02, "{found:?}");
        assert!(found.null_mean.abs() < 0.3);
        assert!(note.unwrap().starts_with("only 16 arrangements"));
    }

    #[test]
    fn the_parts_of_a_matched_unit_are_exchanged_together() {
        // The unit with 2 has two parts with 1 each: still 16 patterns.
        let parts = [(0, 1.0), (1, 1.0), (1, 1.0), (2, 3.0), (3, 4.0)];
        let (found, _) = exchanged(&parts);
        assert!((found.p - 0.125).abs() < 0.02, "{found:?}");
    }

    #[test]
    fn pairs_are_swapped_and_nothing_else() {
        // Five pairs whose second member is 1 larger: of the 2⁵ ways to swap, all or none give the largest |difference|,
        // so p = 2/32 = 0.0625, although the groups themselves lie far apart.
        let mut table = UnitTable::new(2, [vec![0; 5], vec![1; 5]].concat(), 1, 2);
        for (pair, value) in [0.0, 10.0, 20.0, 30.0, 40.0].into_iter().enumerate() {
            table.row_mut(0, pair).copy_from_slice(&[value, 1.0]);
            table
                .row_mut(0, 5 + pair)
                .copy_from_slice(&[value + 1.0, 1.0]);
        }
        let table = table.with_partners((0..10).map(|unit| Some((unit + 5) % 10)).collect());
        let statistic = Statistic {
            len: 1,
            evaluate: &|s, out| out[0] = s[2] / s[3] - s[0] / s[1],
            sides: &|_| Sides::Two(0, 1),
        };
        let mut family = NullFamily::new(Tail::TwoSided, 4000, 5);
        family.add(&table, &statistic, &NoProgress).unwrap();
        assert!(family.is_paired());
        assert!(family.note().unwrap().starts_with("only 32 arrangements"));
        let found = family.finish()[0].unwrap();
        assert!((found.p - 0.0625).abs() < 0.015, "{found:?}");
    }

    #[test]
    fn values_that_cannot_vary_have_p_one() {
        let (found, _) = difference_of_means(&[0.3, 0.3], &[0.3, 0.3]);
        assert!((found.p - 1.0).abs() < 1e-12);
    }
}
