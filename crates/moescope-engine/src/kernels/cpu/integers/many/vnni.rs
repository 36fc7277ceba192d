//! A tile with AVX-512 and its sums of products of integers.

use std::{
    arch::x86_64::{
        __m512i, _mm512_cvtepi32_ps, _mm512_dpwssd_epi32, _mm512_fmadd_ps, _mm512_load_ps,
        _mm512_load_si512, _mm512_mul_ps, _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_si512,
        _mm512_store_ps,
    },
    cell::RefCell,
    thread::LocalKey,
};

use super::{super::activations, Machine, PAIRS, Scratch, Sums, Tile, Unpacked};

/// Eights of rows of weights.
const EIGHTS: usize = 2 * REGISTERS;
/// Registers of two eights: with eight rows of activations, 16 sums, 2 weights and an input.
const REGISTERS: usize = 2;

thread_local! {
    static SCRATCH: RefCell<Scratch<EIGHTS>> = RefCell::default();
}

/// AVX-512 with VNNI.
pub(in super::super) struct Vnni;

impl Machine<EIGHTS> for Vnni {
    const ROWS: usize = 8;

    unsafe fn multiply(tile: &Tile<'_, EIGHTS>, sums: &mut [Sums<EIGHTS>]) {
        // SAFETY (all): by the contract.
        match sums.len() {
            1 => unsafe { multiply::<1>(tile, sums) },
            2 => unsafe { multiply::<2>(tile, sums) },
            3 => unsafe { multiply::<3>(tile, sums) },
            4 => unsafe { multiply::<4>(tile, sums) },
            5 => unsafe { multiply::<5>(tile, sums) },
            6 => unsafe { multiply::<6>(tile, sums) },
            7 => unsafe { multiply::<7>(tile, sums) },
            _ => unsafe { multiply::<{ Vnni::ROWS }>(tile, sums) },
        }
    }

    fn scratch() -> &'static LocalKey<RefCell<Scratch<EIGHTS>>> {
        &SCRATCH
    }
}

/// # Safety
/// The machine has AVX-512 with VNNI.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
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
/// The machine has AVX-512 with VNNI.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
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
        let scales = weights.scales.as_ptr().cast::<f32>();
        for ((sums, totals), row) in sums.iter_mut().zip(totals).zip(rows) {
            let scale = _mm512_set1_ps(row.scales[block]);
            let sums = sums.0[block].as_mut_ptr().cast::<f32>();
            for (register, total) in totals.into_iter().enumerate() {
                // SAFETY (all): sixteen floats, two eights, aligned.
                unsafe {
                    let scales = _mm512_mul_ps(_mm512_load_ps(scales.add(16 * register)), scale);
                    let sum = sums.add(16 * register);
                    let after =
                        _mm512_fmadd_ps(_mm512_cvtepi32_ps(total), scales, _mm512_load_ps(sum));
                    _mm512_store_ps(sum, after);
                }
            }
        }
    }
}

/// The sums of the products of one block, for each row of activations.
///
/// # Safety
/// `x` are pairs of activations, and the machine has AVX-512 with VNNI.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn totals<const ROWS: usize>(
    x: [*const i32; ROWS],
    weights: &Unpacked<EIGHTS>,
) -> [[__m512i; REGISTERS]; ROWS] {
    let mut totals = [[_mm512_setzero_si512(); REGISTERS]; ROWS];
    for pair in 0..PAIRS {
        let start = weights.pairs[pair].as_ptr();
        let mut w = [_mm512_setzero_si512(); REGISTERS];
        for (register, w) in w.iter_mut().enumerate() {
            // SAFETY: a register, two eights, aligned.
            *w = unsafe { _mm512_load_si512(start.add(2 * register).cast()) };
        }
        for (totals, x) in totals.iter_mut().zip(x) {
            // SAFETY: the pair is one of the block's, which is aligned.
            let x = _mm512_set1_epi32(unsafe { *x.add(pair) });
            for (total, w) in totals.iter_mut().zip(w) {
                *total = _mm512_dpwssd_epi32(*total, w, x);
            }
        }
    }
    totals
}
