//! y = x Wᵀ for weights that lie row by row, from one row of x (decoding) to thousands (prefill).
//!
//! Each output is one dot product with sixteen running sums, always in the same order (or with exact sums of blocks, see
//! `integers`): a row's result is the same bit for bit whether it is computed alone or among others, on one thread or on
//! many.

mod few;
mod inputs;
mod many;
mod rounding;
mod source;

use std::ops::Range;

#[cfg(target_arch = "x86_64")]
use super::{amx, integers, simd::with_pairs};
use super::{
    output::{Rectangle, SharedOut},
    rows::Rows,
    simd::{InstructionSet, with_simd},
    team,
};
use few::{FEW, FewRows};
use inputs::Floats;
pub(super) use inputs::{Inputs, Piece, pieces};
use many::ManyRows;
pub(super) use rounding::Rounding;

use crate::precision::ComputeType;

/// Weight rows per task: whole tiles of columns, and few enough that their sums stay in the second-level cache.
const COLUMN_BLOCK: usize = 24;
/// Multiply-adds below which threads cost more than they bring (measured on 2 cores: one fork-join is about 5 µs).
const SERIAL_BELOW: usize = 64 * 1024;

/// `x [n, k]`, `weight [m, k]` → `[n, m]`.
///
/// `--compute bf16` rounds `x` first ([`Rounding`]).
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
    let (n, m) = (x.len() / k, weight.len() / k);
    let pieces: Vec<Range<usize>> = pieces(0..n).collect();
    let rounding = Rounding::of(set, compute, [weight], k);
    let inputs = if n <= FEW && rounding == Rounding::Exact {
        Inputs::few(x, k)
    } else {
        Inputs::arranged(set, rounding, &pieces, k, |row, out| {
            out.copy_from_slice(&x[row * k..(row + 1) * k]);
        })
    };
    let column_block = inputs.column_block();
    let mut out = vec![0.0f32; n * m];
    let shared = SharedOut::new(&mut out);
    // All rows of x pass a block of weights before the next one is read.
    let tasks: Vec<(Range<usize>, Range<usize>)> = (0..m)
        .step_by(column_block)
        .map(|first| first..(first + column_block).min(m))
        .flat_map(|columns| {
            pieces
                .iter()
                .map(move |rows| (rows.clone(), columns.clone()))
        })
        .collect();
    let run = |(rows, columns): (Range<usize>, Range<usize>)| {
        let piece = inputs.piece(rows.clone());
        // SAFETY: tasks cover disjoint rectangles of the output.
        let out = unsafe { shared.rectangle(m, rows, columns.clone()) };
        block(set, piece, weight, k, columns, out);
    };
    if n * m * k < SERIAL_BELOW {
        tasks.into_iter().for_each(run);
    } else {
        team::for_each(tasks.len(), |task| run(tasks[task].clone()));
    }
    out
}

/// Computes x · Wᵀ for a few weight rows.
pub(super) fn block(
    set: InstructionSet,
    x: Piece<'_>,
    weight: Rows<'_>,
    k: usize,
    columns: Range<usize>,
    out: Rectangle<'_>,
) {
    let x = match x {
        Piece::Floats(x) => x,
        #[cfg(target_arch = "x86_64")]
        Piece::Integers(x) => {
            let Rows::Blocks(kind, bytes) = weight else {
                unreachable!("activations are rounded to integers for blocks alone")
            };
            // SAFETY: there are integers only where AVX2, FMA and F16C were detected.
            return unsafe { integers::multiply(set, x, kind, bytes, columns, out) };
        }
        #[cfg(target_arch = "x86_64")]
        Piece::Pairs(x) => {
            let product = Product {
                x,
                weight,
                k: k / 2,
                columns,
                out,
            };
            // SAFETY (both): there are pairs only where AVX-512 with bf16 was detected.
            return if x.rows <= FEW {
                unsafe { with_pairs(FewRows(product)) }
            } else {
                unsafe { with_pairs(ManyRows(product)) }
            };
        }
    };
    let product = Product {
        x,
        weight,
        k,
        columns,
        out,
    };
    if x.rows <= FEW {
        with_simd(set, FewRows(product));
    } else {
        with_simd(set, ManyRows(product));
    }
}

/// A piece of inputs times some rows of weights.
struct Product<'a> {
    x: Floats<'a>,
    weight: Rows<'a>,
    /// Places of a row: inputs, or pairs of them.
    k: usize,
    columns: Range<usize>,
    /// `[rows of x, columns]`
    out: Rectangle<'a>,
}

#[cfg(test)]
pub(super) mod tests;
