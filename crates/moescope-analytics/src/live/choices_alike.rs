//! Whether two tokens go to the same experts.

use std::iter::Sum;

/// What routers chose alike for two tokens, or for several pairs of tokens together.
///
/// A pair of decisions is those of two tokens at one layer. They have the first choice in common where the heaviest expert
/// is the same, and |A ∩ B| experts of the k that each has, whatever their ranks and weights. As shares,
/// `first_choices / decisions` and `experts / assignments`, both go from 0 to 1; two indifferent routers have 1/E and k/E on
/// average. Where nothing was compared all are 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChoicesAlike {
    /// Pairs of decisions with the same heaviest expert.
    pub first_choices: u64,
    /// Pairs of decisions that were compared.
    pub decisions: u64,
    /// Experts in common, over all pairs.
    pub experts: u64,
    /// Experts of either, over all pairs: k for each.
    pub assignments: u64,
}

impl ChoicesAlike {
    /// Compares two tokens at some layers, `[layers × top_k]`, the heaviest expert of each layer first.
    ///
    /// # Panics
    /// When the tokens have not as many experts, or not the same number of them at every layer.
    #[must_use]
    pub fn between(first: &[u16], second: &[u16], top_k: usize) -> Self {
        assert_eq!(first.len(), second.len(), "experts of the same layers");
        let top_k = top_k.max(1);
        assert!(first.len().is_multiple_of(top_k), "top_k at every layer");
        let mut alike = Self::default();
        for (a, b) in first.chunks_exact(top_k).zip(second.chunks_exact(top_k)) {
            alike.first_choices += u64::from(a[0] == b[0]);
            alike.decisions += 1;
            alike.experts += a.iter().filter(|expert| b.contains(expert)).count() as u64;
            alike.assignments += top_k as u64;
        }
        alike
    }
}

impl Sum for ChoicesAlike {
    fn sum<I: Iterator<Item = Self>>(pairs: I) -> Self {
        pairs.fold(Self::default(), |sum, pair| Self {
            first_choices: sum.first_choices + pair.first_choices,
            decisions: sum.decisions + pair.decisions,
            experts: sum.experts + pair.experts,
            assignments: sum.assignments + pair.assignments,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_choices_depend_on_the_rank_and_experts_in_common_do_not() {
        // Layer by layer: the same two in another order; one of two, first for both; none.
        let alike = ChoicesAlike::between(&[4, 7, 1, 2, 0, 3], &[7, 4, 1, 5, 6, 2], 2);
        let expected = ChoicesAlike {
            first_choices: 1,
            decisions: 3,
            experts: 3,
            assignments: 6,
        };
        assert_eq!(alike, expected);
    }

    #[test]
    fn pairs_add_up_and_nothing_compared_is_nothing_alike() {
        let pairs = [[3, 5], [5, 3]].map(|other| ChoicesAlike::between(&[3, 5], &other, 1));
        let expected = ChoicesAlike {
            first_choices: 2,
            decisions: 4,
            experts: 2,
            assignments: 4,
        };
        assert_eq!(pairs.into_iter().sum::<ChoicesAlike>(), expected);
        assert_eq!(ChoicesAlike::between(&[], &[], 2), ChoicesAlike::default());
    }
}
