//! Activations of experts and dense feed-forward layers.

use burn::tensor::{Tensor, activation};

/// The non-linearity of an expert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// x · σ(x); `silu`, `swish`.
    Silu,
    /// x · Φ(x) with the exact normal distribution; `gelu`.
    Gelu,
    /// The tanh approximation of gelu; `gelu_new`, `gelu_pytorch_tanh`.
    GeluTanh,
    /// max(x, 0); `relu`.
    Relu,
}

impl Activation {
    /// The activation that `hidden_act` names.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "silu" | "swish" => Some(Self::Silu),
            "gelu" => Some(Self::Gelu),
            "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" => Some(Self::GeluTanh),
            "relu" => Some(Self::Relu),
            _ => None,
        }
    }

    /// f(x) of one number.
    #[must_use]
    pub fn apply(self, x: f32) -> f32 {
        match self {
            Self::Silu => x / (1.0 + (-x).exp()),
            Self::Gelu => {
                #[expect(clippy::cast_possible_truncation, reason = "activations are f32")]
                let phi = (0.5 * (1.0 + erf(f64::from(x) / std::f64::consts::SQRT_2))) as f32;
                x * phi
            }
            Self::GeluTanh => {
                let inner = (2.0 / std::f32::consts::PI).sqrt() * (x + 0.044_715 * x * x * x);
                0.5 * x * (1.0 + inner.tanh())
            }
            Self::Relu => x.max(0.0),
        }
    }

    /// f(x) of a whole tensor.
    #[must_use]
    pub fn apply_tensor(self, x: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Silu => activation::silu(x),
            Self::Gelu => activation::gelu(x),
            Self::GeluTanh => activation::gelu_approximate(x),
            Self::Relu => activation::relu(x),
        }
    }
}

/// The error function to about 1e-16: its Maclaurin series near zero, the continued fraction of erfc beyond.
fn erf(x: f64) -> f64 {
    let a = x.abs();
    if a > 6.0 {
        return x.signum();
    }
    if a < 2.5 {
        // erf x = 2/√π · Σ (−1)ⁿ x²ⁿ⁺¹ / (n! (2n+1)), DLMF 7.6.1
        let mut term = x;
        let mut sum = x;
        for n in 1..60 {
            let n = f64::from(n);
            term *= -x * x / n;
            sum += term / (2.0 * n + 1.0);
        }
        return sum * 2.0 / std::f64::consts::PI.sqrt();
    }
    // erfc x = e^(−x²)/√π · 1/(x + (1/2)/(x + 1/(x + (3/2)/(x + …)))), DLMF 7.9.2
    let fraction = (1..=60)
        .rev()
        .fold(a, |below, n| a + f64::from(n) / 2.0 / below);
    x.signum() * (1.0 - (-a * a).exp() / (std::f64::consts::PI.sqrt() * fraction))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_function_has_its_tabulated_values() {
        // Abramowitz and Stegun, table 7.1.
        for (x, value) in [
            (0.0, 0.0),
            (0.5, 0.520_499_877_8),
            (1.0, 0.842_700_792_9),
            (2.0, 0.995_322_265_0),
        ] {
            assert!((erf(x) - value).abs() < 1e-10, "erf({x})");
            assert!((erf(-x) + value).abs() < 1e-10);
        }
        assert!((erf(3.0) - 0.999_977_909_503_001_4).abs() < 1e-13);
        assert!((erf(2.499_999) - erf(2.500_001)).abs() < 1e-7);
    }
}
