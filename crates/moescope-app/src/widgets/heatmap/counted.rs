//! How much was counted for the cells of a table.

use moescope_core::{AxisKind, LabelSize, Measurement};
use moescope_pipeline::sizes::scaled;

use super::table::TableSource;
use crate::widgets::text::counted;

/// How much was counted, of each label as far as that is known.
#[derive(Clone, Debug)]
pub(super) struct Counted {
    /// Everything, in words.
    all: String,
    sizes: Vec<LabelSize>,
    /// The labels that all cells are of.
    fixed: Vec<String>,
    /// Whether rows are labels, and whether columns are.
    are_labels: [bool; 2],
}

impl Counted {
    pub(super) fn new(source: &TableSource, measurement: &Measurement, places: &[usize]) -> Self {
        let protocol = &measurement.protocol;
        let mut all = counts(protocol.n_tokens, protocol.n_documents, protocol.n_groups);
        if measurement.axes.iter().any(|axis| is_of_labels(axis.kind)) {
            all.push_str(", all labels together");
        }
        let axes = measurement.axes.iter().zip(places);
        let fixed = axes
            .filter(|(axis, _)| {
                is_of_labels(axis.kind) && ![source.rows, source.columns].contains(&axis.kind)
            })
            .filter_map(|(axis, place)| axis.labels.get(*place).cloned())
            .collect();
        Self {
            all,
            sizes: protocol.label_sizes.clone(),
            fixed,
            are_labels: [source.rows, source.columns].map(is_of_labels),
        }
    }

    /// What was counted of the labels of a cell, or of all where that is not known.
    pub(super) fn of(&self, sides: [&String; 2]) -> String {
        let mut labels: Vec<&String> = self.fixed.iter().collect();
        for (side, is_label) in sides.into_iter().zip(self.are_labels) {
            if is_label && !labels.contains(&side) {
                labels.push(side);
            }
        }
        let size_of = |label: &String| self.sizes.iter().find(|size| size.label == *label);
        let counted: Option<Vec<&LabelSize>> = labels.into_iter().map(size_of).collect();
        let words: Vec<String> = counted
            .unwrap_or_default()
            .into_iter()
            .map(|size| {
                let words = counts(size.n_tokens, size.n_documents, size.n_groups);
                format!("{words} of {}", size.label)
            })
            .collect();
        if words.is_empty() {
            self.all.clone()
        } else {
            words.join("; ")
        }
    }
}

fn is_of_labels(kind: AxisKind) -> bool {
    matches!(kind, AxisKind::Group | AxisKind::GroupB)
}

fn counts(tokens: u64, documents: u64, groups: u64) -> String {
    format!(
        "{}, {}, {}",
        counted(tokens, thousands(tokens), "token"),
        counted(documents, thousands(documents), "document"),
        counted(groups, thousands(groups), "group")
    )
}

fn thousands(number: u64) -> String {
    if number < 100_000 {
        number.to_string()
    } else {
        scaled(number, &["", "k", "M", "G"]).trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use moescope_core::Axis;

    use super::{super::table::tests::source, *};

    #[test]
    fn a_cell_counts_its_own_labels_or_says_that_it_counts_all() {
        let counted =
            |source: &TableSource, cell| source.table().unwrap().describe(cell)[2].clone();
        // Labels along the rows: each row counts its own.
        let mut source = source();
        source.rows = AxisKind::Group;
        source.fixed = vec![(AxisKind::Layer, "3".into())];
        let of_law = "95% interval; measured in 500 tokens, 7 documents, 1 group of law";
        assert_eq!(counted(&source, [1, 0]), of_law);

        // Two labels at a cell, but one on the diagonal.
        let mut pairs = source.measured[0].clone();
        pairs.axes.truncate(1);
        let second = pairs.axes[0].labels.clone();
        pairs.axes.push(Axis::new(AxisKind::GroupB, second));
        pairs.values.truncate(4);
        (pairs.intervals, pairs.nulls) = (None, None);
        source.columns = AxisKind::GroupB;
        source.fixed.clear();
        source.measured = Arc::new(vec![pairs.clone()]);
        assert_eq!(
            counted(&source, [1, 0]),
            "no interval; 500 tokens, 7 documents, 1 group of law; \
             700 tokens, 7 documents, 1 group of math"
        );
        assert_eq!(
            counted(&source, [0, 0]),
            "no interval; 700 tokens, 7 documents, 1 group of math"
        );

        pairs.protocol.label_sizes.clear();
        source.measured = Arc::new(vec![pairs]);
        assert_eq!(
            counted(&source, [0, 0]),
            "no interval; 1200 tokens, 12 documents, 6 groups, all labels together"
        );
    }
}
