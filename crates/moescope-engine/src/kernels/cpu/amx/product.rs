//! Panels of a product: blocks of two tiles of weights with all tokens of a group, in an order that suits the caches.
//!
//! The order in which a result's products are added does not depend on how a panel is cut.

use std::{
    arch::x86_64::{
        _mm512_add_ps, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_set1_ps, _mm512_storeu_ps,
    },
    ops::Range,
};

use super::{
    operand::Operand,
    tiles::{Results, TILE_ROWS, TILE_TOKENS, TILE_VALUES, TileUnit, TokenTiles, WeightTiles},
    weights::{Scratch, TileRows},
};

/// Steps whose products are summed in the tile registers before they join the total, where precision is to be f32's.
///
/// A tile register adds one product after the other. Sums of 16 · 32 inputs that are then added keep the error of an
/// f32 product as small as sixteen running sums do.
const STEPS_PER_SUM: usize = 16;
/// Pairs of inputs of a step.
const STEP_PAIRS: usize = 16;
/// Tiles of tokens whose results are kept at a time.
const MOST_TILES: usize = 16;
/// Bytes of activations that stay in the second-level cache while a panel's rows pass.
const TOKEN_BYTES: usize = 768 << 10;
/// Bytes of a tile of activations for one step and piece.
const TILE_STEP_BYTES: usize = 1024;

/// What the products of one task share.
pub(super) struct Multiplier {
    unit: TileUnit,
    part: Results,
    scratch: Scratch,
    /// Of each block with each pair of tiles of tokens.
    results: Vec<Results>,
}

impl Multiplier {
    /// # Safety
    /// `support::is_available` has said yes, and this thread has no other.
    pub(super) unsafe fn new() -> Self {
        Self {
            // SAFETY: by the contract.
            unit: unsafe { TileUnit::new() },
            part: Results::ZERO,
            scratch: Scratch::default(),
            results: Vec::new(),
        }
    }

    /// Multiplies blocks of weights with all tokens of a group and hands each result on, as `each(block, first of two
    /// tiles of tokens, results)`.
    ///
    /// # Safety
    /// The machine has tile registers, and the weights have as many inputs as the activations.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    pub(super) unsafe fn multiply_panel(
        &mut self,
        x: &Operand,
        group: usize,
        blocks: &[TileRows<'_>],
        mut each: impl FnMut(usize, usize, &Results),
    ) {
        let (all_steps, pieces, tiles) = (x.shape.steps(), x.shape.pieces, x.shape.tiles(group));
        for first in (0..tiles).step_by(MOST_TILES) {
            let pairs: Vec<usize> = (first..tiles.min(first + MOST_TILES)).step_by(2).collect();
            let mut results = std::mem::take(&mut self.results);
            results.clear();
            results.resize(blocks.len() * pairs.len(), Results::ZERO);
            let fitting = TOKEN_BYTES / (2 * pairs.len() * pieces * TILE_STEP_BYTES);
            let size = (fitting / STEPS_PER_SUM).max(1) * STEPS_PER_SUM;
            for start in (0..all_steps).step_by(size) {
                let part = start..(start + size).min(all_steps);
                for (block, rows) in blocks.iter().enumerate() {
                    let mut scratch = std::mem::take(&mut self.scratch);
                    // SAFETY: the part lies within the rows.
                    let weights =
                        unsafe { rows.tiles(part.clone(), pairs.len() > 1, &mut scratch) };
                    let results = &mut results[block * pairs.len()..(block + 1) * pairs.len()];
                    for (tile, results) in pairs.iter().zip(results) {
                        let tokens = x.pair_of_tiles(group, *tile, part.start);
                        // SAFETY: weights and activations have the steps of the part.
                        unsafe {
                            self.multiply(weights, &scratch, tokens, part.clone(), pieces, results);
                        }
                    }
                    self.scratch = scratch;
                }
            }
            for (block, results) in results.chunks(pairs.len()).enumerate() {
                for (tile, results) in pairs.iter().zip(results) {
                    each(block, *tile, results);
                }
            }
            self.results = results;
        }
    }

    /// total += weights · activations; `scales` of a scratch buffer multiply the sums of each step, where it has them.
    #[target_feature(enable = "avx512f")]
    unsafe fn multiply(
        &mut self,
        weights: WeightTiles,
        scratch: &Scratch,
        activations: TokenTiles,
        part: Range<usize>,
        pieces: usize,
        total: &mut Results,
    ) {
        let (is_exact, has_scales, steps) = (pieces > 1, !scratch.scales.is_empty(), part.len());
        if !is_exact && !has_scales {
            // SAFETY: by the contract.
            unsafe {
                self.unit.multiply::<1>(weights, activations, steps, total);
            }
            return;
        }
        let steps_per_sum = if has_scales { 1 } else { STEPS_PER_SUM };
        let tiles = if activations.tokens[1] == 0 { 2 } else { 4 };
        let mut at = 0;
        while at < steps {
            let count = steps_per_sum.min(steps - at);
            self.part.0[..tiles * TILE_VALUES].fill(0.0);
            // SAFETY: the pointers stay within what the contract gives, since at + count ≤ steps.
            unsafe {
                let weights = WeightTiles {
                    tiles: weights.tiles.map(|tile| tile.add(at * weights.step)),
                    ..weights
                };
                let tokens = activations.tokens;
                let skip = |number: usize| {
                    activations.tiles[number].add(at * pieces * STEP_PAIRS * tokens[number])
                };
                let activations = TokenTiles {
                    tiles: [skip(0), skip(1)],
                    tokens,
                };
                if is_exact {
                    self.unit
                        .multiply::<3>(weights, activations, count, &mut self.part);
                } else {
                    self.unit
                        .multiply::<1>(weights, activations, count, &mut self.part);
                }
            }
            if has_scales {
                let scales = &scratch.scales[at * 2 * TILE_ROWS..(at + 1) * 2 * TILE_ROWS];
                self.add_scaled(scales, tiles, total);
            } else {
                self.add(tiles, total);
            }
            at += count;
        }
    }

    /// total += part
    #[target_feature(enable = "avx512f")]
    fn add(&self, tiles: usize, total: &mut Results) {
        let len = tiles * TILE_VALUES;
        let totals = total.0[..len].chunks_exact_mut(16);
        for (total, part) in totals.zip(self.part.0[..len].chunks_exact(16)) {
            // SAFETY: chunks are 16 values.
            unsafe {
                let sum = _mm512_add_ps(
                    _mm512_loadu_ps(total.as_ptr()),
                    _mm512_loadu_ps(part.as_ptr()),
                );
                _mm512_storeu_ps(total.as_mut_ptr(), sum);
            }
        }
    }

    /// total += scale of the row · part
    #[target_feature(enable = "avx512f")]
    fn add_scaled(&self, scales: &[f32], tiles: usize, total: &mut Results) {
        for tile in 0..tiles {
            // Tiles 0 and 1 are the two tiles of weights, 2 and 3 the same with other tokens.
            let scales = &scales[tile % 2 * TILE_ROWS..][..TILE_ROWS];
            let range = tile * TILE_VALUES..(tile + 1) * TILE_VALUES;
            let totals = total.0[range.clone()].chunks_exact_mut(TILE_TOKENS);
            let parts = self.part.0[range].chunks_exact(TILE_TOKENS);
            for ((total, part), scale) in totals.zip(parts).zip(scales) {
                // SAFETY: chunks are 16 values.
                unsafe {
                    let sum = _mm512_fmadd_ps(
                        _mm512_set1_ps(*scale),
                        _mm512_loadu_ps(part.as_ptr()),
                        _mm512_loadu_ps(total.as_ptr()),
                    );
                    _mm512_storeu_ps(total.as_mut_ptr(), sum);
                }
            }
        }
    }
}
