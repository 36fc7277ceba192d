//! Counts as numbers to compute with.

/// A count as a real number, exact below 2⁵³.
#[expect(
    clippy::cast_precision_loss,
    reason = "nothing here is counted beyond 2⁵³"
)]
pub(crate) fn real(count: usize) -> f64 {
    count as f64
}
