//! A matrix of weights, in the type it is kept in.

use burn::tensor::{DType, Device, Tensor, TensorData};
use burn_flex::{Flex, FlexTensor};

use crate::{
    blocks::{self, BLOCK, BlockType},
    precision::WeightType,
};

/// A matrix of weights `[out, in]`.
#[derive(Clone, Debug)]
pub struct Matrix {
    dims: [usize; 2],
    kept: Kept,
}

/// What a matrix is made of.
#[derive(Clone, Debug)]
pub(crate) enum Kept {
    /// A tensor on the model's device: f32, or bf16 on the CPU.
    Tensor(Box<Tensor<2>>),
    /// Blocks in the system's memory, row by row.
    Blocks(BlockType, bytes::Bytes),
}

impl Matrix {
    /// Rows and columns: outputs and inputs.
    #[must_use]
    pub fn dims(&self) -> [usize; 2] {
        self.dims
    }

    pub(crate) fn kept(&self) -> &Kept {
        &self.kept
    }

    /// Whether rows of this width can be kept in a type.
    pub(crate) fn can_be(weights: WeightType, width: usize) -> bool {
        weights == WeightType::Stored || width.is_multiple_of(BLOCK)
    }

    /// A tensor of the CPU in blocks.
    ///
    /// # Panics
    /// When the width is no multiple of a block's, which [`Self::can_be`] tells before.
    pub(crate) fn quantised(tensor: &Tensor<2>, kind: BlockType) -> Self {
        let dims = tensor.dims();
        assert!(dims[1].is_multiple_of(BLOCK), "rows are whole blocks");
        let primitive = flex(tensor);
        let len = dims[0] * dims[1];
        let bytes = if primitive.dtype() == DType::BF16 {
            let values = primitive
                .as_slice::<half::bf16>()
                .expect("the type was looked at");
            blocks::quantise(kind, len, dims[1], |start, out| {
                for (to, from) in out.iter_mut().zip(&values[start..]) {
                    *to = from.to_f32();
                }
            })
        } else {
            let values = primitive
                .as_slice::<f32>()
                .expect("weights are bf16 or f32");
            blocks::quantise(kind, len, dims[1], |start, out| {
                out.copy_from_slice(&values[start..start + out.len()]);
            })
        };
        Self {
            dims,
            kept: Kept::Blocks(kind, bytes.into()),
        }
    }

    /// The matrix as a tensor of its device; blocks become f32.
    #[must_use]
    pub fn to_tensor(&self) -> Tensor<2> {
        match &self.kept {
            Kept::Tensor(tensor) => tensor.as_ref().clone(),
            Kept::Blocks(kind, bytes) => {
                let values: Vec<f32> = bytes
                    .chunks(kind.bytes())
                    .flat_map(|block| kind.dequantise(block))
                    .collect();
                Tensor::from_data(TensorData::new(values, self.dims), &Device::flex())
            }
        }
    }
}

impl From<Tensor<2>> for Matrix {
    fn from(tensor: Tensor<2>) -> Self {
        Self {
            dims: tensor.dims(),
            kept: Kept::Tensor(Box::new(tensor)),
        }
    }
}

/// The contiguous memory of a tensor of the CPU.
pub(crate) fn flex<const D: usize>(tensor: &Tensor<D>) -> FlexTensor {
    let tensor = tensor
        .clone()
        .try_into_primitive::<Flex>()
        .expect("the tensor is on the CPU");
    if tensor.is_contiguous() {
        tensor
    } else {
        tensor.to_contiguous()
    }
}
