//! From stored bytes to tensors on a device.
//!
//! On the CPU, bf16 and f32 matrices stay where they are, in the mapped file. What must be rearranged is copied in its own
//! type; FP8 blocks become f32 and MXFP4 blocks become bf16, both exactly. On other devices everything becomes f32.

use std::ops::Range;

use burn::tensor::{AllocationProperty, Bytes, DType, Device, Shape, Tensor, TensorData, bf16};
use burn_flex::{Flex, FlexTensor, Layout};
use safetensors::Dtype;

use super::{
    TensorFiles,
    float8::{E4M3, FP4},
    tensors::StoredTensor,
};
use crate::error::EngineError;

/// Where tensors go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'a> {
    pub(crate) device: &'a Device,
    /// Whether stored types are kept.
    pub(crate) is_cpu: bool,
}

/// Values in the type that they keep on the CPU.
enum Values {
    F32(Vec<f32>),
    Bf16(Vec<bf16>),
}

impl Target<'_> {
    fn tensor(&self, values: Values, dims: [usize; 2]) -> Tensor<2> {
        let layout = Layout::contiguous(Shape::from(dims));
        match values {
            Values::Bf16(values) if self.is_cpu => Tensor::from_primitive::<Flex>(FlexTensor::new(
                Bytes::from_elems(values),
                layout,
                DType::BF16,
            )),
            Values::F32(values) => Tensor::from_data(TensorData::new(values, dims), self.device),
            Values::Bf16(values) => {
                let values: Vec<f32> = values.into_iter().map(bf16::to_f32).collect();
                Tensor::from_data(TensorData::new(values, dims), self.device)
            }
        }
    }
}

impl TensorFiles {
    /// Loads values `part` of a tensor as a matrix of shape `dims`.
    pub(crate) fn matrix(
        &self,
        stored: &StoredTensor,
        part: Range<usize>,
        dims: [usize; 2],
        target: Target<'_>,
    ) -> Result<Tensor<2>, EngineError> {
        let bytes = self.part(stored, part, dims)?;
        let dtype = match stored.dtype {
            Dtype::BF16 => Some(DType::BF16),
            Dtype::F32 => Some(DType::F32),
            _ => None,
        };
        if let (true, Some(dtype)) = (target.is_cpu, dtype)
            && (bytes.as_ptr() as usize).is_multiple_of(stored.dtype.bitsize() / 8)
        {
            let shared = Bytes::from_shared(bytes, AllocationProperty::File);
            let layout = Layout::contiguous(Shape::from(dims));
            return Ok(Tensor::from_primitive::<Flex>(FlexTensor::new(
                shared, layout, dtype,
            )));
        }
        let values = self.values(stored, &bytes)?;
        let values = if target.is_cpu {
            values
        } else {
            values.into_f32()
        };
        Ok(target.tensor(values, dims))
    }

    /// All values of a small tensor as f32, on the host.
    pub(crate) fn host_vector(&self, stored: &StoredTensor) -> Result<Vec<f32>, EngineError> {
        let (_, bytes) = self.bytes(stored);
        match self.values(stored, &bytes)?.into_f32() {
            Values::F32(values) => Ok(values),
            Values::Bf16(_) => unreachable!("widened above"),
        }
    }

    /// Rearranges values `part` of a tensor: entry (r, c) of the result is value `index(r, c)` of the part.
    pub(crate) fn rearranged(
        &self,
        stored: &StoredTensor,
        part: Range<usize>,
        dims: [usize; 2],
        index: impl Fn(usize, usize) -> usize,
        target: Target<'_>,
    ) -> Result<Tensor<2>, EngineError> {
        let len = part.len();
        let bytes = self.part(stored, part, [1, len])?;
        let places = || (0..dims[0]).flat_map(|r| (0..dims[1]).map(move |c| (r, c)));
        let values = match self.values(stored, &bytes)? {
            Values::F32(values) => {
                Values::F32(places().map(|(r, c)| values[index(r, c)]).collect())
            }
            Values::Bf16(values) => {
                Values::Bf16(places().map(|(r, c)| values[index(r, c)]).collect())
            }
        };
        Ok(target.tensor(values, dims))
    }

    /// Loads rows `first_row..` of an FP8 matrix whose blocks have scales (DeepSeek-V3, arXiv 2412.19437, §3.3.2).
    pub(crate) fn fp8(
        &self,
        [weights, scales]: [&StoredTensor; 2],
        first_row: usize,
        dims: [usize; 2],
        block: [usize; 2],
        target: Target<'_>,
    ) -> Result<Tensor<2>, EngineError> {
        let [rows, columns] = dims;
        let part = first_row * columns..(first_row + rows) * columns;
        let bytes = self.part(weights, part, dims)?;
        let scales = self.host_vector(scales)?;
        let scales_per_row = columns.div_ceil(block[1]);
        let mut values = Vec::with_capacity(rows * columns);
        for (row, bytes) in bytes.chunks(columns).enumerate() {
            let first = (first_row + row) / block[0] * scales_per_row;
            for (bytes, scale) in bytes.chunks(block[1]).zip(&scales[first..]) {
                values.extend(bytes.iter().map(|byte| E4M3[usize::from(*byte)] * scale));
            }
        }
        Ok(target.tensor(Values::F32(values), dims))
    }

    /// Loads every `step`-th row from `first_row` of expert `expert` of a tensor in blocks of 32 four-bit floats with
    /// one exponent (OCP Microscaling Formats 1.0, MXFP4).
    pub(crate) fn mxfp4(
        &self,
        [blocks, scales]: [&StoredTensor; 2],
        expert: usize,
        (first_row, step): (usize, usize),
        dims: [usize; 2],
        target: Target<'_>,
    ) -> Result<Tensor<2>, EngineError> {
        let [rows, columns] = dims;
        let stored_rows = blocks.shape[1];
        let (blocks, scales) = (self.raw(blocks)?, self.raw(scales)?);
        let mut values = Vec::with_capacity(rows * columns);
        for row in 0..rows {
            let at = expert * stored_rows + first_row + row * step;
            let packed = &blocks[at * columns / 2..(at + 1) * columns / 2];
            let exponents = &scales[at * columns / 32..(at + 1) * columns / 32];
            for (packed, exponent) in packed.chunks(16).zip(exponents) {
                let scale = f32::from(i16::from(*exponent) - 127).exp2();
                values.extend(packed.iter().flat_map(|byte| {
                    [byte & 15, byte >> 4]
                        .map(|nibble| bf16::from_f32(FP4[usize::from(nibble)] * scale))
                }));
            }
        }
        Ok(target.tensor(Values::Bf16(values), dims))
    }

    /// Bytes of a tensor of bytes.
    fn raw(&self, stored: &StoredTensor) -> Result<bytes::Bytes, EngineError> {
        let (path, bytes) = self.bytes(stored);
        if stored.dtype != Dtype::U8 {
            return Err(EngineError::Weights {
                reason: format!(
                    "MXFP4 blocks and scales are of type U8, found {:?}",
                    stored.dtype
                ),
                path: path.to_owned(),
            });
        }
        Ok(bytes)
    }

    fn part(
        &self,
        stored: &StoredTensor,
        part: Range<usize>,
        dims: [usize; 2],
    ) -> Result<bytes::Bytes, EngineError> {
        let (path, bytes) = self.bytes(stored);
        let width = stored.dtype.bitsize() / 8;
        let end = part.end.saturating_mul(width);
        if part.start > part.end || end > bytes.len() || part.len() != dims[0] * dims[1] {
            return Err(EngineError::Weights {
                reason: format!(
                    "values {part:?} are outside a tensor of shape {:?}",
                    stored.shape
                ),
                path: path.to_owned(),
            });
        }
        Ok(bytes.slice(part.start * width..end))
    }

    /// Little-endian values, bf16 as they are and other types as f32.
    fn values(&self, stored: &StoredTensor, bytes: &[u8]) -> Result<Values, EngineError> {
        let pairs = || bytes.chunks_exact(2).map(|pair| [pair[0], pair[1]]);
        match stored.dtype {
            Dtype::F32 => Ok(Values::F32(
                bytes
                    .chunks_exact(4)
                    .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                    .collect(),
            )),
            Dtype::BF16 => Ok(Values::Bf16(pairs().map(bf16::from_le_bytes).collect())),
            Dtype::F16 => Ok(Values::F32(
                pairs()
                    .map(|pair| half::f16::from_le_bytes(pair).to_f32())
                    .collect(),
            )),
            other => Err(EngineError::Weights {
                reason: format!(
                    "weights of type {other:?} are not supported here; supported are F32, BF16, F16, FP8 (E4M3) in \
                     blocks with scales, and MXFP4 experts"
                ),
                path: self.bytes(stored).0.to_owned(),
            }),
        }
    }
}

impl Values {
    fn into_f32(self) -> Self {
        match self {
            Self::Bf16(values) => Self::F32(values.into_iter().map(bf16::to_f32).collect()),
            Self::F32(values) => Self::F32(values),
        }
    }
}
