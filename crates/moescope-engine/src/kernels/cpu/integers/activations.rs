//! Activations as integers of 16 bits.

use std::{
    arch::x86_64::{
        _mm_add_epi32, _mm_cvtsi128_si32, _mm_max_epi32, _mm_shuffle_epi32, _mm_unpackhi_epi64,
        _mm256_add_epi32, _mm256_and_si256, _mm256_castps_si256, _mm256_castsi256_si128,
        _mm256_cvtps_epi32, _mm256_extracti128_si256, _mm256_loadu_ps, _mm256_madd_epi16,
        _mm256_max_epi32, _mm256_mul_ps, _mm256_packs_epi32, _mm256_permute4x64_epi64,
        _mm256_set1_epi16, _mm256_set1_epi32, _mm256_set1_ps, _mm256_store_si256,
    },
    ops::Range,
};

use super::{
    super::{output::SharedOut, team},
    EIGHT,
    weights::OFFSET,
};
use crate::blocks::BLOCK;

/// The largest integer.
const LARGEST: f32 = 32767.0;
/// The bits of what is infinite; those of what is no number are more, without the sign.
const INFINITE: i32 = 0x7f80_0000;
/// Values below which threads cost more than they bring.
const SERIAL_BELOW: usize = 32 * 1024;

/// Eight blocks of 32 activations of a row, from the start of a line of the cache.
///
/// A scale is no number where one of the activations is none, or infinite.
#[derive(Clone)]
#[repr(C, align(64))]
pub(super) struct Blocks {
    /// Activations over their scale.
    pub(super) integers: [[i16; BLOCK]; EIGHT],
    /// What one of each block's integers stands for.
    pub(super) scales: [f32; EIGHT],
    /// The sums of each block's integers, times what is added to the integers of `q4`.
    pub(super) offsets: [i32; EIGHT],
}

const ZEROS: Blocks = Blocks {
    integers: [[0; BLOCK]; EIGHT],
    scales: [0.0; EIGHT],
    offsets: [0; EIGHT],
};

/// Rows of activations, filled up with zeros to eights of blocks.
pub(in super::super) struct IntegerRows {
    eights: Vec<Blocks>,
    /// Blocks per row, without those of zeros.
    blocks: usize,
}

/// Some rows of [`IntegerRows`].
#[derive(Clone, Copy)]
pub(in super::super) struct IntegerPiece<'a> {
    eights: &'a [Blocks],
    blocks: usize,
}

impl IntegerRows {
    /// Rounds rows of `k` activations, a multiple of 32; `fill` writes one row.
    ///
    /// # Safety
    /// The machine has AVX2.
    pub(in super::super) unsafe fn rounded(
        rows: usize,
        k: usize,
        fill: impl Fn(usize, &mut [f32]) + Sync,
    ) -> Self {
        let blocks = k / BLOCK;
        let row_len = blocks.div_ceil(EIGHT);
        let mut eights = vec![ZEROS; rows * row_len];
        let shared = SharedOut::new(&mut eights);
        let work = |values: &mut Vec<f32>, row: usize| {
            values.resize(k, 0.0);
            fill(row, values);
            // SAFETY (both): every task has its own row; the machine has AVX2 by the contract.
            unsafe { round_row(values, shared.range(row * row_len, row_len)) };
        };
        if rows * k < SERIAL_BELOW {
            let mut values = Vec::new();
            (0..rows).for_each(|row| work(&mut values, row));
        } else {
            team::for_each_init(rows, Vec::new, work);
        }
        Self { eights, blocks }
    }

    /// Some of the rows.
    pub(in super::super) fn piece(&self, rows: Range<usize>) -> IntegerPiece<'_> {
        let row_len = self.blocks.div_ceil(EIGHT);
        IntegerPiece {
            eights: &self.eights[rows.start * row_len..rows.end * row_len],
            blocks: self.blocks,
        }
    }
}

impl<'a> IntegerPiece<'a> {
    /// Number of rows.
    pub(super) fn rows(self) -> usize {
        self.eights.len() / self.blocks.div_ceil(EIGHT)
    }

    /// Blocks per row.
    pub(super) fn blocks(self) -> usize {
        self.blocks
    }

    /// The blocks of a row.
    #[inline]
    pub(super) fn row(self, row: usize) -> &'a [Blocks] {
        let row_len = self.blocks.div_ceil(EIGHT);
        &self.eights[row * row_len..(row + 1) * row_len]
    }
}

/// # Safety
/// The machine has AVX2.
#[target_feature(enable = "avx2")]
unsafe fn round_row(values: &[f32], eights: &mut [Blocks]) {
    for (number, values) in values.as_chunks::<BLOCK>().0.iter().enumerate() {
        // SAFETY: by the contract.
        unsafe { round_block(values, &mut eights[number / EIGHT], number % EIGHT) };
    }
}

/// scale = largest / 32,767, integers rounded to nearest, ties to even; `to` holds zeros.
///
/// All stay zero where the largest is so small that 32,767 over it is no number (below 10⁻³⁴).
///
/// # Safety
/// The machine has AVX2.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn round_block(values: &[f32; BLOCK], to: &mut Blocks, number: usize) {
    let mut parts = [_mm256_set1_ps(0.0); 4];
    for (number, part) in parts.iter_mut().enumerate() {
        // SAFETY: a block is four registers.
        *part = unsafe { _mm256_loadu_ps(values.as_ptr().add(8 * number)) };
    }
    // Bits without the sign are in the order of the values, and what is no number is the largest.
    let sizes =
        parts.map(|part| _mm256_and_si256(_mm256_castps_si256(part), _mm256_set1_epi32(i32::MAX)));
    let eight = _mm256_max_epi32(
        _mm256_max_epi32(sizes[0], sizes[1]),
        _mm256_max_epi32(sizes[2], sizes[3]),
    );
    let four = _mm_max_epi32(
        _mm256_castsi256_si128(eight),
        _mm256_extracti128_si256::<1>(eight),
    );
    let two = _mm_max_epi32(four, _mm_unpackhi_epi64(four, four));
    let bits = _mm_cvtsi128_si32(_mm_max_epi32(two, _mm_shuffle_epi32::<1>(two)));
    if bits >= INFINITE {
        to.scales[number] = f32::NAN;
        return;
    }
    let largest = f32::from_bits(bits.cast_unsigned());
    let inverse = LARGEST / largest;
    if !inverse.is_finite() {
        return;
    }
    let inverse = _mm256_set1_ps(inverse);
    let rounded = parts.map(|part| _mm256_cvtps_epi32(_mm256_mul_ps(part, inverse)));
    let mut sums = _mm256_set1_epi32(0);
    for (half, pair) in rounded.as_chunks::<2>().0.iter().enumerate() {
        // Packing takes the halves of registers in turns.
        let packed = _mm256_permute4x64_epi64::<0xd8>(_mm256_packs_epi32(pair[0], pair[1]));
        sums = _mm256_add_epi32(sums, _mm256_madd_epi16(packed, _mm256_set1_epi16(1)));
        // SAFETY: a block is two registers of integers, at the start of a line.
        unsafe {
            _mm256_store_si256(
                to.integers[number].as_mut_ptr().add(16 * half).cast(),
                packed,
            );
        };
    }
    let four = _mm_add_epi32(
        _mm256_castsi256_si128(sums),
        _mm256_extracti128_si256::<1>(sums),
    );
    let two = _mm_add_epi32(four, _mm_unpackhi_epi64(four, four));
    let sum = _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32::<1>(two)));
    to.scales[number] = largest / LARGEST;
    to.offsets[number] = i32::from(OFFSET) * sum;
}
