//! Many rows of activations: weights are unpacked once for all of them, pairs of inputs of eight rows side by side.
//!
//! A unit of `E` eights of rows of weights is multiplied with a tile of rows of activations; what does that is a
//! [`Machine`].

mod avx2;
mod vnni;

use std::{
    arch::x86_64::{
        __m256i, _MM_HINT_T1, _mm_prefetch, _mm256_permute2x128_si256, _mm256_set1_epi16,
        _mm256_setzero_si256, _mm256_store_ps, _mm256_store_si256, _mm256_sub_epi16,
        _mm256_unpackhi_epi32, _mm256_unpackhi_epi64, _mm256_unpacklo_epi32, _mm256_unpacklo_epi64,
    },
    cell::RefCell,
    ops::Range,
    thread::LocalKey,
};

pub(super) use self::{avx2::Avx2, vnni::Vnni};
use super::{
    super::{lines::LINE, output::Rectangle},
    EIGHT, IntegerPiece, activations,
    weights::{Blocks, OFFSET, scales},
};
use crate::blocks::BLOCK;

/// Pairs of inputs of a block.
const PAIRS: usize = BLOCK / 2;
/// Blocks of a row that are unpacked at a time: those of a task stay in the second-level cache, and the running sums of a
/// tile, which meet all of them, in the first.
const CHUNK: usize = 8 * EIGHT;

/// Eight floats of one register.
#[derive(Clone, Copy, Default)]
#[repr(C, align(32))]
struct Eight([f32; EIGHT]);

/// A row's eight running sums with a unit of weights.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Sums<const E: usize>([[Eight; E]; EIGHT]);

/// A block of each row of a unit.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Unpacked<const E: usize> {
    /// Of each pair of neighbouring inputs, all rows.
    pairs: [[[i16; 2 * EIGHT]; E]; PAIRS],
    scales: [Eight; E],
}

impl<const E: usize> Unpacked<E> {
    const EMPTY: Self = Self {
        pairs: [[[0; 2 * EIGHT]; E]; PAIRS],
        scales: [Eight([0.0; EIGHT]); E],
    };
}

/// Memory that the tasks of a thread use one after the other.
pub(super) struct Scratch<const E: usize> {
    /// A chunk of the task's weights: of each unit, blocks one after the other.
    weights: Vec<Unpacked<E>>,
    /// Of each unit, all rows one after the other.
    sums: Vec<Sums<E>>,
}

impl<const E: usize> Default for Scratch<E> {
    fn default() -> Self {
        Self {
            weights: Vec::new(),
            sums: Vec::new(),
        }
    }
}

/// What multiplies a tile of rows of activations with a unit of `E` eights of rows of weights.
pub(super) trait Machine<const E: usize> {
    /// Most rows of a tile.
    const ROWS: usize;

    /// Adds the products to the running sums of the tile's rows.
    ///
    /// # Safety
    /// The processor has the machine's instructions.
    unsafe fn multiply(tile: &Tile<'_, E>, sums: &mut [Sums<E>]);

    /// This thread's memory.
    fn scratch() -> &'static LocalKey<RefCell<Scratch<E>>>;
}

/// A product of any number of rows of activations.
///
/// # Safety
/// There are the rows of weights, and the processor has the instructions of `M`, AVX2, FMA and F16C.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn many_rows<W: Blocks, M: Machine<E>, const E: usize>(
    x: IntegerPiece<'_>,
    weights: *const u8,
    columns: Range<usize>,
    mut out: Rectangle<'_>,
) {
    // Taken out, since code in a closure would lose the instruction set.
    let mut scratch = M::scratch().take();
    let (rows, blocks) = (x.rows(), x.blocks());
    let row_bytes = blocks * W::BYTES;
    let units = columns.len().div_ceil(E * EIGHT);
    scratch.weights.resize(units * CHUNK, Unpacked::EMPTY);
    scratch.sums.clear();
    scratch
        .sums
        .resize(units * rows, Sums([[Eight::default(); E]; EIGHT]));
    // The rows of weights that come next.
    let next = weights.wrapping_add(columns.end * row_bytes);
    let tiles = rows.div_ceil(M::ROWS);
    let steps = tiles * blocks.div_ceil(CHUNK);
    let share = (columns.len() * row_bytes).div_ceil(steps * LINE);
    let mut step = 0;
    for start in (0..blocks).step_by(CHUNK) {
        let depth = CHUNK.min(blocks - start);
        for group in 0..units * E {
            let mut rows = [weights; EIGHT];
            for (number, row) in rows.iter_mut().enumerate() {
                // Beyond the last row, that row again.
                let column = (columns.start + group * EIGHT + number).min(columns.end - 1);
                // SAFETY: the column is one of the matrix.
                *row = unsafe { weights.add(column * row_bytes + start * W::BYTES) };
            }
            let to = &mut scratch.weights[group / E * CHUNK..][..depth];
            for (block, to) in to.iter_mut().enumerate() {
                // SAFETY: the block is one of the rows'.
                unsafe { unpack::<W, E>(rows.map(|row| row.add(block * W::BYTES)), group % E, to) };
            }
        }
        for row in (0..rows).step_by(M::ROWS) {
            for line in step * share..(step + 1) * share {
                // The address need not exist.
                _mm_prefetch::<_MM_HINT_T1>(next.wrapping_add(line * LINE).cast());
            }
            step += 1;
            let units = scratch
                .weights
                .chunks(CHUNK)
                .zip(scratch.sums.chunks_mut(rows));
            for (weights, sums) in units {
                let tile = Tile {
                    x,
                    row,
                    eight: start / EIGHT,
                    weights: &weights[..depth],
                };
                let sums = &mut sums[row..(row + M::ROWS).min(rows)];
                // SAFETY: by the contract.
                unsafe { M::multiply(&tile, sums) };
            }
        }
    }
    for (unit, sums) in scratch.sums.chunks(rows).enumerate() {
        for (row, sums) in sums.iter().enumerate() {
            let out = &mut out.row(row)[unit * E * EIGHT..];
            for (group, out) in out.chunks_mut(EIGHT).take(E).enumerate() {
                let [a, b, c, d, e, f, g, h] = sums.0.each_ref().map(|sums| sums[group].0);
                for (at, out) in out.iter_mut().enumerate() {
                    // The tree of `sum_of_eight`.
                    *out =
                        ((a[at] + e[at]) + (c[at] + g[at])) + ((b[at] + f[at]) + (d[at] + h[at]));
                }
            }
        }
    }
    M::scratch().set(scratch);
}

/// Puts a block of eight rows into its place among those of a unit.
///
/// # Safety
/// The places are those of blocks, and the machine has AVX2 and F16C.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn unpack<W: Blocks, const E: usize>(
    blocks: [*const u8; EIGHT],
    group: usize,
    to: &mut Unpacked<E>,
) {
    // SAFETY (both): by the contract.
    unsafe { _mm256_store_ps(to.scales[group].0.as_mut_ptr(), scales(blocks)) };
    let offset = _mm256_set1_epi16(if W::HAS_OFFSET { OFFSET } else { 0 });
    let mut halves = [[_mm256_setzero_si256(); EIGHT]; 2];
    for (row, block) in blocks.into_iter().enumerate() {
        let [first, last] = unsafe { W::integers(block) };
        halves[0][row] = _mm256_sub_epi16(first, offset);
        halves[1][row] = _mm256_sub_epi16(last, offset);
    }
    for (half, rows) in halves.into_iter().enumerate() {
        for (pair, register) in transposed(rows).into_iter().enumerate() {
            let place = &mut to.pairs[half * EIGHT + pair][group];
            // SAFETY: the place is a register, and all are aligned.
            unsafe { _mm256_store_si256(place.as_mut_ptr().cast(), register) };
        }
    }
}

/// Rows become columns in a square of 8 × 8 pairs.
#[inline]
#[target_feature(enable = "avx2")]
fn transposed(rows: [__m256i; 8]) -> [__m256i; 8] {
    let [a, b, c, d, e, f, g, h] = rows;
    let fours = |a, b, c, d| {
        let (ab, cd) = (_mm256_unpacklo_epi32(a, b), _mm256_unpacklo_epi32(c, d));
        let (ab_high, cd_high) = (_mm256_unpackhi_epi32(a, b), _mm256_unpackhi_epi32(c, d));
        [
            _mm256_unpacklo_epi64(ab, cd),
            _mm256_unpackhi_epi64(ab, cd),
            _mm256_unpacklo_epi64(ab_high, cd_high),
            _mm256_unpackhi_epi64(ab_high, cd_high),
        ]
    };
    let (first, last) = (fours(a, b, c, d), fours(e, f, g, h));
    std::array::from_fn(|pair| {
        let (first, last) = (first[pair % 4], last[pair % 4]);
        if pair < 4 {
            _mm256_permute2x128_si256::<0x20>(first, last)
        } else {
            _mm256_permute2x128_si256::<0x31>(first, last)
        }
    })
}

/// Some rows of activations, a chunk of their blocks, and a unit of weights.
pub(super) struct Tile<'a, const E: usize> {
    x: IntegerPiece<'a>,
    /// The first row.
    row: usize,
    /// The chunk's first eight blocks.
    eight: usize,
    weights: &'a [Unpacked<E>],
}

impl<const E: usize> Tile<'_, E> {
    /// The blocks of weights by eights, with those of so many rows of activations.
    #[inline(always)]
    fn eights<const ROWS: usize>(
        &self,
    ) -> impl Iterator<Item = ([&activations::Blocks; ROWS], &[Unpacked<E>])> {
        let eights = self.weights.chunks(EIGHT).enumerate();
        eights.map(|(number, weights)| {
            let rows = std::array::from_fn(|r| &self.x.row(self.row + r)[self.eight + number]);
            (rows, weights)
        })
    }
}
