//! Norms, row by row, with sums in f64.

use super::{
    output::SharedOut,
    simd::{InstructionSet, Simd, SimdTask, with_simd},
    team,
};

/// Values below which threads cost more than they bring.
const SERIAL_BELOW: usize = 32 * 1024;
/// Rows per task.
const ROWS: usize = 8;
/// Running sums, always added in the same order.
const SUMS: usize = 8;

/// A norm and its parameters, `[width]` each.
#[derive(Clone, Copy)]
pub(super) enum Norm<'a> {
    /// x / √(mean(x²) + eps) · weight
    Rms { weight: &'a [f32], eps: f64 },
    /// (x − mean) / √(variance + eps) · weight + bias
    Layer {
        weight: &'a [f32],
        bias: Option<&'a [f32]>,
        eps: f64,
    },
}

/// The norm of every row of `x [tokens, width]`.
pub(super) fn norm(set: InstructionSet, x: &[f32], norm: Norm<'_>) -> Vec<f32> {
    let (Norm::Rms { weight, .. } | Norm::Layer { weight, .. }) = norm;
    let width = weight.len();
    let mut out = vec![0.0f32; x.len()];
    let shared = SharedOut::new(&mut out);
    let size = ROWS * width;
    let work = |task: usize| {
        let x = &x[task * size..((task + 1) * size).min(x.len())];
        // SAFETY: every task has its own rows.
        let out = unsafe { shared.range(task * size, x.len()) };
        with_simd(
            set,
            Rows {
                x,
                out,
                width,
                norm,
            },
        );
    };
    let tasks = x.len().div_ceil(size);
    if x.len() < SERIAL_BELOW {
        (0..tasks).for_each(work);
    } else {
        team::for_each(tasks, work);
    }
    out
}

struct Rows<'a> {
    x: &'a [f32],
    out: &'a mut [f32],
    width: usize,
    norm: Norm<'a>,
}

impl SimdTask for Rows<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        #[expect(clippy::cast_precision_loss, reason = "a width")]
        let count = self.width as f64;
        let rows = self.x.chunks_exact(self.width);
        for (x, out) in rows.zip(self.out.chunks_exact_mut(self.width)) {
            match self.norm {
                Norm::Rms { weight, eps } => {
                    #[expect(clippy::cast_possible_truncation, reason = "activations are f32")]
                    let factor = (1.0 / (sum_of_squares(x, 0.0) / count + eps).sqrt()) as f32;
                    for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
                        *out = x * factor * weight;
                    }
                }
                Norm::Layer { weight, bias, eps } => {
                    let mean = sum(x) / count;
                    let factor = 1.0 / (sum_of_squares(x, mean) / count + eps).sqrt();
                    for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
                        #[expect(clippy::cast_possible_truncation, reason = "activations are f32")]
                        let normed = ((f64::from(*x) - mean) * factor) as f32;
                        *out = normed * weight;
                    }
                    if let Some(bias) = bias {
                        out.iter_mut()
                            .zip(bias)
                            .for_each(|(out, bias)| *out += bias);
                    }
                }
            }
        }
    }
}

/// Σ (x − mean)²
#[inline(always)]
fn sum_of_squares(x: &[f32], mean: f64) -> f64 {
    let mut sums = [0.0f64; SUMS];
    let chunks = x.chunks_exact(SUMS);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (sum, x) in sums.iter_mut().zip(chunk) {
            let difference = f64::from(*x) - mean;
            *sum += difference * difference;
        }
    }
    for (sum, x) in sums.iter_mut().zip(rest) {
        *sum += (f64::from(*x) - mean).powi(2);
    }
    sums.iter().sum()
}

#[inline(always)]
fn sum(x: &[f32]) -> f64 {
    let mut sums = [0.0f64; SUMS];
    for chunk in x.chunks(SUMS) {
        for (sum, x) in sums.iter_mut().zip(chunk) {
            *sum += f64::from(*x);
        }
    }
    sums.iter().sum()
}
