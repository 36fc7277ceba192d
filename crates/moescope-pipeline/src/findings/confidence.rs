//! How sure routers are of single tokens.

use moescope_core::{AxisKind, Measurement};

use super::{
    Finding,
    studies::Studies,
    words::{bracket, extremes, interval, percent},
};
use crate::error::PipelineError;

/// How sure is the router of a token?
pub(super) fn confidence(studies: &mut Studies<'_>) -> Result<Finding, PipelineError> {
    studies.answer(
        "How sure is the router of a token?",
        "routing_entropy",
        words,
    )
}

fn words(entropy: &Measurement) -> Option<String> {
    let (low, high) = extremes(entropy)?;
    let (_, groups) = entropy.axis(AxisKind::Group)?;
    let (_, layers) = entropy.axis(AxisKind::Layer)?;
    let name = |cell: usize| {
        format!(
            "{}{} ({} at layer {})",
            percent(entropy.values[cell]),
            bracket(interval(entropy, cell), percent),
            groups.labels[cell % groups.len()],
            layers.labels[cell / groups.len()]
        )
    };
    Some(format!(
        "The entropy of a token's distribution over experts is between {} and {} of the largest possible; 100 % would \
             be complete indifference.",
        name(low),
        name(high)
    ))
}
