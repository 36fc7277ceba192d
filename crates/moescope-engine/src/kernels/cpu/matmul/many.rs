//! Many rows of inputs: weights are widened once for all of them, and tiles of sums stay in registers.
//!
//! Sixteen running sums per result do not fit the registers of narrow machines for more than a few results, so a tile
//! is computed one register of the sixteen at a time. Sums wait in memory while other inputs are multiplied.

use std::{cell::RefCell, ops::Range};

use super::{
    super::{
        lines::{LINE, Lines},
        simd::{LANES, Simd, SimdTask},
    },
    Floats, Product,
    inputs::{TILE_ROWS, chunk_len},
    source::{Source, SourceTask, with_source},
};
use crate::blocks::BLOCK;

thread_local! {
    /// Memory that the tasks of a thread use one after the other.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

#[derive(Default)]
struct Scratch {
    /// A chunk of the task's weights.
    weights: Lines,
    /// Sixteen sums of every result.
    sums: Lines,
}

/// A product of many rows, which lie tile by tile.
pub(super) struct ManyRows<'a>(pub(super) Product<'a>);

impl SimdTask for ManyRows<'_> {
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
        assert_eq!(x.stride, k.next_multiple_of(LANES));
        assert_eq!(x.values.len(), x.rows * x.stride);
        assert!(columns.end * k * S::NUMBERS <= weight.len());
        // SAFETY: by the contract.
        unsafe { with_source::<S>(weight, k, self) };
    }
}

impl SourceTask for ManyRows<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd, W: Source>(mut self, weights: W) {
        // Taken out, since code in a closure would lose the instruction set.
        let mut scratch = SCRATCH.take();
        // 12 sums, 3 weights and an input are 16 registers; 24 sums, 6 weights and an input are 31.
        // SAFETY (both): by the contract.
        if S::REGISTERS == 32 {
            unsafe { self.product::<S, W, 6>(weights, &mut scratch) };
        } else {
            unsafe { self.product::<S, W, 3>(weights, &mut scratch) };
        }
        SCRATCH.set(scratch);
    }
}

impl ManyRows<'_> {
    /// # Safety
    /// The machine has `S`.
    #[inline(always)]
    unsafe fn product<S: Simd, W: Source, const NR: usize>(
        &mut self,
        weights: W,
        scratch: &mut Scratch,
    ) {
        let Floats { rows, stride, .. } = self.0.x;
        let tiles = self.0.columns.len().div_ceil(NR);
        let chunk = chunk_len::<S>(stride);
        // Where there is one chunk, the sums of a tile of rows are done before the next tile.
        let kept_rows = if chunk < stride { rows } else { TILE_ROWS };
        // Whole tiles of whole registers are read where they lie.
        let are_in_place = W::LIES_AS_MULTIPLIED
            && self.0.k.is_multiple_of(LANES)
            && self.0.columns.len().is_multiple_of(NR);
        if !are_in_place {
            scratch.weights.grow(tiles * NR * chunk);
        }
        scratch.sums.grow(kept_rows * tiles * NR * LANES);
        let sums = scratch.sums.as_mut_ptr();
        let width = LANES / S::PARTS;
        for first in (0..stride).step_by(chunk) {
            let depth = chunk.min(stride - first);
            let w = if are_in_place {
                let rows: *const f32 = weights.row(self.0.columns.start).cast();
                WeightTiles::InPlace(rows.wrapping_add(first), self.0.k)
            } else {
                WeightTiles::Arranged(scratch.weights.as_mut_ptr())
            };
            let step = Chunk {
                x: self.0.x.values.as_ptr(),
                w,
                tiles,
                steps: depth / LANES,
                is_first: first == 0,
            };
            // SAFETY: the scratch has room for a chunk of every tile of columns, and for the sums.
            unsafe {
                if let WeightTiles::Arranged(w) = w {
                    for (number, column) in self.0.columns.clone().enumerate() {
                        let to = w.add(number / NR * NR * depth + number % NR * width);
                        self.widen::<S, W, NR>(weights, column, first..first + depth, to);
                    }
                }
                for row in (0..rows).step_by(TILE_ROWS) {
                    self.fetch_next::<S, W>(weights, first + depth, row);
                    let mr = TILE_ROWS.min(rows - row);
                    let kept = if chunk < stride { row } else { 0 };
                    let sums = sums.add(kept * tiles * NR * LANES);
                    let step = Chunk {
                        x: step.x.add(row * stride + mr * first),
                        ..step
                    };
                    match mr {
                        1 => step.multiply::<S, 1, NR>(sums),
                        2 => step.multiply::<S, 2, NR>(sums),
                        3 => step.multiply::<S, 3, NR>(sums),
                        _ => step.multiply::<S, TILE_ROWS, NR>(sums),
                    }
                    if first + depth == stride {
                        match mr {
                            1 => self.write_sums::<S, 1, NR>(row, sums),
                            2 => self.write_sums::<S, 2, NR>(row, sums),
                            3 => self.write_sums::<S, 3, NR>(row, sums),
                            _ => self.write_sums::<S, TILE_ROWS, NR>(row, sums),
                        }
                    }
                }
            }
        }
    }

    /// Widens inputs `chunk` of one row of weights, the registers of sixteen apart from one another.
    ///
    /// # Safety
    /// `to` has room for the row in a chunk of `NR` rows, and the machine has `S`.
    #[inline(always)]
    unsafe fn widen<S: Simd, W: Source, const NR: usize>(
        &self,
        weights: W,
        column: usize,
        chunk: Range<usize>,
        to: *mut f32,
    ) {
        let step = NR * (LANES / S::PARTS);
        let part = chunk.len() / LANES * step;
        let end = chunk.end.min(self.0.k);
        let mut from = weights
            .row(column)
            .wrapping_add(chunk.start / BLOCK * W::PAIR);
        let (mut at, mut to) = (chunk.start, to);
        unsafe {
            while at + 2 * LANES <= end {
                let [first, second] = W::pair::<S>(from);
                S::store_parts(to, part, first);
                S::store_parts(to.add(step), part, second);
                from = from.add(W::PAIR);
                to = to.add(2 * step);
                at += 2 * LANES;
            }
            while at < end {
                let rest = LANES.min(end - at);
                S::store_parts(to, part, W::rest::<S>(from, rest));
                from = from.wrapping_add(W::PAIR / 2);
                to = to.wrapping_add(step);
                at += rest;
            }
        }
    }

    /// Asks for a tile's share of the weights that are multiplied after these.
    ///
    /// # Safety
    /// The machine has `S`.
    #[inline(always)]
    unsafe fn fetch_next<S: Simd, W: Source>(&self, weights: W, next: usize, row: usize) {
        let (tile, tiles) = (row / TILE_ROWS, self.0.x.rows.div_ceil(TILE_ROWS));
        let count = self.0.columns.len();
        // The same rows further on, or the start of the rows after them.
        let (column, at) = if next < self.0.k {
            (self.0.columns.start, next)
        } else {
            (self.0.columns.end, 0)
        };
        let len = chunk_len::<S>(self.0.x.stride).min(self.0.k - at);
        let bytes = len.div_ceil(BLOCK) * W::PAIR;
        for number in tile * count / tiles..(tile + 1) * count / tiles {
            let start = weights
                .row(column + number)
                .wrapping_add(at / BLOCK * W::PAIR);
            for line in (0..bytes).step_by(LINE) {
                // SAFETY: an address to fetch need not exist.
                unsafe { S::fetch(start.wrapping_add(line)) };
            }
        }
    }

    /// Writes the results of a tile of rows.
    ///
    /// # Safety
    /// `sums` are those of the tile, and the machine has `S`.
    #[inline(always)]
    unsafe fn write_sums<S: Simd, const MR: usize, const NR: usize>(
        &mut self,
        row: usize,
        sums: *const f32,
    ) {
        let count = self.0.columns.len();
        for column in 0..count {
            let tile = column / NR * MR * NR + column % NR;
            let mut vectors = [unsafe { S::zero() }; MR];
            for (r, vector) in vectors.iter_mut().enumerate() {
                // SAFETY: the place is one of the tile's results.
                *vector = unsafe { S::load(sums.add((tile + r * NR) * LANES)) };
            }
            // SAFETY: the machine has `S`.
            for (r, sum) in unsafe { S::sums(vectors) }.into_iter().enumerate() {
                self.0.out.row(row + r)[column] = sum;
            }
        }
    }
}

/// A tile of rows of inputs and all tiles of weights, some inputs of each.
#[derive(Clone, Copy)]
struct Chunk {
    /// Registers of `[steps, MR]`, one part after the other.
    x: *const f32,
    w: WeightTiles,
    tiles: usize,
    steps: usize,
    is_first: bool,
}

/// A chunk of the weights of every tile.
#[derive(Clone, Copy)]
enum WeightTiles {
    /// Registers of `[tiles, parts, steps, NR]`.
    Arranged(*mut f32),
    /// The first of `tiles · NR` rows in the matrix, at any address, and places to the next row.
    InPlace(*const f32, usize),
}

impl Chunk {
    /// Adds the products to `sums [tiles, MR, NR, 16]`, one part of all tiles after the other, so that a part of the
    /// inputs stays in the first-level cache.
    ///
    /// # Safety
    /// Inputs, weights and sums are as many as their shapes say, and the machine has `S`.
    #[inline(always)]
    unsafe fn multiply<S: Simd, const MR: usize, const NR: usize>(self, sums: *mut f32) {
        let width = LANES / S::PARTS;
        let step = self.steps * width;
        for part in 0..S::PARTS {
            for tile in 0..self.tiles {
                // SAFETY: by the contract.
                unsafe {
                    let x = self.x.add(part * MR * step);
                    let sums = sums.add(tile * MR * NR * LANES + part * width);
                    match self.w {
                        WeightTiles::Arranged(w) => {
                            let w = w.add((tile * S::PARTS + part) * NR * step);
                            self.tile::<S, MR, NR>(x, w, [width, NR * width], sums);
                        }
                        WeightTiles::InPlace(rows, row) => {
                            let w = rows.add(tile * NR * row);
                            self.tile::<S, MR, NR>(x, w, [row, LANES], sums);
                        }
                    }
                }
            }
        }
    }

    /// `row` and `step` are the floats to the next row of weights, and to the next step of inputs.
    ///
    /// # Safety
    /// `x` and `w` are the registers of a part, `sums` the places of the part, and the machine has `S`.
    #[inline(always)]
    unsafe fn tile<S: Simd, const MR: usize, const NR: usize>(
        &self,
        mut x: *const f32,
        mut w: *const f32,
        [row, step]: [usize; 2],
        place: *mut f32,
    ) {
        let width = LANES / S::PARTS;
        // SAFETY (all): by the contract.
        unsafe {
            let mut sums = [[S::part_zero(); NR]; MR];
            if !self.is_first {
                for (r, sums) in sums.iter_mut().enumerate() {
                    for (c, sum) in sums.iter_mut().enumerate() {
                        *sum = S::part_load(place.add((r * NR + c) * LANES));
                    }
                }
            }
            for _ in 0..self.steps {
                let mut weights = [S::part_zero(); NR];
                for (c, weight) in weights.iter_mut().enumerate() {
                    *weight = S::part_load(w.add(c * row));
                }
                for (r, sums) in sums.iter_mut().enumerate() {
                    let input = S::part_load(x.add(r * width));
                    for (sum, weight) in sums.iter_mut().zip(weights) {
                        *sum = S::part_fma(input, weight, *sum);
                    }
                }
                x = x.add(MR * width);
                w = w.wrapping_add(step);
            }
            for (r, sums) in sums.into_iter().enumerate() {
                for (c, sum) in sums.into_iter().enumerate() {
                    S::part_store(place.add((r * NR + c) * LANES), sum);
                }
            }
        }
    }
}
