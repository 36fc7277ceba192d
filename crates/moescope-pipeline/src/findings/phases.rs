//! Whether given and generated text are routed alike.

use moescope_core::{AxisKind, Measurement};

use super::{
    Finding,
    studies::Studies,
    words::{bracket, extremes, interval},
};
use crate::error::PipelineError;

/// Is prompt routing like generated routing?
pub(super) fn phases(studies: &mut Studies<'_>) -> Result<Finding, PipelineError> {
    studies.answer(
        "Is given text routed like generated text?",
        "phase_shift",
        words,
    )
}

fn words(shift: &Measurement) -> Option<String> {
    let (low, high) = extremes(shift)?;
    let (_, groups) = shift.axis(AxisKind::Group)?;
    let (_, layers) = shift.axis(AxisKind::Layer)?;
    let name = |cell: usize| {
        format!(
            "{:.4} bits{} ({} at layer {})",
            shift.values[cell],
            bracket(interval(shift, cell), |x| format!("{x:.4}")),
            groups.labels[cell % groups.len()],
            layers.labels[cell / groups.len()]
        )
    };
    let significant = shift.nulls.as_ref().map(|nulls| {
        let tested: Vec<f64> = nulls
            .iter()
            .flatten()
            .map(|null| null.p_corrected.unwrap_or(null.p))
            .collect();
        let found = tested.iter().filter(|q| **q < 0.05).count();
        format!(
            " {found} of {} combinations of layer and label differ significantly (corrected over all).",
            tested.len()
        )
    });
    Some(format!(
        "The divergence between both is from {} to {}; 0 is the same, 1 has no expert in common.{} Generated text follows its \
         prompt, so this says that they differ, not why.",
        name(low),
        name(high),
        significant.unwrap_or_default()
    ))
}
