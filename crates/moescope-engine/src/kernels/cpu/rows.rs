//! A matrix of weights as it lies in memory.

use half::bf16;

use crate::blocks::{BLOCK, BlockType};

/// `[rows, cols]` weights, row-major, in the type they are stored in.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rows<'a> {
    /// Single precision.
    F32(&'a [f32]),
    /// bfloat16, widened in registers.
    Bf16(&'a [bf16]),
    /// Blocks of integers with a scale.
    Blocks(BlockType, &'a [u8]),
}

impl Rows<'_> {
    /// The name of the type.
    #[cfg(test)]
    pub(crate) fn kind(&self) -> String {
        match self {
            Self::F32(_) => "f32".to_owned(),
            Self::Bf16(_) => "bf16".to_owned(),
            Self::Blocks(kind, _) => format!("{kind:?}"),
        }
    }

    /// Number of values.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::Bf16(values) => values.len(),
            Self::Blocks(kind, bytes) => bytes.len() / kind.bytes() * BLOCK,
        }
    }

    /// Copies `out.len()` values from `start` as f32; both are whole blocks where there are blocks.
    pub(crate) fn widen_into(&self, start: usize, out: &mut [f32]) {
        match self {
            Self::F32(values) => out.copy_from_slice(&values[start..start + out.len()]),
            Self::Bf16(values) => {
                for (to, from) in out.iter_mut().zip(&values[start..]) {
                    *to = from.to_f32();
                }
            }
            Self::Blocks(kind, bytes) => {
                let blocks = bytes[kind.row_bytes(start)..].chunks(kind.bytes());
                for (to, block) in out.chunks_mut(BLOCK).zip(blocks) {
                    to.copy_from_slice(&kind.dequantise(block));
                }
            }
        }
    }
}
