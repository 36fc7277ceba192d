//! Values of small floating-point formats.

/// FP4 E2M1 by code (OCP Microscaling Formats 1.0, table 5).
pub(super) const FP4: [f32; 16] = [
    0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0,
];

/// FP8 E4M3 by code (OCP 8-bit Floating Point 1.0): no infinities, NaN at 0x7f and 0xff.
pub(super) const E4M3: [f32; 256] = e4m3();

const fn e4m3() -> [f32; 256] {
    let mut values = [0.0f32; 256];
    let mut code = 0u32;
    while code < 256 {
        let (sign, exponent, mantissa) = (code >> 7 << 31, (code >> 3) & 15, code & 7);
        values[code as usize] = if exponent == 15 && mantissa == 7 {
            f32::NAN
        } else if exponent == 0 {
            // Subnormal: mantissa / 8 · 2⁻⁶ = mantissa · 2⁻⁹.
            const EIGHTHS: [f32; 8] = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0];
            let size = EIGHTHS[mantissa as usize] / 512.0;
            if sign == 0 { size } else { -size }
        } else {
            f32::from_bits(sign | (exponent + 120) << 23 | mantissa << 20)
        };
        code += 1;
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_the_values_of_the_standard() {
        // OCP 8-bit Floating Point 1.0, table 2: largest 448, smallest normal 2⁻⁶, smallest subnormal 2⁻⁹.
        for (code, value) in [
            (0x00, 0.0),
            (0x01, 2f32.powi(-9)),
            (0x07, 7.0 * 2f32.powi(-9)),
            (0x08, 2f32.powi(-6)),
            (0x38, 1.0),
            (0x3c, 1.5),
            (0x7e, 448.0),
            (0xfe, -448.0),
            (0xb8, -1.0),
        ] {
            assert_eq!(E4M3[code].to_bits(), f32::to_bits(value), "{code:#x}");
        }
        assert!(E4M3[0x7f].is_nan() && E4M3[0xff].is_nan());
        assert_eq!(FP4[7].to_bits(), 6f32.to_bits());
    }
}
