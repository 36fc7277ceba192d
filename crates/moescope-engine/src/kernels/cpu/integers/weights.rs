//! Blocks of weights as integers of 16 bits.

use std::arch::{
    asm,
    x86_64::{
        __m256, __m256i, _mm_loadu_si128, _mm_set_epi16, _mm256_and_si256, _mm256_cvtepi8_epi16,
        _mm256_cvtepu8_epi16, _mm256_cvtph_ps, _mm256_set1_epi16, _mm256_srli_epi16,
    },
};

use super::EIGHT;
use crate::blocks::{BlockType, SCALE_BYTES};

/// What is added to the integers of `q4` as they are kept.
pub(super) const OFFSET: i16 = 8;

/// A type of blocks.
pub(super) trait Blocks {
    /// Bytes of a block.
    const BYTES: usize;
    /// Whether [`OFFSET`] is still to be taken off the integers.
    const HAS_OFFSET: bool;

    /// The integers of a block, the first sixteen and the last.
    ///
    /// # Safety
    /// `block` is a block's place, and the machine has AVX2.
    unsafe fn integers(block: *const u8) -> [__m256i; 2];
}

/// `q8`.
pub(super) struct Q8Blocks;

impl Blocks for Q8Blocks {
    const BYTES: usize = BlockType::Q8.bytes();
    const HAS_OFFSET: bool = false;

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn integers(block: *const u8) -> [__m256i; 2] {
        // SAFETY: by the contract.
        unsafe {
            [0, 16]
                .map(|at| _mm256_cvtepi8_epi16(_mm_loadu_si128(block.add(SCALE_BYTES + at).cast())))
        }
    }
}

/// `q4`.
pub(super) struct Q4Blocks;

impl Blocks for Q4Blocks {
    const BYTES: usize = BlockType::Q4.bytes();
    const HAS_OFFSET: bool = true;

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn integers(block: *const u8) -> [__m256i; 2] {
        // SAFETY: by the contract.
        let both = unsafe { _mm_loadu_si128(block.add(SCALE_BYTES).cast()) };
        let mut both = _mm256_cvtepu8_epi16(both);
        // The compiler would take the halves apart first and widen each, which takes twice as long.
        // SAFETY: there is no instruction.
        unsafe {
            asm!("/* {0} */", inout(ymm_reg) both, options(pure, nomem, nostack, preserves_flags));
        };
        [
            _mm256_and_si256(both, _mm256_set1_epi16(15)),
            _mm256_srli_epi16::<4>(both),
        ]
    }
}

/// The scales of eight blocks.
///
/// # Safety
/// The places are those of blocks, and the machine has F16C.
#[inline]
#[target_feature(enable = "avx2,f16c")]
pub(super) unsafe fn scales(blocks: [*const u8; EIGHT]) -> __m256 {
    // SAFETY: a block begins with its scale.
    let [a, b, c, d, e, f, g, h] =
        blocks.map(|block| unsafe { block.cast::<i16>().read_unaligned() });
    _mm256_cvtph_ps(_mm_set_epi16(h, g, f, e, d, c, b, a))
}
