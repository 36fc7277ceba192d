//! Weights that were to be kept in blocks and cannot be.

use std::collections::BTreeSet;

use moescope_engine::{Checkpoint, EngineError, WeightType};

use crate::sizes;

/// Says which weights stay as stored although `weights` is a type of blocks, because their rows are no whole blocks;
/// `None` where there are none.
///
/// # Errors
/// When the checkpoint lacks most of what its configuration promises.
pub fn left_as_stored(
    checkpoint: &Checkpoint,
    weights: WeightType,
) -> Result<Option<String>, EngineError> {
    let tensors = checkpoint.needed_tensors()?;
    let left = || {
        tensors
            .iter()
            .filter(|tensor| tensor.is_left_as_stored(weights))
    };
    if left().next().is_none() {
        return Ok(None);
    }
    let list = |items: BTreeSet<String>| items.into_iter().collect::<Vec<_>>().join(", ");
    let widths: BTreeSet<usize> = left().filter_map(|tensor| tensor.row_width).collect();
    let widths: Vec<String> = widths.iter().map(usize::to_string).collect();
    let classes: BTreeSet<String> = left()
        .map(|tensor| tensor.class.name().to_owned())
        .collect();
    let bytes: u64 = left()
        .map(|tensor| tensor.cpu_bytes(weights))
        .fold(0, u64::saturating_add);
    Ok(Some(format!(
        "--weights {weights} keeps rows in blocks of 32 weights, and rows of {} are no whole blocks: {} of weights ({}) \
         stay as stored",
        widths.join(", "),
        sizes::bytes(bytes),
        list(classes)
    )))
}
