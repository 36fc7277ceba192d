//! Counts as numbers.

/// A count as a number; exact below 2⁵³, which no count here reaches.
pub(crate) fn as_f64(n: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a count")]
    let n = n as f64;
    n
}
