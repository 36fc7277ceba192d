//! One vector type per instruction set, chosen at run time.
//!
//! Every kernel is written once over [`Simd`]. All instruction sets keep [`LANES`] partial sums per dot product and
//! add them in the same tree, so a result depends on neither the batch around a row nor the number of threads.

use half::{bf16, f16};

/// Partial sums per dot product, whatever the width of the machine's registers.
pub(super) const LANES: usize = 16;

/// Sixteen floats in the registers of one instruction set.
///
/// # Safety
/// The methods may only run on a machine that has the instruction set; [`with_simd`] sees to it.
pub(super) unsafe trait Simd {
    /// Sixteen floats.
    type V: Copy;
    unsafe fn zero() -> Self::V;
    unsafe fn splat(x: f32) -> Self::V;
    unsafe fn load(p: *const f32) -> Self::V;
    /// The first `n` of sixteen floats, zeros after them; reads no more than `n`.
    #[inline(always)]
    unsafe fn load_part(p: *const f32, n: usize) -> Self::V {
        let mut lanes = [0.0f32; LANES];
        // SAFETY: the caller gives `n` readable floats, at most sixteen.
        unsafe {
            std::ptr::copy_nonoverlapping(p, lanes.as_mut_ptr(), n);
            Self::load(lanes.as_ptr())
        }
    }
    unsafe fn load_bf16(p: *const bf16) -> Self::V;
    /// Sixteen signed bytes as floats.
    unsafe fn load_i8(p: *const u8) -> Self::V;
    /// The lower and the upper halves of sixteen bytes as floats, 8 taken off.
    unsafe fn load_i4(p: *const u8) -> [Self::V; 2];
    /// Asks for the line of the cache at an address, which need not be readable.
    #[inline(always)]
    unsafe fn fetch(_: *const u8) {}
    /// A half-precision number, little-endian, sixteen times.
    unsafe fn splat_f16(p: *const u8) -> Self::V;
    unsafe fn store(p: *mut f32, v: Self::V);
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V;
    /// a · b + c
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// a · b + c for single numbers, rounded as [`Simd::fma`] rounds.
    unsafe fn fma1(a: f32, b: f32, c: f32) -> f32;
    /// The sum of the sixteen, in one fixed tree.
    #[inline(always)]
    unsafe fn sum(v: Self::V) -> f32 {
        let mut lanes = [0.0f32; LANES];
        // SAFETY: `lanes` has room for sixteen floats.
        unsafe { Self::store(lanes.as_mut_ptr(), v) };
        let mut width = LANES / 2;
        while width > 0 {
            for i in 0..width {
                lanes[i] += lanes[i + width];
            }
            width /= 2;
        }
        lanes[0]
    }
    /// The sums of several vectors, each as [`Simd::sum`] adds.
    #[inline(always)]
    unsafe fn sums<const N: usize>(vectors: [Self::V; N]) -> [f32; N] {
        let mut sums = [0.0; N];
        for (sum, vector) in sums.iter_mut().zip(vectors) {
            // SAFETY: by the contract of the trait.
            *sum = unsafe { Self::sum(vector) };
        }
        sums
    }
}

/// Plain Rust; the compiler vectorises it for the target's baseline (NEON on aarch64, SSE2 on x86-64).
pub(super) struct Portable;

// SAFETY: uses no special instruction.
unsafe impl Simd for Portable {
    type V = [f32; LANES];

    #[inline(always)]
    unsafe fn zero() -> Self::V {
        [0.0; LANES]
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> Self::V {
        [x; LANES]
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self::V {
        // SAFETY: the caller gives sixteen readable floats.
        unsafe { p.cast::<[f32; LANES]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn load_bf16(p: *const bf16) -> Self::V {
        // SAFETY: the caller gives sixteen readable values.
        let raw = unsafe { p.cast::<[u16; LANES]>().read_unaligned() };
        raw.map(|bits| f32::from_bits(u32::from(bits) << 16))
    }
    #[inline(always)]
    unsafe fn load_i8(p: *const u8) -> Self::V {
        // SAFETY: the caller gives sixteen readable bytes.
        let raw = unsafe { p.cast::<[i8; LANES]>().read_unaligned() };
        raw.map(f32::from)
    }
    #[inline(always)]
    unsafe fn load_i4(p: *const u8) -> [Self::V; 2] {
        // SAFETY: the caller gives sixteen readable bytes.
        let raw = unsafe { p.cast::<[u8; LANES]>().read_unaligned() };
        [
            raw.map(|both| f32::from(both & 15) - 8.0),
            raw.map(|both| f32::from(both >> 4) - 8.0),
        ]
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: Self::V) {
        // SAFETY: the caller gives room for sixteen floats.
        unsafe { p.cast::<[f32; LANES]>().write_unaligned(v) }
    }
    #[inline(always)]
    unsafe fn splat_f16(p: *const u8) -> Self::V {
        // SAFETY: the caller gives two readable bytes.
        let bytes = unsafe { p.cast::<[u8; 2]>().read_unaligned() };
        [f16::from_le_bytes(bytes).to_f32(); LANES]
    }
    #[inline(always)]
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|i| a[i] * b[i])
    }
    #[inline(always)]
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|i| if a[i] > b[i] { a[i] } else { b[i] })
    }
    #[inline(always)]
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        std::array::from_fn(|i| a[i] * b[i] + c[i])
    }
    #[inline(always)]
    unsafe fn fma1(a: f32, b: f32, c: f32) -> f32 {
        a * b + c
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m256, __m512, _MM_HINT_T0, _mm_add_ps, _mm_add_ss, _mm_cvtss_f32, _mm_loadl_epi64,
        _mm_loadu_si128, _mm_movehl_ps, _mm_prefetch, _mm_set1_epi16, _mm_shuffle_ps,
        _mm256_add_ps, _mm256_and_si256, _mm256_castpd_ps, _mm256_castps256_ps128,
        _mm256_castsi256_ps, _mm256_cvtepi8_epi32, _mm256_cvtepi32_ps, _mm256_cvtepu8_epi32,
        _mm256_cvtepu16_epi32, _mm256_cvtph_ps, _mm256_extractf128_ps, _mm256_fmadd_ps,
        _mm256_loadu_ps, _mm256_loadu_si256, _mm256_max_ps, _mm256_mul_ps, _mm256_set1_epi16,
        _mm256_set1_epi32, _mm256_set1_ps, _mm256_setzero_ps, _mm256_slli_epi32, _mm256_srli_epi32,
        _mm256_storeu_ps, _mm256_sub_epi32, _mm512_add_ps, _mm512_castps_pd,
        _mm512_castps512_ps256, _mm512_castsi512_ps, _mm512_cvtepi8_epi32, _mm512_cvtepi32_ps,
        _mm512_cvtepu8_epi32, _mm512_cvtepu16_epi32, _mm512_cvtph_ps, _mm512_extractf64x4_pd,
        _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_maskz_loadu_ps, _mm512_max_ps, _mm512_mul_ps,
        _mm512_permute_ps, _mm512_permutexvar_ps, _mm512_set1_ps, _mm512_setzero_ps,
        _mm512_shuffle_f32x4, _mm512_slli_epi32, _mm512_srli_epi32, _mm512_storeu_ps,
    };

    use super::{Simd, bf16};

    /// AVX2 with FMA: two registers of eight.
    pub(in super::super) struct Avx2;

    // SAFETY: reached only through `with_simd`, which has seen avx2, fma and f16c.
    unsafe impl Simd for Avx2 {
        type V = [__m256; 2];

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
        unsafe fn load_i4(p: *const u8) -> [Self::V; 2] {
            unsafe {
                let ([low_0, high_0], [low_1, high_1]) = (eight_i4(p), eight_i4(p.add(8)));
                [[low_0, low_1], [high_0, high_1]]
            }
        }
        #[inline(always)]
        unsafe fn fetch(p: *const u8) {
            unsafe { _mm_prefetch::<_MM_HINT_T0>(p.cast()) }
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
        unsafe fn fma1(a: f32, b: f32, c: f32) -> f32 {
            a.mul_add(b, c)
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

    /// The lower and the upper halves of eight bytes.
    #[inline(always)]
    unsafe fn eight_i4(p: *const u8) -> [__m256; 2] {
        unsafe {
            let eight = _mm256_set1_epi32(8);
            let both = _mm256_cvtepu8_epi32(_mm_loadl_epi64(p.cast()));
            let low = _mm256_and_si256(both, _mm256_set1_epi32(15));
            let high = _mm256_srli_epi32::<4>(both);
            [
                _mm256_cvtepi32_ps(_mm256_sub_epi32(low, eight)),
                _mm256_cvtepi32_ps(_mm256_sub_epi32(high, eight)),
            ]
        }
    }

    /// Eight numbers in the tree of `Simd::sum`: halves onto each other.
    #[inline(always)]
    unsafe fn sum_of_eight(v: __m256) -> f32 {
        unsafe {
            let four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
        }
    }

    /// AVX-512: one register of sixteen.
    pub(in super::super) struct Avx512;

    // SAFETY: reached only through `with_simd`, which has seen avx512f as well.
    unsafe impl Simd for Avx512 {
        type V = __m512;

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
        unsafe fn load_i4(p: *const u8) -> [Self::V; 2] {
            /// The permutation looks at the lower four bits of each place, so it is the conversion as well.
            const FLOATS: [f32; 16] = [
                -8.0, -7.0, -6.0, -5.0, -4.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0,
                7.0,
            ];
            unsafe {
                let table = _mm512_loadu_ps(FLOATS.as_ptr());
                let both = _mm512_cvtepu8_epi32(_mm_loadu_si128(p.cast()));
                [
                    _mm512_permutexvar_ps(both, table),
                    _mm512_permutexvar_ps(_mm512_srli_epi32::<4>(both), table),
                ]
            }
        }
        #[inline(always)]
        unsafe fn fetch(p: *const u8) {
            unsafe { _mm_prefetch::<_MM_HINT_T0>(p.cast()) }
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
            unsafe { _mm512_fmadd_ps(a, b, c) }
        }
        #[inline(always)]
        unsafe fn fma1(a: f32, b: f32, c: f32) -> f32 {
            a.mul_add(b, c)
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
            for (sum, vector) in sums.iter_mut().zip(vectors).skip(at) {
                *sum = unsafe { Self::sum(vector) };
            }
            sums
        }
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
}

#[cfg(target_arch = "x86_64")]
pub(super) use x86::{Avx2, Avx512};

/// Work that is written once over [`Simd`].
pub(super) trait SimdTask {
    /// What the work returns.
    type Output;
    /// Does the work.
    ///
    /// # Safety
    /// The machine has the instruction set `S`.
    unsafe fn run<S: Simd>(self) -> Self::Output;
}

/// The instruction sets that kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstructionSet {
    /// Plain Rust.
    Portable,
    /// AVX2, FMA and F16C.
    Avx2,
    /// AVX-512F.
    Avx512,
    /// Tile registers for products with weights, AVX-512 for everything else.
    Amx,
}

impl InstructionSet {
    /// The widest one that this machine has.
    ///
    /// # Panics
    /// Never: the portable set is always there.
    #[must_use]
    pub fn detect() -> Self {
        *Self::available()
            .last()
            .expect("the portable kernels are always there")
    }

    /// All that this machine has, narrowest first.
    #[must_use]
    pub fn available() -> Vec<Self> {
        let mut sets = vec![Self::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("fma")
                && is_x86_feature_detected!("f16c")
            {
                sets.push(Self::Avx2);
                if is_x86_feature_detected!("avx512f") {
                    sets.push(Self::Avx512);
                    if super::amx::support::is_available() {
                        sets.push(Self::Amx);
                    }
                }
            }
        }
        sets
    }
}

/// Runs a task with an instruction set that [`InstructionSet::available`] has listed.
#[inline]
pub(super) fn with_simd<T: SimdTask>(set: InstructionSet, task: T) -> T::Output {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2,fma,f16c")]
        unsafe fn avx2<T: SimdTask>(task: T) -> T::Output {
            // SAFETY: this function is only called where avx2, fma and f16c were detected.
            unsafe { task.run::<Avx2>() }
        }
        #[target_feature(enable = "avx512f,avx2,fma,f16c")]
        unsafe fn avx512<T: SimdTask>(task: T) -> T::Output {
            // SAFETY: this function is only called where avx512f was detected.
            unsafe { task.run::<Avx512>() }
        }
        match set {
            // SAFETY: the set comes from `available`, which detected the features.
            InstructionSet::Avx2 => return unsafe { avx2(task) },
            InstructionSet::Avx512 | InstructionSet::Amx => return unsafe { avx512(task) },
            InstructionSet::Portable => {}
        }
    }
    let _ = set;
    // SAFETY: `Portable` uses no special instruction.
    unsafe { task.run::<Portable>() }
}
