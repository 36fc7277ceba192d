//! Vectors of x86-64: AVX2 and AVX-512.

use std::arch::x86_64::{
    __m128, __m256, __m512, __m512bh, _MM_HINT_T1, _mm_add_ps, _mm_add_ss, _mm_cvtss_f32,
    _mm_loadl_epi64, _mm_loadu_si128, _mm_movehl_ps, _mm_movelh_ps, _mm_prefetch, _mm_set1_epi16,
    _mm_setzero_ps, _mm_shuffle_ps, _mm_storeu_ps, _mm_unpackhi_ps, _mm_unpacklo_ps, _mm256_add_ps,
    _mm256_and_si256, _mm256_castpd_ps, _mm256_castps256_ps128, _mm256_castsi256_ps,
    _mm256_cvtepi8_epi32, _mm256_cvtepi32_ps, _mm256_cvtepu8_epi32, _mm256_cvtepu16_epi32,
    _mm256_cvtph_ps, _mm256_extractf128_ps, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_loadu_si256,
    _mm256_max_ps, _mm256_mul_ps, _mm256_set1_epi16, _mm256_set1_epi32, _mm256_set1_ps,
    _mm256_setzero_ps, _mm256_slli_epi32, _mm256_srli_epi32, _mm256_storeu_ps, _mm512_add_ps,
    _mm512_castps_pd, _mm512_castps512_ps256, _mm512_castsi512_ps, _mm512_cvtepi8_epi32,
    _mm512_cvtepi32_ps, _mm512_cvtepu8_epi32, _mm512_cvtepu16_epi32, _mm512_cvtne2ps_pbh,
    _mm512_cvtph_ps, _mm512_dpbf16_ps, _mm512_extractf64x4_pd, _mm512_fmadd_ps, _mm512_loadu_ps,
    _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps, _mm512_max_ps, _mm512_mul_ps, _mm512_permute_ps,
    _mm512_permutexvar_ps, _mm512_set1_ps, _mm512_setzero_ps, _mm512_shuffle_f32x4,
    _mm512_slli_epi32, _mm512_srli_epi32, _mm512_storeu_ps,
};

use super::{Simd, bf16};

/// AVX2 with FMA: two registers of eight.
pub(in super::super) struct Avx2;

// SAFETY: reached only through `with_simd`, which has seen avx2, fma and f16c.
unsafe impl Simd for Avx2 {
    type V = [__m256; 2];
    type Part = __m256;
    const PARTS: usize = 2;

    #[inline(always)]
    unsafe fn zero() -> Self::V {
        unsafe { [_mm256_setzero_ps(); 2] }
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> Self::V {
        unsafe { [_mm256_set1_ps(x); 2] }
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self::V {
        unsafe { [_mm256_loadu_ps(p), _mm256_loadu_ps(p.add(8))] }
    }
    #[inline(always)]
    unsafe fn load_bf16(p: *const bf16) -> Self::V {
        unsafe { [eight_bf16(p), eight_bf16(p.add(8))] }
    }
    #[inline(always)]
    unsafe fn load_i8(p: *const u8) -> Self::V {
        unsafe { [eight_i8(p), eight_i8(p.add(8))] }
    }
    #[inline(always)]
    unsafe fn fetch(p: *const u8) {
        unsafe { _mm_prefetch::<_MM_HINT_T1>(p.cast()) }
    }
    #[inline(always)]
    unsafe fn splat_f16(p: *const u8) -> Self::V {
        unsafe { [_mm256_cvtph_ps(_mm_set1_epi16(p.cast::<i16>().read_unaligned())); 2] }
    }
    #[inline(always)]
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V {
        unsafe { [_mm256_mul_ps(a[0], b[0]), _mm256_mul_ps(a[1], b[1])] }
    }
    #[inline(always)]
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V {
        unsafe { [_mm256_max_ps(a[0], b[0]), _mm256_max_ps(a[1], b[1])] }
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: Self::V) {
        unsafe {
            _mm256_storeu_ps(p, v[0]);
            _mm256_storeu_ps(p.add(8), v[1]);
        }
    }
    #[inline(always)]
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        unsafe {
            [
                _mm256_fmadd_ps(a[0], b[0], c[0]),
                _mm256_fmadd_ps(a[1], b[1], c[1]),
            ]
        }
    }
    #[inline(always)]
    unsafe fn part_zero() -> Self::Part {
        unsafe { _mm256_setzero_ps() }
    }
    #[inline(always)]
    unsafe fn part_load(p: *const f32) -> Self::Part {
        unsafe { _mm256_loadu_ps(p) }
    }
    #[inline(always)]
    unsafe fn part_store(p: *mut f32, part: Self::Part) {
        unsafe { _mm256_storeu_ps(p, part) }
    }
    #[inline(always)]
    unsafe fn part_fma(a: Self::Part, b: Self::Part, c: Self::Part) -> Self::Part {
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    unsafe fn store_parts(p: *mut f32, stride: usize, v: Self::V) {
        unsafe {
            _mm256_storeu_ps(p, v[0]);
            _mm256_storeu_ps(p.add(stride), v[1]);
        }
    }
    #[inline(always)]
    unsafe fn scaled_i4(p: *const u8, scale: Self::V) -> [Self::V; 2] {
        unsafe {
            // One instruction takes off 8 and scales.
            let less = Self::mul(scale, Self::splat(-8.0));
            let ([low_0, high_0], [low_1, high_1]) =
                (halves_of_eight(p), halves_of_eight(p.add(8)));
            [
                Self::fma([low_0, low_1], scale, less),
                Self::fma([high_0, high_1], scale, less),
            ]
        }
    }
    #[inline(always)]
    unsafe fn sums<const N: usize>(vectors: [Self::V; N]) -> [f32; N] {
        let mut sums = [0.0; N];
        let mut at = 0;
        while at + 4 <= N {
            let mut four = [unsafe { _mm_setzero_ps() }; 4];
            for i in 0..4 {
                let [low, high] = vectors[at + i];
                four[i] = unsafe { four_of_eight(_mm256_add_ps(low, high)) };
            }
            // SAFETY: there are four more sums.
            unsafe { _mm_storeu_ps(sums.as_mut_ptr().add(at), sums_of_fours(four)) };
            at += 4;
        }
        // By places: an iterator that skips stays a call here, which costs more than the sums.
        while at < N {
            sums[at] = unsafe { Self::sum(vectors[at]) };
            at += 1;
        }
        sums
    }
    #[inline(always)]
    unsafe fn sum(v: Self::V) -> f32 {
        unsafe { sum_of_eight(_mm256_add_ps(v[0], v[1])) }
    }
}

// Functions and not closures, so that they are inlined where the instruction set is enabled.

#[inline(always)]
unsafe fn eight_bf16(p: *const bf16) -> __m256 {
    unsafe {
        let bits = _mm256_cvtepu16_epi32(_mm_loadu_si128(p.cast()));
        _mm256_castsi256_ps(_mm256_slli_epi32::<16>(bits))
    }
}

#[inline(always)]
unsafe fn eight_i8(p: *const u8) -> __m256 {
    unsafe { _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(p.cast()))) }
}

/// The lower and the upper halves of eight bytes, 0 to 15.
#[inline(always)]
unsafe fn halves_of_eight(p: *const u8) -> [__m256; 2] {
    unsafe {
        let both = _mm256_cvtepu8_epi32(_mm_loadl_epi64(p.cast()));
        let low = _mm256_and_si256(both, _mm256_set1_epi32(15));
        let high = _mm256_srli_epi32::<4>(both);
        [_mm256_cvtepi32_ps(low), _mm256_cvtepi32_ps(high)]
    }
}

/// The upper half onto the lower.
#[inline(always)]
unsafe fn four_of_eight(v: __m256) -> __m128 {
    unsafe { _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v)) }
}

/// Four sums of four in the tree of `Simd::sum`: places two apart, then what is left.
#[inline(always)]
unsafe fn sums_of_fours([a, b, c, d]: [__m128; 4]) -> __m128 {
    unsafe {
        let (ab_low, ab_high) = (_mm_unpacklo_ps(a, b), _mm_unpackhi_ps(a, b));
        let (cd_low, cd_high) = (_mm_unpacklo_ps(c, d), _mm_unpackhi_ps(c, d));
        // a0+a2, b0+b2, a1+a3, b1+b3, and the same of c and d.
        let (ab, cd) = (_mm_add_ps(ab_low, ab_high), _mm_add_ps(cd_low, cd_high));
        _mm_add_ps(_mm_movelh_ps(ab, cd), _mm_movehl_ps(cd, ab))
    }
}

/// Eight numbers in the tree of `Simd::sum`: halves onto each other.
#[inline(always)]
pub(in super::super) unsafe fn sum_of_eight(v: __m256) -> f32 {
    unsafe {
        let four = four_of_eight(v);
        let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
        _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
    }
}

/// AVX-512: one register of sixteen floats or, where `PAIRS`, of sixteen pairs of bf16.
pub(in super::super) struct Avx512<const PAIRS: bool>;

// SAFETY: reached only through `with_simd`, which has seen avx512f as well, and pairs through `with_pairs`, whose caller has
// seen avx512bf16.
unsafe impl<const PAIRS: bool> Simd for Avx512<PAIRS> {
    type V = __m512;
    type Part = __m512;
    const PARTS: usize = 1;
    const REGISTERS: usize = 32;
    const NUMBERS: usize = if PAIRS { 2 } else { 1 };

    #[inline(always)]
    unsafe fn zero() -> Self::V {
        unsafe { _mm512_setzero_ps() }
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> Self::V {
        unsafe { _mm512_set1_ps(x) }
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self::V {
        unsafe { _mm512_loadu_ps(p) }
    }
    #[inline(always)]
    unsafe fn load_part(p: *const f32, n: usize) -> Self::V {
        // A whole vector is not a part, so the shift is less than sixteen.
        unsafe { _mm512_maskz_loadu_ps((1u16 << n) - 1, p) }
    }
    #[inline(always)]
    unsafe fn load_bf16(p: *const bf16) -> Self::V {
        unsafe {
            let bits = _mm512_cvtepu16_epi32(_mm256_loadu_si256(p.cast()));
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(bits))
        }
    }
    #[inline(always)]
    unsafe fn load_i8(p: *const u8) -> Self::V {
        unsafe { _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(p.cast()))) }
    }
    #[inline(always)]
    unsafe fn scaled_i4(p: *const u8, scale: Self::V) -> [Self::V; 2] {
        /// The permutation looks at the lower four bits of each place, so it is the conversion as well.
        const FLOATS: [f32; 16] = [
            -8.0, -7.0, -6.0, -5.0, -4.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0,
        ];
        unsafe {
            let table = _mm512_loadu_ps(FLOATS.as_ptr());
            let both = _mm512_cvtepu8_epi32(_mm_loadu_si128(p.cast()));
            let high = _mm512_srli_epi32::<4>(both);
            [
                _mm512_mul_ps(_mm512_permutexvar_ps(both, table), scale),
                _mm512_mul_ps(_mm512_permutexvar_ps(high, table), scale),
            ]
        }
    }
    #[inline(always)]
    unsafe fn fetch(p: *const u8) {
        unsafe { _mm_prefetch::<_MM_HINT_T1>(p.cast()) }
    }
    #[inline(always)]
    unsafe fn splat_f16(p: *const u8) -> Self::V {
        unsafe { _mm512_cvtph_ps(_mm256_set1_epi16(p.cast::<i16>().read_unaligned())) }
    }
    #[inline(always)]
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V {
        unsafe { _mm512_mul_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V {
        unsafe { _mm512_max_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: Self::V) {
        unsafe { _mm512_storeu_ps(p, v) }
    }
    #[inline(always)]
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        unsafe { multiply_add::<PAIRS>(a, b, c) }
    }
    #[inline(always)]
    unsafe fn part_zero() -> Self::Part {
        unsafe { _mm512_setzero_ps() }
    }
    #[inline(always)]
    unsafe fn part_load(p: *const f32) -> Self::Part {
        unsafe { _mm512_loadu_ps(p) }
    }
    #[inline(always)]
    unsafe fn part_store(p: *mut f32, part: Self::Part) {
        unsafe { _mm512_storeu_ps(p, part) }
    }
    #[inline(always)]
    unsafe fn part_fma(a: Self::Part, b: Self::Part, c: Self::Part) -> Self::Part {
        unsafe { multiply_add::<PAIRS>(a, b, c) }
    }
    #[inline(always)]
    unsafe fn store_parts(p: *mut f32, _: usize, v: Self::V) {
        unsafe { _mm512_storeu_ps(p, v) }
    }
    #[inline(always)]
    unsafe fn sum(v: Self::V) -> f32 {
        unsafe {
            let high = _mm256_castpd_ps(_mm512_extractf64x4_pd::<1>(_mm512_castps_pd(v)));
            sum_of_eight(_mm256_add_ps(_mm512_castps512_ps256(v), high))
        }
    }
    #[inline(always)]
    unsafe fn sums<const N: usize>(vectors: [Self::V; N]) -> [f32; N] {
        let mut sums = [0.0; N];
        let mut at = 0;
        while at + 4 <= N {
            let four = [
                vectors[at],
                vectors[at + 1],
                vectors[at + 2],
                vectors[at + 3],
            ];
            sums[at..at + 4].copy_from_slice(&unsafe { sums_of_four(four) });
            at += 4;
        }
        // By places: an iterator that skips stays a call here, which costs more than the sums.
        while at < N {
            sums[at] = unsafe { Self::sum(vectors[at]) };
            at += 1;
        }
        sums
    }
}

/// a · b + c of floats, or the products of both pairs of a place added to c.
#[inline(always)]
unsafe fn multiply_add<const PAIRS: bool>(a: __m512, b: __m512, c: __m512) -> __m512 {
    unsafe {
        if PAIRS {
            // Both types are 512 bits without invalid values.
            let [a, b] = [a, b].map(|v| std::mem::transmute::<__m512, __m512bh>(v));
            _mm512_dpbf16_ps(c, a, b)
        } else {
            _mm512_fmadd_ps(a, b, c)
        }
    }
}

/// Rounds floats to the nearest bf16, in place: as many pairs as there are two floats.
///
/// # Safety
/// The machine has AVX-512 with bf16.
#[target_feature(enable = "avx512f,avx512bf16")]
pub(in super::super) unsafe fn round_to_pairs(values: &mut [f32]) {
    assert!(values.len().is_multiple_of(2), "pairs are of two");
    let start = values.as_mut_ptr();
    let mut at = 0;
    while at < values.len() {
        let count = values.len() - at;
        let [low, high] = [count.min(16), count.saturating_sub(16).min(16)].map(mask);
        // SAFETY: the masks leave out what is beyond the values, and pairs are written where floats have been read.
        unsafe {
            let from = start.add(at);
            let low = _mm512_maskz_loadu_ps(low, from);
            let high = _mm512_maskz_loadu_ps(high, from.wrapping_add(16));
            // Both types are 512 bits without invalid values.
            let pairs: __m512 = std::mem::transmute(_mm512_cvtne2ps_pbh(high, low));
            _mm512_mask_storeu_ps(start.add(at / 2), mask(count.min(32) / 2), pairs);
        }
        at += 32;
    }
}

/// The lowest bits, sixteen at most.
#[inline(always)]
fn mask(bits: usize) -> u16 {
    u16::try_from((1u32 << bits) - 1).unwrap_or(u16::MAX)
}

/// The halves of two registers onto each other.
#[inline(always)]
unsafe fn halves(a: __m512, b: __m512) -> __m512 {
    unsafe {
        _mm512_add_ps(
            _mm512_shuffle_f32x4::<0x44>(a, b),
            _mm512_shuffle_f32x4::<0xee>(a, b),
        )
    }
}

/// Four sums in the tree of `Simd::sum`, halves onto each other in all four at once.
#[inline(always)]
unsafe fn sums_of_four([a, b, c, d]: [__m512; 4]) -> [f32; 4] {
    unsafe {
        let (ab, cd) = (halves(a, b), halves(c, d));
        let quarters = _mm512_add_ps(
            _mm512_shuffle_f32x4::<0x88>(ab, cd),
            _mm512_shuffle_f32x4::<0xdd>(ab, cd),
        );
        let two = _mm512_add_ps(quarters, _mm512_permute_ps::<0x4e>(quarters));
        let one = _mm512_add_ps(two, _mm512_permute_ps::<0xb1>(two));
        let mut lanes = [0.0f32; 16];
        _mm512_storeu_ps(lanes.as_mut_ptr(), one);
        [lanes[0], lanes[4], lanes[8], lanes[12]]
    }
}
