//! The normal distribution, which the standard library lacks.

/// Φ(x), to about 15 digits (Hart 1968, in the form of West, "Better approximations to cumulative normal functions", 2005).
pub(crate) fn cdf(x: f64) -> f64 {
    let a = x.abs();
    let tail = if a > 37.0 {
        0.0
    } else {
        let density = (-a * a / 2.0).exp();
        if a < 7.071_067_811_865_47 {
            let above = horner(
                a,
                &[
                    3.526_249_659_989_11e-2,
                    0.700_383_064_443_688,
                    6.373_962_203_531_65,
                    33.912_866_078_383,
                    112.079_291_497_871,
                    221.213_596_169_931,
                    220.206_867_912_376,
                ],
            );
            let below = horner(
                a,
                &[
                    8.838_834_764_831_84e-2,
                    1.755_667_163_182_64,
                    16.064_177_579_207,
                    86.780_732_202_946_1,
                    296.564_248_779_674,
                    637.333_633_378_831,
                    793.826_512_519_948,
                    440.413_735_824_752,
                ],
            );
            density * above / below
        } else {
            let fraction = a + 1.0 / (a + 2.0 / (a + 3.0 / (a + 4.0 / (a + 0.65))));
            density / fraction / 2.506_628_274_631
        }
    };
    if x > 0.0 { 1.0 - tail } else { tail }
}

/// Φ⁻¹(p): Acklam's rational approximation, then one step of Halley's method on [`cdf`]; ±∞ at 0 and 1.
pub(crate) fn quantile(p: f64) -> f64 {
    const A: [f64; 6] = [
        -3.969_683_028_665_376e1,
        2.209_460_984_245_205e2,
        -2.759_285_104_469_687e2,
        1.383_577_518_672_69e2,
        -3.066_479_806_614_716e1,
        2.506_628_277_459_239,
    ];
    const B: [f64; 6] = [
        -5.447_609_879_822_406e1,
        1.615_858_368_580_409e2,
        -1.556_989_798_598_866e2,
        6.680_131_188_771_972e1,
        -1.328_068_155_288_572e1,
        1.0,
    ];
    const C: [f64; 6] = [
        -7.784_894_002_430_293e-3,
        -3.223_964_580_411_365e-1,
        -2.400_758_277_161_838,
        -2.549_732_539_343_734,
        4.374_664_141_464_968,
        2.938_163_982_698_783,
    ];
    const D: [f64; 5] = [
        7.784_695_709_041_462e-3,
        3.224_671_290_700_398e-1,
        2.445_134_137_142_996,
        3.754_408_661_907_416,
        1.0,
    ];
    const LOW: f64 = 0.024_25;
    if p <= 0.0 {
        return f64::NEG_INFINITY;
    }
    if p >= 1.0 {
        return f64::INFINITY;
    }
    let x = if p < LOW {
        let q = (-2.0 * p.ln()).sqrt();
        horner(q, &C) / horner(q, &D)
    } else if p <= 1.0 - LOW {
        let q = p - 0.5;
        let r = q * q;
        horner(r, &A) * q / horner(r, &B)
    } else {
        let q = (-2.0 * (1.0 - p).ln()).sqrt();
        -horner(q, &C) / horner(q, &D)
    };
    let error = (cdf(x) - p) * (2.0 * std::f64::consts::PI).sqrt() * (x * x / 2.0).exp();
    x - error / (1.0 + x * error / 2.0)
}

/// A polynomial, highest power first.
fn horner(x: f64, coefficients: &[f64]) -> f64 {
    coefficients.iter().fold(0.0, |sum, c| sum * x + c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantile_undoes_cdf() {
        for x in [-6.0, -3.1, -1.0, 0.0, 0.3, 1.959_963_984_540_054, 4.0] {
            assert!((quantile(cdf(x)) - x).abs() < 1e-8, "{x}");
        }
        // The textbook value of the 97.5 % point.
        assert!((quantile(0.975) - 1.959_963_984_540_054).abs() < 1e-12);
        assert!(quantile(0.0).is_infinite() && quantile(0.0) < 0.0);
    }
}
