//! One block of a product: two tiles of weights with two tiles of tokens, over all inputs.

use std::arch::x86_64::{
    _mm512_add_ps, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_set1_ps, _mm512_storeu_ps,
};

use super::{
    tiles::{Results, TILE_ROWS, TILE_TOKENS, TILE_VALUES, TileUnit, TokenTiles, WeightTiles},
    weights::Scratch,
};

/// Steps whose products are summed in the tile registers before they join the total.
///
/// A tile register adds one product after the other. Sums of 16 · 32 inputs that are then added keep the error of an
/// f32 product as small as sixteen running sums do.
const STEPS_PER_SUM: usize = 16;
/// Pairs of inputs of a step.
const STEP_PAIRS: usize = 16;

/// What the blocks of one task share.
pub(super) struct Multiplier {
    unit: TileUnit,
    part: Results,
    /// The last block's results.
    pub(super) total: Results,
}

impl Multiplier {
    /// # Safety
    /// `support::is_available` has said yes, and this thread has no other.
    pub(super) unsafe fn new() -> Self {
        Self {
            // SAFETY: by the contract.
            unit: unsafe { TileUnit::new() },
            part: Results::new(),
            total: Results::new(),
        }
    }

    /// total = weights · activations; `scales` of a scratch buffer multiply the sums of each step, where it has them.
    ///
    /// # Safety
    /// The weights are `steps` steps long (as are the scales), the activations `steps` steps of `pieces` tiles.
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn multiply(
        &mut self,
        weights: WeightTiles,
        scratch: &Scratch,
        activations: TokenTiles,
        steps: usize,
        pieces: usize,
    ) {
        let (is_exact, has_scales) = (pieces > 1, !scratch.scales.is_empty());
        if !is_exact && !has_scales {
            // SAFETY: by the contract.
            unsafe {
                self.unit
                    .multiply::<1>(weights, activations, steps, &mut self.total);
            };
            return;
        }
        let steps_per_sum = if has_scales { 1 } else { STEPS_PER_SUM };
        let tiles = if activations.tokens[1] == 0 { 2 } else { 4 };
        self.total.0[..tiles * TILE_VALUES].fill(0.0);
        let mut at = 0;
        while at < steps {
            let count = steps_per_sum.min(steps - at);
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
                self.add_scaled(scales, tiles);
            } else {
                self.add(tiles);
            }
            at += count;
        }
    }

    /// total += part
    #[target_feature(enable = "avx512f")]
    fn add(&mut self, tiles: usize) {
        let len = tiles * TILE_VALUES;
        let totals = self.total.0[..len].chunks_exact_mut(16);
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
    fn add_scaled(&mut self, scales: &[f32], tiles: usize) {
        for tile in 0..tiles {
            // Tiles 0 and 1 are the two tiles of weights, 2 and 3 the same with other tokens.
            let scales = &scales[tile % 2 * TILE_ROWS..][..TILE_ROWS];
            let range = tile * TILE_VALUES..(tile + 1) * TILE_VALUES;
            let totals = self.total.0[range.clone()].chunks_exact_mut(TILE_TOKENS);
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
