//! A few rows of inputs: weights are read once and widened in registers, since memory decides.

use super::{
    super::{
        lines::LINE,
        simd::{LANES, Simd, SimdTask},
    },
    Floats, Product,
    source::{Source, SourceTask, part_or_whole, with_source},
};

/// Most rows that are multiplied so.
pub(super) const FEW: usize = 3;

/// Rows of weights that are asked for ahead of their use.
const AHEAD: usize = 4;

/// A product of at most [`FEW`] rows, which lie as they are.
pub(super) struct FewRows<'a>(pub(super) Product<'a>);

impl SimdTask for FewRows<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Product {
            x,
            weight,
            k,
            ref columns,
            ..
        } = self.0;
        assert!(k + (x.rows - 1) * x.stride <= x.values.len());
        assert!(columns.end * k * S::NUMBERS <= weight.len());
        // SAFETY: by the contract.
        unsafe { with_source::<S>(weight, k, self) };
    }
}

impl SourceTask for FewRows<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd, W: Source>(self, weights: W) {
        // Sums that the machine's registers hold: 16 of 8 floats, or 32 of 16.
        let is_wide = S::PARTS == 1;
        // SAFETY (all): the machine has `S`.
        match self.0.x.rows {
            1 if is_wide => unsafe { self.product::<S, W, 1, 8>(weights) },
            // Unpacking needs the registers, and one row of weights after the other is how memory is read ahead best.
            1 if W::UNPACKS && S::REGISTERS == 16 => unsafe { self.product::<S, W, 1, 1>(weights) },
            1 => unsafe { self.product::<S, W, 1, 4>(weights) },
            2 if is_wide => unsafe { self.product::<S, W, 2, 4>(weights) },
            2 => unsafe { self.product::<S, W, 2, 2>(weights) },
            3 if is_wide => unsafe { self.product::<S, W, 3, 4>(weights) },
            3 => unsafe { self.product::<S, W, 3, 2>(weights) },
            rows => unreachable!("{rows} rows are not a few"),
        }
    }
}

impl FewRows<'_> {
    /// # Safety
    /// There are `MR` rows of inputs, and the machine has `S`.
    #[inline(always)]
    unsafe fn product<S: Simd, W: Source, const MR: usize, const NR: usize>(mut self, weights: W) {
        let columns = self.0.columns.clone();
        let mut column = columns.start;
        // SAFETY (both): the columns are the matrix's own.
        while column + NR <= columns.end {
            let sums = unsafe { self.tile::<S, W, MR, NR>(weights, column) };
            for (r, sums) in sums.iter().enumerate() {
                let at = column - columns.start;
                self.0.out.row(r)[at..at + NR].copy_from_slice(sums);
            }
            column += NR;
        }
        while column < columns.end {
            let sums = unsafe { self.tile::<S, W, MR, 1>(weights, column) };
            for (r, [sum]) in sums.into_iter().enumerate() {
                self.0.out.row(r)[column - columns.start] = sum;
            }
            column += 1;
        }
    }

    /// `MR × NR` dot products in sixteen running sums each.
    ///
    /// # Safety
    /// There are `MR` rows of inputs and `NR` rows of weights from `column`, and the machine has `S`.
    #[inline(always)]
    unsafe fn tile<S: Simd, W: Source, const MR: usize, const NR: usize>(
        &self,
        weights: W,
        column: usize,
    ) -> [[f32; NR]; MR] {
        let (k, Floats { values, stride, .. }) = (self.0.k, self.0.x);
        let mut found = [[0.0; NR]; MR];
        unsafe {
            let x = values.as_ptr();
            let mut sums = [[S::zero(); NR]; MR];
            let mut rows = [weights.row(column); NR];
            for (c, row) in rows.iter_mut().enumerate() {
                *row = weights.row(column + c);
            }
            let mut at = 0;
            while at + 2 * LANES <= k {
                for (c, row) in rows.iter_mut().enumerate() {
                    if W::FETCHES {
                        // The rows that come next; at the end of the matrix, beyond it.
                        for line in (0..W::PAIR).step_by(LINE) {
                            let ahead = AHEAD.max(NR) * weights.row_bytes() + line;
                            S::fetch(row.wrapping_add(ahead));
                        }
                    }
                    let [first, second] = W::pair::<S>(*row);
                    *row = row.add(W::PAIR);
                    for (r, sums) in sums.iter_mut().enumerate() {
                        let x = x.add(r * stride + at);
                        sums[c] = S::fma(S::load(x), first, sums[c]);
                        sums[c] = S::fma(S::load(x.add(LANES)), second, sums[c]);
                    }
                }
                at += 2 * LANES;
            }
            while at < k {
                let rest = LANES.min(k - at);
                for (c, row) in rows.iter_mut().enumerate() {
                    let w = W::rest::<S>(*row, rest);
                    *row = row.wrapping_add(W::PAIR / 2);
                    for (r, sums) in sums.iter_mut().enumerate() {
                        let x = part_or_whole::<S>(x.add(r * stride + at), rest);
                        sums[c] = S::fma(x, w, sums[c]);
                    }
                }
                at += rest;
            }
            for (found, sums) in found.iter_mut().zip(sums) {
                *found = S::sums(sums);
            }
        }
        found
    }
}
