//! Boosted experts win closer races.

/// Adds `amount` to the selection score of `experts`.
pub(super) fn add(bias: &mut [f32], experts: &[u16], amount: f32) {
    for expert in experts {
        bias[usize::from(*expert)] += amount;
    }
}
