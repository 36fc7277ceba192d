//! How evenly experts are used.

use moescope_core::{AxisKind, Measurement};

use super::{
    Finding,
    studies::Studies,
    words::{bracket, extremes, interval},
};
use crate::error::PipelineError;

/// How evenly are the experts used?
pub(super) fn balance(studies: &mut Studies<'_>) -> Result<Finding, PipelineError> {
    studies.answer(
        "How evenly are the experts used?",
        "effective_experts",
        words,
    )
}

fn words(effective: &Measurement) -> Option<String> {
    let (low, high) = extremes(effective)?;
    let (_, groups) = effective.axis(AxisKind::Group)?;
    let (_, layers) = effective.axis(AxisKind::Layer)?;
    let name = |cell: usize| {
        format!(
            "{:.1}{} ({} at layer {})",
            effective.values[cell],
            bracket(interval(effective, cell), |x| format!("{x:.1}")),
            groups.labels[cell % groups.len()],
            layers.labels[cell / groups.len()]
        )
    };
    let all = effective
        .reference
        .map_or(String::new(), |r| format!(" of {r:.0}"));
    Some(format!(
        "A discipline spreads its tokens as evenly as over between {} and {} equally used experts{all}.",
        name(low),
        name(high)
    ))
}
