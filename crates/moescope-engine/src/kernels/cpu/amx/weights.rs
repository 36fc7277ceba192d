//! Weights in the order that tiles want: bf16 where it lies, other types brought into a scratch buffer.

use std::arch::x86_64::{
    __m512i, _mm_loadu_si128, _mm256_and_si256, _mm256_cvtepu8_epi16, _mm256_set1_epi16,
    _mm256_srli_epi16, _mm512_castsi256_si512, _mm512_cvtepi8_epi32, _mm512_cvtepi32_ps,
    _mm512_inserti64x4, _mm512_loadu_ps, _mm512_loadu_si512, _mm512_permutexvar_epi16,
    _mm512_storeu_si512,
};

use std::ops::Range;

use half::{bf16, f16};

use super::{
    tiles::{TILE_INPUTS, TILE_ROWS, WeightTiles},
    vectors::to_bf16,
};
use crate::{
    blocks::{BLOCK, BlockType, SCALE_BYTES},
    kernels::cpu::rows::Rows,
};

/// Bytes of 32 inputs of a row.
const STEP_BYTES: usize = 2 * TILE_INPUTS;
/// Rows of two tiles, each a line of the cache per step.
const STEP_LINES: usize = 2 * TILE_ROWS;

/// Two tiles' rows of one matrix, or of two.
#[derive(Clone, Copy)]
pub(super) struct TileRows<'a> {
    pub(super) matrices: [Rows<'a>; 2],
    /// First row of each tile.
    pub(super) first: [usize; 2],
    /// Rows of each tile, at most 16.
    pub(super) count: [usize; 2],
    /// Inputs: a multiple of 32.
    pub(super) inputs: usize,
}

/// A line of the cache: 32 inputs of a row.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([bf16; TILE_INPUTS]);

impl Line {
    const ZERO: Self = Self([bf16::ZERO; TILE_INPUTS]);
}

/// Memory for weights that do not lie as tiles want them.
#[derive(Default)]
pub(super) struct Scratch {
    /// `[steps, 2, 16, 32]` in lines of the cache.
    values: Vec<Line>,
    /// Of blocks: the factor of each row, `[steps, 2, 16]`; empty where the values are the weights.
    pub(super) scales: Vec<f32>,
}

impl<'a> TileRows<'a> {
    /// 32 rows from `first` of one matrix, as far as there are `end` rows.
    pub(super) fn of_one(matrix: Rows<'a>, inputs: usize, first: usize, end: usize) -> Self {
        let firsts = [first, (first + TILE_ROWS).min(end)];
        Self {
            matrices: [matrix; 2],
            first: firsts,
            count: firsts.map(|first| TILE_ROWS.min(end - first)),
            inputs,
        }
    }

    /// Whether tiles are read where the weights lie.
    ///
    /// Checkpoints put tensors at any address. A row of a tile that lies across two lines of the cache takes two reads,
    /// so weights that are read more than once are brought into line first.
    fn are_in_place(&self, are_reused: bool) -> bool {
        const LINE: usize = 64;
        let is_aligned = |rows: &Rows<'_>| match rows {
            Rows::Bf16(values) => (values.as_ptr() as usize).is_multiple_of(LINE),
            _ => false,
        };
        if are_reused && !self.matrices.iter().all(is_aligned) {
            return false;
        }
        self.count == [TILE_ROWS; 2]
            && self
                .matrices
                .iter()
                .all(|rows| matches!(rows, Rows::Bf16(_)))
    }

    /// Tiles for the tile registers of some steps of 32 inputs; rows that are missing are zeros.
    ///
    /// # Safety
    /// The machine has AVX-512 with bf16.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    pub(super) unsafe fn tiles(
        &self,
        part: Range<usize>,
        are_reused: bool,
        scratch: &mut Scratch,
    ) -> WeightTiles {
        if self.are_in_place(are_reused) {
            let start = |tile: usize| match self.matrices[tile] {
                Rows::Bf16(values) => {
                    let rows = &values[self.first[tile] * self.inputs..][..TILE_ROWS * self.inputs];
                    rows[part.start * TILE_INPUTS..].as_ptr().cast()
                }
                _ => unreachable!("in place is bf16 alone"),
            };
            scratch.scales.clear();
            return WeightTiles {
                tiles: [start(0), start(1)],
                row_stride: 2 * self.inputs,
                step: STEP_BYTES,
            };
        }
        let steps = part.len();
        let is_blocks = matches!(self.matrices[0], Rows::Blocks(..));
        scratch.values.resize(steps * STEP_LINES, Line::ZERO);
        scratch.scales.clear();
        if is_blocks {
            scratch.scales.resize(steps * 2 * TILE_ROWS, 0.0);
        }
        for tile in 0..2 {
            for row in 0..TILE_ROWS {
                let place = tile * TILE_ROWS + row;
                if row >= self.count[tile] {
                    clear_row(place, steps, scratch);
                    continue;
                }
                let start = (self.first[tile] + row) * self.inputs + part.start * TILE_INPUTS;
                // SAFETY: the row is inside the matrix, the machine has the instructions.
                unsafe { fill_row(self.matrices[tile], start, place, steps, scratch) };
            }
        }
        let first: *const u8 = scratch.values.as_ptr().cast();
        WeightTiles {
            // SAFETY: the second tile follows the first within the buffer.
            tiles: [first, unsafe { first.add(TILE_ROWS * STEP_BYTES) }],
            row_stride: STEP_BYTES,
            step: 2 * TILE_ROWS * STEP_BYTES,
        }
    }
}

fn clear_row(place: usize, steps: usize, scratch: &mut Scratch) {
    for step in 0..steps {
        scratch.values[step * STEP_LINES + place] = Line::ZERO;
    }
}

/// Brings one row, from value `start` of its matrix, into the scratch buffer.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn fill_row(
    rows: Rows<'_>,
    start: usize,
    place: usize,
    steps: usize,
    scratch: &mut Scratch,
) {
    let Scratch { values, scales } = scratch;
    let mut put = |step: usize, piece: __m512i| {
        let line = &mut values[step * STEP_LINES + place];
        // SAFETY: a line has room for 32 values.
        unsafe { _mm512_storeu_si512(line.0.as_mut_ptr().cast(), piece) };
    };
    match rows {
        Rows::F32(weights) => {
            let weights = &weights[start..start + steps * TILE_INPUTS];
            for (step, weights) in weights.chunks_exact(TILE_INPUTS).enumerate() {
                // SAFETY: a chunk is 32 values.
                let [low, high] =
                    [0, 16].map(|at| unsafe { _mm512_loadu_ps(weights.as_ptr().add(at)) });
                put(step, to_bf16(low, high));
            }
        }
        Rows::Bf16(weights) => {
            let weights = &weights[start..start + steps * TILE_INPUTS];
            for (step, weights) in weights.chunks_exact(TILE_INPUTS).enumerate() {
                // SAFETY: a chunk is 32 values.
                put(step, unsafe { _mm512_loadu_si512(weights.as_ptr().cast()) });
            }
        }
        Rows::Blocks(kind, bytes) => {
            let from = start / BLOCK * kind.bytes();
            let bytes = &bytes[from..from + steps * kind.bytes()];
            for (step, block) in bytes.chunks_exact(kind.bytes()).enumerate() {
                scales[step * 2 * TILE_ROWS + place] =
                    f16::from_le_bytes([block[0], block[1]]).to_f32();
                // SAFETY: a block holds its integers after its scale.
                put(step, unsafe { integers(kind, &block[SCALE_BYTES..]) });
            }
        }
    }
}

/// The 32 integers of a block as bf16, which holds every integer up to 256 exactly.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn integers(kind: BlockType, packed: &[u8]) -> __m512i {
    /// bf16 of −8 … 7.
    const FOUR_BITS: [u16; 32] = {
        let mut table = [0u16; 32];
        let integers: [f32; 16] = [
            -8.0, -7.0, -6.0, -5.0, -4.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0,
        ];
        let mut i = 0;
        while i < 32 {
            table[i] = (integers[i % 16].to_bits() >> 16) as u16;
            i += 1;
        }
        table
    };
    match kind {
        BlockType::Q8 => {
            assert!(packed.len() >= BLOCK);
            // SAFETY: by the assertion, 32 bytes are readable.
            unsafe {
                let [low, high] = [0, 16].map(|at| {
                    let bytes = _mm_loadu_si128(packed.as_ptr().add(at).cast());
                    _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes))
                });
                to_bf16(low, high)
            }
        }
        BlockType::Q4 => {
            assert!(packed.len() >= BLOCK / 2);
            // SAFETY: by the assertion, 16 bytes are readable; the table is 64 bytes.
            unsafe {
                let both = _mm256_cvtepu8_epi16(_mm_loadu_si128(packed.as_ptr().cast()));
                let low = _mm256_and_si256(both, _mm256_set1_epi16(15));
                let high = _mm256_srli_epi16::<4>(both);
                let places = _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high);
                let table = _mm512_loadu_si512(FOUR_BITS.as_ptr().cast());
                _mm512_permutexvar_epi16(places, table)
            }
        }
    }
}
