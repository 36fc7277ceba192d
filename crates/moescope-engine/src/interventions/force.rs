//! Forced experts are always among the selected.

/// Far above every score, and finite so that sums stay numbers.
const ALWAYS: f32 = 1e30;

/// Raises the selection score of `experts` above all others.
pub(super) fn add(bias: &mut [f32], experts: &[u16]) {
    for expert in experts {
        bias[usize::from(*expert)] = ALWAYS;
    }
}
