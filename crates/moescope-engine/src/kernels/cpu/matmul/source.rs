//! Weights as stored, widened in registers.

use half::bf16;

use super::super::{
    rows::Rows,
    simd::{LANES, Simd},
};
use crate::blocks::{BLOCK, BlockType, SCALE_BYTES};

/// Rows of weights in one type.
pub(super) trait Source: Copy {
    /// Bytes of a pair: 32 weights, a block where there are blocks.
    const PAIR: usize;
    /// Whether a few rows of inputs are multiplied faster where the rows of weights that come next are asked for.
    const FETCHES: bool;
    /// Whether widening takes several registers.
    const UNPACKS: bool;

    /// Whether the places of a row lie one after the other as they are multiplied, in registers of sixteen.
    const LIES_AS_MULTIPLIED: bool = false;

    /// Where a row begins; it need not exist.
    fn row(self, row: usize) -> *const u8;

    /// Bytes of a row.
    fn row_bytes(self) -> usize;

    /// 32 weights.
    ///
    /// # Safety
    /// `p` is the place of a pair, and the machine has `S`.
    unsafe fn pair<S: Simd>(p: *const u8) -> [S::V; 2];

    /// `n` weights, at most sixteen, and zeros after them.
    ///
    /// # Safety
    /// `p` is the place of that many weights, and the machine has `S`.
    unsafe fn rest<S: Simd>(p: *const u8, n: usize) -> S::V;
}

/// Work over rows of weights of any type.
pub(super) trait SourceTask {
    /// Does the work.
    ///
    /// # Safety
    /// The machine has the instruction set `S`.
    unsafe fn run<S: Simd, W: Source>(self, weights: W);
}

/// Runs a task with the source for `weight`, of `k` places a row ([`Simd::NUMBERS`]).
///
/// # Safety
/// The machine has the instruction set `S`.
#[inline(always)]
pub(super) unsafe fn with_source<S: Simd>(weight: Rows<'_>, k: usize, task: impl SourceTask) {
    // SAFETY (all): by the contract.
    match weight {
        Rows::F32(w) => unsafe { task.run::<S, _>(FloatRows::<false>(w.as_ptr(), k)) },
        Rows::Bf16(w) if S::NUMBERS == 2 => unsafe {
            task.run::<S, _>(FloatRows::<true>(w.as_ptr().cast(), k));
        },
        Rows::Bf16(w) => unsafe { task.run::<S, _>(Bf16Rows(w.as_ptr(), k)) },
        Rows::Blocks(BlockType::Q8, w) => unsafe {
            task.run::<S, _>(Q8Rows(w.as_ptr(), BlockType::Q8.row_bytes(k)));
        },
        Rows::Blocks(BlockType::Q4, w) => unsafe {
            task.run::<S, _>(Q4Rows(w.as_ptr(), BlockType::Q4.row_bytes(k)));
        },
    }
}

/// The first weight, and weights per row; or the first pair of bf16, at any address, and pairs per row.
#[derive(Clone, Copy)]
struct FloatRows<const ARE_PAIRS: bool>(*const f32, usize);

impl<const ARE_PAIRS: bool> Source for FloatRows<ARE_PAIRS> {
    const PAIR: usize = 32 * size_of::<f32>();
    const FETCHES: bool = ARE_PAIRS;
    const UNPACKS: bool = false;
    const LIES_AS_MULTIPLIED: bool = ARE_PAIRS;

    #[inline(always)]
    fn row(self, row: usize) -> *const u8 {
        self.0.wrapping_add(row * self.1).cast()
    }

    #[inline(always)]
    fn row_bytes(self) -> usize {
        self.1 * size_of::<f32>()
    }

    #[inline(always)]
    unsafe fn pair<S: Simd>(p: *const u8) -> [S::V; 2] {
        // SAFETY: by the contract.
        unsafe {
            [
                S::load(p.cast()),
                S::load(p.add(LANES * size_of::<f32>()).cast()),
            ]
        }
    }

    #[inline(always)]
    unsafe fn rest<S: Simd>(p: *const u8, n: usize) -> S::V {
        // SAFETY: by the contract.
        unsafe { part_or_whole::<S>(p.cast(), n) }
    }
}

/// The first `n` of sixteen floats, zeros after them.
///
/// # Safety
/// `n` floats can be read, at most sixteen, and the machine has `S`.
#[inline(always)]
pub(super) unsafe fn part_or_whole<S: Simd>(p: *const f32, n: usize) -> S::V {
    // SAFETY: by the contract.
    unsafe {
        if n == LANES {
            S::load(p)
        } else {
            S::load_part(p, n)
        }
    }
}

/// The first weight, and weights per row.
#[derive(Clone, Copy)]
struct Bf16Rows(*const bf16, usize);

impl Source for Bf16Rows {
    const PAIR: usize = 32 * size_of::<bf16>();
    const FETCHES: bool = true;
    const UNPACKS: bool = false;

    #[inline(always)]
    fn row(self, row: usize) -> *const u8 {
        self.0.wrapping_add(row * self.1).cast()
    }

    #[inline(always)]
    fn row_bytes(self) -> usize {
        self.1 * size_of::<bf16>()
    }

    #[inline(always)]
    unsafe fn pair<S: Simd>(p: *const u8) -> [S::V; 2] {
        // SAFETY: by the contract.
        unsafe {
            [
                S::load_bf16(p.cast()),
                S::load_bf16(p.add(LANES * size_of::<bf16>()).cast()),
            ]
        }
    }

    #[inline(always)]
    unsafe fn rest<S: Simd>(p: *const u8, n: usize) -> S::V {
        let mut lanes = [bf16::ZERO; LANES];
        // SAFETY: by the contract; `lanes` has room for sixteen.
        unsafe {
            std::ptr::copy_nonoverlapping(p.cast(), lanes.as_mut_ptr(), n);
            S::load_bf16(lanes.as_ptr())
        }
    }
}

/// The first block, and bytes per row. Weights are scale · integer, which f32 holds exactly.
#[derive(Clone, Copy)]
struct Q8Rows(*const u8, usize);

impl Source for Q8Rows {
    const PAIR: usize = BlockType::Q8.bytes();
    const FETCHES: bool = true;
    const UNPACKS: bool = true;

    #[inline(always)]
    fn row(self, row: usize) -> *const u8 {
        self.0.wrapping_add(row * self.1)
    }

    #[inline(always)]
    fn row_bytes(self) -> usize {
        self.1
    }

    #[inline(always)]
    unsafe fn pair<S: Simd>(p: *const u8) -> [S::V; 2] {
        // SAFETY: the contract gives a whole block.
        unsafe {
            let scale = S::splat_f16(p);
            let integers = p.add(SCALE_BYTES);
            [
                S::mul(S::load_i8(integers), scale),
                S::mul(S::load_i8(integers.add(LANES)), scale),
            ]
        }
    }

    #[inline(always)]
    unsafe fn rest<S: Simd>(_: *const u8, _: usize) -> S::V {
        unreachable!("rows of blocks are multiples of {BLOCK} wide")
    }
}

/// As [`Q8Rows`].
#[derive(Clone, Copy)]
struct Q4Rows(*const u8, usize);

impl Source for Q4Rows {
    const PAIR: usize = BlockType::Q4.bytes();
    const FETCHES: bool = true;
    const UNPACKS: bool = true;

    #[inline(always)]
    fn row(self, row: usize) -> *const u8 {
        self.0.wrapping_add(row * self.1)
    }

    #[inline(always)]
    fn row_bytes(self) -> usize {
        self.1
    }

    #[inline(always)]
    unsafe fn pair<S: Simd>(p: *const u8) -> [S::V; 2] {
        // SAFETY: the contract gives a whole block.
        unsafe { S::scaled_i4(p.add(SCALE_BYTES), S::splat_f16(p)) }
    }

    #[inline(always)]
    unsafe fn rest<S: Simd>(_: *const u8, _: usize) -> S::V {
        unreachable!("rows of blocks are multiples of {BLOCK} wide")
    }
}
