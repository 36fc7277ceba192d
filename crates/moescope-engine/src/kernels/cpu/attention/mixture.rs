//! Values mixed by their probabilities.

use std::ops::Range;

use super::{
    super::simd::{LANES, Simd},
    Heads,
};
use crate::kernels::KeyRange;

/// Σ of probability · value for `R` rows at once, over some of the keys.
pub(super) struct Mixture<'a, const R: usize> {
    /// The keys of each row among these.
    pub(super) ranges: [KeyRange; R],
    /// Probabilities of the keys from `first`.
    pub(super) weights: [&'a [f32]; R],
    pub(super) first: usize,
}

impl<const R: usize> Mixture<'_, R> {
    /// Adds to `out [R, V]`.
    ///
    /// # Safety
    /// The machine has `S`.
    #[inline(always)]
    pub(super) unsafe fn mix<S: Simd>(&self, values: Heads<'_>, out: &mut [f32]) {
        const WIDE: usize = 4;
        assert!(out.len() >= R * values.width);
        for (KeyRange { first, end }, weights) in self.ranges.iter().zip(self.weights) {
            assert!(*first >= self.first && end - self.first <= weights.len());
            assert!(*end <= values.end());
        }
        let out = out.as_mut_ptr();
        let mut at = 0;
        // SAFETY (all): the dimensions from `at` are within the values' width, and the ranges within the values.
        // Narrow registers hold no more sums than those of sixteen dimensions.
        while S::PARTS == 1 && at + WIDE * LANES <= values.width {
            unsafe { self.mix_part::<S, WIDE>(values, at, LANES, out) };
            at += WIDE * LANES;
        }
        while at < values.width {
            let rest = LANES.min(values.width - at);
            unsafe { self.mix_part::<S, 1>(values, at, rest, out) };
            at += rest;
        }
    }

    /// `C` vectors of dimensions from `at`, of which the last has `n`: keys that all rows see are read once for all of
    /// them.
    ///
    /// # Safety
    /// The ranges are those of [`Self::mix`], `out` are `R` rows; the dimensions are within the width, and only one vector may have less than sixteen.
    #[inline(always)]
    unsafe fn mix_part<S: Simd, const C: usize>(
        &self,
        values: Heads<'_>,
        at: usize,
        n: usize,
        out: *mut f32,
    ) {
        let firsts = self.ranges.iter().map(|range| range.first);
        let ends = self.ranges.iter().map(|range| range.end);
        let (first, end) = (firsts.max().unwrap_or(0), ends.min().unwrap_or(0));
        let first = first.min(end);
        // SAFETY (all): by the contract; keys are within the ranges.
        unsafe {
            let mut sums = [[S::zero(); C]; R];
            for (r, sums) in sums.iter_mut().enumerate() {
                *sums = load::<S, C>(out.add(r * values.width + at), n);
            }
            for (r, sums) in sums.iter_mut().enumerate() {
                let own = self.ranges[r].first;
                self.add_own::<S, C>(r, own..first.max(own), values, (at, n), sums);
            }
            for key in first..end {
                let value = load::<S, C>(values.start(key).add(at), n);
                for (r, sums) in sums.iter_mut().enumerate() {
                    let weight = *self.weights[r].as_ptr().add(key - self.first);
                    add::<S, C>(weight, &value, sums);
                }
            }
            for (r, sums) in sums.iter_mut().enumerate() {
                let own = self.ranges[r];
                self.add_own::<S, C>(r, end.max(own.first)..own.end, values, (at, n), sums);
                let out = out.add(r * values.width + at);
                if n == LANES {
                    for (c, sum) in sums.iter().enumerate() {
                        S::store(out.add(c * LANES), *sum);
                    }
                } else {
                    let mut lanes = [0.0f32; LANES];
                    S::store(lanes.as_mut_ptr(), sums[0]);
                    std::ptr::copy_nonoverlapping(lanes.as_ptr(), out, n);
                }
            }
        }
    }

    /// Adds keys that not all rows see to one of them.
    ///
    /// # Safety
    /// As for [`Self::mix_part`]; the keys are among the row's.
    #[inline(always)]
    unsafe fn add_own<S: Simd, const C: usize>(
        &self,
        r: usize,
        keys: Range<usize>,
        values: Heads<'_>,
        (at, n): (usize, usize),
        sums: &mut [S::V; C],
    ) {
        for key in keys {
            // SAFETY: by the contract.
            unsafe {
                let value = load::<S, C>(values.start(key).add(at), n);
                let weight = *self.weights[r].as_ptr().add(key - self.first);
                add::<S, C>(weight, &value, sums);
            }
        }
    }
}

/// Adds a row's share of a key's value.
///
/// # Safety
/// The machine has `S`.
#[inline(always)]
unsafe fn add<S: Simd, const C: usize>(weight: f32, value: &[S::V; C], sums: &mut [S::V; C]) {
    // SAFETY: by the contract.
    unsafe {
        let weight = S::splat(weight);
        for (sum, value) in sums.iter_mut().zip(value) {
            *sum = S::fma(weight, *value, *sum);
        }
    }
}

/// `C` vectors, of which the last has `n` floats.
///
/// # Safety
/// They can be read, only one may have less than sixteen, and the machine has `S`.
#[inline(always)]
unsafe fn load<S: Simd, const C: usize>(p: *const f32, n: usize) -> [S::V; C] {
    // SAFETY: by the contract.
    unsafe {
        let mut vectors = [S::zero(); C];
        if n == LANES {
            for (c, vector) in vectors.iter_mut().enumerate() {
                *vector = S::load(p.add(c * LANES));
            }
        } else {
            vectors[0] = S::load_part(p, n);
        }
        vectors
    }
}
