//! Which experts stand out.

use moescope_core::{AxisKind, Interval, Measurement};

use super::{
    Finding,
    studies::Studies,
    words::{bracket, capitalized, interval, percent},
};
use crate::error::PipelineError;

/// Which experts stand out, and for what?
pub(super) fn specialists(studies: &mut Studies<'_>) -> Result<Finding, PipelineError> {
    studies.answer(
        "Which experts stand out, and for what?",
        "domain_specialization",
        words,
    )
}

fn words(shares: &Measurement) -> Option<String> {
    let (layer_axis, layers) = shares.axis(AxisKind::Layer)?;
    let (group_axis, groups) = shares.axis(AxisKind::Group)?;
    let (expert_axis, experts) = shares.axis(AxisKind::Expert)?;
    let uniform = shares.reference?;
    if (layer_axis, group_axis, expert_axis) != (0, 1, 2) {
        return None;
    }
    let mut cells: Vec<usize> = (0..shares.values.len())
        .filter(|i| shares.values[*i].is_finite())
        .filter(|i| interval(shares, *i).is_none_or(|Interval { low, .. }| low > uniform))
        .collect();
    cells.sort_by(|a, b| shares.values[*b].total_cmp(&shares.values[*a]));
    // One line per expert and discipline, so that three lines are three experts of three disciplines.
    let mut seen = Vec::new();
    let mut lines = Vec::new();
    for cell in cells {
        let expert = cell % experts.len();
        let group = cell / experts.len() % groups.len();
        let layer = cell / experts.len() / groups.len();
        if seen
            .iter()
            .any(|(l, e, g)| (*l, *e) == (layer, expert) || *g == group)
        {
            continue;
        }
        seen.push((layer, expert, group));
        lines.push(format!(
            "expert {} of layer {} takes {}{} of {} tokens",
            experts.labels[expert],
            layers.labels[layer],
            percent(shares.values[cell]),
            bracket(interval(shares, cell), percent),
            groups.labels[group]
        ));
        if lines.len() == 3 {
            break;
        }
    }
    (!lines.is_empty()).then(||  format!(
            "{}. An even router would give each expert {}. These were picked as the largest of {} shares, so new data will show them somewhat smaller.",
            capitalized(&lines.join("; ")),
            percent(uniform),
            shares.values.len()
        ))
}
