//! Vectors of 64-bit ARM.

use std::arch::{
    aarch64::{
        float32x4_t, int8x16_t, vadd_f32, vaddq_f32, vandq_u8, vbslq_f32, vcgtq_f32, vcvtq_f32_s32,
        vdup_n_f32, vdupq_n_f32, vdupq_n_s8, vdupq_n_u8, vfmaq_f32, vget_high_f32, vget_high_s8,
        vget_high_s16, vget_lane_f32, vget_low_f32, vget_low_s8, vget_low_s16, vld1_u16, vld1q_f32,
        vld1q_s8, vld1q_u8, vmovl_s8, vmovl_s16, vmulq_f32, vpadd_f32, vreinterpretq_f32_u32,
        vreinterpretq_s8_u8, vshll_n_u16, vshrq_n_u8, vst1q_f32, vsubq_s8,
    },
    asm,
};

use super::{Simd, bf16};

/// NEON: four registers of four, of 32.
pub(in super::super) struct Neon;

// SAFETY: reached only through `with_simd`, which has seen neon.
unsafe impl Simd for Neon {
    type V = [float32x4_t; 4];
    type Part = float32x4_t;
    const PARTS: usize = 4;
    const REGISTERS: usize = 32;

    #[inline(always)]
    unsafe fn zero() -> Self::V {
        unsafe { Self::splat(0.0) }
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> Self::V {
        unsafe { [vdupq_n_f32(x); 4] }
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self::V {
        unsafe {
            [
                vld1q_f32(p),
                vld1q_f32(p.add(4)),
                vld1q_f32(p.add(8)),
                vld1q_f32(p.add(12)),
            ]
        }
    }
    #[inline(always)]
    unsafe fn load_bf16(p: *const bf16) -> Self::V {
        unsafe {
            let p = p.cast::<u16>();
            [
                four_bf16(p),
                four_bf16(p.add(4)),
                four_bf16(p.add(8)),
                four_bf16(p.add(12)),
            ]
        }
    }
    #[inline(always)]
    unsafe fn load_i8(p: *const u8) -> Self::V {
        unsafe { floats(vld1q_s8(p.cast())) }
    }
    #[inline(always)]
    unsafe fn scaled_i4(p: *const u8, scale: Self::V) -> [Self::V; 2] {
        unsafe {
            let (both, eight) = (vld1q_u8(p), vdupq_n_s8(8));
            let low = vreinterpretq_s8_u8(vandq_u8(both, vdupq_n_u8(15)));
            let high = vreinterpretq_s8_u8(vshrq_n_u8::<4>(both));
            [
                Self::mul(floats(vsubq_s8(low, eight)), scale),
                Self::mul(floats(vsubq_s8(high, eight)), scale),
            ]
        }
    }
    #[inline(always)]
    unsafe fn fetch(p: *const u8) {
        // SAFETY: the instruction changes nothing but what the caches hold, whatever the address is.
        unsafe {
            asm!("prfm pldl2keep, [{0}]", in(reg) p, options(readonly, nostack, preserves_flags));
        }
    }
    #[inline(always)]
    unsafe fn splat_f16(p: *const u8) -> Self::V {
        let bits = u32::from(unsafe { p.cast::<u16>().read_unaligned() }.to_le());
        let wide: f32;
        // SAFETY: the two instructions, which every such processor has, change nothing but their result.
        unsafe {
            asm!(
                "fmov {wide:s}, {bits:w}",
                "fcvt {wide:s}, {wide:h}",
                bits = in(reg) bits,
                wide = out(vreg) wide,
                options(pure, nomem, nostack, preserves_flags)
            );
            Self::splat(wide)
        }
    }
    #[inline(always)]
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V {
        unsafe {
            [
                vmulq_f32(a[0], b[0]),
                vmulq_f32(a[1], b[1]),
                vmulq_f32(a[2], b[2]),
                vmulq_f32(a[3], b[3]),
            ]
        }
    }
    #[inline(always)]
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V {
        unsafe {
            [
                larger(a[0], b[0]),
                larger(a[1], b[1]),
                larger(a[2], b[2]),
                larger(a[3], b[3]),
            ]
        }
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: Self::V) {
        unsafe { Self::store_parts(p, 4, v) }
    }
    #[inline(always)]
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        unsafe {
            [
                vfmaq_f32(c[0], a[0], b[0]),
                vfmaq_f32(c[1], a[1], b[1]),
                vfmaq_f32(c[2], a[2], b[2]),
                vfmaq_f32(c[3], a[3], b[3]),
            ]
        }
    }
    #[inline(always)]
    unsafe fn part_zero() -> Self::Part {
        unsafe { vdupq_n_f32(0.0) }
    }
    #[inline(always)]
    unsafe fn part_load(p: *const f32) -> Self::Part {
        unsafe { vld1q_f32(p) }
    }
    #[inline(always)]
    unsafe fn part_store(p: *mut f32, part: Self::Part) {
        unsafe { vst1q_f32(p, part) }
    }
    #[inline(always)]
    unsafe fn part_fma(a: Self::Part, b: Self::Part, c: Self::Part) -> Self::Part {
        unsafe { vfmaq_f32(c, a, b) }
    }
    #[inline(always)]
    unsafe fn store_parts(p: *mut f32, stride: usize, v: Self::V) {
        unsafe {
            vst1q_f32(p, v[0]);
            vst1q_f32(p.add(stride), v[1]);
            vst1q_f32(p.add(2 * stride), v[2]);
            vst1q_f32(p.add(3 * stride), v[3]);
        }
    }
    #[inline(always)]
    unsafe fn sum(v: Self::V) -> f32 {
        unsafe {
            let four = vaddq_f32(vaddq_f32(v[0], v[2]), vaddq_f32(v[1], v[3]));
            let two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
            vget_lane_f32::<0>(vpadd_f32(two, vdup_n_f32(0.0)))
        }
    }
}

// Functions and not closures, so that they are inlined where the instruction set is enabled.

#[inline(always)]
unsafe fn four_bf16(p: *const u16) -> float32x4_t {
    unsafe { vreinterpretq_f32_u32(vshll_n_u16::<16>(vld1_u16(p))) }
}

/// Sixteen signed bytes as floats.
#[inline(always)]
unsafe fn floats(bytes: int8x16_t) -> [float32x4_t; 4] {
    unsafe {
        let (low, high) = (vmovl_s8(vget_low_s8(bytes)), vmovl_s8(vget_high_s8(bytes)));
        [
            vcvtq_f32_s32(vmovl_s16(vget_low_s16(low))),
            vcvtq_f32_s32(vmovl_s16(vget_high_s16(low))),
            vcvtq_f32_s32(vmovl_s16(vget_low_s16(high))),
            vcvtq_f32_s32(vmovl_s16(vget_high_s16(high))),
        ]
    }
}

/// The first where it is larger than the second, the second elsewhere.
#[inline(always)]
unsafe fn larger(a: float32x4_t, b: float32x4_t) -> float32x4_t {
    unsafe { vbslq_f32(vcgtq_f32(a, b), a, b) }
}
