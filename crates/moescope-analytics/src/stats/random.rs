//! Where all randomness comes from: `ChaCha` streams that depend on the seed, the purpose and the index alone.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// What a random stream is for; two purposes never share numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    /// Drawing groups with replacement.
    Bootstrap,
    /// Shuffling labels over groups.
    Permutation,
    /// Drawing pairs of tokens of one document.
    TokenPairs,
    /// Putting the tokens of one document in random order.
    TokenOrder,
    /// Exchanging two halves of a group's sums.
    Swap,
    /// Shuffling the blocks of a sequence.
    Blocks,
    /// Dealing groups to folds.
    Folds,
    /// Starting positions of a map.
    MapStart,
    /// Starting vectors of an eigenvalue iteration.
    Eigenvectors,
    /// Pooling groups into blocks.
    GroupBlocks,
    /// Shuffling what is known of tokens within their document.
    TokenShuffle,
    /// Drawing paths through the layers from a model of them.
    Paths,
    /// Choosing occurrences to show.
    Contexts,
}

impl Purpose {
    /// A constant that keeps the streams of different purposes apart (ASCII of a mnemonic).
    fn salt(self) -> u64 {
        u64::from_be_bytes(match self {
            Self::Bootstrap => *b"bootstrp",
            Self::Permutation => *b"permutat",
            Self::TokenPairs => *b"tokpairs",
            Self::TokenOrder => *b"tokorder",
            Self::Swap => *b"swaphalf",
            Self::Blocks => *b"seqblock",
            Self::Folds => *b"cv-folds",
            Self::MapStart => *b"mapstart",
            Self::Eigenvectors => *b"eigenvec",
            Self::GroupBlocks => *b"grpblock",
            Self::TokenShuffle => *b"tokshuff",
            Self::Paths => *b"layerpth",
            Self::Contexts => *b"contexts",
        })
    }
}

/// The key of [`mix`] for a purpose.
pub(crate) fn key(seed: u64, purpose: Purpose) -> u64 {
    seed ^ purpose.salt()
}

/// The random stream of one resample: the same whatever thread draws it and whatever was drawn before.
pub(crate) fn stream(seed: u64, purpose: Purpose, index: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ purpose.salt());
    rng.set_stream(index);
    rng
}

/// A number below `bound`, which must not be 0; 32-bit so that every platform draws the same.
pub(crate) fn below(rng: &mut ChaCha8Rng, bound: usize) -> usize {
    let bound = u32::try_from(bound).expect("no table here has 2³² rows");
    rng.random_range(0..bound) as usize
}

/// Shuffles in place (Fisher–Yates).
pub(crate) fn shuffle<T>(rng: &mut ChaCha8Rng, items: &mut [T]) {
    for i in (1..items.len()).rev() {
        items.swap(i, below(rng, i + 1));
    }
}

/// A number that stands for two, with well mixed bits: `SplitMix64`'s step and finaliser (Steele, Lea & Flood 2014).
///
/// For one key, different values give different numbers.
pub(crate) fn mix(key: u64, value: u64) -> u64 {
    let mut z = (key ^ value).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A standard normal number (Box–Muller).
pub(crate) fn gaussian(rng: &mut ChaCha8Rng) -> f64 {
    let u: f64 = 1.0 - rng.random::<f64>();
    let v: f64 = rng.random();
    (-2.0 * u.ln()).sqrt() * (2.0 * std::f64::consts::PI * v).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_of_two_purposes_or_indices_differ_and_repeat() {
        let draw = |purpose, index| below(&mut stream(7, purpose, index), 1 << 30);
        assert_eq!(draw(Purpose::Bootstrap, 3), draw(Purpose::Bootstrap, 3));
        assert_ne!(draw(Purpose::Bootstrap, 3), draw(Purpose::Bootstrap, 4));
        assert_ne!(draw(Purpose::Bootstrap, 3), draw(Purpose::Permutation, 3));
    }

    #[test]
    fn shuffling_keeps_every_item() {
        let mut items: Vec<u32> = (0..50).collect();
        shuffle(&mut stream(1, Purpose::Permutation, 0), &mut items);
        assert_ne!(items, (0..50).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..50).collect::<Vec<_>>());
    }
}
