//! y = x Wᵀ for weights that lie row by row, from one row of x (decoding) to thousands (prefill).
//!
//! Each output is one dot product with sixteen running sums and a scalar tail, always in the same order: a row's result
//! is the same bit for bit whether it is computed alone or among others, on one thread or on many.

use rayon::prelude::*;

#[cfg(target_arch = "x86_64")]
use super::amx;
use super::{
    output::SharedOut,
    rows::Rows,
    simd::{InstructionSet, LANES, Simd, SimdTask, with_simd},
};
use crate::{
    blocks::{BLOCK, BlockType, SCALE_BYTES},
    precision::ComputeType,
};

/// Weight rows per task; they stay in the first- or second-level cache while all rows of x pass.
const COLUMN_BLOCK: usize = 32;
/// Rows of x per task, so that they stay in the second-level cache.
const ROW_BLOCK: usize = 128;
/// Multiply-adds below which threads cost more than they bring (measured on 2 cores: one fork-join is about 5 µs).
const SERIAL_BELOW: usize = 64 * 1024;

/// `x [n, k]`, `weight [m, k]` → `[n, m]`.
///
/// `--compute bf16` rounds `x` first.
pub(crate) fn linear(
    set: InstructionSet,
    compute: ComputeType,
    x: &[f32],
    weight: Rows<'_>,
    k: usize,
) -> Vec<f32> {
    #[cfg(target_arch = "x86_64")]
    if set == InstructionSet::Amx && amx::multiplies(compute, weight, k, x.len() / k) {
        return amx::linear(compute, x, weight, k);
    }
    match compute {
        ComputeType::F32 => matmul_rows(set, x, weight, k),
        ComputeType::Bf16 => {
            let mut rounded = x.to_vec();
            round_to_bf16(&mut rounded);
            matmul_rows(set, &rounded, weight, k)
        }
    }
}

/// Rounds values to the nearest bf16.
pub(crate) fn round_to_bf16(values: &mut [f32]) {
    for value in values {
        *value = half::bf16::from_f32(*value).to_f32();
    }
}

/// `x [n, k]`, `weight [m, k]` → `[n, m]` in vector registers.
fn matmul_rows(set: InstructionSet, x: &[f32], weight: Rows<'_>, k: usize) -> Vec<f32> {
    let (n, m) = (x.len() / k, weight.len() / k);
    let mut out = vec![0.0f32; n * m];
    let shared = SharedOut::new(&mut out);
    let tasks: Vec<(usize, usize)> = (0..n.div_ceil(ROW_BLOCK))
        .flat_map(|row| (0..m.div_ceil(COLUMN_BLOCK)).map(move |column| (row, column)))
        .collect();
    let run = |(row, column): (usize, usize)| {
        let rows = row * ROW_BLOCK..((row + 1) * ROW_BLOCK).min(n);
        let columns = column * COLUMN_BLOCK..((column + 1) * COLUMN_BLOCK).min(m);
        let x = &x[rows.start * k..rows.end * k];
        let first = rows.start;
        block(set, x, weight, k, columns.clone(), |i, j, value| {
            // SAFETY: tasks cover disjoint rectangles of the output, so each element has one writer.
            unsafe { shared.write((first + i) * m + columns.start + j, value) };
        });
    };
    if n * m * k < SERIAL_BELOW {
        tasks.into_iter().for_each(run);
    } else {
        tasks.into_par_iter().for_each(run);
    }
    out
}

/// Computes x · Wᵀ for a few weight rows and hands each result to `write(row of x, column from columns.start, value)`.
pub(crate) fn block(
    set: InstructionSet,
    x: &[f32],
    weight: Rows<'_>,
    k: usize,
    columns: std::ops::Range<usize>,
    mut write: impl FnMut(usize, usize, f32),
) {
    let n = x.len() / k;
    let width = columns.len();
    match weight {
        Rows::F32(w) => {
            let w = &w[columns.start * k..columns.end * k];
            with_simd(
                set,
                Product {
                    x,
                    w,
                    k,
                    write: &mut write,
                },
            );
        }
        // Few rows: widen in registers, since each weight is read once or twice.
        Rows::Bf16(w) if n < 4 => {
            let w = &w[columns.start * k..columns.end * k];
            with_simd(
                set,
                ProductBf16 {
                    x,
                    w,
                    k,
                    write: &mut write,
                },
            );
        }
        Rows::Blocks(kind, bytes) if n < 4 => {
            let w = &bytes[kind.row_bytes(columns.start * k)..kind.row_bytes(columns.end * k)];
            with_simd(
                set,
                ProductBlocks {
                    x,
                    w,
                    kind,
                    k,
                    write: &mut write,
                },
            );
        }
        // Many rows: widen the block once, then use it from the cache.
        Rows::Bf16(_) | Rows::Blocks(..) => {
            let mut widened = vec![0.0f32; width * k];
            weight.widen_into(columns.start * k, &mut widened);
            with_simd(
                set,
                Product {
                    x,
                    w: &widened,
                    k,
                    write: &mut write,
                },
            );
        }
    }
}

struct Product<'a, W> {
    x: &'a [f32],
    w: &'a [f32],
    k: usize,
    write: &'a mut W,
}

impl<W: FnMut(usize, usize, f32)> SimdTask for Product<'_, W> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Self { x, w, k, write } = self;
        let (n, m) = (x.len() / k, w.len() / k);
        let mut i = 0;
        // SAFETY (all tiles): the row numbers stay below n and m, so every pointer reads within its slice.
        while i + 4 <= n {
            let mut j = 0;
            while j + 4 <= m {
                unsafe { tile::<S, 4, 4>(x, w, k, i, j, write) };
                j += 4;
            }
            while j < m {
                unsafe { tile::<S, 4, 1>(x, w, k, i, j, write) };
                j += 1;
            }
            i += 4;
        }
        while i < n {
            let mut j = 0;
            while j + 8 <= m {
                unsafe { tile::<S, 1, 8>(x, w, k, i, j, write) };
                j += 8;
            }
            while j < m {
                unsafe { tile::<S, 1, 1>(x, w, k, i, j, write) };
                j += 1;
            }
            i += 1;
        }
    }
}

/// `MR × NR` dot products at once, so that each load serves several of them.
///
/// # Safety
/// `i + MR ≤ rows of x`, `j + NR ≤ rows of w`, and the machine has `S`.
#[inline(always)]
unsafe fn tile<S: Simd, const MR: usize, const NR: usize>(
    x: &[f32],
    w: &[f32],
    k: usize,
    i: usize,
    j: usize,
    write: &mut impl FnMut(usize, usize, f32),
) {
    unsafe {
        let mut sums = [[S::zero(); NR]; MR];
        let xs: [*const f32; MR] = std::array::from_fn(|r| x.as_ptr().add((i + r) * k));
        let ws: [*const f32; NR] = std::array::from_fn(|c| w.as_ptr().add((j + c) * k));
        let body = k - k % LANES;
        let mut at = 0;
        while at < body {
            let wv: [S::V; NR] = std::array::from_fn(|c| S::load(ws[c].add(at)));
            for r in 0..MR {
                let xv = S::load(xs[r].add(at));
                for c in 0..NR {
                    sums[r][c] = S::fma(xv, wv[c], sums[r][c]);
                }
            }
            at += LANES;
        }
        for r in 0..MR {
            let totals = S::sums(sums[r]);
            for c in 0..NR {
                let mut tail = 0.0f32;
                for t in body..k {
                    tail = S::fma1(*xs[r].add(t), *ws[c].add(t), tail);
                }
                write(i + r, j + c, totals[c] + tail);
            }
        }
    }
}

struct ProductBf16<'a, W> {
    x: &'a [f32],
    w: &'a [half::bf16],
    k: usize,
    write: &'a mut W,
}

impl<W: FnMut(usize, usize, f32)> SimdTask for ProductBf16<'_, W> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Self { x, w, k, write } = self;
        let (n, m) = (x.len() / k, w.len() / k);
        for i in 0..n {
            let mut j = 0;
            // SAFETY (both): i < n and j + width ≤ m, so every pointer reads within its slice.
            while j + 8 <= m {
                unsafe { tile_bf16::<S, 8>(x, w, k, i, j, write) };
                j += 8;
            }
            while j < m {
                unsafe { tile_bf16::<S, 1>(x, w, k, i, j, write) };
                j += 1;
            }
        }
    }
}

/// One row of x against `NR` rows of bf16 weights, widened in registers; the same sums as [`tile`].
///
/// # Safety
/// As for [`tile`].
#[inline(always)]
unsafe fn tile_bf16<S: Simd, const NR: usize>(
    x: &[f32],
    w: &[half::bf16],
    k: usize,
    i: usize,
    j: usize,
    write: &mut impl FnMut(usize, usize, f32),
) {
    unsafe {
        let mut sums = [S::zero(); NR];
        let xs = x.as_ptr().add(i * k);
        let ws: [*const half::bf16; NR] = std::array::from_fn(|c| w.as_ptr().add((j + c) * k));
        let body = k - k % LANES;
        let mut at = 0;
        while at < body {
            let xv = S::load(xs.add(at));
            for c in 0..NR {
                sums[c] = S::fma(xv, S::load_bf16(ws[c].add(at)), sums[c]);
            }
            at += LANES;
        }
        for c in 0..NR {
            let mut tail = 0.0f32;
            for t in body..k {
                tail = S::fma1(*xs.add(t), (*ws[c].add(t)).to_f32(), tail);
            }
            write(i, j + c, S::sum(sums[c]) + tail);
        }
    }
}

struct ProductBlocks<'a, W> {
    x: &'a [f32],
    w: &'a [u8],
    kind: BlockType,
    k: usize,
    write: &'a mut W,
}

impl<W: FnMut(usize, usize, f32)> SimdTask for ProductBlocks<'_, W> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let row_bytes = self.kind.row_bytes(self.k);
        let (n, m) = (self.x.len() / self.k, self.w.len() / row_bytes);
        for i in 0..n {
            let x = &self.x[i * self.k..(i + 1) * self.k];
            let mut j = 0;
            // SAFETY (all): the rows j and after are whole blocks, as many as x has, and the machine has `S`.
            while j + 4 <= m {
                let w = &self.w[j * row_bytes..(j + 4) * row_bytes];
                let sums = unsafe { blocks_tile::<S, 4>(x, w, self.kind) };
                for (c, sum) in sums.into_iter().enumerate() {
                    (self.write)(i, j + c, sum);
                }
                j += 4;
            }
            while j < m {
                let w = &self.w[j * row_bytes..(j + 1) * row_bytes];
                let [sum] = unsafe { blocks_tile::<S, 1>(x, w, self.kind) };
                (self.write)(i, j, sum);
                j += 1;
            }
        }
    }
}

/// One row of x against `NR` rows of blocks. Weights are scale · integer, which f32 holds exactly, so the sums are those
/// of [`tile`] with the same weights widened.
///
/// # Safety
/// `w` are `NR` rows of as many blocks as `x` has, and the machine has `S`.
#[inline(always)]
unsafe fn blocks_tile<S: Simd, const NR: usize>(x: &[f32], w: &[u8], kind: BlockType) -> [f32; NR] {
    let row_bytes = w.len() / NR;
    unsafe {
        let mut sums = [S::zero(); NR];
        for block in 0..x.len() / BLOCK {
            let xs = x.as_ptr().add(block * BLOCK);
            let xs = [S::load(xs), S::load(xs.add(LANES))];
            for (c, sum) in sums.iter_mut().enumerate() {
                let w = w.as_ptr().add(c * row_bytes + block * kind.bytes());
                // The rows that come next; at the end of the matrix, beyond it.
                S::fetch(w.wrapping_add(NR * row_bytes));
                let scale = S::splat_f16(w);
                let integers = w.add(SCALE_BYTES);
                let weights = match kind {
                    BlockType::Q8 => [S::load_i8(integers), S::load_i8(integers.add(LANES))],
                    BlockType::Q4 => S::load_i4(integers),
                };
                for (x, w) in xs.into_iter().zip(weights) {
                    *sum = S::fma(x, S::mul(w, scale), *sum);
                }
            }
        }
        S::sums(sums)
    }
}

#[cfg(test)]
pub(super) mod tests;
