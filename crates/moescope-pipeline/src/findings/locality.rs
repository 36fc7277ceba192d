//! Whether neighbouring tokens share experts.

use moescope_core::{AxisKind, Measurement};

use super::{
    Finding,
    studies::Studies,
    words::{bracket, interval, percent},
};
use crate::error::PipelineError;

/// Do neighbouring tokens go to the same expert?
pub(super) fn locality(studies: &mut Studies<'_>) -> Result<Finding, PipelineError> {
    studies.answer(
        "Do neighbouring tokens go to the same expert?",
        "first_choice_repetition",
        words,
    )
}

fn words(repetition: &Measurement) -> Option<String> {
    let (_, variants) = repetition.axis(AxisKind::Variant)?;
    let observed = variants.labels.iter().position(|v| v == "observed")?;
    let shuffled = variants.labels.iter().position(|v| v == "shuffled")?;
    let (_, groups) = repetition.axis(AxisKind::Group)?;
    let (_, layers) = repetition.axis(AxisKind::Layer)?;
    let cells = (0..repetition.values.len() / variants.len())
        .filter(|cell| repetition.values[cell * variants.len() + observed].is_finite());
    let value = |cell: usize, variant: usize| repetition.values[cell * variants.len() + variant];
    let by_value = |a: &usize, b: &usize| value(*a, observed).total_cmp(&value(*b, observed));
    let (low, high) = (cells.clone().min_by(by_value)?, cells.max_by(by_value)?);
    let name = |cell: usize| {
        format!(
            "{}{} of cases for {} at layer {} (tokens in shuffled order: {})",
            percent(value(cell, observed)),
            bracket(
                interval(repetition, cell * variants.len() + observed),
                percent
            ),
            groups.labels[cell % groups.len()],
            layers.labels[cell / groups.len()],
            percent(value(cell, shuffled))
        )
    };
    let chance = repetition.reference.map_or(String::new(), |r| {
        format!("; an even router without memory: {}", percent(r))
    });
    Some(format!(
        "The first choice repeats on the next token in {} to {}{chance}.",
        name(low),
        name(high)
    ))
}
