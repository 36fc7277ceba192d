//! Sets of exactly k of E things with given inclusion probabilities, and otherwise as random as can be.
//!
//! The distribution of largest entropy is conditional Poisson sampling: a set S has a probability proportional to `Π_{i ∈ S} w_i`
//! (Hájek 1964; Chen, Dempster & Liu 1994, Biometrika 81, 457).

/// Rounds of fitting the odds; each halves the error at least where k is small beside E.
const MOST_ROUNDS: usize = 200;
/// How close the fitted inclusion probabilities must come.
const TOLERANCE: f64 = 1e-10;
/// Inclusion probabilities closer to 0 or 1 are those of things that are never or always in.
const CERTAIN: f64 = 1e-9;

/// P(both of a pair are in), `[E × E]` with the inclusion probabilities on the diagonal.
///
/// `inclusion` sums to k, each between 0 and 1; NaN everywhere where it does not.
pub(crate) fn pair_probabilities(inclusion: &[f64], out: &mut [f64]) {
    let all = inclusion.len();
    let free: Vec<usize> = (0..all)
        .filter(|i| inclusion[*i] > CERTAIN && inclusion[*i] < 1.0 - CERTAIN)
        .collect();
    let target: Vec<f64> = free.iter().map(|i| inclusion[*i]).collect();
    let size = target.iter().sum::<f64>().round();
    if !size.is_finite() || (target.iter().sum::<f64>() - size).abs() > 1e-6 {
        out.fill(f64::NAN);
        return;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rounded number of experts"
    )]
    let size = size as usize;
    // A thing that is never or always in is independent of all others.
    for i in 0..all {
        for j in 0..all {
            out[i * all + j] = if i == j {
                inclusion[i]
            } else {
                inclusion[i] * inclusion[j]
            };
        }
    }
    if free.len() < 2 || size == 0 {
        return;
    }
    let odds = fit(&target, size);
    for (place, pairs) in Subsets::new(&odds, size).pairs().into_iter().enumerate() {
        for (other, pair) in pairs.into_iter().enumerate() {
            let (i, j) = (free[place], free[place + 1 + other]);
            out[i * all + j] = pair;
            out[j * all + i] = pair;
        }
    }
}

/// The odds w whose sets of `size` have these inclusion probabilities.
fn fit(target: &[f64], size: usize) -> Vec<f64> {
    let mut odds: Vec<f64> = target.iter().map(|p| p / (1.0 - p)).collect();
    for _ in 0..MOST_ROUNDS {
        let found = Subsets::new(&odds, size).inclusion();
        let mut worst: f64 = 0.0;
        for ((odds, target), found) in odds.iter_mut().zip(target).zip(&found) {
            worst = worst.max((target - found).abs());
            // The odds of being in rather than out must come out right.
            *odds *= target * (1.0 - found) / (found * (1.0 - target));
        }
        if worst < TOLERANCE {
            break;
        }
    }
    odds
}

/// Elementary symmetric polynomials of the odds before and after each place.
struct Subsets<'a> {
    odds: &'a [f64],
    size: usize,
    /// `[E + 1][size + 1]`: of the odds before a place.
    before: Vec<f64>,
    /// `[E + 1][size + 1]`: of the odds from a place on.
    after: Vec<f64>,
}

impl<'a> Subsets<'a> {
    fn new(odds: &'a [f64], size: usize) -> Self {
        let width = size + 1;
        let mut before = vec![0.0; (odds.len() + 1) * width];
        let mut after = before.clone();
        before[0] = 1.0;
        for (i, odd) in odds.iter().enumerate() {
            let (known, next) = before[i * width..(i + 2) * width].split_at_mut(width);
            extend(known, *odd, next);
        }
        after[odds.len() * width] = 1.0;
        for (i, odd) in odds.iter().enumerate().rev() {
            let (next, known) = after[i * width..(i + 2) * width].split_at_mut(width);
            extend(known, *odd, next);
        }
        Self {
            odds,
            size,
            before,
            after,
        }
    }

    fn before(&self, place: usize) -> &[f64] {
        &self.before[place * (self.size + 1)..(place + 1) * (self.size + 1)]
    }

    fn after(&self, place: usize) -> &[f64] {
        &self.after[place * (self.size + 1)..(place + 1) * (self.size + 1)]
    }

    /// Σ over all sets.
    fn all(&self) -> f64 {
        self.after(0)[self.size]
    }

    /// P(i is in).
    fn inclusion(&self) -> Vec<f64> {
        let all = self.all();
        (0..self.odds.len())
            .map(|i| {
                let rest = product_at(self.before(i), self.after(i + 1), self.size - 1);
                self.odds[i] * rest / all
            })
            .collect()
    }

    /// P(i and j are in) for j after i.
    fn pairs(&self) -> Vec<Vec<f64>> {
        let all = self.all();
        (0..self.odds.len())
            .map(|i| {
                let mut rest = self.before(i).to_vec();
                let mut longer = rest.clone();
                (i + 1..self.odds.len())
                    .map(|j| {
                        let others = match self.size.checked_sub(2) {
                            Some(degree) => product_at(&rest, self.after(j + 1), degree),
                            None => 0.0,
                        };
                        extend(&rest, self.odds[j], &mut longer);
                        std::mem::swap(&mut rest, &mut longer);
                        self.odds[i] * self.odds[j] * others / all
                    })
                    .collect()
            })
            .collect()
    }
}

/// The polynomials with one more thing.
fn extend(known: &[f64], odd: f64, next: &mut [f64]) {
    next[0] = known[0];
    for degree in 1..known.len() {
        next[degree] = known[degree] + odd * known[degree - 1];
    }
}

/// One coefficient of the product of two polynomials.
fn product_at(a: &[f64], b: &[f64], degree: usize) -> f64 {
    (0..=degree).map(|i| a[i] * b[degree - i]).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(inclusion: &[f64]) -> Vec<f64> {
        let mut out = vec![0.0; inclusion.len() * inclusion.len()];
        pair_probabilities(inclusion, &mut out);
        out
    }

    #[test]
    fn equal_experts_give_k_of_e_without_replacement() {
        // 2 of 8: P(pair) = 2·1 / (8·7); 8 of 64: 8·7 / (64·63).
        assert!((pairs(&[0.25; 8])[1] - 2.0 / 56.0).abs() < 1e-9);
        assert!((pairs(&[0.125; 64])[65 + 2] - 56.0 / 4032.0).abs() < 1e-9);
    }

    #[test]
    fn pairs_of_one_expert_sum_to_its_inclusion_times_k_minus_one() {
        // Each set with i holds k − 1 others.
        let inclusion = [0.9, 0.7, 0.5, 0.4, 0.3, 0.2];
        let found = pairs(&inclusion);
        for i in 0..6 {
            let others: f64 = (0..6).filter(|j| *j != i).map(|j| found[i * 6 + j]).sum();
            assert!((others - 2.0 * inclusion[i]).abs() < 1e-7, "{others}");
        }
    }

    #[test]
    fn odds_of_one_two_three_choose_pairs_by_their_products() {
        // w = 1, 2, 3 and k = 2: pairs 2, 3, 6 of 11, so inclusions 5/11, 8/11, 9/11.
        let found = pairs(&[5.0 / 11.0, 8.0 / 11.0, 9.0 / 11.0]);
        for (place, expected) in [(1, 2.0), (2, 3.0), (5, 6.0)] {
            assert!((found[place] - expected / 11.0).abs() < 1e-8, "{found:?}");
        }
    }

    #[test]
    fn an_expert_that_is_always_in_leaves_one_place_to_the_others() {
        let found = pairs(&[1.0, 0.5, 0.25, 0.25, 0.0]);
        // With it in every set, pairs with it are the others' inclusions; the others are never together.
        assert!((found[1] - 0.5).abs() < 1e-9 && found[5 + 2].abs() < 1e-9);
        assert!(pairs(&[0.3, 0.3, 0.3])[1].is_nan());
    }
}
