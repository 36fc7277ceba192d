//! Scores of a few queries of one head against all keys.

use super::{
    super::simd::{LANES, Simd},
    Heads, score_stride,
};
use crate::kernels::KeyRange;

/// q · k · scale for `R` queries and the keys `some` of `all`, into `scores`, whose rows are
/// [`score_stride`] apart.
///
/// # Safety
/// Queries are as wide as keys, and the machine has `S`.
#[inline(always)]
pub(super) unsafe fn scores_of<S: Simd, const R: usize>(
    queries: [&[f32]; R],
    keys: Heads<'_>,
    (all, some): (KeyRange, KeyRange),
    scale: f32,
    scores: &mut [f32],
) {
    // With four queries twelve sums, three keys and a query are the sixteen registers of AVX2.
    // SAFETY (both): by the contract.
    if S::PARTS == 1 {
        unsafe { scores_by::<S, R, 4>(queries, keys, (all, some), scale, scores) };
    } else {
        unsafe { scores_by::<S, R, 3>(queries, keys, (all, some), scale, scores) };
    }
}

/// The same, `C` keys at a time.
///
/// # Safety
/// As for [`scores_of`].
#[inline(always)]
unsafe fn scores_by<S: Simd, const R: usize, const C: usize>(
    queries: [&[f32]; R],
    keys: Heads<'_>,
    (all, some): (KeyRange, KeyRange),
    scale: f32,
    scores: &mut [f32],
) {
    let stride = score_stride(all.len());
    let mut key = some.first;
    while key < some.end {
        // The last tile repeats its last key, whose scores are not written twice.
        let rows: [&[f32]; C] = std::array::from_fn(|c| keys.row((key + c).min(some.end - 1)));
        // SAFETY: by the contract.
        let found = unsafe { dots::<S, R, C>(queries, rows) };
        for (c, found) in found.into_iter().enumerate().take(some.end - key) {
            let place = key + c - all.first;
            for (r, found) in found.into_iter().enumerate() {
                scores[r * stride + place] = found * scale;
            }
        }
        key += C;
    }
}

/// Dot products in sixteen running sums, one register of the sixteen at a time, `[C, R]`.
///
/// # Safety
/// All slices have the same length, and the machine has `S`.
#[inline(always)]
unsafe fn dots<S: Simd, const R: usize, const C: usize>(
    a: [&[f32]; R],
    b: [&[f32]; C],
) -> [[f32; R]; C] {
    let width = LANES / S::PARTS;
    let len = a[0].len();
    let body = len - len % LANES;
    let mut found = [[0.0; R]; C];
    unsafe {
        let mut lanes = [[[0.0f32; LANES]; R]; C];
        for part in 0..S::PARTS {
            let mut sums = [[S::part_zero(); R]; C];
            let mut at = part * width;
            while at < body {
                let mut keys = [S::part_zero(); C];
                for (key, b) in keys.iter_mut().zip(b) {
                    *key = S::part_load(b.as_ptr().add(at));
                }
                for (r, a) in a.into_iter().enumerate() {
                    let query = S::part_load(a.as_ptr().add(at));
                    for (sums, key) in sums.iter_mut().zip(keys) {
                        sums[r] = S::part_fma(query, key, sums[r]);
                    }
                }
                at += LANES;
            }
            for (lanes, sums) in lanes.iter_mut().zip(sums) {
                for (lanes, sum) in lanes.iter_mut().zip(sums) {
                    S::part_store(lanes.as_mut_ptr().add(part * width), sum);
                }
            }
        }
        for ((found, lanes), b) in found.iter_mut().zip(lanes).zip(b) {
            let mut sums = [S::zero(); R];
            for ((sum, lanes), a) in sums.iter_mut().zip(lanes).zip(a) {
                *sum = S::load(lanes.as_ptr());
                if body < len {
                    let a = S::load_part(a.as_ptr().add(body), len - body);
                    let b = S::load_part(b.as_ptr().add(body), len - body);
                    *sum = S::fma(a, b, *sum);
                }
            }
            *found = S::sums(sums);
        }
    }
    found
}
