//! Routers drawn at random: what a model of this shape would route before it learned to.

use burn::tensor::{Tensor, TensorData};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::weights::{FeedForwardWeights, LayerWeights};
use crate::matrix::Matrix;

/// Replaces the router of a layer, if it has one, by normal numbers of the same standard deviation about zero; biases become zero.
///
/// Everything else stays trained, so a difference to the model as it is comes from what its routers learned.
pub(super) fn untrain(layer: &mut LayerWeights, number: usize, seed: u64) {
    let FeedForwardWeights::Sparse(sparse) = &mut layer.feed_forward else {
        return;
    };
    let trained = sparse.router.weight.to_tensor();
    let (dims, device) = (trained.dims(), trained.device());
    let values: Vec<f32> = trained
        .into_data()
        .convert::<f32>()
        .try_into_vec::<f32>()
        .expect("converted to f32");
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(number as u64);
    let deviation = standard_deviation(&values);
    let drawn: Vec<f32> = values
        .iter()
        .map(|_| deviation * normal(&mut rng))
        .collect();
    let drawn = Tensor::<2>::from_data(TensorData::new(drawn, dims), &device);
    sparse.router.weight = Matrix::from(drawn);
    sparse.router.bias = None;
    if let Some((bias, on_host)) = &mut sparse.correction_bias {
        *bias = bias.zeros_like();
        on_host.fill(0.0);
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "the spread of weights, to the precision of weights"
)]
fn standard_deviation(values: &[f32]) -> f32 {
    let n = values.len().max(1) as f64;
    let mean = values.iter().map(|x| f64::from(*x)).sum::<f64>() / n;
    let squares: f64 = values.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum();
    (squares / n).sqrt() as f32
}

/// A standard normal number (Box and Muller 1958).
fn normal(rng: &mut ChaCha8Rng) -> f32 {
    // From (0, 1], since the logarithm of 0 is not finite.
    let u = 1.0 - rng.random::<f32>();
    let v = rng.random::<f32>();
    (-2.0 * u.ln()).sqrt() * (std::f32::consts::TAU * v).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawn_numbers_are_standard_normal() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let drawn: Vec<f32> = (0..20_000).map(|_| normal(&mut rng)).collect();
        assert!(drawn.iter().all(|x| x.is_finite()));
        // Standard errors at 20,000 draws: 0.007 of the mean, 0.005 of the deviation; 0.0033 of the share beyond 1.
        let mean = drawn.iter().sum::<f32>() / 20_000.0;
        assert!(mean.abs() < 0.03, "{mean}");
        assert!((standard_deviation(&drawn) - 1.0).abs() < 0.02);
        let beyond = drawn.iter().filter(|x| x.abs() > 1.0).count();
        assert!((6_100..6_600).contains(&beyond), "{beyond} of 20,000");
    }
}
