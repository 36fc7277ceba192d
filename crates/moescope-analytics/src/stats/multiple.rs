//! Corrections for many tests.

use super::count::real;

/// Benjamini and Hochberg's q of every p: the smallest false discovery rate at which it is found.
///
/// NaN stands for no test, stays NaN and counts for nothing.
pub(crate) fn benjamini_hochberg(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).filter(|i| !p[*i].is_nan()).collect();
    order.sort_by(|a, b| p[*b].total_cmp(&p[*a]));
    let tests = order.len();
    let mut q = vec![f64::NAN; p.len()];
    let mut smallest = 1.0_f64;
    for (place, i) in order.into_iter().enumerate() {
        smallest = smallest.min(p[i] * real(tests) / real(tests - place));
        q[i] = smallest;
    }
    q
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn q_is_the_smallest_rate_at_which_a_test_is_found() {
        // Sorted p 0.01, 0.02, 0.03, 0.5 times 4/1, 4/2, 4/3, 4/4: 0.04, 0.04, 0.04, 0.5.
        let q = benjamini_hochberg(&[0.5, 0.02, f64::NAN, 0.01, 0.03]);
        for (place, expected) in [(0, 0.5), (1, 0.04), (3, 0.04), (4, 0.04)] {
            assert!((q[place] - expected).abs() < 1e-12, "{q:?}");
        }
        assert!(q[2].is_nan());
    }
    #[test]
    fn q_is_scipys() {
        // Made by tests/oracle/structure.py with scipy.stats.false_discovery_control.
        let oracle: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/oracle/structure.json")).unwrap();
        let column = |name: &str| -> Vec<f64> {
            let values = oracle[name].as_array().unwrap();
            values.iter().map(|value| value.as_f64().unwrap()).collect()
        };
        for (found, expected) in benjamini_hochberg(&column("p")).iter().zip(column("q")) {
            assert!((found - expected).abs() < 1e-12);
        }
    }
}
