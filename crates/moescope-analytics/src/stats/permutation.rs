//! The permutation null: labels shuffled over groups, or swapped within pairs, every document's routing left as it is.

use moescope_core::{Cancelled, NullComparison, Progress};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::{
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
        self.is_paired |= table.partners.is_some();
        self.fewest_arrangements_ln = self.fewest_arrangements_ln.min(arrangements_ln(table));
        for layer in 0..table.layers {
            progress.report(layer as u64, table.layers as u64, "permutations of labels")?;
            let observed = statistic.values(&table.sums(layer));
            let mut permuted = vec![0.0; shuffles.len() * statistic.len];
            permuted
                .par_chunks_mut(statistic.len.max(1))
                .zip(&shuffles)
                .for_each_init(
                    || vec![0.0; table.labels() * table.columns],
                    |sums, (values, labels)| {
                        table.sum_into(layer, sums, |_| 1, |unit| labels[unit]);
                        (statistic.evaluate)(sums, values);
                    },
                );
            for (value, observed) in observed.iter().enumerate() {
                self.enter(*observed, permuted[value..].iter().step_by(statistic.len));
            }
        }
        Ok(())
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
                "only {} arrangements of the labels over the groups exist: p cannot be below {:.2}",
                arrangements.round(),
                1.0 / arrangements.max(1.0)
            )
        })
    }

    /// The labels of all units in each permutation; every call uses streams of its own.
    fn shuffles(&mut self, table: &UnitTable) -> Vec<Vec<usize>> {
        let (seed, first) = (self.seed, self.stream);
        self.stream += self.largest.len() as u64;
        (0..self.largest.len() as u64)
            .into_par_iter()
            .map(|i| {
                let mut labels = table.label.clone();
                let mut rng = random::stream(seed, Purpose::Permutation, first + i);
                match &table.partners {
                    Some(partners) => swap_partners(&mut rng, partners, &mut labels),
                    None => random::shuffle(&mut rng, &mut labels),
                }
                labels
            })
            .collect()
    }

    /// Adds one value with its permuted values.
    fn enter<'a>(&mut self, observed: f64, permuted: impl Iterator<Item = &'a f64> + Clone) {
        #[expect(clippy::cast_precision_loss, reason = "a number of permutations")]
        let n = self.largest.len() as f64;
        let sum: f64 = permuted.clone().sum();
        // All B + 1 arrangements, the observed one among them, are alike under the null. Swapping every pair turns a
        // difference into its mirror image, so its centre is 0, and both images must count as equally extreme.
        let centre = if self.is_paired && self.tail == Tail::TwoSided {
            0.0
        } else {
            (sum + observed) / (n + 1.0)
        };
        let squares: f64 = permuted.clone().map(|x| (x - centre).powi(2)).sum();
        let sd = ((squares + (observed - centre).powi(2)) / (n + 1.0)).sqrt();
        let tail = self.tail;
        let scale = 1.0_f64.max(centre.abs());
        let t = move |x: f64| {
            let distance = match tail {
                Tail::Greater => x - centre,
                Tail::TwoSided => (x - centre).abs(),
            };
            if sd > TIE * scale { distance / sd } else { 0.0 }
        };
        let t_observed = t(observed);
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

/// Exchanges the labels of each pair with probability one half.
fn swap_partners(rng: &mut ChaCha8Rng, partners: &[Option<usize>], labels: &mut [usize]) {
    for (unit, partner) in partners.iter().enumerate() {
        if let Some(partner) = partner.filter(|partner| unit < *partner)
            && random::below(rng, 2) == 1
        {
            labels.swap(unit, partner);
        }
    }
}

/// The logarithm of the number of ways to give the units of a table their labels: `n! / Π n_k!`, or `2^pairs`.
fn arrangements_ln(table: &UnitTable) -> f64 {
    if let Some(partners) = &table.partners {
        #[expect(clippy::cast_precision_loss, reason = "a number of groups")]
        let pairs = partners.iter().flatten().count() as f64 / 2.0;
        return pairs * std::f64::consts::LN_2;
    }
    #[expect(clippy::cast_precision_loss, reason = "a number of groups")]
    let ln_factorial = |n: usize| (1..=n).map(|i| (i as f64).ln()).sum::<f64>();
    let parts: f64 = table.of_label.iter().map(|r| ln_factorial(r.len())).sum();
    ln_factorial(table.units()) - parts
}

#[cfg(test)]
mod tests {
    use moescope_core::NoProgress;

    use super::*;
    use crate::stats::statistic::Sides;

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
        table.partners = Some((0..10).map(|unit| Some((unit + 5) % 10)).collect());
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
