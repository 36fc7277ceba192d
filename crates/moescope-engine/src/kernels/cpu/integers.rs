//! Products of blocks of weights with activations as integers of 16 bits, for AVX2 and, where they are many, VNNI.
//!
//! Every 32 activations of a row, which meet one block of each row of weights, have one scale, the largest of them over
//! 32,767, and are rounded to the nearest multiple of it: wrong by 2⁻¹⁶ of the largest at most. The sum of a block's 32
//! products of integers is exact. It is rounded to f32, multiplied by both scales and added to one of eight running sums,
//! which the blocks of a row join in turns:
//!
//! y = Σ over blocks (weight scale · activation scale) · Σ over the block (integer · integer)
//!
//! As the inner sums are exact, and the outer ones always in the same order, a row's result is the same bit for bit
//! whether it is computed alone or among others. The tests state it number by number.

mod activations;
mod few;
mod many;
mod weights;

use std::ops::Range;

pub(super) use self::activations::{IntegerPiece, IntegerRows};
use self::{
    few::few_rows,
    many::{Avx2, Vnni, many_rows},
    weights::{Blocks, Q4Blocks, Q8Blocks},
};
use super::{output::Rectangle, simd::InstructionSet};
use crate::blocks::{BLOCK, BlockType};

/// Weight rows per task.
pub(super) const COLUMN_BLOCK: usize = 32;
/// Most rows of activations that meet weights which are unpacked for them alone.
const FEW: usize = 3;
/// Numbers of 32 bits in a register.
const EIGHT: usize = 8;

/// x · Wᵀ for some rows of weights, which lie in blocks.
///
/// # Safety
/// The machine has AVX2, FMA and F16C, and what `set` says.
pub(super) unsafe fn multiply(
    set: InstructionSet,
    x: IntegerPiece<'_>,
    kind: BlockType,
    weights: &[u8],
    columns: Range<usize>,
    out: Rectangle<'_>,
) {
    assert!(columns.end * kind.row_bytes(x.blocks() * BLOCK) <= weights.len());
    // SAFETY (both): by the contract and the assertion.
    match kind {
        BlockType::Q8 => unsafe { product::<Q8Blocks>(set, x, weights, columns, out) },
        BlockType::Q4 => unsafe { product::<Q4Blocks>(set, x, weights, columns, out) },
    }
}

/// # Safety
/// The machine has AVX2, FMA and F16C, and what `set` says; there are the rows of weights.
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn product<W: Blocks>(
    set: InstructionSet,
    x: IntegerPiece<'_>,
    weights: &[u8],
    columns: Range<usize>,
    out: Rectangle<'_>,
) {
    let weights = weights.as_ptr();
    // SAFETY (all): by the contract.
    match x.rows() {
        1 => unsafe { few_rows::<W, 1>(x, weights, columns, out) },
        2 => unsafe { few_rows::<W, 2>(x, weights, columns, out) },
        FEW => unsafe { few_rows::<W, FEW>(x, weights, columns, out) },
        _ if set == InstructionSet::Avx2 => unsafe {
            many_rows::<W, Avx2, _>(x, weights, columns, out);
        },
        _ => unsafe { many_rows::<W, Vnni, _>(x, weights, columns, out) },
    }
}

#[cfg(test)]
mod tests;
