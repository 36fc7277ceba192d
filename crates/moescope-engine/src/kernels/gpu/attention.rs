//! Attention over each query's own range of keys: one unit per query and head, in one pass with a running maximum.

use burn::{
    backend::Wgpu,
    tensor::{DType, Device, Int, Shape, Tensor, TensorData},
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
    sinks: &[f32],
    ranges: &[u32],
    out: &mut [f32],
    total: u32,
    heads: u32,
    group: u32,
    head_dim: u32,
    value_dim: u32,
    kv_heads: u32,
    scale: f32,
    #[comptime] has_sinks: bool,
) {
    let index = ABSOLUTE_POS;
    if index < total as usize {
        let token = index / heads as usize;
        let head = index % heads as usize;
        let width = head_dim as usize;
        let value_width = value_dim as usize;
        let query = index * width;
        let result = index * value_width;
        let kv_head = head / group as usize;
        let first = ranges[2 * token] as usize;
        let end = ranges[2 * token + 1] as usize;
        for d in 0..value_width {
            out[result + d] = 0.0f32;
        }
        let mut max = f32::new(-3.0e38);
        let mut sum = 0.0f32;
        if has_sinks {
            // One more logit, whose value is zero.
            max = sinks[head];
            sum = f32::new(1.0);
        }
        for row in first..end {
            let key = (row * kv_heads as usize + kv_head) * width;
            let value = (row * kv_heads as usize + kv_head) * value_width;
            let mut score = 0.0f32;
            for d in 0..width {
                score += queries[query + d] * keys[key + d];
            }
            score *= scale;
            let larger = f32::max(max, score);
            let shrink = f32::exp(max - larger);
            let weight = f32::exp(score - larger);
            sum = sum * shrink + weight;
            for d in 0..value_width {
                out[result + d] = out[result + d] * shrink + weight * values[value + d];
            }
            max = larger;
        }
        for d in 0..value_width {
            out[result + d] /= sum;
        }
    }
}

/// Contiguous f32 `queries [n, heads · D]`, `keys [rows, kv_heads · D]`, `values [rows, kv_heads · V]`,
/// `sinks [heads]` → `[n, heads · V]`.
pub(super) fn launch(
    queries: CubeTensor,
    keys: CubeTensor,
    values: CubeTensor,
    sinks: Option<&Tensor<1>>,
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
        Shape::from([ranges.len(), shape.heads * shape.value_dim]),
        DType::F32,
    );
    let client = queries.client.clone();
    let has_sinks = sinks.is_some();
    // A kernel's argument cannot be absent: without sinks the queries stand in, and are not read as such.
    let sinks = sinks.map_or_else(|| queries.clone(), super::cube);
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
            sinks.into_buffer_arg(),
            bounds.into_buffer_arg(),
            out.clone().into_buffer_arg(),
            total,
            size(shape.heads),
            size(shape.heads / shape.kv_heads),
            size(shape.head_dim),
            size(shape.value_dim),
            size(shape.kv_heads),
            shape.scale,
            has_sinks,
        );
    }
    out
}
