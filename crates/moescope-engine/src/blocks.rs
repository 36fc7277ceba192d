//! Weights in blocks of 32 integers with one scale, laid out and rounded as ggml's `Q8_0` and `Q4_0`.
//!
//! A weight is scale · integer. A `q8` block is its scale (f16) and 32 signed bytes; a `q4` block is its scale (f16) and
//! 16 bytes whose low halves are the first 16 weights and whose high halves the last 16, each with 8 added.

use half::f16;
use rayon::prelude::*;

use crate::precision::WeightType;

/// Weights per block.
pub(crate) const BLOCK: usize = 32;
/// Bytes of a scale.
pub(crate) const SCALE_BYTES: usize = 2;
/// Rows that one task quantises.
const ROWS_PER_TASK: usize = 16;

/// The integers of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BlockType {
    /// Eight bits.
    Q8,
    /// Four bits.
    Q4,
}

impl BlockType {
    /// The blocks of a type of weights; none where they are kept as stored.
    pub(crate) fn of(weights: WeightType) -> Option<Self> {
        match weights {
            WeightType::Stored => None,
            WeightType::Q8 => Some(Self::Q8),
            WeightType::Q4 => Some(Self::Q4),
        }
    }

    /// Bytes of a block, its scale included.
    pub(crate) const fn bytes(self) -> usize {
        match self {
            Self::Q8 => SCALE_BYTES + BLOCK,
            Self::Q4 => SCALE_BYTES + BLOCK / 2,
        }
    }

    /// Bytes of a row of `width` weights.
    pub(crate) const fn row_bytes(self, width: usize) -> usize {
        width / BLOCK * self.bytes()
    }

    /// Rounds 32 weights into a block.
    fn quantise(self, weights: &[f32; BLOCK], block: &mut [u8]) {
        match self {
            Self::Q8 => quantise_q8(weights, block),
            Self::Q4 => quantise_q4(weights, block),
        }
    }

    /// The weights of a block.
    pub(crate) fn dequantise(self, block: &[u8]) -> [f32; BLOCK] {
        let scale = f16::from_le_bytes([block[0], block[1]]).to_f32();
        let integers = &block[SCALE_BYTES..];
        match self {
            Self::Q8 => std::array::from_fn(|i| scale * f32::from(integers[i].cast_signed())),
            Self::Q4 => std::array::from_fn(|i| {
                let both = integers[i % (BLOCK / 2)];
                let half = if i < BLOCK / 2 { both & 15 } else { both >> 4 };
                scale * (f32::from(half) - 8.0)
            }),
        }
    }
}

/// scale = max |w| / 127, integers rounded to nearest.
fn quantise_q8(weights: &[f32; BLOCK], block: &mut [u8]) {
    let largest = weights.iter().fold(0.0f32, |max, w| max.max(w.abs()));
    let scale = largest / 127.0;
    let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
    block[..SCALE_BYTES].copy_from_slice(&f16::from_f32(scale).to_le_bytes());
    for (to, w) in block[SCALE_BYTES..].iter_mut().zip(weights) {
        #[expect(clippy::cast_possible_truncation, reason = "at most 127 by the scale")]
        let integer = (w * inverse).round() as i8;
        *to = integer.cast_unsigned();
    }
}

/// scale = −(the weight largest in size) / 8, so that this weight becomes −8 exactly; integers rounded half up.
fn quantise_q4(weights: &[f32; BLOCK], block: &mut [u8]) {
    let largest = weights
        .iter()
        .fold(0.0f32, |max, w| if w.abs() > max.abs() { *w } else { max });
    let scale = largest / -8.0;
    let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
    block[..SCALE_BYTES].copy_from_slice(&f16::from_f32(scale).to_le_bytes());
    // f64, so that a product and a sum round as one, whatever the machine.
    let integer = |w: f32| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "0.5 to 16.5 by the scale"
        )]
        let integer = (f64::from(w) * f64::from(inverse) + 8.5) as u8;
        integer.min(15)
    };
    let (low, high) = weights.split_at(BLOCK / 2);
    for ((to, low), high) in block[SCALE_BYTES..].iter_mut().zip(low).zip(high) {
        *to = integer(*low) | integer(*high) << 4;
    }
}

/// Quantises a matrix whose rows are `width` wide; `widen(start, out)` gives its values from `start`.
pub(crate) fn quantise(
    kind: BlockType,
    len: usize,
    width: usize,
    widen: impl Fn(usize, &mut [f32]) + Sync,
) -> Vec<u8> {
    let row_bytes = kind.row_bytes(width);
    let mut bytes = vec![0u8; len / width * row_bytes];
    bytes
        .par_chunks_mut(ROWS_PER_TASK * row_bytes)
        .enumerate()
        .for_each(|(task, bytes)| {
            let mut at = task * ROWS_PER_TASK * width;
            let mut weights = [0.0f32; BLOCK];
            for block in bytes.chunks_mut(kind.bytes()) {
                widen(at, &mut weights);
                kind.quantise(&weights, block);
                at += BLOCK;
            }
        });
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(kind: BlockType, weights: [f32; BLOCK]) -> [f32; BLOCK] {
        let bytes = quantise(kind, BLOCK, BLOCK, |_, out| out.copy_from_slice(&weights));
        assert_eq!(bytes.len(), kind.bytes());
        kind.dequantise(&bytes)
    }

    #[test]
    fn eight_bits_keep_multiples_of_the_scale() {
        // The scale is 0.5; multiples of it come back exactly, other values within half of it.
        let mut weights = [0.0; BLOCK];
        weights[0] = 63.5;
        weights[1] = -63.5;
        weights[2] = 10.5;
        weights[31] = 0.3;
        let back = round_trip(BlockType::Q8, weights);
        assert_eq!(back[..3], [63.5, -63.5, 10.5]);
        assert!((back[31] - 0.5).abs() < 1e-6);
    }

    #[test]
    fn four_bits_keep_the_largest_and_both_halves() {
        let mut weights = [0.0; BLOCK];
        weights[3] = -4.0;
        weights[4] = 3.5;
        weights[20] = 1.5;
        let back = round_trip(BlockType::Q4, weights);
        assert_eq!((back[3], back[4], back[20]), (-4.0, 3.5, 1.5));
        // A positive extreme as well: its scale is negative.
        let back = round_trip(BlockType::Q4, weights.map(|w| -w));
        assert_eq!((back[3], back[4], back[20]), (4.0, -3.5, -1.5));
    }

    #[test]
    fn zeros_stay_zeros() {
        for kind in [BlockType::Q8, BlockType::Q4] {
            assert!(round_trip(kind, [0.0; BLOCK]).iter().all(|w| *w == 0.0));
        }
    }
}
