//! Fewer significant bits, so that floats compress.

/// Significant bits of a rounded float: those of an `f16`, with the range of an `f32`.
pub(crate) const ROUNDED_BITS: u8 = 11;
/// Significant bits of an `f32`.
pub(crate) const FULL_BITS: u8 = 24;

/// Mantissa bits of an `f32` that rounding clears.
const DROPPED: u32 = 13;
const DROPPED_MASK: u32 = (1 << DROPPED) - 1;

/// Rounds to 11 significant bits, to nearest, ties to even.
///
/// NaN and infinities stay what they are, and a finite value stays finite:
/// what would round up to infinity becomes the largest value with 11 significant bits.
/// The smallest subnormals have fewer significant bits and may become zero.
#[must_use]
pub fn round_significant(value: f32) -> f32 {
    if !value.is_finite() {
        return value;
    }
    let bits = value.to_bits();
    let is_odd = (bits >> DROPPED) & 1;
    // Half a unit, less one where the kept part is even, carries exactly when the tie rule rounds up.
    let rounded = f32::from_bits((bits + (DROPPED_MASK >> 1) + is_odd) & !DROPPED_MASK);
    if rounded.is_finite() {
        rounded
    } else {
        f32::from_bits(bits & !DROPPED_MASK)
    }
}

/// Rounds every value in place.
pub(crate) fn round_all(values: &mut [f32]) {
    for value in values {
        *value = round_significant(*value);
    }
}

#[cfg(test)]
#[expect(
    clippy::float_cmp,
    reason = "rounding is exact: every expected value is a float with eleven bits"
)]
mod tests {
    use super::*;

    #[test]
    fn values_with_eleven_bits_stay() {
        // 2047 = 11 ones in binary; 0.75 = 0.11; f16's largest value 65504 = 2047 · 32.
        for value in [0.0, -0.0, 1.0, 0.75, 2047.0, -65504.0, 2f32.powi(-120)] {
            assert_eq!(round_significant(value).to_bits(), value.to_bits());
        }
    }

    #[test]
    fn the_nearest_value_wins_and_ties_go_to_even() {
        // Between 2048 and 4096 values with 11 bits are 2 apart: 2049 and 2051 are ties, 2049.5 is not.
        assert_eq!(round_significant(2049.0), 2048.0);
        assert_eq!(round_significant(2051.0), 2052.0);
        assert_eq!(round_significant(2049.5), 2050.0);
        assert_eq!(round_significant(-2049.5), -2050.0);
        // A carry into the exponent: 4095 lies between 4094 and 4096 and is a tie to the even 4096.
        assert_eq!(round_significant(4095.0), 4096.0);
    }

    #[test]
    fn it_agrees_with_f16_where_f16_is_normal() {
        for step in 0..20_000u16 {
            let value = 0.0123 + f32::from(step) * 0.037;
            let through_f16 = half::f16::from_f32(value).to_f32();
            assert_eq!(round_significant(value), through_f16, "{value}");
        }
    }

    #[test]
    fn nan_and_infinity_stay_and_finite_stays_finite() {
        assert!(round_significant(f32::NAN).is_nan());
        assert_eq!(round_significant(f32::INFINITY), f32::INFINITY);
        assert_eq!(round_significant(f32::NEG_INFINITY), f32::NEG_INFINITY);
        assert!(round_significant(f32::MAX).is_finite());
        assert!(round_significant(f32::MIN).is_finite());
        assert!(round_significant(f32::MAX) > 3.4e38);
    }

    #[test]
    fn the_relative_error_is_at_most_half_a_unit() {
        for step in 1..10_000u16 {
            let value = f32::from(step).sqrt() * 1e-3;
            let error = (f64::from(round_significant(value)) - f64::from(value)).abs();
            assert!(error <= f64::from(value) / 2048.0);
        }
    }
}
