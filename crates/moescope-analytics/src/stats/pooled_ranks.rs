//! Ranks of values among all values of their pool, without keeping the values.

/// Bits of a float below those that number its bin: 13 of the 23 of its fraction, so that bins are 0.1 % wide.
///
/// Traces keep floats at this precision unless asked for more, and then no bin holds two different values.
const DROPPED_BITS: u32 = 13;

/// Counts of non-negative values per pool, in bins 0.1 % wide.
pub(crate) struct PooledRanks {
    bins: Bins,
    counts: Vec<u32>,
}

/// The rank of every bin in its pool, scaled to −½ to ½.
pub(crate) struct RankTable {
    bins: Bins,
    ranks: Vec<f32>,
}

/// The range that is resolved; the values below share a bin, those above as well.
#[derive(Clone, Copy)]
struct Bins {
    low: f32,
    len: usize,
}

impl PooledRanks {
    /// Empty pools of values mostly between 2^`low` and 2^`high`.
    pub(crate) fn new(pools: usize, low: i16, high: i16) -> Self {
        let edge = |exponent: i16| 2_f32.powi(i32::from(exponent));
        let inner = (edge(high).to_bits() - edge(low).to_bits()) >> DROPPED_BITS;
        let bins = Bins {
            low: edge(low),
            len: inner as usize + 2,
        };
        Self {
            bins,
            counts: vec![0; pools * bins.len],
        }
    }

    /// Counts a value of a pool.
    pub(crate) fn count(&mut self, pool: usize, value: f32) {
        self.counts[self.bins.place(pool, value)] += 1;
    }

    /// Gives every bin the mean rank of its values.
    pub(crate) fn rank(self) -> RankTable {
        let mut ranks = Vec::with_capacity(self.counts.len());
        for counts in self.counts.chunks_exact(self.bins.len) {
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
        RankTable {
            bins: self.bins,
            ranks,
        }
    }
}

impl RankTable {
    /// The scaled rank of a value that was counted in a pool.
    pub(crate) fn of(&self, pool: usize, value: f32) -> f64 {
        f64::from(self.ranks[self.bins.place(pool, value)])
    }
}

impl Bins {
    /// The place of a value's bin among those of all pools.
    fn place(self, pool: usize, value: f32) -> usize {
        let bin = if value < self.low {
            0
        } else {
            // The bits of positive floats are ordered like the floats themselves.
            let above = (value.to_bits() - self.low.to_bits()) >> DROPPED_BITS;
            (above as usize + 1).min(self.len - 1)
        };
        pool * self.len + bin
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_share_their_mean_rank_and_pools_do_not_mix() {
        let mut pools = PooledRanks::new(2, -4, 4);
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
        let bins = PooledRanks::new(1, -1, 1).bins;
        let bin = |value| bins.place(0, value);
        // Two octaves of 1,024 bins between two ends.
        assert_eq!(bins.len, 2050);
        assert_eq!((bin(0.0), bin(0.49), bin(0.5)), (0, 0, 1));
        assert_eq!((bin(1.0), bin(1.000_9), bin(1.001)), (1025, 1025, 1026));
        assert_eq!((bin(1.999_9), bin(2.0), bin(1e30)), (2048, 2049, 2049));
    }
}
