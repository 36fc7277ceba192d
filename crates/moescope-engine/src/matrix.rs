//! A matrix of weights, in the type it is kept in.

use burn::tensor::{DType, Device, Tensor, TensorData};
use burn_flex::{Flex, FlexTensor};

use crate::{
    blocks::{self, BLOCK, BlockType, NotHeld},
    error::EngineError,
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

    /// A matrix of the CPU in another type: in blocks of a type of weights, or as it is where that is as stored.
    ///
    /// # Errors
    /// When rows are no whole blocks of 32, or when a weight is no number or larger than blocks hold.
    ///
    /// # Panics
    /// When the tensor is not on the CPU.
    pub fn kept_as(tensor: &Tensor<2>, weights: WeightType) -> Result<Self, EngineError> {
        let dims = tensor.dims();
        let Some(kind) = BlockType::of(weights) else {
            return Ok(tensor.clone().into());
        };
        if !dims[1].is_multiple_of(BLOCK) {
            return Err(EngineError::Precision(format!(
                "{weights} weights lie in blocks of {BLOCK}, and rows of {} are no whole blocks",
                dims[1]
            )));
        }
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
        let bytes = bytes.map_err(|NotHeld { at }| {
            EngineError::Precision(format!(
                "the weights from column {} of row {} cannot be kept as {weights}: one of them is no number, or so large \
                 that the half-precision scale of its block overflows; use --weights stored",
                at % dims[1],
                at / dims[1]
            ))
        })?;
        Ok(Self {
            dims,
            kept: Kept::Blocks(kind, bytes.into()),
        })
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
