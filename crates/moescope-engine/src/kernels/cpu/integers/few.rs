//! A few rows of activations: one row of weights after the other, which is how memory is read ahead best, eight of its
//! blocks side by side.

use std::{
    arch::x86_64::{
        __m256, __m256i, _MM_HINT_T1, _mm_prefetch, _mm256_add_epi32, _mm256_cvtepi32_ps,
        _mm256_fmadd_ps, _mm256_load_ps, _mm256_load_si256, _mm256_madd_epi16, _mm256_mul_ps,
        _mm256_permute2x128_si256, _mm256_setzero_ps, _mm256_setzero_si256, _mm256_sub_epi32,
        _mm256_unpackhi_epi32, _mm256_unpackhi_epi64, _mm256_unpacklo_epi32, _mm256_unpacklo_epi64,
    },
    ops::Range,
};

use super::{
    super::{lines::LINE, output::Rectangle, simd::sum_of_eight},
    EIGHT, IntegerPiece, activations,
    weights::{Blocks, scales},
};
use crate::blocks::BlockType;

/// Bytes of weights that are asked for ahead of their use.
const AHEAD: usize = 4096;
/// A block of zeros of either type.
static ZEROS: [u8; BlockType::Q8.bytes()] = [0; BlockType::Q8.bytes()];

/// A product of `MR` rows of activations.
///
/// # Safety
/// There are as many rows of activations and the rows of weights, and the machine has AVX2, FMA and F16C.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn few_rows<W: Blocks, const MR: usize>(
    x: IntegerPiece<'_>,
    weights: *const u8,
    columns: Range<usize>,
    mut out: Rectangle<'_>,
) {
    let mut rows = [x.row(0); MR];
    for (r, row) in rows.iter_mut().enumerate() {
        *row = x.row(r);
    }
    let row_bytes = x.blocks() * W::BYTES;
    for (at, column) in columns.enumerate() {
        // SAFETY (both): the column is one of the matrix.
        let row = unsafe { weights.add(column * row_bytes) };
        let sums = unsafe { dot_products::<W, MR>(rows, row, x.blocks()) };
        for (r, sum) in sums.into_iter().enumerate() {
            out.row(r)[at] = sum;
        }
    }
}

/// The results of one row of weights.
///
/// # Safety
/// `row` are so many blocks, and the machine has AVX2, FMA and F16C.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn dot_products<W: Blocks, const MR: usize>(
    x: [&[activations::Blocks]; MR],
    row: *const u8,
    blocks: usize,
) -> [f32; MR] {
    let mut sums = [_mm256_setzero_ps(); MR];
    let mut at = row;
    for eight in 0..blocks / EIGHT {
        fetch_ahead(at, EIGHT * W::BYTES);
        // SAFETY: there are eight more blocks.
        unsafe { add_blocks::<W, MR, EIGHT>(x, eight, at, &mut sums) };
        at = at.wrapping_add(EIGHT * W::BYTES);
    }
    let eight = blocks / EIGHT;
    fetch_ahead(at, blocks % EIGHT * W::BYTES);
    // SAFETY (all): there are so many more blocks.
    match blocks % EIGHT {
        0 => {}
        1 => unsafe { add_blocks::<W, MR, 1>(x, eight, at, &mut sums) },
        2 => unsafe { add_blocks::<W, MR, 2>(x, eight, at, &mut sums) },
        3 => unsafe { add_blocks::<W, MR, 3>(x, eight, at, &mut sums) },
        4 => unsafe { add_blocks::<W, MR, 4>(x, eight, at, &mut sums) },
        5 => unsafe { add_blocks::<W, MR, 5>(x, eight, at, &mut sums) },
        6 => unsafe { add_blocks::<W, MR, 6>(x, eight, at, &mut sums) },
        _ => unsafe { add_blocks::<W, MR, 7>(x, eight, at, &mut sums) },
    }
    let mut found = [0.0; MR];
    for (found, sums) in found.iter_mut().zip(sums) {
        // SAFETY: the machine has AVX2.
        *found = unsafe { sum_of_eight(sums) };
    }
    found
}

/// Asks for as many bytes of the rows that come next; at the end of the matrix, beyond it.
#[inline]
fn fetch_ahead(at: *const u8, bytes: usize) {
    for line in (0..bytes).step_by(LINE) {
        let line = at.wrapping_add(AHEAD + line);
        // SAFETY: an address to fetch need not exist.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(line.cast()) };
    }
}

/// Adds the products of `N` blocks from a place, at most eight, to their running sums.
///
/// Blocks of zeros come after them, as the activations have them. How many there are is known to the compiler, so that
/// it leaves out what is zero, and places need not go through memory.
///
/// # Safety
/// There are so many blocks, and the machine has AVX2, FMA and F16C.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn add_blocks<W: Blocks, const MR: usize, const N: usize>(
    rows: [&[activations::Blocks]; MR],
    eight: usize,
    at: *const u8,
    sums: &mut [__m256; MR],
) {
    let mut blocks = [ZEROS.as_ptr(); EIGHT];
    for (number, block) in blocks.iter_mut().enumerate() {
        if number < N {
            *block = at.wrapping_add(number * W::BYTES);
        }
    }
    // SAFETY: these are blocks.
    unsafe { add_eight::<W, MR>(rows, eight, blocks, sums) };
}

/// Adds the products of eight blocks to their running sums.
///
/// # Safety
/// The places are those of blocks, and the machine has AVX2, FMA and F16C.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn add_eight<W: Blocks, const MR: usize>(
    rows: [&[activations::Blocks]; MR],
    eight: usize,
    blocks: [*const u8; EIGHT],
    sums: &mut [__m256; MR],
) {
    let mut x = [&rows[0][eight]; MR];
    for (x, row) in x.iter_mut().zip(rows) {
        *x = &row[eight];
    }
    // The scales first: they take long, and nothing else waits for them until the end.
    // SAFETY: by the contract.
    let mut scales = [unsafe { scales(blocks) }; MR];
    for (scales, x) in scales.iter_mut().zip(x) {
        // SAFETY: eight floats, aligned.
        *scales = _mm256_mul_ps(*scales, unsafe { _mm256_load_ps(x.scales.as_ptr()) });
    }
    // SAFETY: by the contract.
    let totals = unsafe { totals::<W, MR>(blocks, x) };
    for (((sum, mut total), scales), x) in sums.iter_mut().zip(totals).zip(scales).zip(x) {
        if W::HAS_OFFSET {
            // SAFETY: eight integers, aligned.
            let offsets = unsafe { _mm256_load_si256(x.offsets.as_ptr().cast()) };
            total = _mm256_sub_epi32(total, offsets);
        }
        *sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(total), scales, *sum);
    }
}

/// The sums of the products of each of eight blocks, for each row of activations.
///
/// # Safety
/// The places are those of blocks, and the machine has AVX2.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn totals<W: Blocks, const MR: usize>(
    blocks: [*const u8; EIGHT],
    x: [&activations::Blocks; MR],
) -> [__m256i; MR] {
    // Eight sums a block: those of two blocks side by side and added, then those of two such pairs, then halves.
    let mut halves = [[_mm256_setzero_si256(); 2]; MR];
    for half in 0..2 {
        let mut pairs = [[_mm256_setzero_si256(); 2]; MR];
        for pair in 0..2 {
            let first = 4 * half + 2 * pair;
            // SAFETY (both): by the contract.
            let a = unsafe { W::integers(blocks[first]) };
            let b = unsafe { W::integers(blocks[first + 1]) };
            for (pairs, x) in pairs.iter_mut().zip(x) {
                // SAFETY (both): a block of activations is two registers, aligned.
                let a = unsafe { products(a, x.integers[first].as_ptr().cast()) };
                let b = unsafe { products(b, x.integers[first + 1].as_ptr().cast()) };
                pairs[pair] =
                    _mm256_add_epi32(_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
            }
        }
        for (halves, [a, b]) in halves.iter_mut().zip(pairs) {
            halves[half] =
                _mm256_add_epi32(_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b));
        }
    }
    let mut totals = [_mm256_setzero_si256(); MR];
    for (total, [first, last]) in totals.iter_mut().zip(halves) {
        *total = _mm256_add_epi32(
            _mm256_permute2x128_si256::<0x20>(first, last),
            _mm256_permute2x128_si256::<0x31>(first, last),
        );
    }
    totals
}

/// A block's products in eight sums.
///
/// # Safety
/// `x` are two registers, aligned, and the machine has AVX2.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn products(w: [__m256i; 2], x: *const __m256i) -> __m256i {
    // SAFETY: by the contract.
    let x = unsafe { [_mm256_load_si256(x), _mm256_load_si256(x.add(1))] };
    _mm256_add_epi32(_mm256_madd_epi16(w[0], x[0]), _mm256_madd_epi16(w[1], x[1]))
}
