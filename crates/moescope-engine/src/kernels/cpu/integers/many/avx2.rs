//! A tile with AVX2: products of pairs, added up.

use std::{
    arch::x86_64::{
        __m256i, _mm256_add_epi32, _mm256_cvtepi32_ps, _mm256_fmadd_ps, _mm256_load_ps,
        _mm256_load_si256, _mm256_madd_epi16, _mm256_mul_ps, _mm256_set1_epi32, _mm256_set1_ps,
        _mm256_setzero_si256, _mm256_store_ps,
    },
    cell::RefCell,
    thread::LocalKey,
};

use super::{super::activations, Machine, Scratch, Sums, Tile, Unpacked};

/// Eights of rows of weights: with four rows of activations, 8 sums, 2 weights and an input.
const EIGHTS: usize = 2;

thread_local! {
    static SCRATCH: RefCell<Scratch<EIGHTS>> = RefCell::default();
}

/// AVX2 and FMA.
pub(in super::super) struct Avx2;

impl Machine<EIGHTS> for Avx2 {
    const ROWS: usize = 4;

    unsafe fn multiply(tile: &Tile<'_, EIGHTS>, sums: &mut [Sums<EIGHTS>]) {
        // SAFETY (all): by the contract.
        match sums.len() {
            1 => unsafe { multiply::<1>(tile, sums) },
            2 => unsafe { multiply::<2>(tile, sums) },
            3 => unsafe { multiply::<3>(tile, sums) },
            _ => unsafe { multiply::<{ Avx2::ROWS }>(tile, sums) },
        }
    }

    fn scratch() -> &'static LocalKey<RefCell<Scratch<EIGHTS>>> {
        &SCRATCH
    }
}

/// # Safety
/// The machine has AVX2 and FMA.
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn multiply<const ROWS: usize>(tile: &Tile<'_, EIGHTS>, sums: &mut [Sums<EIGHTS>]) {
    assert_eq!(sums.len(), ROWS);
    for (rows, weights) in tile.eights::<ROWS>() {
        // SAFETY: by the contract.
        unsafe { add_products(rows, weights, sums) };
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
    weights: &[Unpacked<EIGHTS>],
    sums: &mut [Sums<EIGHTS>],
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
            let places = sums.0[block].iter_mut().zip(&weights.scales);
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
    weights: &Unpacked<EIGHTS>,
) -> [[__m256i; EIGHTS]; ROWS] {
    let mut totals = [[_mm256_setzero_si256(); EIGHTS]; ROWS];
    // Pairs of inputs that are one loop's body.
    let (steps, _) = weights.pairs.as_chunks::<4>();
    for (step, weights) in steps.iter().enumerate() {
        for (pair, weights) in weights.iter().enumerate() {
            let mut w = [_mm256_setzero_si256(); EIGHTS];
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
