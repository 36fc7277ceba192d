//! The softmax of one row, inside a vector function.

use super::{
    exp::shifted_exp,
    simd::{LANES, Simd},
};

/// Scores become probabilities; a sink is one more score whose probability is dropped.
///
/// # Safety
/// The machine has `S`.
#[inline(always)]
pub(super) unsafe fn softmax<S: Simd>(scores: &mut [f32], sink: Option<f32>) {
    // SAFETY: by the contract.
    let max = unsafe { largest::<S>(scores) }.max(sink.unwrap_or(f32::NEG_INFINITY));
    shifted_exp(scores, max);
    // SAFETY: by the contract.
    let mut sum = unsafe { total::<S>(scores) };
    if let Some(sink) = sink {
        sum += (sink - max).exp();
    }
    scores.iter_mut().for_each(|score| *score /= sum);
}

/// The largest value, −∞ where there is none.
///
/// # Safety
/// The machine has `S`.
#[inline(always)]
unsafe fn largest<S: Simd>(values: &[f32]) -> f32 {
    let body = values.len() - values.len() % LANES;
    let mut lanes = [f32::NEG_INFINITY; LANES];
    unsafe {
        let mut max = S::splat(f32::NEG_INFINITY);
        let mut at = 0;
        while at < body {
            max = S::max(S::load(values.as_ptr().add(at)), max);
            at += LANES;
        }
        S::store(lanes.as_mut_ptr(), max);
    }
    let rest = values[body..].iter();
    lanes
        .iter()
        .chain(rest)
        .fold(f32::NEG_INFINITY, |max, value| max.max(*value))
}

/// The sum of all values, in sixteen running sums and a tail.
///
/// # Safety
/// The machine has `S`.
#[inline(always)]
unsafe fn total<S: Simd>(values: &[f32]) -> f32 {
    let body = values.len() - values.len() % LANES;
    unsafe {
        let ones = S::splat(1.0);
        let mut sums = S::zero();
        let mut at = 0;
        while at < body {
            sums = S::fma(S::load(values.as_ptr().add(at)), ones, sums);
            at += LANES;
        }
        S::sum(sums) + values[body..].iter().sum::<f32>()
    }
}
