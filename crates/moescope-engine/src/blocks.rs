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

    /// Rounds 32 weights into a block; `false` where its scale cannot hold them.
    fn quantise(self, weights: &[f32; BLOCK], block: &mut [u8]) -> bool {
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

/// Writes a block's scale and gives its inverse; 0 where the scale is so small that an f16 does not hold it either.
fn put_scale(scale: f32, block: &mut [u8]) -> f32 {
    block[..SCALE_BYTES].copy_from_slice(&f16::from_f32(scale).to_le_bytes());
    let inverse = 1.0 / scale;
    if inverse.is_finite() { inverse } else { 0.0 }
}

/// Whether all weights are numbers, and their scale one that an f16 holds.
fn is_held(weights: &[f32; BLOCK], scale: f32) -> bool {
    f16::from_f32(scale).is_finite() && weights.iter().all(|w| w.is_finite())
}

/// scale = max |w| / 127, integers rounded to nearest, halves away from zero.
fn quantise_q8(weights: &[f32; BLOCK], block: &mut [u8]) -> bool {
    let largest = weights.iter().fold(0.0f32, |max, w| max.max(w.abs()));
    let scale = largest / 127.0;
    let inverse = put_scale(scale, block);
    for (to, w) in block[SCALE_BYTES..].iter_mut().zip(weights) {
        let x = w * inverse;
        // `round` would be a call; the difference to the whole part is exact.
        #[expect(clippy::cast_possible_truncation, reason = "at most 127 by the scale")]
        let whole = x as i32;
        #[expect(clippy::cast_precision_loss, reason = "at most 127 by the scale")]
        let rest = x - whole as f32;
        let integer = whole + i32::from(rest >= 0.5) - i32::from(rest <= -0.5);
        *to = integer.to_le_bytes()[0];
    }
    is_held(weights, scale)
}

/// scale = −(the first weight that is largest in size) / 8, so that this weight becomes −8; integers rounded half up.
fn quantise_q4(weights: &[f32; BLOCK], block: &mut [u8]) -> bool {
    let largest = weights.iter().fold(
        weights[0],
        |max, w| if w.abs() > max.abs() { *w } else { max },
    );
    let scale = largest / -8.0;
    let inverse = put_scale(scale, block);
    let integer = |w: f32| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "0.5 to 16.5 by the scale"
        )]
        let integer = (w * inverse + 8.5) as u8;
        integer.min(15)
    };
    let (low, high) = weights.split_at(BLOCK / 2);
    for ((to, low), high) in block[SCALE_BYTES..].iter_mut().zip(low).zip(high) {
        *to = integer(*low) | integer(*high) << 4;
    }
    is_held(weights, scale)
}

/// A block whose weights cannot be kept so: a weight is no number, or the scale is beyond what an f16 holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotHeld {
    /// The first weight of the block, counted through the matrix.
    pub(crate) at: usize,
}

/// Quantises a matrix whose rows are `width` wide; `widen(start, out)` gives its values from `start`.
///
/// # Errors
/// With the place of some block that cannot be kept so.
pub(crate) fn quantise(
    kind: BlockType,
    len: usize,
    width: usize,
    widen: impl Fn(usize, &mut [f32]) + Sync,
) -> Result<Vec<u8>, NotHeld> {
    let row_bytes = kind.row_bytes(width);
    let mut bytes = vec![0u8; len / width * row_bytes];
    bytes
        .par_chunks_mut(ROWS_PER_TASK * row_bytes)
        .enumerate()
        .try_for_each(|(task, bytes)| {
            let mut at = task * ROWS_PER_TASK * width;
            let mut weights = [0.0f32; BLOCK];
            for block in bytes.chunks_mut(kind.bytes()) {
                widen(at, &mut weights);
                if !kind.quantise(&weights, block) {
                    return Err(NotHeld { at });
                }
                at += BLOCK;
            }
            Ok(())
        })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use safetensors::{SafeTensors, tensor::TensorView};

    use super::*;

    fn f32s(view: &TensorView<'_>) -> Vec<f32> {
        let number = |b: &[u8]| f32::from_le_bytes(b.try_into().unwrap());
        view.data().chunks_exact(4).map(number).collect()
    }

    fn quantised(kind: BlockType, weights: &[f32]) -> Result<Vec<u8>, NotHeld> {
        quantise(kind, weights.len(), BLOCK, |start, out| {
            out.copy_from_slice(&weights[start..start + out.len()]);
        })
    }

    /// What ggml's own Python package makes of the same rows: see `tests/fixtures/blocks`.
    #[test]
    fn blocks_are_those_of_ggml_byte_for_byte() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/fixtures/blocks/blocks.safetensors"
        );
        let file = std::fs::read(path).unwrap();
        let fixture = SafeTensors::deserialize(&file).unwrap();
        let all = f32s(&fixture.tensor("weights").unwrap());
        for (kind, name) in [(BlockType::Q8, "q8"), (BlockType::Q4, "q4")] {
            let part = |what: &str| fixture.tensor(&format!("{name}.{what}")).unwrap();
            let rows: Vec<usize> = (part("rows").data().chunks_exact(8))
                .map(|b| usize::try_from(i64::from_le_bytes(b.try_into().unwrap())).unwrap())
                .collect();
            assert!(rows.len() >= 300, "{name}");
            let row = |row: usize| &all[row * BLOCK..(row + 1) * BLOCK];
            let weights: Vec<f32> = rows.iter().flat_map(|r| row(*r)).copied().collect();
            let ours = quantised(kind, &weights).unwrap();
            for (number, block) in ours.chunks(kind.bytes()).enumerate() {
                let what = format!("{name}, row {}: {:?}", rows[number], row(rows[number]));
                let theirs = &part("blocks").data()[number * kind.bytes()..][..kind.bytes()];
                assert_eq!(block, theirs, "{what}");
                let back = kind.dequantise(block).map(f32::to_bits);
                let theirs = &f32s(&part("weights"))[number * BLOCK..][..BLOCK];
                assert_eq!(
                    back[..],
                    *theirs.iter().map(|w| w.to_bits()).collect::<Vec<_>>(),
                    "{what}"
                );
            }
            // The rows that are left out there become infinities, which we refuse.
            for number in (0..all.len() / BLOCK).filter(|number| !rows.contains(number)) {
                assert_eq!(
                    quantised(kind, row(number)),
                    Err(NotHeld { at: 0 }),
                    "{name}, row {number}"
                );
            }
        }
    }

    #[test]
    fn what_is_no_number_is_refused_with_its_place() {
        for kind in [BlockType::Q8, BlockType::Q4] {
            for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e9] {
                let mut weights = [0.25; 3 * BLOCK];
                weights[BLOCK + 5] = value;
                assert_eq!(
                    quantised(kind, &weights),
                    Err(NotHeld { at: BLOCK }),
                    "{value}"
                );
            }
        }
    }

    /// Where even 1 / scale is no number, ggml's integers are left to the machine; the weights are zero all the same.
    #[test]
    fn what_is_too_small_for_a_scale_becomes_zero() {
        for kind in [BlockType::Q8, BlockType::Q4] {
            for value in [1e-38f32, 1e-45, -1e-40] {
                let mut weights = [0.0; BLOCK];
                weights[9] = value;
                let bytes = quantised(kind, &weights).unwrap();
                assert!(kind.dequantise(&bytes).iter().all(|w| *w == 0.0), "{value}");
            }
        }
    }
}
