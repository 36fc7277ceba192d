//! Many rows of activations: weights are unpacked once for all of them, pairs of inputs of eight rows side by side.

use std::{
    arch::x86_64::{
        __m256i, _MM_HINT_T1, _mm_prefetch, _mm256_add_epi32, _mm256_cvtepi32_ps, _mm256_fmadd_ps,
        _mm256_load_ps, _mm256_load_si256, _mm256_madd_epi16, _mm256_mul_ps,
        _mm256_permute2x128_si256, _mm256_set1_epi16, _mm256_set1_epi32, _mm256_set1_ps,
        _mm256_setzero_si256, _mm256_store_ps, _mm256_store_si256, _mm256_sub_epi16,
        _mm256_unpackhi_epi32, _mm256_unpackhi_epi64, _mm256_unpacklo_epi32, _mm256_unpacklo_epi64,
    },
    cell::RefCell,
    ops::Range,
};

use super::{
    super::output::Rectangle,
    EIGHT, IntegerPiece, activations,
    weights::{Blocks, OFFSET, scales},
};
use crate::blocks::BLOCK;

/// Pairs of inputs of a block.
const PAIRS: usize = BLOCK / 2;
/// Blocks of a row that are unpacked at a time: those of a task stay in the second-level cache, and the running sums of a
/// tile, which meet all of them, in the first.
const CHUNK: usize = 8 * EIGHT;
/// Groups of rows of weights that are multiplied together.
const NR: usize = 2;
/// Rows of activations that are multiplied together: with two groups, 8 sums, 2 weights and an input.
const MR: usize = 4;
/// Bytes of a line of the cache.
const LINE: usize = 64;

thread_local! {
    /// Memory that the tasks of a thread use one after the other.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

#[derive(Default)]
struct Scratch {
    /// A chunk of the task's weights: of each [`NR`] groups, blocks one after the other.
    weights: Vec<Unpacked>,
    /// Of each [`NR`] groups, all rows one after the other.
    sums: Vec<Sums>,
}

/// Eight floats of one register.
#[derive(Clone, Copy, Default)]
#[repr(C, align(32))]
struct Eight([f32; EIGHT]);

/// A row's eight running sums with [`NR`] groups.
type Sums = [[Eight; NR]; EIGHT];

/// A block of each row of [`NR`] groups.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Unpacked {
    /// Two neighbouring inputs of eight rows are a register.
    pairs: [[[i16; 2 * EIGHT]; NR]; PAIRS],
    scales: [Eight; NR],
}

const EMPTY: Unpacked = Unpacked {
    pairs: [[[0; 2 * EIGHT]; NR]; PAIRS],
    scales: [Eight([0.0; EIGHT]); NR],
};

/// A product of any number of rows of activations.
///
/// # Safety
/// There are the rows of weights, and the machine has AVX2, FMA and F16C.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn many_rows<W: Blocks>(
    x: IntegerPiece<'_>,
    weights: *const u8,
    columns: Range<usize>,
    mut out: Rectangle<'_>,
) {
    // Taken out, since code in a closure would lose the instruction set.
    let mut scratch = SCRATCH.take();
    let (rows, blocks) = (x.rows(), x.blocks());
    let row_bytes = blocks * W::BYTES;
    let units = columns.len().div_ceil(NR * EIGHT);
    scratch.weights.resize(units * CHUNK, EMPTY);
    scratch.sums.clear();
    scratch.sums.resize(units * rows, Sums::default());
    // The rows of weights that come next.
    let next = weights.wrapping_add(columns.end * row_bytes);
    let tiles = rows.div_ceil(MR);
    let steps = tiles * blocks.div_ceil(CHUNK);
    let share = (columns.len() * row_bytes).div_ceil(steps * LINE);
    let mut step = 0;
    for start in (0..blocks).step_by(CHUNK) {
        let depth = CHUNK.min(blocks - start);
        for group in 0..units * NR {
            let mut rows = [weights; EIGHT];
            for (number, row) in rows.iter_mut().enumerate() {
                // Beyond the last row, that row again.
                let column = (columns.start + group * EIGHT + number).min(columns.end - 1);
                // SAFETY: the column is one of the matrix.
                *row = unsafe { weights.add(column * row_bytes + start * W::BYTES) };
            }
            let to = &mut scratch.weights[group / NR * CHUNK..][..depth];
            for (block, to) in to.iter_mut().enumerate() {
                // SAFETY: the block is one of the rows'.
                unsafe { unpack::<W>(rows.map(|row| row.add(block * W::BYTES)), group % NR, to) };
            }
        }
        for row in (0..rows).step_by(MR) {
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
                let sums = &mut sums[row..(row + MR).min(rows)];
                // SAFETY (all): by the contract.
                match sums.len() {
                    1 => unsafe { tile.multiply::<1>(sums) },
                    2 => unsafe { tile.multiply::<2>(sums) },
                    3 => unsafe { tile.multiply::<3>(sums) },
                    _ => unsafe { tile.multiply::<MR>(sums) },
                }
            }
        }
    }
    for (unit, sums) in scratch.sums.chunks(rows).enumerate() {
        for (row, sums) in sums.iter().enumerate() {
            let out = &mut out.row(row)[unit * NR * EIGHT..];
            for (group, out) in out.chunks_mut(EIGHT).take(NR).enumerate() {
                let [a, b, c, d, e, f, g, h] = sums.each_ref().map(|sums| sums[group].0);
                for (at, out) in out.iter_mut().enumerate() {
                    // The tree of `sum_of_eight`.
                    *out =
                        ((a[at] + e[at]) + (c[at] + g[at])) + ((b[at] + f[at]) + (d[at] + h[at]));
                }
            }
        }
    }
    SCRATCH.set(scratch);
}

/// Puts a block of eight rows into its place among those of [`NR`] groups.
///
/// # Safety
/// The places are those of blocks, and the machine has AVX2 and F16C.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn unpack<W: Blocks>(blocks: [*const u8; EIGHT], group: usize, to: &mut Unpacked) {
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

/// Some rows of activations, a chunk of their blocks, and [`NR`] groups of weights.
struct Tile<'a> {
    x: IntegerPiece<'a>,
    /// The first row.
    row: usize,
    /// The chunk's first eight blocks.
    eight: usize,
    weights: &'a [Unpacked],
}

impl Tile<'_> {
    /// Adds the products to the running sums of so many rows.
    ///
    /// # Safety
    /// The machine has AVX2 and FMA.
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn multiply<const ROWS: usize>(&self, sums: &mut [Sums]) {
        assert!(sums.len() == ROWS && self.weights.len() <= CHUNK);
        for (number, weights) in self.weights.chunks(EIGHT).enumerate() {
            let mut rows = [&self.x.row(self.row)[self.eight + number]; ROWS];
            for (r, row) in rows.iter_mut().enumerate() {
                *row = &self.x.row(self.row + r)[self.eight + number];
            }
            // SAFETY: by the contract.
            unsafe { add_products(rows, weights, sums) };
        }
    }
}

/// Adds the products of eight blocks, or what is left, to their running sums.
///
/// # Safety
/// The machine has AVX2 and FMA.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn add_products<const ROWS: usize>(
    rows: [&activations::Blocks; ROWS],
    weights: &[Unpacked],
    sums: &mut [Sums],
) {
    for (block, weights) in weights.iter().enumerate() {
        let mut x = [std::ptr::null::<i32>(); ROWS];
        for (x, row) in x.iter_mut().zip(rows) {
            *x = row.integers[block].as_ptr().cast();
        }
        // SAFETY: by the contract.
        let totals = unsafe { totals::<ROWS>(x, weights) };
        for ((sums, totals), row) in sums.iter_mut().zip(totals).zip(rows) {
            let scale = _mm256_set1_ps(row.scales[block]);
            let places = sums[block].iter_mut().zip(&weights.scales);
            for ((sum, scales), total) in places.zip(totals) {
                // SAFETY (all): eight floats, aligned.
                unsafe {
                    let scales = _mm256_mul_ps(_mm256_load_ps(scales.0.as_ptr()), scale);
                    let total = _mm256_cvtepi32_ps(total);
                    let before = _mm256_load_ps(sum.0.as_ptr());
                    let after = _mm256_fmadd_ps(total, scales, before);
                    _mm256_store_ps(sum.0.as_mut_ptr(), after);
                }
            }
        }
    }
}

/// The sums of the products of one block, for each row of activations.
///
/// # Safety
/// `x` are pairs of activations, and the machine has AVX2.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn totals<const ROWS: usize>(
    x: [*const i32; ROWS],
    weights: &Unpacked,
) -> [[__m256i; NR]; ROWS] {
    let mut totals = [[_mm256_setzero_si256(); NR]; ROWS];
    // Pairs of inputs that are one loop's body.
    let (steps, _) = weights.pairs.as_chunks::<4>();
    for (step, weights) in steps.iter().enumerate() {
        for (pair, weights) in weights.iter().enumerate() {
            let mut w = [_mm256_setzero_si256(); NR];
            for (w, weights) in w.iter_mut().zip(weights) {
                // SAFETY: a register, aligned.
                *w = unsafe { _mm256_load_si256(weights.as_ptr().cast()) };
            }
            for (totals, x) in totals.iter_mut().zip(x) {
                // SAFETY: the pair is one of the block's, which is aligned.
                let x = _mm256_set1_epi32(unsafe { *x.add(4 * step + pair) });
                for (total, w) in totals.iter_mut().zip(w) {
                    *total = _mm256_add_epi32(*total, _mm256_madd_epi16(w, x));
                }
            }
        }
    }
    totals
}
