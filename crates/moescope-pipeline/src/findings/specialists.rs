//! Which experts stand out.

use moescope_core::{AxisKind, Measurement};

use super::{
    Finding,
    studies::Studies,
    words::{bracket, capitalized, interval},
};
use crate::error::PipelineError;

/// Most experts that are named.
const NAMED: usize = 3;

/// Which experts stand out, and for what?
///
/// An expert that takes most tokens of every label stands out for none, so the label is compared with the others.
pub(super) fn specialists(studies: &mut Studies<'_>) -> Result<Finding, PipelineError> {
    studies.answer(
        "Which experts stand out, and for what?",
        "risk_difference",
        words,
    )
}

fn words(differences: &Measurement) -> Option<String> {
    let (layer_axis, layers) = differences.axis(AxisKind::Layer)?;
    let (group_axis, groups) = differences.axis(AxisKind::Group)?;
    let (expert_axis, experts) = differences.axis(AxisKind::Expert)?;
    if (layer_axis, group_axis, expert_axis) != (0, 1, 2) {
        return None;
    }
    let q = |cell: usize| {
        let null = differences.nulls.as_ref()?[cell]?;
        Some(null.p_corrected.unwrap_or(null.p))
    };
    let all: Vec<usize> = (0..differences.values.len())
        .filter(|cell| differences.values[*cell].is_finite())
        .collect();
    let is_tested = all.iter().any(|cell| q(*cell).is_some());
    let is_found = |cell: &usize| !is_tested || q(*cell).is_some_and(|q| q <= 0.05);
    let found: Vec<usize> = all.iter().copied().filter(is_found).collect();
    let mut cells: Vec<usize> = found
        .iter()
        .copied()
        .filter(|cell| differences.values[*cell] > 0.0)
        .collect();
    cells.sort_by(|a, b| differences.values[*b].total_cmp(&differences.values[*a]));
    // One line per expert and label, so that three lines are three experts of three labels.
    let mut seen = Vec::new();
    let mut lines = Vec::new();
    for cell in cells {
        let expert = cell % experts.len();
        let group = cell / experts.len() % groups.len();
        let layer = cell / experts.len() / groups.len();
        let is_near =
            |(l, e, g): &(usize, usize, usize)| (*l, *e) == (layer, expert) || *g == group;
        if lines.len() == NAMED || seen.iter().any(is_near) {
            continue;
        }
        seen.push((layer, expert, group));
        lines.push(format!(
            "the share of {} tokens that choose expert {} of layer {} is larger than that of the others by {}{} points",
            groups.labels[group],
            experts.labels[expert],
            layers.labels[layer],
            points(differences.values[cell]),
            bracket(interval(differences, cell), points),
        ));
    }
    let total = all.len();
    let told = match (is_tested, lines.is_empty()) {
        (_, true) => format!(
            "None of {total} differences of a label from the others is significant after correction over all."
        ),
        (true, false) => format!(
            "{}. {} of {total} differences are significant after correction over all. These were picked as the largest, so new data will show them somewhat smaller.",
            capitalized(&lines.join("; ")),
            found.len()
        ),
        (false, false) => format!(
            "{}. Nothing was tested, and these were picked as the largest of {total}.",
            capitalized(&lines.join("; ")),
        ),
    };
    (total > 0).then_some(told)
}

/// Percentage points.
fn points(difference: f64) -> String {
    format!("{:.1}", 100.0 * difference)
}

#[cfg(test)]
mod tests {
    use moescope_core::{Axis, NullComparison, Protocol};

    use super::*;

    /// One layer, two labels, two experts: expert 1 takes most tokens of both, and more of law's.
    fn table(q: Option<f64>) -> Measurement {
        let axis = |kind, labels: [&str; 2]| Axis::new(kind, labels.map(str::to_owned).to_vec());
        let null = q.map(|q| NullComparison {
            null_mean: 0.0,
            p: q,
            p_corrected: Some(q),
        });
        Measurement {
            metric: "risk_difference".into(),
            title: String::new(),
            unit: "share of tokens".into(),
            axes: vec![
                Axis::new(AxisKind::Layer, vec!["5".into()]),
                axis(AxisKind::Group, ["law", "math"]),
                axis(AxisKind::Expert, ["0", "1"]),
            ],
            values: vec![-0.1, 0.1, 0.1, -0.1],
            intervals: None,
            nulls: q.map(|_| vec![null; 4]),
            reference: Some(0.0),
            protocol: Protocol::default(),
        }
    }

    #[test]
    fn an_expert_stands_out_by_its_difference_from_the_other_labels() {
        let told = words(&table(Some(0.01))).unwrap();
        let first = "The share of law tokens that choose expert 1 of layer 5 is larger than that of the others by 10.0";
        assert!(told.starts_with(first), "{told}");
        assert!(told.contains("math tokens that choose expert 0"), "{told}");
        assert!(
            told.contains("4 of 4 differences are significant"),
            "{told}"
        );
    }

    #[test]
    fn what_is_not_significant_or_not_tested_is_said_to_be_so() {
        let told = words(&table(Some(0.2))).unwrap();
        assert!(told.starts_with("None of 4 differences"), "{told}");
        let told = words(&table(None)).unwrap();
        assert!(told.contains("Nothing was tested"), "{told}");
    }
}
