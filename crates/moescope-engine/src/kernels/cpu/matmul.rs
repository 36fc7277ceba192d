//! y = x Wᵀ for weights that lie row by row, from one row of x (decoding) to thousands (prefill).
//!
//! Each output is one dot product with sixteen running sums and a scalar tail, always in the same order: a row's result
//! is the same bit for bit whether it is computed alone or among others, on one thread or on many.

use rayon::prelude::*;

use super::{
    output::SharedOut,
    rows::Rows,
    simd::{InstructionSet, LANES, Simd, SimdTask, with_simd},
};

/// Weight rows per task; they stay in the first- or second-level cache while all rows of x pass.
const COLUMN_BLOCK: usize = 32;
/// Rows of x per task, so that they stay in the second-level cache.
const ROW_BLOCK: usize = 128;
/// Multiply-adds below which threads cost more than they bring (measured on 2 cores: one fork-join is about 5 µs).
const SERIAL_BELOW: usize = 64 * 1024;

/// `x [n, k]`, `weight [m, k]` → `[n, m]`.
pub(crate) fn matmul_rows(set: InstructionSet, x: &[f32], weight: Rows<'_>, k: usize) -> Vec<f32> {
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
            for c in 0..NR {
                let mut tail = 0.0f32;
                for t in body..k {
                    tail = S::fma1(*xs[r].add(t), *ws[c].add(t), tail);
                }
                write(i + r, j + c, S::sum(sums[r][c]) + tail);
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

#[cfg(test)]
mod tests {
    use half::bf16;
    use rand::{RngExt as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn random(rng: &mut ChaCha8Rng, len: usize) -> Vec<f32> {
        (0..len).map(|_| rng.random_range(-1.0f32..1.0)).collect()
    }

    /// The meaning of the kernel, in f64.
    fn oracle(x: &[f32], w: &[f32], k: usize) -> Vec<f64> {
        x.chunks(k)
            .flat_map(|row| {
                w.chunks(k).map(move |column| {
                    row.iter()
                        .zip(column)
                        .map(|(a, b)| f64::from(*a) * f64::from(*b))
                        .sum()
                })
            })
            .collect()
    }

    #[test]
    fn every_instruction_set_agrees_with_the_plain_product() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for set in InstructionSet::available() {
            for (n, m, k) in [
                (1, 1, 1),
                (1, 9, 24),
                (3, 5, 100),
                (4, 4, 16),
                (7, 33, 37),
                (130, 65, 48),
            ] {
                let (x, w) = (random(&mut rng, n * k), random(&mut rng, m * k));
                let rounded: Vec<bf16> = w.iter().map(|v| bf16::from_f32(*v)).collect();
                let widened: Vec<f32> = rounded.iter().map(|v| v.to_f32()).collect();
                for (rows, plain) in [(Rows::F32(&w), &w), (Rows::Bf16(&rounded), &widened)] {
                    let got = matmul_rows(set, &x, rows, k);
                    for (a, b) in got.iter().zip(oracle(&x, plain, k)) {
                        assert!(
                            (f64::from(*a) - b).abs() < 1e-4,
                            "{set:?} {n}x{m}x{k}: {a} against {b}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn a_row_alone_gives_the_same_bits_as_among_others() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let (n, m, k) = (261, 70, 116);
        let (x, w) = (random(&mut rng, n * k), random(&mut rng, m * k));
        let w: Vec<bf16> = w.iter().map(|v| bf16::from_f32(*v)).collect();
        for set in InstructionSet::available() {
            let all = matmul_rows(set, &x, Rows::Bf16(&w), k);
            for row in [0, 3, 127, 128, 260] {
                let alone = matmul_rows(set, &x[row * k..(row + 1) * k], Rows::Bf16(&w), k);
                assert_eq!(alone, all[row * m..(row + 1) * m], "{set:?} row {row}");
            }
        }
    }
}
