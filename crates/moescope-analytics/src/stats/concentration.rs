//! How unevenly a mass spreads over items.

use super::count::real;

/// The Gini index of non-negative masses, `Σ_i (2i − n − 1) x_i / (n Σ x)` with x ascending; between 0 and 1 − 1/n.
pub(crate) fn gini(masses: &[f64]) -> f64 {
    let sorted = ascending(masses);
    let n = real(sorted.len());
    let total: f64 = sorted.iter().sum();
    let mut weight = 1.0 - n;
    let mut weighted = 0.0;
    for mass in sorted {
        weighted += weight * mass;
        weight += 2.0;
    }
    weighted / (n * total)
}

/// Standard deviation over mean, with n in the denominator of the variance: all experts are there, not a sample of them.
pub(crate) fn coefficient_of_variation(masses: &[f64]) -> f64 {
    let n = real(masses.len());
    let mean = masses.iter().sum::<f64>() / n;
    let variance = masses.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
    variance.sqrt() / mean
}

/// The largest mass over the mean.
pub(crate) fn largest_over_mean(masses: &[f64]) -> f64 {
    let largest = masses.iter().copied().fold(0.0, f64::max);
    largest * real(masses.len()) / masses.iter().sum::<f64>()
}

/// The share of the i lightest items in the total, for i from 1 to n.
pub(crate) fn lorenz(masses: &[f64], curve: &mut [f64]) {
    let total: f64 = masses.iter().sum();
    let mut sum = 0.0;
    for (point, mass) in curve.iter_mut().zip(ascending(masses)) {
        sum += mass;
        *point = sum / total;
    }
}

/// The fewest items that hold a part of the total.
pub(crate) fn coverage_count(masses: &[f64], part: f64) -> f64 {
    let total: f64 = masses.iter().sum();
    // Sums of shares such as 0.3 + 0.3 + 0.2 miss 0.8 by rounding.
    let enough = part * total * (1.0 - 1e-12);
    let mut sum = 0.0;
    let mut items = 0;
    for mass in ascending(masses).iter().rev() {
        if sum >= enough {
            break;
        }
        sum += mass;
        items += 1;
    }
    real(items)
}

fn ascending(masses: &[f64]) -> Vec<f64> {
    let mut sorted = masses.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-12, "{found} {expected}");
    }

    #[test]
    fn equal_masses_are_not_concentrated_and_a_single_one_is_as_far_as_possible() {
        let (equal, single) = ([2.0; 4], [0.0, 7.0, 0.0, 0.0]);
        close(gini(&equal), 0.0);
        close(gini(&single), 0.75);
        close(coefficient_of_variation(&equal), 0.0);
        // √(E − 1).
        close(coefficient_of_variation(&single), 3f64.sqrt());
        close(largest_over_mean(&equal), 1.0);
        close(largest_over_mean(&single), 4.0);
    }

    #[test]
    fn a_curve_and_its_index_tell_the_same() {
        // Shares 0.1, 0.2, 0.3, 0.4: Gini = (−3 · 0.1 − 0.2 + 0.3 + 3 · 0.4) / 4 = 0.25.
        let shares = [0.3, 0.1, 0.4, 0.2];
        close(gini(&shares), 0.25);
        let mut curve = [0.0; 4];
        lorenz(&shares, &mut curve);
        for (found, expected) in curve.iter().zip([0.1, 0.3, 0.6, 1.0]) {
            close(*found, expected);
        }
        // Twice the area between diagonal and curve, by trapezoids: 1 − (2 · (0.1 + 0.3 + 0.6) + 1) / 4.
        close(
            1.0 - (2.0 * (curve[0] + curve[1] + curve[2]) + 1.0) / 4.0,
            0.25,
        );
    }

    #[test]
    fn coverage_counts_the_heaviest_until_they_suffice() {
        let shares = [0.3, 0.1, 0.4, 0.2];
        for (part, expected) in [(0.4, 1.0), (0.41, 2.0), (0.7, 2.0), (0.9, 3.0), (1.0, 4.0)] {
            close(coverage_count(&shares, part), expected);
        }
    }
}
