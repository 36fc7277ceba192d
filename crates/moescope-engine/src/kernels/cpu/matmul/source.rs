//! Weights as stored, widened in registers.

use half::bf16;

use super::super::{
    rows::Rows,
    simd::{LANES, Simd},
};
use crate::blocks::{BLOCK, BlockType, SCALE_BYTES};

/// Rows of weights in one type.
pub(super) trait Source: Copy {
    /// Where a row's weights from `at` lie; the place need not exist.
    fn address(self, row: usize, at: usize) -> *const u8;

    /// Bytes of `len` weights.
    fn bytes(self, len: usize) -> usize;

    /// 32 weights of a row from `at`.
    ///
    /// # Safety
    /// The row has that many weights from there, whole blocks where there are blocks, and the machine has `S`.
    unsafe fn pair<S: Simd>(self, row: usize, at: usize) -> [S::V; 2];

    /// `n` weights of a row from `at`, at most sixteen, and zeros after them.
    ///
    /// # Safety
    /// The row has that many weights from there, and the machine has `S`.
    unsafe fn rest<S: Simd>(self, row: usize, at: usize, n: usize) -> S::V;
}

/// Work over rows of weights of any type.
pub(super) trait SourceTask {
    /// Does the work.
    ///
    /// # Safety
    /// The machine has the instruction set `S`.
    unsafe fn run<S: Simd, W: Source>(self, weights: W);
}

/// Runs a task with the source for `weight [rows, k]`.
///
/// # Safety
/// The machine has the instruction set `S`.
#[inline(always)]
pub(super) unsafe fn with_source<S: Simd>(weight: Rows<'_>, k: usize, task: impl SourceTask) {
    // SAFETY (all): by the contract.
    match weight {
        Rows::F32(w) => unsafe {
            task.run::<S, _>(F32Rows {
                start: w.as_ptr(),
                k,
            });
        },
        Rows::Bf16(w) => unsafe {
            task.run::<S, _>(Bf16Rows {
                start: w.as_ptr(),
                k,
            });
        },
        Rows::Blocks(BlockType::Q8, w) => unsafe {
            task.run::<S, _>(Q8Rows {
                start: w.as_ptr(),
                row_bytes: BlockType::Q8.row_bytes(k),
            });
        },
        Rows::Blocks(BlockType::Q4, w) => unsafe {
            task.run::<S, _>(Q4Rows {
                start: w.as_ptr(),
                row_bytes: BlockType::Q4.row_bytes(k),
            });
        },
    }
}

#[derive(Clone, Copy)]
struct F32Rows {
    start: *const f32,
    k: usize,
}

impl Source for F32Rows {
    #[inline(always)]
    fn address(self, row: usize, at: usize) -> *const u8 {
        self.start.wrapping_add(row * self.k + at).cast()
    }

    #[inline(always)]
    fn bytes(self, len: usize) -> usize {
        len * size_of::<f32>()
    }

    #[inline(always)]
    unsafe fn pair<S: Simd>(self, row: usize, at: usize) -> [S::V; 2] {
        // SAFETY: by the contract.
        unsafe {
            let p = self.start.add(row * self.k + at);
            [S::load(p), S::load(p.add(LANES))]
        }
    }

    #[inline(always)]
    unsafe fn rest<S: Simd>(self, row: usize, at: usize, n: usize) -> S::V {
        // SAFETY: by the contract.
        unsafe { part_or_whole::<S>(self.start.add(row * self.k + at), n) }
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

#[derive(Clone, Copy)]
struct Bf16Rows {
    start: *const bf16,
    k: usize,
}

impl Source for Bf16Rows {
    #[inline(always)]
    fn address(self, row: usize, at: usize) -> *const u8 {
        self.start.wrapping_add(row * self.k + at).cast()
    }

    #[inline(always)]
    fn bytes(self, len: usize) -> usize {
        len * size_of::<bf16>()
    }

    #[inline(always)]
    unsafe fn pair<S: Simd>(self, row: usize, at: usize) -> [S::V; 2] {
        // SAFETY: by the contract.
        unsafe {
            let p = self.start.add(row * self.k + at);
            [S::load_bf16(p), S::load_bf16(p.add(LANES))]
        }
    }

    #[inline(always)]
    unsafe fn rest<S: Simd>(self, row: usize, at: usize, n: usize) -> S::V {
        let mut lanes = [bf16::ZERO; LANES];
        // SAFETY: by the contract; `lanes` has room for sixteen.
        unsafe {
            let p = self.start.add(row * self.k + at);
            std::ptr::copy_nonoverlapping(p, lanes.as_mut_ptr(), n);
            S::load_bf16(lanes.as_ptr())
        }
    }
}

/// Weights are scale · integer, which f32 holds exactly.
#[derive(Clone, Copy)]
struct Q8Rows {
    start: *const u8,
    row_bytes: usize,
}

impl Source for Q8Rows {
    #[inline(always)]
    fn address(self, row: usize, at: usize) -> *const u8 {
        self.start
            .wrapping_add(row * self.row_bytes + BlockType::Q8.row_bytes(at))
    }

    #[inline(always)]
    fn bytes(self, len: usize) -> usize {
        BlockType::Q8.row_bytes(len)
    }

    #[inline(always)]
    unsafe fn pair<S: Simd>(self, row: usize, at: usize) -> [S::V; 2] {
        let block = self.address(row, at);
        // SAFETY: the contract gives a whole block.
        unsafe {
            let scale = S::splat_f16(block);
            let integers = block.add(SCALE_BYTES);
            [
                S::mul(S::load_i8(integers), scale),
                S::mul(S::load_i8(integers.add(LANES)), scale),
            ]
        }
    }

    #[inline(always)]
    unsafe fn rest<S: Simd>(self, _: usize, _: usize, _: usize) -> S::V {
        unreachable!("rows of blocks are multiples of {BLOCK} wide")
    }
}

#[derive(Clone, Copy)]
struct Q4Rows {
    start: *const u8,
    row_bytes: usize,
}

impl Source for Q4Rows {
    #[inline(always)]
    fn address(self, row: usize, at: usize) -> *const u8 {
        self.start
            .wrapping_add(row * self.row_bytes + BlockType::Q4.row_bytes(at))
    }

    #[inline(always)]
    fn bytes(self, len: usize) -> usize {
        BlockType::Q4.row_bytes(len)
    }

    #[inline(always)]
    unsafe fn pair<S: Simd>(self, row: usize, at: usize) -> [S::V; 2] {
        let block = self.address(row, at);
        // SAFETY: the contract gives a whole block.
        unsafe { S::scaled_i4(block.add(SCALE_BYTES), S::splat_f16(block)) }
    }

    #[inline(always)]
    unsafe fn rest<S: Simd>(self, _: usize, _: usize, _: usize) -> S::V {
        unreachable!("rows of blocks are multiples of {BLOCK} wide")
    }
}
