//! From resampled values to an interval.

use moescope_core::Interval;

use super::{correlation::mean, count::real, normal};

/// How the interval of a statistic is made from its resamples.
///
/// Both read the expanded quantiles of [`expanded_tail`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum IntervalMethod {
    /// The quantiles of the resamples: right for shares and means, which are nearly unbiased.
    Percentile,
    /// The quantiles moved by twice the bootstrap's bias, within the statistic's `(low, high)` range.
    ///
    /// A statistic such as an entropy is biased in the sample and once more in the resamples, by about the same amount.
    /// Efron's `BCa` corrects the same bias, but by reading ever farther quantiles, which resamples cannot resolve: with 3 labels of
    /// 30 groups its 95 % intervals of mutual information covered 89 % in simulation, these 93 % before and 95 % after expansion.
    BiasCorrected {
        /// The smallest and the largest possible value.
        range: (f64, f64),
    },
}

/// The quantile of ascending values at `p`, linear between neighbours (type 7 of Hyndman & Fan).
///
/// # Panics
/// When there is no value.
pub(crate) fn quantile(sorted: &[f64], p: f64) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index below the number of resamples"
    )]
    let (low, fraction) = {
        let place = p.clamp(0.0, 1.0) * (sorted.len() - 1) as f64;
        (place.floor() as usize, place.fract())
    };
    let high = (low + 1).min(sorted.len() - 1);
    sorted[low] + fraction * (sorted[high] - sorted[low])
}

/// The interval from ascending resamples, with `tail` left out at either end; `None` where there is no resample.
pub(crate) fn make_interval(
    sorted: &[f64],
    observed: f64,
    method: IntervalMethod,
    tail: f64,
) -> Option<Interval> {
    if sorted.is_empty() || !observed.is_finite() {
        return None;
    }
    let (low, high) = (quantile(sorted, tail), quantile(sorted, 1.0 - tail));
    Some(match method {
        IntervalMethod::Percentile => Interval { low, high },
        IntervalMethod::BiasCorrected { range } => {
            let shift = 2.0 * (mean(sorted) - observed);
            Interval {
                low: (low - shift).clamp(range.0, range.1),
                high: (high - shift).clamp(range.0, range.1),
            }
        }
    })
}

/// The tail probability whose quantiles make an interval at `level` from `groups` resampled groups.
///
/// Plain quantiles are too narrow by √((n − 1)/n) and by normal instead of t quantiles;
/// the expanded percentile interval makes up for both (Hesterberg 2015, The American Statistician 69, 371).
pub(crate) fn expanded_tail(level: f64, groups: usize) -> f64 {
    let tail = (1.0 - level) / 2.0;
    if groups < 2 {
        return tail;
    }
    #[expect(clippy::cast_precision_loss, reason = "a number of groups")]
    let n = groups as f64;
    let t = t_quantile(tail, n - 1.0);
    normal::cdf((n / (n - 1.0)).sqrt() * t)
}

/// Student's t quantile by its expansion in 1/ν (Abramowitz & Stegun 26.7.5), good to 1 % from 4 degrees of freedom.
fn t_quantile(p: f64, degrees: f64) -> f64 {
    let z = normal::quantile(p);
    let (z3, z5, z7) = (z.powi(3), z.powi(5), z.powi(7));
    z + (z3 + z) / (4.0 * degrees)
        + (5.0 * z5 + 16.0 * z3 + 3.0 * z) / (96.0 * degrees.powi(2))
        + (3.0 * z7 + 19.0 * z5 + 17.0 * z3 - 15.0 * z) / (384.0 * degrees.powi(3))
}

/// Wilson's score interval of a proportion of **independent** successes.
///
/// `None` without trials.
pub(crate) fn wilson(successes: usize, trials: usize, level: f64) -> Option<Interval> {
    if trials == 0 {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "numbers of documents")]
    let (n, p) = (trials as f64, successes as f64 / trials as f64);
    let z = normal::quantile(1.0 - (1.0 - level) / 2.0);
    let scale = 1.0 + z * z / n;
    let centre = (p + z * z / (2.0 * n)) / scale;
    let half = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt() / scale;
    Some(Interval {
        low: (centre - half).max(0.0),
        high: (centre + half).min(1.0),
    })
}

/// Newcombe's interval of a difference of two proportions of **independent** successes (hybrid score, method 10 of his paper).
///
/// Each side is `(successes, trials)`; `None` where a side has no trials (Newcombe 1998, Statistics in Medicine 17, 873).
pub(crate) fn newcombe(a: (usize, usize), b: (usize, usize), level: f64) -> Option<Interval> {
    let (around_a, around_b) = (wilson(a.0, a.1, level)?, wilson(b.0, b.1, level)?);
    let (p_a, p_b) = (real(a.0) / real(a.1), real(b.0) / real(b.1));
    let difference = p_a - p_b;
    Some(Interval {
        low: difference - (p_a - around_a.low).hypot(around_b.high - p_b),
        high: difference + (around_a.high - p_a).hypot(p_b - around_b.low),
    })
}

/// The two-sided p of equal proportions of **independent** successes, by the normal approximation with the pooled proportion.
///
/// NaN where a side has no trials, or where all trials of both end alike.
pub(crate) fn equal_proportions_p(a: (usize, usize), b: (usize, usize)) -> f64 {
    let (n_a, n_b) = (real(a.1), real(b.1));
    let pooled = real(a.0 + b.0) / (n_a + n_b);
    let error = (pooled * (1.0 - pooled) * (1.0 / n_a + 1.0 / n_b)).sqrt();
    let z = (real(a.0) / n_a - real(b.0) / n_b) / error;
    2.0 * normal::cdf(-z.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_interpolate() {
        // Four values: the median lies between the second and the third.
        assert!((quantile(&[1.0, 2.0, 4.0, 8.0], 0.5) - 3.0).abs() < 1e-12);
        assert!((quantile(&[1.0, 2.0, 4.0, 8.0], 1.0) - 8.0).abs() < 1e-12);
    }

    #[test]
    fn wilson_gives_the_textbook_interval() {
        // 8 of 10 at 95 %: Wilson (0.4902, 0.9433).
        let found = wilson(8, 10, 0.95).unwrap();
        assert!((found.low - 0.490_162).abs() < 1e-5, "{found:?}");
        assert!((found.high - 0.943_318).abs() < 1e-5, "{found:?}");
        assert_eq!(wilson(0, 0, 0.95), None);
    }

    #[test]
    fn newcombe_gives_the_interval_of_his_paper() {
        // 56 of 70 against 48 of 80 at 95 %: 0.2, (0.0524, 0.3339), example (a) of his table II.
        let found = newcombe((56, 70), (48, 80), 0.95).unwrap();
        assert!((found.low - 0.0524).abs() < 5e-5, "{found:?}");
        assert!((found.high - 0.3339).abs() < 5e-5, "{found:?}");
        assert_eq!(newcombe((0, 0), (1, 2), 0.95), None);
    }

    #[test]
    fn proportions_are_compared_by_their_pooled_error() {
        // 0.6 − 0.4 = 0.2 with pooled ½: √(¼ · 2/100) = 0.070711; z = 2.828427; p = 0.0046777.
        let p = equal_proportions_p((60, 100), (40, 100));
        assert!((p - 0.004_677_7).abs() < 1e-7, "{p}");
        assert!(equal_proportions_p((0, 5), (0, 7)).is_nan());
    }

    #[test]
    fn bias_is_subtracted_twice_and_the_range_is_kept() {
        // Resamples 2..=3 with mean 2.5 around an observed 2: shift by 2 · 0.5.
        let resamples: Vec<f64> = (0..=1000).map(|i| 2.0 + f64::from(i) / 1000.0).collect();
        let method = IntervalMethod::BiasCorrected { range: (1.2, 9.0) };
        let found = make_interval(&resamples, 2.0, method, 0.1).unwrap();
        // Quantiles 2.1 and 2.9, minus 1; the lower end is cut off at 1.2.
        assert!(
            (found.low - 1.2).abs() < 1e-9 && (found.high - 1.9).abs() < 1e-9,
            "{found:?}"
        );
        assert_eq!(make_interval(&[], 2.0, method, 0.1), None);
    }

    #[test]
    fn few_groups_widen_the_interval() {
        // t(0.025, 29) = −2.04523, times √(30/29): Φ(−2.08020) = 0.018754.
        assert!((expanded_tail(0.95, 30) - 0.018_754).abs() < 1e-5);
        // t(0.025, 4) = −2.77645; the expansion gives −2.77 or so.
        assert!((t_quantile(0.025, 4.0) + 2.776).abs() < 0.02);
        assert!((expanded_tail(0.95, 1_000_000) - 0.025).abs() < 1e-6);
    }
}
