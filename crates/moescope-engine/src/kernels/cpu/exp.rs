//! e^x for whole slices, written so that the compiler turns it into vector instructions.

use super::simd::{InstructionSet, Simd, SimdTask, with_simd};

/// e^x to within two units in the last place, for x in −87…88; smaller x give 0, larger ones are clamped.
///
/// x = n ln 2 + r with |r| ≤ ln 2 / 2, e^r by its Taylor polynomial of degree 7 (remainder below 4e-9), times 2ⁿ.
/// No branch and no table, so that sixteen of them are one loop.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    const LOWEST: f32 = -87.0;
    const HIGHEST: f32 = 88.0;
    /// 1.5 · 2²³: adding it leaves the nearest whole number in the low bits.
    const ROUND: f32 = 12_582_912.0;
    /// ln 2 in two parts, the first with few enough bits that n · part is exact.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let clamped = x.clamp(LOWEST, HIGHEST);
    let shifted = clamped * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (clamped - n * LN2_HIGH) - n * LN2_LOW;
    let poly = 1.0
        + r * (1.0
            + r * (0.5
                + r * (1.0 / 6.0
                    + r * (1.0 / 24.0
                        + r * (1.0 / 120.0 + r * (1.0 / 720.0 + r * (1.0 / 5040.0)))))));
    // The low bits of `shifted` hold n; moved into the exponent they are 2ⁿ.
    let scale = f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
    let value = poly * scale;
    if x < LOWEST { 0.0 } else { value }
}

/// Replaces each x by e^(x − shift).
pub(super) fn exp_in_place(set: InstructionSet, values: &mut [f32], shift: f32) {
    with_simd(set, ExpInPlace { values, shift });
}

struct ExpInPlace<'a> {
    values: &'a mut [f32],
    shift: f32,
}

impl SimdTask for ExpInPlace<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        shifted_exp(self.values, self.shift);
    }
}

/// The loop of [`exp_in_place`], for callers that are already inside a vector function.
#[inline(always)]
pub(super) fn shifted_exp(values: &mut [f32], shift: f32) {
    for value in values {
        *value = exp(*value - shift);
    }
}

/// Replaces each x by x · σ(x).
pub(super) fn silu_in_place(set: InstructionSet, values: &mut [f32]) {
    with_simd(set, SiluInPlace { values });
}

struct SiluInPlace<'a> {
    values: &'a mut [f32],
}

impl SimdTask for SiluInPlace<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        for value in self.values {
            *value /= 1.0 + exp(-*value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_agrees_with_the_library_over_its_whole_range() {
        let mut worst = 0.0f64;
        for step in -8_700i16..=8_800 {
            let x = f32::from(step) / 100.0;
            let want = f64::from(x).exp();
            worst = worst.max((f64::from(exp(x)) - want).abs() / want);
        }
        // Two units in the last place of an f32.
        assert!(worst < 2.4e-7, "largest relative error {worst:e}");
    }

    #[test]
    fn extremes_and_nan_stay_what_they_are() {
        assert_eq!(exp(-1000.0).to_bits(), 0.0f32.to_bits());
        assert_eq!(exp(f32::NEG_INFINITY).to_bits(), 0.0f32.to_bits());
        assert_eq!(exp(0.0).to_bits(), 1.0f32.to_bits());
        assert!(exp(1000.0).is_finite() && exp(1000.0) > 1e38);
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn every_instruction_set_gives_the_same_silu() {
        let values: Vec<f32> = (-500i16..500).map(|i| f32::from(i) / 25.0).collect();
        for set in InstructionSet::available() {
            let mut got = values.clone();
            silu_in_place(set, &mut got);
            for (x, y) in values.iter().zip(&got) {
                let want = f64::from(*x) / (1.0 + (-f64::from(*x)).exp());
                assert!(
                    (f64::from(*y) - want).abs() < 1e-6 * want.abs().max(1e-3),
                    "{set:?} {x}"
                );
            }
        }
    }
}
