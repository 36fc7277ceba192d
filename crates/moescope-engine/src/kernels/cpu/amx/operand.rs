//! Activations in the order that tiles want: groups of 16 tokens, two neighbouring inputs side by side.

use std::{
    arch::x86_64::{
        __m512i, _mm512_castsi512_ps, _mm512_loadu_ps, _mm512_mask_storeu_epi32, _mm512_or_si512,
        _mm512_setzero_si512, _mm512_slli_epi32, _mm512_storeu_si512, _mm512_sub_ps,
    },
    ops::Range,
};

use rayon::prelude::*;

use super::{
    tiles::{TILE_INPUTS, TILE_ROWS, TILE_TOKENS, TILE_VALUES, TokenTiles},
    vectors::{Remainder, to_bf16_bits, transpose},
};
use crate::kernels::cpu::output::SharedOut;

/// Values below which threads cost more than they bring.
const SERIAL_BELOW: usize = 32 * 1024;

/// Activations `[tokens, inputs]`, in one piece (rounded to bf16) or in three (exact), grouped by expert.
///
/// A tile of c tokens is `[steps, pieces, 16, c]` pairs of bf16, c being 16 for all tiles but the last of a group.
pub(super) struct Operand {
    pub(super) pairs: Vec<u32>,
    pub(super) shape: OperandShape,
}

/// Where an operand's tiles are.
pub(super) struct OperandShape {
    pub(super) inputs: usize,
    pub(super) pieces: usize,
    /// First row of each group, and one past the last row.
    pub(super) offsets: Vec<usize>,
}

impl OperandShape {
    /// Pairs per token.
    fn token_pairs(&self) -> usize {
        self.inputs / 2 * self.pieces
    }

    /// Pairs of all tokens.
    pub(super) fn len(&self) -> usize {
        self.offsets.last().copied().unwrap_or(0) * self.token_pairs()
    }

    /// 32 inputs at a time.
    pub(super) fn steps(&self) -> usize {
        self.inputs / TILE_INPUTS
    }

    /// Number of tiles in a group.
    pub(super) fn tiles(&self, group: usize) -> usize {
        (self.offsets[group + 1] - self.offsets[group]).div_ceil(TILE_TOKENS)
    }

    /// The rows of a tile; empty beyond the last.
    pub(super) fn rows(&self, group: usize, tile: usize) -> Range<usize> {
        let end = self.offsets[group + 1];
        let first = (self.offsets[group] + tile * TILE_TOKENS).min(end);
        first..(first + TILE_TOKENS).min(end)
    }

    /// Tiles of all groups, as group and number.
    fn all_tiles(&self) -> Vec<(usize, usize)> {
        (0..self.offsets.len() - 1)
            .flat_map(|group| (0..self.tiles(group)).map(move |tile| (group, tile)))
            .collect()
    }
}

impl Operand {
    /// Takes rows apart; `row(i)` gives the inputs of row i.
    pub(super) fn of<'a>(shape: OperandShape, row: impl Fn(usize) -> &'a [f32] + Sync) -> Self {
        let mut pairs = Vec::new();
        // SAFETY: the tiles cover all tokens, and nothing is read.
        let out = unsafe { SharedOut::unwritten(&mut pairs, shape.len()) };
        let fill = |(group, tile): (usize, usize)| {
            let rows = shape.rows(group, tile);
            let start = rows.start * shape.token_pairs();
            // SAFETY: every tile has its own part of the pairs.
            let out = unsafe { out.range(start, rows.len() * shape.token_pairs()) };
            let rows: Vec<&[f32]> = rows.map(&row).collect();
            // SAFETY: operands are only made on machines with tile registers, which have AVX-512 with bf16.
            unsafe { fill_tile(&rows, shape.pieces, out) };
        };
        let tiles = shape.all_tiles();
        if shape.len() < SERIAL_BELOW {
            tiles.into_iter().for_each(fill);
        } else {
            tiles.into_par_iter().for_each(fill);
        }
        // SAFETY: every pair has been written.
        unsafe { pairs.set_len(shape.len()) };
        Self { pairs, shape }
    }

    /// Two neighbouring tiles of a group from a step of 32 inputs, the second empty beyond the last.
    pub(super) fn pair_of_tiles(&self, group: usize, tile: usize, step: usize) -> TokenTiles {
        let rows = [tile, tile + 1].map(|tile| self.shape.rows(group, tile));
        let start = |rows: &Range<usize>| {
            let before = step * self.shape.pieces * TILE_ROWS;
            rows.start * self.shape.token_pairs() + before * rows.len()
        };
        TokenTiles {
            tiles: [&rows[0], &rows[1]].map(|rows| self.pairs[start(rows)..].as_ptr()),
            tokens: rows.map(|rows| rows.len()),
        }
    }
}

/// Takes up to 16 rows apart into one tile.
///
/// # Safety
/// The machine has AVX-512 with bf16.
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn fill_tile(rows: &[&[f32]], pieces: usize, out: &mut [u32]) {
    let tokens = rows.len();
    let inputs = rows[0].len();
    for (step, out) in (0..inputs)
        .step_by(TILE_INPUTS)
        .zip(out.chunks_mut(pieces * TILE_ROWS * tokens))
    {
        let mut rest = [Remainder::none(); TILE_TOKENS];
        for (rest, row) in rest.iter_mut().zip(rows) {
            // SAFETY: the slice is 32 inputs.
            *rest = unsafe { Remainder::load(row[step..step + TILE_INPUTS].as_ptr()) };
        }
        for out in out.chunks_mut(TILE_ROWS * tokens) {
            let mut columns = [_mm512_setzero_si512(); TILE_TOKENS];
            for (column, rest) in columns.iter_mut().zip(&mut rest) {
                *column = rest.take_piece();
            }
            if tokens == 1 {
                // SAFETY: the tile of one token is 16 pairs.
                unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), columns[0]) };
            } else {
                transpose(&mut columns);
                for (row, out) in columns.iter().zip(out.chunks_mut(tokens)) {
                    // SAFETY: the mask is as wide as the row.
                    unsafe { store_tokens(out.as_mut_ptr(), tokens, *row) };
                }
            }
        }
    }
}

/// Writes the first `tokens` of sixteen pairs.
///
/// # Safety
/// `out` has room for `tokens` pairs.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn store_tokens(out: *mut u32, tokens: usize, row: __m512i) {
    let mask = u16::MAX >> (TILE_TOKENS - tokens);
    // SAFETY: the mask leaves out what is beyond the room.
    unsafe { _mm512_mask_storeu_epi32(out.cast(), mask, row) };
}

/// Where the results of one tile of outputs go in the next product's operand.
pub(super) struct TilePlace {
    pub(super) group: usize,
    pub(super) tile: usize,
    /// The first of the 16 outputs, which are inputs there.
    pub(super) first_input: usize,
}

/// Puts a tile of values `[16 inputs, 16 tokens]` into an operand.
///
/// # Safety
/// No other task writes these inputs of these tokens, and the machine has AVX-512 with bf16.
#[target_feature(enable = "avx512f,avx512bf16")]
pub(super) unsafe fn put_tile(
    values: &[f32; TILE_VALUES],
    place: &TilePlace,
    shape: &OperandShape,
    out: &SharedOut<'_, u32>,
) {
    let rows = shape.rows(place.group, place.tile);
    let tokens = rows.len();
    let (step, row_in_step) = (
        place.first_input / TILE_INPUTS,
        place.first_input % TILE_INPUTS / 2,
    );
    let tile_start = rows.start * shape.token_pairs();
    for pair in 0..TILE_ROWS / 2 {
        // SAFETY: a tile holds 16 rows of 16 values.
        let mut rest = [2 * pair, 2 * pair + 1]
            .map(|row| unsafe { _mm512_loadu_ps(values.as_ptr().add(row * TILE_TOKENS)) });
        for piece in 0..shape.pieces {
            let bits = rest.map(|values| to_bf16_bits(values));
            for (rest, bits) in rest.iter_mut().zip(bits) {
                let widened = _mm512_slli_epi32::<16>(bits);
                *rest = _mm512_sub_ps(*rest, _mm512_castsi512_ps(widened));
            }
            let both = _mm512_or_si512(bits[0], _mm512_slli_epi32::<16>(bits[1]));
            let row = (step * shape.pieces + piece) * TILE_ROWS + row_in_step + pair;
            // SAFETY: each row of a tile is written by the task that has its inputs.
            unsafe {
                let out = out.range(tile_start + row * tokens, tokens);
                store_tokens(out.as_mut_ptr(), tokens, both);
            }
        }
    }
}
