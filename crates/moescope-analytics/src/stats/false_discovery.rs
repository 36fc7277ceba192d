//! The false discovery rate over a table of p values.

/// Benjamini and Hochberg's adjusted p values (1995); a value without p keeps none and counts for no comparison.
pub(crate) fn benjamini_hochberg(p: &[Option<f64>]) -> Vec<Option<f64>> {
    let mut order: Vec<usize> = (0..p.len()).filter(|i| p[*i].is_some()).collect();
    order.sort_by(|a, b| {
        let key = |i: &usize| p[*i].unwrap_or(f64::NAN);
        key(a).total_cmp(&key(b))
    });
    #[expect(clippy::cast_precision_loss, reason = "a number of comparisons")]
    let comparisons = order.len() as f64;
    let mut adjusted = vec![None; p.len()];
    let mut smallest = 1.0_f64;
    for (rank, place) in order.iter().enumerate().rev() {
        #[expect(clippy::cast_precision_loss, reason = "a number of comparisons")]
        let rank = (rank + 1) as f64;
        if let Some(p) = p[*place] {
            smallest = smallest.min(p * comparisons / rank);
            adjusted[*place] = Some(smallest);
        }
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adjusted_values_grow_with_p_and_never_pass_one() {
        // Three values: 0.01·3/1 = 0.03, 0.04·3/2 = 0.06, 0.05·3/3 = 0.05, and 0.06 is lowered to 0.05 behind it.
        let found = benjamini_hochberg(&[Some(0.04), None, Some(0.01), Some(0.05)]);
        let expected = [Some(0.05), None, Some(0.03), Some(0.05)];
        for (found, expected) in found.iter().zip(expected) {
            match (found, expected) {
                (Some(found), Some(expected)) => assert!((found - expected).abs() < 1e-12),
                (found, expected) => assert_eq!(*found, expected),
            }
        }
        assert_eq!(benjamini_hochberg(&[Some(1.0)]), [Some(1.0)]);
    }
    #[test]
    fn adjusted_values_are_scipys() {
        // Made by tests/oracle/structure.py with scipy.stats.false_discovery_control.
        let oracle: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/oracle/structure.json")).unwrap();
        let column = |name: &str| -> Vec<Option<f64>> {
            let values = oracle[name].as_array().unwrap();
            values.iter().map(serde_json::Value::as_f64).collect()
        };
        let found = benjamini_hochberg(&column("p"));
        for (found, expected) in found.iter().zip(column("q")) {
            assert!((found.unwrap() - expected.unwrap()).abs() < 1e-12);
        }
    }
}
