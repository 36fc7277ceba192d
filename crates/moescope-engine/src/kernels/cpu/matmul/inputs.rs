//! Inputs of a product, rounded as they are multiplied and in the order in which they are.

use std::ops::Range;

#[cfg(target_arch = "x86_64")]
use super::super::integers::{self, IntegerPiece, IntegerRows};
use super::{
    super::{
        lines::Lines,
        output::SharedOut,
        simd::{InstructionSet, LANES, Simd, SimdTask, with_simd},
        team,
    },
    COLUMN_BLOCK,
    few::FEW,
    rounding::Rounding,
    source::part_or_whole,
};
use crate::blocks::BLOCK;

/// Rows of a tile of inputs.
pub(super) const TILE_ROWS: usize = 4;
/// Most inputs of a chunk, of which a part is in the first-level cache at a time.
const DEPTH: usize = 2048;
/// Most rows of a piece.
const PIECE_ROWS: usize = 128;
/// Values below which threads cost more than they bring.
const SERIAL_BELOW: usize = 32 * 1024;

/// Inputs that are multiplied before the next row's, of `padded` in all: equal chunks of a tile of inputs of which one
/// part stays in the first-level cache, and of a task's weights, which stay in the second.
pub(super) fn chunk_len<S: Simd>(padded: usize) -> usize {
    // Pairs are mostly multiplied where they lie, so that a tile of inputs has the first-level cache for itself.
    let has_wide_weights = S::PARTS == 1 && S::NUMBERS == 1;
    let most = if has_wide_weights { DEPTH / 2 } else { DEPTH };
    // Whole blocks of weights, wherever a chunk begins.
    let chunks = padded.div_ceil(most);
    padded.div_ceil(chunks).next_multiple_of(BLOCK).min(padded)
}

/// Cuts a run of rows into the pieces that tasks multiply: as few as there can be, of equal numbers of tiles.
pub(crate) fn pieces(rows: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let (end, pieces) = (rows.end, rows.len().div_ceil(PIECE_ROWS).max(1));
    let size = rows.len().div_ceil(pieces).next_multiple_of(TILE_ROWS);
    rows.step_by(size.max(1))
        .map(move |first| first..(first + size).min(end))
}

/// `[n, k]`, cut into pieces of rows.
///
/// Integers lie as they are, and so do floats where they are few. Two bf16 side by side count as one float. A piece of
/// more than [`FEW`] rows lies tile by tile (four rows, or what is left), a tile chunk by chunk ([`chunk_len`] inputs, or
/// what is left), a chunk by the registers of sixteen inputs, and of each register all steps of all rows. So a tile is
/// read from front to end. Rows are filled up with zeros to a multiple of sixteen.
pub(crate) struct Inputs<'a> {
    values: Values<'a>,
    /// Floats per row.
    stride: usize,
}

enum Values<'a> {
    AsTheyAre(&'a [f32]),
    Arranged(Lines),
    #[cfg(target_arch = "x86_64")]
    Pairs(Lines),
    #[cfg(target_arch = "x86_64")]
    Integers(IntegerRows),
}

/// A piece of [`Inputs`].
#[derive(Clone, Copy)]
pub(crate) enum Piece<'a> {
    /// Floats.
    Floats(Floats<'a>),
    /// Two bf16 in place of each float.
    #[cfg(target_arch = "x86_64")]
    Pairs(Floats<'a>),
    /// What blocks of weights are multiplied with.
    #[cfg(target_arch = "x86_64")]
    Integers(IntegerPiece<'a>),
}

/// A piece of floats.
#[derive(Clone, Copy)]
pub(crate) struct Floats<'a> {
    pub(super) values: &'a [f32],
    pub(super) rows: usize,
    pub(super) stride: usize,
}

impl<'a> Inputs<'a> {
    /// A few rows as they are.
    pub(super) fn few(x: &'a [f32], k: usize) -> Self {
        Self {
            values: Values::AsTheyAre(x),
            stride: k,
        }
    }

    /// Rounds and arranges the rows of `pieces`, which cover all rows in order; `fill` writes one row of `k` inputs.
    pub(crate) fn arranged(
        set: InstructionSet,
        rounding: Rounding,
        pieces: &[Range<usize>],
        k: usize,
        fill: impl Fn(usize, &mut [f32]) + Sync,
    ) -> Self {
        let rows = pieces.last().map_or(0, |piece| piece.end);
        #[cfg(target_arch = "x86_64")]
        if rounding == Rounding::Integers {
            return Self {
                // SAFETY: there is this rounding only where AVX2 was detected.
                values: Values::Integers(unsafe { IntegerRows::rounded(rows, k, fill) }),
                stride: k,
            };
        }
        let width = k / rounding.numbers();
        let stride = width.next_multiple_of(LANES);
        // Fills a row and rounds it in place, which leaves `width` floats.
        let fill = |row: usize, out: &mut [f32]| {
            fill(row, out);
            rounding.round(out);
        };
        let mut values = Lines::zeros(rows * stride);
        let shared = SharedOut::new(&mut values);
        let tiles: Vec<(Range<usize>, bool)> = pieces
            .iter()
            .flat_map(|piece| {
                let (end, is_few) = (piece.end, piece.len() <= FEW);
                let firsts = piece.clone().step_by(TILE_ROWS);
                firsts.map(move |first| (first..(first + TILE_ROWS).min(end), is_few))
            })
            .collect();
        let work = |plain: &mut Vec<f32>, (tile, is_few): (Range<usize>, bool)| {
            // SAFETY: every tile has its own rows.
            let out = unsafe { shared.range(tile.start * stride, tile.len() * stride) };
            plain.resize(TILE_ROWS * k, 0.0);
            let rows = tile.len();
            for (row, plain) in tile.zip(plain.chunks_mut(k)) {
                fill(row, plain);
            }
            if is_few {
                for (plain, out) in plain.chunks(k).zip(out.chunks_mut(stride)) {
                    out[..width].copy_from_slice(&plain[..width]);
                }
            } else {
                let arrange = Arrange {
                    plain,
                    apart: k,
                    k: width,
                    rows,
                    out,
                };
                with_simd(set, arrange);
            }
        };
        if rows * k < SERIAL_BELOW {
            let mut plain = Vec::new();
            tiles.into_iter().for_each(|tile| work(&mut plain, tile));
        } else {
            team::for_each_init(tiles.len(), Vec::new, |plain, tile| {
                work(plain, tiles[tile].clone());
            });
        }
        #[cfg(target_arch = "x86_64")]
        if rounding == Rounding::Pairs {
            return Self {
                values: Values::Pairs(values),
                stride,
            };
        }
        Self {
            values: Values::Arranged(values),
            stride,
        }
    }

    /// One of the pieces that these inputs were cut into.
    pub(crate) fn piece(&self, rows: Range<usize>) -> Piece<'_> {
        match &self.values {
            Values::AsTheyAre(values) => Piece::Floats(self.floats(values, rows)),
            Values::Arranged(values) => Piece::Floats(self.floats(values, rows)),
            #[cfg(target_arch = "x86_64")]
            Values::Pairs(values) => Piece::Pairs(self.floats(values, rows)),
            #[cfg(target_arch = "x86_64")]
            Values::Integers(integers) => Piece::Integers(integers.piece(rows)),
        }
    }

    fn floats<'v>(&self, values: &'v [f32], rows: Range<usize>) -> Floats<'v> {
        Floats {
            values: &values[rows.start * self.stride..rows.end * self.stride],
            rows: rows.len(),
            stride: self.stride,
        }
    }

    /// Weight rows per task: whole tiles of columns, and few enough that their sums stay in the second-level cache.
    pub(crate) fn column_block(&self) -> usize {
        match &self.values {
            #[cfg(target_arch = "x86_64")]
            Values::Integers(_) => integers::COLUMN_BLOCK,
            _ => COLUMN_BLOCK,
        }
    }
}

/// Puts the rows of a tile into their order.
struct Arrange<'a> {
    /// `[rows, k]`, rows lying `apart`.
    plain: &'a [f32],
    apart: usize,
    k: usize,
    rows: usize,
    out: &'a mut [f32],
}

impl SimdTask for Arrange<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let width = LANES / S::PARTS;
        let padded = self.k.next_multiple_of(LANES);
        assert!(self.k <= self.apart && self.plain.len() >= self.rows * self.apart);
        assert_eq!(self.out.len(), self.rows * padded);
        let chunk = chunk_len::<S>(padded);
        for first in (0..padded).step_by(chunk) {
            let steps = chunk.min(padded - first) / LANES;
            for r in 0..self.rows {
                for step in 0..steps {
                    let at = first + step * LANES;
                    // SAFETY: `at` is below k, and the chunk's places are within the tile's output.
                    unsafe {
                        let from = self.plain.as_ptr().add(r * self.apart + at);
                        let x = part_or_whole::<S>(from, LANES.min(self.k - at));
                        let chunk = self.out.as_mut_ptr().add(first * self.rows);
                        let to = chunk.add((step * self.rows + r) * width);
                        S::store_parts(to, steps * self.rows * width, x);
                    }
                }
            }
        }
    }
}
