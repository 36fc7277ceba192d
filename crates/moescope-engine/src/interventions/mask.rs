//! Masked experts are never selected.

/// Far below every score, and finite so that sums stay numbers.
const NEVER: f32 = -1e30;

/// Lowers the selection score of `experts` below all others.
pub(super) fn add(bias: &mut [f32], experts: &[u16]) {
    for expert in experts {
        bias[usize::from(*expert)] = NEVER;
    }
}
