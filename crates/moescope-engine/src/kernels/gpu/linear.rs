//! y = x Wᵀ: one unit per weight row and four rows of x.
//!
//! No shared memory: software Vulkan (Mesa 22.3) crashes while compiling any shader that has it together with the
//! Vulkan memory model, which is also why burn's own matrix product cannot be used there.

use burn::tensor::{DType, Shape};
use burn_cubecl::{ops::numeric::empty_device_dtype, tensor::CubeTensor};
use cubecl::prelude::*;

/// Units per cube, along the rows of W.
const UNITS: u32 = 64;
/// Rows of x per unit, so that a weight is read once for all of them.
const ROWS: u32 = 4;

#[cube(launch_unchecked)]
fn linear_kernel(x: &[f32], weight: &[f32], out: &mut [f32], n: u32, m: u32, k: u32) {
    let column = ABSOLUTE_POS_X as usize;
    let first = CUBE_POS_Y as usize * comptime!(ROWS as usize);
    let (rows, columns, depth) = (n as usize, m as usize, k as usize);
    if column < columns {
        // Rows past the end repeat the last one and are not written.
        let last = rows - 1;
        let row_0 = first * depth;
        let row_1 = usize::min(first + 1, last) * depth;
        let row_2 = usize::min(first + 2, last) * depth;
        let row_3 = usize::min(first + 3, last) * depth;
        let start = column * depth;
        let mut sum_0 = 0.0f32;
        let mut sum_1 = 0.0f32;
        let mut sum_2 = 0.0f32;
        let mut sum_3 = 0.0f32;
        for i in 0..depth {
            let w = weight[start + i];
            sum_0 += w * x[row_0 + i];
            sum_1 += w * x[row_1 + i];
            sum_2 += w * x[row_2 + i];
            sum_3 += w * x[row_3 + i];
        }
        out[first * columns + column] = sum_0;
        if first + 1 < rows {
            out[(first + 1) * columns + column] = sum_1;
        }
        if first + 2 < rows {
            out[(first + 2) * columns + column] = sum_2;
        }
        if first + 3 < rows {
            out[(first + 3) * columns + column] = sum_3;
        }
    }
}

/// `x [n, k]`, `weight [m, k]`, both contiguous f32 → `[n, m]`.
pub(super) fn launch(x: CubeTensor, weight: CubeTensor) -> CubeTensor {
    let [n, k] = x.meta.shape().dims::<2>();
    let [m, _] = weight.meta.shape().dims::<2>();
    let out = empty_device_dtype(
        x.client.clone(),
        x.device.clone(),
        Shape::from([n, m]),
        DType::F32,
    );
    let client = x.client.clone();
    let size = |size: usize| u32::try_from(size).expect("a model's sizes fit 32 bits");
    let count = CubeCount::Static(size(m).div_ceil(UNITS), size(n).div_ceil(ROWS), 1);
    // SAFETY: the kernel compares every index with n, m and k, which are the tensors' own sizes; n is not 0.
    unsafe {
        linear_kernel::launch_unchecked(
            &client,
            count,
            CubeDim::new_1d(UNITS),
            x.into_buffer_arg(),
            weight.into_buffer_arg(),
            out.clone().into_buffer_arg(),
            size(n),
            size(m),
            size(k),
        );
    }
    out
}
