//! Ranks of values among all values of their pool, without keeping the values.

/// Values below 2⁻²⁰ share the first bin, those from 2⁷ on the last; each doubling between has 256 bins.
const LOW: f32 = 9.536_743_164_062_5e-7;
const OCTAVES: usize = 27;
/// Bits of a float below those that number its bin: 15 of the 23 of its fraction.
const DROPPED_BITS: u32 = 15;
const BINS: usize = OCTAVES * 256 + 1;

/// Counts of non-negative values per pool, in bins whose upper edge is at most 0.4 % above their lower.
pub(crate) struct PooledRanks {
    counts: Vec<u32>,
}

/// The rank of every bin in its pool, scaled to −½ to ½.
pub(crate) struct RankTable {
    ranks: Vec<f32>,
}

impl PooledRanks {
    /// Empty pools.
    pub(crate) fn new(pools: usize) -> Self {
        Self {
            counts: vec![0; pools * BINS],
        }
    }

    /// Counts a value of a pool.
    pub(crate) fn count(&mut self, pool: usize, value: f32) {
        self.counts[pool * BINS + bin(value)] += 1;
    }

    /// Gives every bin the mean rank of its values.
    pub(crate) fn rank(self) -> RankTable {
        let mut ranks = Vec::with_capacity(self.counts.len());
        for counts in self.counts.chunks_exact(BINS) {
            let total: f64 = counts.iter().map(|count| f64::from(*count)).sum();
            let mut below = 0.0;
            for count in counts {
                let count = f64::from(*count);
                let middle = (below + count / 2.0) / total - 0.5;
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "seven digits of a rank are enough"
                )]
                ranks.push(middle as f32);
                below += count;
            }
        }
        RankTable { ranks }
    }
}

impl RankTable {
    /// The scaled rank of a value that was counted in a pool.
    pub(crate) fn of(&self, pool: usize, value: f32) -> f64 {
        f64::from(self.ranks[pool * BINS + bin(value)])
    }
}

/// The bits of positive floats are ordered like the floats themselves.
fn bin(value: f32) -> usize {
    if value < LOW {
        return 0;
    }
    let above = (value.to_bits() - LOW.to_bits()) >> DROPPED_BITS;
    (above as usize + 1).min(BINS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_share_their_mean_rank_and_pools_do_not_mix() {
        let mut pools = PooledRanks::new(2);
        for value in [0.5, 3.0, 3.0, 0.0] {
            pools.count(1, value);
        }
        pools.count(0, 1.0);
        let ranks = pools.rank();
        // Ranks 1, 2 and 3.5 of 4, minus ½, over 4, minus ½.
        for (value, expected) in [(0.0, -0.375), (0.5, -0.125), (3.0, 0.25)] {
            assert!((ranks.of(1, value) - expected).abs() < 1e-7, "{value}");
        }
        assert!(ranks.of(0, 1.0).abs() < 1e-7);
    }

    #[test]
    fn bins_are_narrow_and_the_ends_take_the_rest() {
        assert_eq!(bin(1.0), bin(1.003));
        assert_eq!(bin(1.0) + 1, bin(1.004));
        assert_eq!((bin(0.0), bin(-0.0), bin(1e30)), (0, 0, BINS - 1));
        assert!(bin(127.9) < BINS - 1 || bin(127.9) == bin(1e30));
    }
}
