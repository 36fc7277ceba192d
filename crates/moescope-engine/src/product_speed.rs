//! The speed of one large product, which a model's own speed is compared with.

use std::time::{Duration, Instant};

use burn::tensor::{Bytes, DType, Shape, Tensor, TensorData, bf16};
use burn_flex::{Flex, FlexTensor, Layout};

use crate::{device::ComputeDevice, error::EngineError, matrix::Matrix, precision::ComputeType};

/// Rows that are multiplied: a long prefill.
const ROWS: usize = 512;
/// Rows and columns of the weights; larger than caches that belong to one core.
const WIDTH: usize = 4096;
/// The product is repeated for so long, and at least twice; the fastest counts.
const MEASURED: Duration = Duration::from_secs(1);

/// Billions of floating-point operations per second of `[512, 4096] · [4096, 4096]ᵀ` by the kernels that models are
/// computed with, weights in the type of the arithmetic.
///
/// # Errors
/// When the device does not compute in this type, or fails.
pub fn product_gflop_per_s(
    device: &ComputeDevice,
    compute: ComputeType,
) -> Result<f64, EngineError> {
    let kernels = device.kernels(compute)?;
    let x = TensorData::new(values(ROWS * WIDTH), [ROWS, WIDTH]);
    let x = Tensor::<2>::from_data(x, device.device());
    let weight = weights(device, compute);
    let mut fastest = f64::INFINITY;
    let start = Instant::now();
    for pass in 0.. {
        if pass >= 2 && start.elapsed() > MEASURED {
            break;
        }
        device.sync()?;
        let begin = Instant::now();
        let product = kernels.linear(&x, &weight);
        device.sync()?;
        fastest = fastest.min(begin.elapsed().as_secs_f64());
        drop(product);
    }
    #[expect(clippy::cast_precision_loss, reason = "17 billion")]
    let operations = (2 * ROWS * WIDTH * WIDTH) as f64;
    Ok(operations / fastest / 1e9)
}

fn weights(device: &ComputeDevice, compute: ComputeType) -> Matrix {
    let values = values(WIDTH * WIDTH);
    let dims = [WIDTH, WIDTH];
    match compute {
        ComputeType::Bf16 if device.is_cpu() => {
            let values: Vec<bf16> = values.into_iter().map(bf16::from_f32).collect();
            Tensor::from_primitive::<Flex>(FlexTensor::new(
                Bytes::from_elems(values),
                Layout::contiguous(Shape::from(dims)),
                DType::BF16,
            ))
        }
        _ => Tensor::<2>::from_data(TensorData::new(values, dims), device.device()),
    }
    .into()
}

/// Numbers between −1 and 1 that all differ from zero: kernels may skip what is zero.
#[expect(clippy::cast_precision_loss, reason = "below 2000")]
fn values(len: usize) -> Vec<f32> {
    (0..len)
        .map(|i| (i * 7919 % 1999) as f32 / 1000.0 - 0.9995)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::DeviceChoice;

    #[test]
    fn every_type_of_arithmetic_has_a_speed() {
        let device = ComputeDevice::open(DeviceChoice::Cpu).unwrap();
        for compute in [ComputeType::F32, ComputeType::Bf16] {
            let speed = product_gflop_per_s(&device, compute).unwrap();
            assert!(speed.is_finite() && speed > 0.0, "{compute}: {speed}");
        }
    }
}
