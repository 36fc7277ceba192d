//! Ranges in which decisions and tokens are counted.

use moescope_core::{Axis, AxisKind};

/// Ends of the ranges of margins, three to a decade: the same for every model, so that tables can be laid side by side.
const MARGIN_ENDS: [f32; 10] = [1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0];
const MARGIN_LABELS: [&str; MARGIN_BINS] = [
    "<0.0001",
    "0.0001–0.0003",
    "0.0003–0.001",
    "0.001–0.003",
    "0.003–0.01",
    "0.01–0.03",
    "0.03–0.1",
    "0.1–0.3",
    "0.3–1",
    "1–3",
    "≥3",
];
/// Number of ranges of margins.
pub(crate) const MARGIN_BINS: usize = MARGIN_ENDS.len() + 1;

/// Last numbers of the ranges of changed layers.
const CHANGED_ENDS: [usize; CHANGED_BINS - 1] = [0, 1, 2, 4, 8, 16, 32, 64];
const CHANGED_LABELS: [&str; CHANGED_BINS] =
    ["0", "1", "2", "3–4", "5–8", "9–16", "17–32", "33–64", "≥65"];
/// Number of ranges of changed layers.
pub(crate) const CHANGED_BINS: usize = 9;

/// The range of a margin, its lower end included; `None` for NaN, the margin of a decision that leaves no expert out.
pub(crate) fn margin_bin(margin: f32) -> Option<usize> {
    (!margin.is_nan()).then(|| MARGIN_ENDS.partition_point(|end| *end <= margin))
}

/// The range of a number of changed layers.
pub(crate) fn changed_bin(layers: usize) -> usize {
    CHANGED_ENDS.partition_point(|end| *end < layers)
}

/// The axis of some ranges of margins.
pub(crate) fn margin_axis(bins: &[usize]) -> Axis {
    let label = |bin: &usize| MARGIN_LABELS[*bin].to_owned();
    Axis::new(AxisKind::Margin, bins.iter().map(label).collect())
}

/// The axis of some ranges of changed layers.
pub(crate) fn changed_axis(bins: &[usize]) -> Axis {
    let label = |bin: &usize| CHANGED_LABELS[*bin].to_owned();
    Axis::new(AxisKind::ChangedLayers, bins.iter().map(label).collect())
}

/// The ranges from the first to the last that holds something.
pub(crate) fn used(counts: &[f64]) -> Vec<usize> {
    let is_used = |count: &f64| *count > 0.0;
    match (
        counts.iter().position(is_used),
        counts.iter().rposition(is_used),
    ) {
        (Some(first), Some(last)) => (first..=last).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_margin_has_one_range_and_its_label_says_so() {
        let label = |margin| margin_bin(margin).map(|bin| MARGIN_LABELS[bin]);
        assert_eq!(label(0.0), Some("<0.0001"));
        // Forced experts have negative margins.
        assert_eq!(label(-0.5), Some("<0.0001"));
        assert_eq!(label(1e-4), Some("0.0001–0.0003"));
        assert_eq!(label(0.05), Some("0.03–0.1"));
        assert_eq!(label(0.3), Some("0.3–1"));
        assert_eq!(label(17.0), Some("≥3"));
        assert_eq!(label(f32::NAN), None);
    }

    #[test]
    fn every_number_of_layers_has_one_range() {
        let found: Vec<&str> = [0, 1, 2, 3, 4, 5, 16, 17, 64, 65, 200]
            .map(|layers| CHANGED_LABELS[changed_bin(layers)])
            .to_vec();
        assert_eq!(
            found,
            [
                "0", "1", "2", "3–4", "3–4", "5–8", "9–16", "17–32", "33–64", "≥65", "≥65"
            ]
        );
    }

    #[test]
    fn empty_ranges_are_left_out_at_the_ends_only() {
        assert_eq!(used(&[0.0, 0.0, 3.0, 0.0, 1.0, 0.0]), [2, 3, 4]);
        assert!(used(&[0.0, 0.0]).is_empty());
    }
}
