//! Attention over each query's own range of keys: one unit per query and head, in one pass with a running maximum.

use burn::{
    backend::Wgpu,
    tensor::{DType, Device, Int, Tensor, TensorData},
};
use burn_cubecl::{kernel::into_contiguous, ops::numeric::empty_device_dtype, tensor::CubeTensor};
use cubecl::prelude::*;

use crate::kernels::{AttentionShape, KeyRange};

/// Units per cube.
const UNITS: u32 = 32;

/// The output row itself holds the running weighted sum; the maximum and the sum of weights stay in registers
/// (the online softmax of arXiv 1805.02867).
#[cube(launch_unchecked)]
#[expect(clippy::too_many_arguments, reason = "a kernel has no structs")]
fn attention_kernel(
    queries: &[f32],
    keys: &[f32],
    values: &[f32],
    ranges: &[u32],
    out: &mut [f32],
    total: u32,
    heads: u32,
    group: u32,
    head_dim: u32,
    kv_width: u32,
    scale: f32,
) {
    let index = ABSOLUTE_POS;
    if index < total as usize {
        let token = index / heads as usize;
        let head = index % heads as usize;
        let width = head_dim as usize;
        let query = index * width;
        let offset = head / group as usize * width;
        let first = ranges[2 * token] as usize;
        let end = ranges[2 * token + 1] as usize;
        for d in 0..width {
            out[query + d] = 0.0f32;
        }
        let mut max = f32::new(-3.0e38);
        let mut sum = 0.0f32;
        for row in first..end {
            let key = row * kv_width as usize + offset;
            let mut score = 0.0f32;
            for d in 0..width {
                score += queries[query + d] * keys[key + d];
            }
            score *= scale;
            let larger = f32::max(max, score);
            let shrink = f32::exp(max - larger);
            let weight = f32::exp(score - larger);
            sum = sum * shrink + weight;
            for d in 0..width {
                out[query + d] = out[query + d] * shrink + weight * values[key + d];
            }
            max = larger;
        }
        for d in 0..width {
            out[query + d] /= sum;
        }
    }
}

/// Contiguous f32 `queries [n, heads · D]`, `keys` and `values [rows, kv_heads · D]` → `[n, heads · D]`.
pub(super) fn launch(
    queries: CubeTensor,
    keys: CubeTensor,
    values: CubeTensor,
    ranges: &[KeyRange],
    shape: AttentionShape,
    device: &Device,
) -> CubeTensor {
    let size = |size: usize| u32::try_from(size).expect("a model's sizes fit 32 bits");
    let bounds: Vec<u32> = ranges
        .iter()
        .flat_map(|range| [size(range.first), size(range.end)])
        .collect();
    let len = bounds.len();
    let bounds = Tensor::<1, Int>::from_data(TensorData::new(bounds, [len]), (device, DType::U32));
    let bounds = into_contiguous(
        bounds
            .try_into_primitive::<Wgpu>()
            .expect("made on this device"),
    );
    let out = empty_device_dtype(
        queries.client.clone(),
        queries.device.clone(),
        queries.meta.shape().clone(),
        DType::F32,
    );
    let client = queries.client.clone();
    let total = size(ranges.len() * shape.heads);
    // SAFETY: index < total = queries × heads; ranges lie within the cache's rows; sizes are the tensors' own.
    unsafe {
        attention_kernel::launch_unchecked(
            &client,
            CubeCount::Static(total.div_ceil(UNITS), 1, 1),
            CubeDim::new_1d(UNITS),
            queries.into_buffer_arg(),
            keys.into_buffer_arg(),
            values.into_buffer_arg(),
            bounds.into_buffer_arg(),
            out.clone().into_buffer_arg(),
            total,
            size(shape.heads),
            size(shape.heads / shape.kv_heads),
            size(shape.head_dim),
            size(shape.kv_heads * shape.head_dim),
            shape.scale,
        );
    }
    out
}
