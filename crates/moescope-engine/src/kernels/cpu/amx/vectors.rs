//! The AVX-512 steps around tile products: splitting f32 into bf16 pieces, and transposing.

use std::arch::x86_64::{
    __m256bh, __m256i, __m512, __m512bh, __m512i, _mm512_castps_si512, _mm512_castsi512_ps,
    _mm512_castsi512_si256, _mm512_cvtepu16_epi32, _mm512_cvtne2ps_pbh, _mm512_cvtneps_pbh,
    _mm512_extracti64x4_epi64, _mm512_loadu_ps, _mm512_setzero_si512, _mm512_shuffle_i32x4,
    _mm512_slli_epi32, _mm512_sub_ps, _mm512_unpackhi_epi32, _mm512_unpackhi_epi64,
    _mm512_unpacklo_epi32, _mm512_unpacklo_epi64,
};

use super::tiles::TILE_VALUES;

/// 32 neighbouring f32 values that are taken apart, piece by piece.
#[derive(Clone, Copy)]
pub(super) struct Remainder {
    low: __m512,
    high: __m512,
}

impl Remainder {
    /// Nothing.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn none() -> Self {
        let zero = _mm512_castsi512_ps(_mm512_setzero_si512());
        Self {
            low: zero,
            high: zero,
        }
    }

    /// Reads 32 values.
    ///
    /// # Safety
    /// `values` reads 32 floats and the machine has AVX-512 with bf16.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bf16")]
    pub(super) unsafe fn load(values: *const f32) -> Self {
        // SAFETY: by the contract.
        unsafe {
            Self {
                low: _mm512_loadu_ps(values),
                high: _mm512_loadu_ps(values.add(16)),
            }
        }
    }

    /// The next piece: 32 bf16 in order, as 16 pairs; what is left is the exact difference.
    ///
    /// Three pieces hold the 24 significant bits of an f32 (8 bits each), so that their sum is the value itself.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bf16")]
    pub(super) fn take_piece(&mut self) -> __m512i {
        let piece = to_bf16(self.low, self.high);
        self.low = _mm512_sub_ps(self.low, widened(piece, false));
        self.high = _mm512_sub_ps(self.high, widened(piece, true));
        piece
    }
}

/// 32 values rounded to bf16, in order.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
pub(super) fn to_bf16(low: __m512, high: __m512) -> __m512i {
    // SAFETY: both types are 512 bits without invalid values.
    unsafe { std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low)) }
}

/// Sixteen values rounded to bf16, each in the lower half of 32 bits.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
pub(super) fn to_bf16_bits(values: __m512) -> __m512i {
    // SAFETY: both types are 256 bits without invalid values.
    let half = unsafe { std::mem::transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(values)) };
    _mm512_cvtepu16_epi32(half)
}

/// The lower or upper 16 of 32 bf16 as f32.
#[inline]
#[target_feature(enable = "avx512f")]
fn widened(piece: __m512i, is_high: bool) -> __m512 {
    let half = if is_high {
        _mm512_extracti64x4_epi64::<1>(piece)
    } else {
        _mm512_castsi512_si256(piece)
    };
    _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(half)))
}

/// Rows become columns in a square of 16 × 16 numbers of 32 bits.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn transpose(rows: &mut [__m512i; 16]) {
    // Pairs of rows, then fours, then quarters of registers twice.
    for i in (0..16).step_by(2) {
        let (a, b) = (rows[i], rows[i + 1]);
        rows[i] = _mm512_unpacklo_epi32(a, b);
        rows[i + 1] = _mm512_unpackhi_epi32(a, b);
    }
    for i in (0..16).step_by(4) {
        let [a, b, c, d] = [rows[i], rows[i + 1], rows[i + 2], rows[i + 3]];
        rows[i] = _mm512_unpacklo_epi64(a, c);
        rows[i + 1] = _mm512_unpackhi_epi64(a, c);
        rows[i + 2] = _mm512_unpacklo_epi64(b, d);
        rows[i + 3] = _mm512_unpackhi_epi64(b, d);
    }
    for half in [0, 8] {
        for i in half..half + 4 {
            let (a, b) = (rows[i], rows[i + 4]);
            rows[i] = _mm512_shuffle_i32x4::<0x88>(a, b);
            rows[i + 4] = _mm512_shuffle_i32x4::<0xdd>(a, b);
        }
    }
    for i in 0..8 {
        let (a, b) = (rows[i], rows[i + 8]);
        rows[i] = _mm512_shuffle_i32x4::<0x88>(a, b);
        rows[i + 8] = _mm512_shuffle_i32x4::<0xdd>(a, b);
    }
}

/// A tile of results `[16 outputs, 16 tokens]` as `[16 tokens, 16 outputs]`, the bits of f32.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn transposed(tile: &[f32; TILE_VALUES]) -> [__m512i; 16] {
    let mut rows = [_mm512_setzero_si512(); 16];
    for (row, values) in rows.iter_mut().zip(tile.chunks_exact(16)) {
        // SAFETY: a chunk is 16 values.
        *row = _mm512_castps_si512(unsafe { _mm512_loadu_ps(values.as_ptr()) });
    }
    transpose(&mut rows);
    rows
}

#[cfg(test)]
mod tests {
    use std::arch::x86_64::{_mm512_loadu_si512, _mm512_storeu_si512};

    use super::*;
    use crate::kernels::cpu::amx::support;

    #[target_feature(enable = "avx512f,avx512bf16")]
    fn sum_of_pieces(values: &[f32; 32]) -> [f32; 32] {
        // SAFETY: there are 32 values.
        let mut rest = unsafe { Remainder::load(values.as_ptr()) };
        let mut sums = [0.0f32; 32];
        for _ in 0..3 {
            let mut piece = [0u16; 32];
            // SAFETY: there is room for 64 bytes.
            unsafe { _mm512_storeu_si512(piece.as_mut_ptr().cast(), rest.take_piece()) };
            for (sum, bits) in sums.iter_mut().zip(piece) {
                *sum += half::bf16::from_bits(bits).to_f32();
            }
        }
        sums
    }

    #[target_feature(enable = "avx512f")]
    fn exchange(square: &[[u32; 16]; 16]) -> [[u32; 16]; 16] {
        // SAFETY: every row is 64 bytes.
        let mut rows = square.map(|row| unsafe { _mm512_loadu_si512(row.as_ptr().cast()) });
        transpose(&mut rows);
        rows.map(|row| {
            let mut found = [0u32; 16];
            // SAFETY: there is room for 64 bytes.
            unsafe { _mm512_storeu_si512(found.as_mut_ptr().cast(), row) };
            found
        })
    }

    #[test]
    fn three_pieces_are_the_value() {
        if !support::is_available() {
            println!("skipped: this machine has no tile registers");
            return;
        }
        let values: [f32; 32] = std::array::from_fn(|i| {
            let size = (f32::from(u8::try_from(i).expect("small")) * 0.37 - 5.0).exp();
            if i.is_multiple_of(3) { -size } else { size }
        });
        // SAFETY: a machine with tile registers has AVX-512 with bf16.
        let sums = unsafe { sum_of_pieces(&values) };
        assert_eq!(sums.map(f32::to_bits), values.map(f32::to_bits));
    }

    #[test]
    fn transposing_exchanges_rows_and_columns() {
        if !support::is_available() {
            println!("skipped: this machine has no tile registers");
            return;
        }
        let number = |r: usize, c: usize| u32::try_from(16 * r + c).expect("small");
        let square = std::array::from_fn(|r| std::array::from_fn(|c| number(r, c)));
        // SAFETY: a machine with tile registers has AVX-512.
        let found = unsafe { exchange(&square) };
        let want = std::array::from_fn(|r| std::array::from_fn(|c| number(c, r)));
        assert_eq!(found, want);
    }
}
