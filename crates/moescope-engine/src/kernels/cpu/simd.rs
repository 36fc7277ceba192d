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
    /// The floats of one register.
    type Part: Copy;
    /// Registers that sixteen floats take.
    const PARTS: usize;
    /// Registers that the machine has, where they are known.
    const REGISTERS: usize = 16;
    /// Numbers in a place of a vector that is multiplied: one float, or two bf16, whose products are both added to the
    /// float in the same place of the sums.
    const NUMBERS: usize = 1;
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
    /// The lower and the upper halves of sixteen bytes, 8 taken off, times a scale: products that f32 holds exactly.
    unsafe fn scaled_i4(p: *const u8, scale: Self::V) -> [Self::V; 2];
    /// Asks for the line at an address, which need not be readable, to be brought into the second-level cache.
    #[inline(always)]
    unsafe fn fetch(_: *const u8) {}
    /// A half-precision number, little-endian, sixteen times.
    unsafe fn splat_f16(p: *const u8) -> Self::V;
    unsafe fn store(p: *mut f32, v: Self::V);
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V;
    /// a · b + c
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// 0 in every place of a register.
    unsafe fn part_zero() -> Self::Part;
    /// The floats of one register.
    unsafe fn part_load(p: *const f32) -> Self::Part;
    unsafe fn part_store(p: *mut f32, part: Self::Part);
    /// a · b + c
    unsafe fn part_fma(a: Self::Part, b: Self::Part, c: Self::Part) -> Self::Part;
    /// Stores the registers of sixteen floats, `stride` floats from one to the next.
    unsafe fn store_parts(p: *mut f32, stride: usize, v: Self::V);
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

/// Plain Rust; the compiler vectorises it for what every machine of the target has.
pub(super) struct Portable;

// SAFETY: uses no special instruction.
unsafe impl Simd for Portable {
    type V = [f32; LANES];
    type Part = [f32; 4];
    const PARTS: usize = 4;

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
    unsafe fn scaled_i4(p: *const u8, scale: Self::V) -> [Self::V; 2] {
        // SAFETY: the caller gives sixteen readable bytes.
        let raw = unsafe { p.cast::<[u8; LANES]>().read_unaligned() };
        let low = raw.map(|both| f32::from(both & 15) - 8.0);
        let high = raw.map(|both| f32::from(both >> 4) - 8.0);
        // SAFETY (both): no special instruction.
        unsafe { [Self::mul(low, scale), Self::mul(high, scale)] }
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
    unsafe fn part_zero() -> Self::Part {
        [0.0; 4]
    }
    #[inline(always)]
    unsafe fn part_load(p: *const f32) -> Self::Part {
        // SAFETY: the caller gives four readable floats.
        unsafe { p.cast::<[f32; 4]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn part_store(p: *mut f32, part: Self::Part) {
        // SAFETY: the caller gives room for four floats.
        unsafe { p.cast::<[f32; 4]>().write_unaligned(part) }
    }
    #[inline(always)]
    unsafe fn part_fma(a: Self::Part, b: Self::Part, c: Self::Part) -> Self::Part {
        std::array::from_fn(|i| a[i] * b[i] + c[i])
    }
    #[inline(always)]
    unsafe fn store_parts(p: *mut f32, stride: usize, v: Self::V) {
        for (number, part) in v.as_chunks::<4>().0.iter().enumerate() {
            // SAFETY: the caller gives room for four floats at each of the places.
            unsafe { Self::part_store(p.add(number * stride), *part) };
        }
    }
}

#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(target_arch = "x86_64")]
mod x86;
#[cfg(target_arch = "aarch64")]
pub(super) use neon::Neon;
#[cfg(target_arch = "x86_64")]
pub(super) use x86::{Avx2, Avx512, round_to_pairs, sum_of_eight};

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
    /// NEON, of 64-bit ARM.
    Neon,
    /// AVX2, FMA and F16C.
    Avx2,
    /// AVX-512F.
    Avx512,
    /// AVX-512 with sums of products of integers (VNNI), for blocks.
    Avx512Vnni,
    /// AVX-512 with those and with sums of products of bf16.
    Avx512Bf16,
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
        #[cfg(target_arch = "aarch64")]
        if std::arch::is_aarch64_feature_detected!("neon") {
            sets.push(Self::Neon);
        }
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("fma")
                && is_x86_feature_detected!("f16c")
            {
                sets.push(Self::Avx2);
                if is_x86_feature_detected!("avx512f") {
                    sets.push(Self::Avx512);
                    if is_x86_feature_detected!("avx512bw")
                        && is_x86_feature_detected!("avx512vnni")
                    {
                        sets.push(Self::Avx512Vnni);
                        if is_x86_feature_detected!("avx512bf16") {
                            sets.push(Self::Avx512Bf16);
                        }
                    }
                    if super::amx::support::is_available() {
                        sets.push(Self::Amx);
                    }
                }
            }
        }
        sets
    }

    /// Whether products of bf16 arithmetic with blocks are those of integers.
    pub(super) fn rounds_to_integers(self) -> bool {
        matches!(self, Self::Avx2 | Self::Avx512Vnni | Self::Avx512Bf16)
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
            unsafe { task.run::<Avx512<false>>() }
        }
        match set {
            // SAFETY: the set comes from `available`, which detected the features.
            InstructionSet::Avx2 => return unsafe { avx2(task) },
            InstructionSet::Avx512
            | InstructionSet::Avx512Vnni
            | InstructionSet::Avx512Bf16
            | InstructionSet::Amx => return unsafe { avx512(task) },
            InstructionSet::Portable | InstructionSet::Neon => {}
        }
    }
    #[cfg(target_arch = "aarch64")]
    {
        #[target_feature(enable = "neon")]
        unsafe fn neon<T: SimdTask>(task: T) -> T::Output {
            // SAFETY: this function is only called where neon was detected.
            unsafe { task.run::<Neon>() }
        }
        if set == InstructionSet::Neon {
            // SAFETY: the set comes from `available`, which detected the feature.
            return unsafe { neon(task) };
        }
    }
    let _ = set;
    // SAFETY: `Portable` uses no special instruction.
    unsafe { task.run::<Portable>() }
}

/// Runs a product of pairs of bf16.
///
/// # Safety
/// The machine has AVX-512 with bf16.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bf16,avx2,fma,f16c")]
pub(super) unsafe fn with_pairs<T: SimdTask>(task: T) -> T::Output {
    // SAFETY: by the contract.
    unsafe { task.run::<Avx512<true>>() }
}
