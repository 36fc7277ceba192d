//! Where the distribution of a sequence of categories changes.

use rand_chacha::ChaCha8Rng;

use super::{number::as_f64, permutation::share_of, random};

/// How a change is accepted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChangeRule {
    /// Random orders of the blocks that a change is compared with.
    pub(crate) permutations: usize,
    /// The largest p at which a change is accepted.
    pub(crate) level: f64,
}

impl ChangeRule {
    /// Fewer blocks than this can give no p at the level: half their orders, reversed, give the same largest gain.
    pub(crate) const FEWEST_BLOCKS: usize = 5;

    /// The most random orders that may reach the observed gain.
    fn most_exceeding(self) -> Option<usize> {
        (0..=self.permutations)
            .take_while(|b| share_of(*b, self.permutations) <= self.level)
            .last()
    }
}

/// The blocks at which the distribution over categories changes, ascending, by binary segmentation.
///
/// A sequence is a list of blocks, each a list of categories. It is cut where the two parts differ most, if random orders of its
/// blocks give as large a difference with p at most the rule's level; then both parts are treated alike.
pub(crate) fn change_points(
    blocks: &[Vec<u16>],
    categories: usize,
    rule: ChangeRule,
    rng: &mut ChaCha8Rng,
) -> Vec<usize> {
    let mut found = Vec::new();
    let whole = 0..blocks.len();
    let mut open = vec![whole];
    let mut scratch = Scratch::new(blocks, categories);
    while let Some(part) = open.pop() {
        if part.len() < ChangeRule::FEWEST_BLOCKS {
            continue;
        }
        let mut order: Vec<usize> = part.clone().collect();
        let best = scratch.best_split(blocks, &order);
        if best.gain > 0.0 && is_accepted(best.gain, blocks, &mut order, rule, &mut scratch, rng) {
            let middle = part.start + best.before;
            found.push(middle);
            open.extend([part.start..middle, middle..part.end]);
        }
    }
    found.sort_unstable();
    found
}

/// Whether few enough random orders of the blocks have a split as good; stops as soon as too many have.
fn is_accepted(
    gain: f64,
    blocks: &[Vec<u16>],
    order: &mut [usize],
    rule: ChangeRule,
    scratch: &mut Scratch,
    rng: &mut ChaCha8Rng,
) -> bool {
    let Some(most) = rule.most_exceeding() else {
        return false;
    };
    let mut exceeding = 0;
    for _ in 0..rule.permutations {
        random::shuffle(rng, order);
        exceeding += usize::from(scratch.best_split(blocks, order).gain >= gain - 1e-9);
        if exceeding > most {
            return false;
        }
    }
    true
}

/// The best place to cut a sequence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Split {
    /// Blocks before the cut.
    pub(crate) before: usize,
    /// Log-likelihood in nats that two distributions explain beyond one: half of the G statistic.
    pub(crate) gain: f64,
}

/// Working memory for finding splits.
pub(crate) struct Scratch {
    /// n ln n.
    n_ln_n: Vec<f64>,
    left: Vec<usize>,
    right: Vec<usize>,
}

impl Scratch {
    /// For sequences made of these blocks.
    pub(crate) fn new(blocks: &[Vec<u16>], categories: usize) -> Self {
        let total: usize = blocks.iter().map(Vec::len).sum();
        let n_ln_n = (0..=total).map(|n| match n {
            0 => 0.0,
            n => as_f64(n) * as_f64(n).ln(),
        });
        Self {
            n_ln_n: n_ln_n.collect(),
            left: vec![0; categories],
            right: vec![0; categories],
        }
    }

    /// The split of blocks in this order with the largest gain, the first of equal ones; both sides have at least one block.
    pub(crate) fn best_split(&mut self, blocks: &[Vec<u16>], order: &[usize]) -> Split {
        self.left.fill(0);
        self.right.fill(0);
        let mut right_total = 0;
        for block in order {
            for category in &blocks[*block] {
                self.right[usize::from(*category)] += 1;
                right_total += 1;
            }
        }
        let of = &self.n_ln_n;
        let sum = |counts: &[usize]| counts.iter().map(|n| of[*n]).sum::<f64>();
        // Σ n_c ln n_c − N ln N of a side is its maximal log-likelihood.
        let (mut left_sum, mut right_sum) = (0.0, sum(&self.right));
        let whole = right_sum - of[right_total];
        let mut left_total = 0;
        let mut best = Split {
            before: 0,
            gain: f64::NEG_INFINITY,
        };
        for (before, block) in (1..order.len()).zip(order) {
            for category in &blocks[*block] {
                let (left, right) = (
                    &mut self.left[usize::from(*category)],
                    &mut self.right[usize::from(*category)],
                );
                left_sum += of[*left + 1] - of[*left];
                right_sum += of[*right - 1] - of[*right];
                *left += 1;
                *right -= 1;
                left_total += 1;
                right_total -= 1;
            }
            let gain = left_sum - of[left_total] + right_sum - of[right_total] - whole;
            if gain > best.gain {
                best = Split { before, gain };
            }
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::random::Purpose;

    const RULE: ChangeRule = ChangeRule {
        permutations: 99,
        level: 0.05,
    };

    fn found(blocks: &[Vec<u16>]) -> Vec<usize> {
        let mut rng = random::stream(1, Purpose::Blocks, 0);
        change_points(blocks, 4, RULE, &mut rng)
    }

    #[test]
    fn a_gain_is_the_likelihood_of_two_distributions_beyond_one() {
        // Six of category 0, then six of 1: one distribution has 12 ln ½, two have 0.
        let blocks: Vec<Vec<u16>> = [0, 0, 0, 1, 1, 1].map(|c| vec![c; 2]).to_vec();
        let order: Vec<usize> = (0..6).collect();
        let split = Scratch::new(&blocks, 2).best_split(&blocks, &order);
        assert_eq!(split.before, 3);
        assert!((split.gain - 12.0 * std::f64::consts::LN_2).abs() < 1e-9);
    }

    #[test]
    fn two_changes_are_found_and_none_in_an_even_sequence() {
        let block = |a: u16, b: u16| vec![a, a, a, b];
        let changing: Vec<Vec<u16>> = [(0, 1), (2, 3), (1, 0)]
            .iter()
            .flat_map(|(a, b)| vec![block(*a, *b); 8])
            .collect();
        assert_eq!(found(&changing), [8, 16]);
        let even: Vec<Vec<u16>> = (0..24).map(|i| block(i % 2, 1 - i % 2)).collect();
        assert_eq!(found(&even), Vec::<usize>::new());
        assert_eq!(found(&changing[..4]), Vec::<usize>::new());
    }
}
