//! Co-activation beside what chance gives with the same loads.

use moescope_core::{Axis, AxisKind, Measurement, NullComparison, Progress};

use super::{
    BlockCounts, PerRow,
    co_activation::pair_column,
    rows::{Measured, expert_axis, measure_rows, variant_axis},
    words::significant,
};
use crate::{
    About, AnalyticsError, MeasureRequest, TraceData,
    data::Selection,
    stats::{
        correlation::median, exact_k::pair_probabilities, interval::IntervalMethod,
        multiple::benjamini_hochberg, normal,
    },
};

/// What is told of every pair.
pub(crate) const LIFT_VARIANTS: [&str; 4] = ["lift", "lift_given_k", "z", "phi"];
/// The place of the lift given k, which is tested.
const TESTED: usize = 1;
/// The place of z, which has no interval.
const Z: usize = 2;
/// Pairs expected in fewer tokens than this are not tested: the normal approximation would not hold.
const FEWEST_EXPECTED: f64 = 5.0;

/// The lift, z and phi of one pair.
fn of_pair(tokens: f64, a: f64, b: f64, both: f64, given_k: f64) -> [f64; 4] {
    let expected = a * b / tokens;
    // Of the hypergeometric distribution: b tokens drawn without replacement from all, of which a are marked.
    let variance = expected * (tokens - a) * (tokens - b) / (tokens * (tokens - 1.0));
    let spread = (a * (tokens - a) * b * (tokens - b)).sqrt();
    let ratio = |x: f64, y: f64| if y > 0.0 { x / y } else { f64::NAN };
    [
        ratio(both, expected),
        ratio(both, tokens * given_k),
        ratio(both - expected, variance.sqrt()),
        ratio(tokens * both - a * b, spread),
    ]
}

/// Measures lift, z and phi of every pair from counts of all pairs.
pub(crate) fn co_activation_lift(
    data: &TraceData,
    selection: &Selection,
    request: &MeasureRequest,
    about: &About,
    counts: &BlockCounts,
    progress: &dyn Progress,
) -> Result<Measurement, AnalyticsError> {
    let model = data.model();
    let (experts, k) = (usize::from(model.num_experts), f64::from(model.top_k));
    let evaluate = |sums: &[f64], out: &mut [f64]| {
        let tokens = sums[..experts].iter().sum::<f64>() / k;
        let inclusion: Vec<f64> = sums[..experts].iter().map(|n| n / tokens).collect();
        let mut given_k = vec![f64::NAN; experts * experts];
        pair_probabilities(&inclusion, &mut given_k);
        for a in 0..experts {
            for b in 0..experts {
                let values = if a == b {
                    [f64::NAN; 4]
                } else {
                    let both = sums[pair_column(experts, a, b)];
                    of_pair(tokens, sums[a], sums[b], both, given_k[a * experts + b])
                };
                for (variant, value) in values.into_iter().enumerate() {
                    out[(variant * experts + a) * experts + b] = value;
                }
            }
        }
    };
    let quantity = PerRow {
        about,
        counts,
        outer: selection.layer_axis(),
        inner: vec![
            variant_axis(&LIFT_VARIANTS),
            expert_axis(AxisKind::Expert, experts),
            expert_axis(AxisKind::ExpertB, experts),
        ],
        evaluate: &evaluate,
        method: IntervalMethod::Percentile,
        reference: Some(1.0),
    };
    let mut found = measure_rows(selection, request, &quantity, progress)?;
    leave_out_intervals_of_z(&mut found.measurement);
    if request.contrast.is_none() && found.measurement.intervals.is_some() {
        test_pairs(&mut found, counts, selection, experts, k);
        note_power(&mut found, experts);
    }
    let all = f64::from(model.num_experts);
    found.measurement.protocol.notes.push(format!(
        "an indifferent router has a lift_given_k of 1 and a lift of (k − 1) E / (k (E − 1)) = {:.3}, since a token's experts differ",
        (k - 1.0) * all / (k * (all - 1.0))
    ));
    Ok(found.measurement)
}

/// z grows with the number of tokens, so there is nothing that an interval of it would be about.
fn leave_out_intervals_of_z(found: &mut Measurement) {
    let Some((place, _)) = found.axis(AxisKind::Variant) else {
        return;
    };
    let pairs: usize = found.axes[place + 1..].iter().map(Axis::len).product();
    for (cell, interval) in found.intervals.iter_mut().flatten().enumerate() {
        if cell / pairs % LIFT_VARIANTS.len() == Z {
            *interval = None;
        }
    }
}

/// Says how far from 1 a lift must be to be found: 1.96 standard errors to be significant, 0.84 more to be so in 80 % of studies.
fn note_power(found: &mut Measured, experts: usize) {
    let tables = found.standard_errors.chunks(experts * experts);
    let tested = tables
        .enumerate()
        .filter(|(table, _)| table % LIFT_VARIANTS.len() == TESTED);
    let typical = median(tested.flat_map(|(_, errors)| errors.to_vec()).collect());
    if typical.is_finite() {
        found.measurement.protocol.notes.push(format!(
            "power: this design would see a lift_given_k about {} away from 1 (80 % power at the 5 % level for one pair, median over pairs)",
            significant(2.8 * typical)
        ));
    }
}

/// Gives every pair a p value from the spread over groups, corrected over all pairs of all layers.
fn test_pairs(
    found: &mut Measured,
    counts: &BlockCounts,
    selection: &Selection,
    experts: usize,
    k: f64,
) {
    let width = LIFT_VARIANTS.len() * experts * experts;
    let mut raw = vec![f64::NAN; found.measurement.values.len()];
    for row in 0..counts.rows {
        let sums = counts.table(row, selection.labels.len()).sums(0);
        let tokens = sums[..experts].iter().sum::<f64>() / k;
        for a in 0..experts {
            for b in a + 1..experts {
                let place = row * width + (TESTED * experts + a) * experts + b;
                let (value, error) = (
                    found.measurement.values[place],
                    found.standard_errors[place],
                );
                if sums[a] * sums[b] / tokens >= FEWEST_EXPECTED && error > 1e-12 {
                    let z = ((value - 1.0) / error).abs();
                    raw[place] = 2.0 * normal::cdf(-z);
                }
            }
        }
    }
    let corrected = benjamini_hochberg(&raw);
    let mut nulls: Vec<Option<NullComparison>> = vec![None; raw.len()];
    for (place, (p, q)) in raw.into_iter().zip(corrected).enumerate() {
        if p.is_nan() {
            continue;
        }
        let comparison = NullComparison {
            null_mean: 1.0,
            p,
            p_corrected: Some(q),
        };
        nulls[place] = Some(comparison);
        let (a, b) = (place / experts % experts, place % experts);
        nulls[place - a * experts - b + b * experts + a] = Some(comparison);
    }
    found.measurement.nulls = Some(nulls);
    found.measurement.protocol.null_method = format!(
        "of lift_given_k: (lift − 1) over its bootstrap standard error over groups, two-sided normal, for pairs expected in {FEWEST_EXPECTED} tokens or more; q is the false discovery rate over layers and pairs (Benjamini–Hochberg)"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_of_ten_tokens_by_hand() {
        // 10 tokens, a in 5, b in 4, both in 3: expected 2, lift 1.5; variance 2·5·6/(10·9) = 2/3, z = 1/√(2/3);
        // phi = (10·3 − 20) / √(5·5·4·6) = 10 / √600. Given k with P(both) = 0.25: 3 / 2.5.
        let found = of_pair(10.0, 5.0, 4.0, 3.0, 0.25);
        let expected = [1.5, 1.2, (1.5_f64).sqrt(), 10.0 / 600.0_f64.sqrt()];
        for (found, expected) in found.into_iter().zip(expected) {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
        assert!(of_pair(10.0, 0.0, 4.0, 0.0, 0.0)[0].is_nan());
    }
}
