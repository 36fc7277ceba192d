//! Units of resampling with their sufficient statistics.

use std::ops::Range;

/// What each unit (a group of documents under one label) adds to its label's sums, `[layers, units, columns]`.
///
/// Units are sorted by label, so each label's units are a range.
#[derive(Clone, Debug)]
pub(crate) struct UnitTable {
    /// Number of layers.
    pub(crate) layers: usize,
    /// Number of columns (experts, or other sums).
    pub(crate) columns: usize,
    /// The label of each unit, ascending.
    pub(crate) label: Vec<usize>,
    /// The units of each label.
    pub(crate) of_label: Vec<Range<usize>>,
    /// The unit of the other label that is the same group seen a second time, for tables of pairs.
    ///
    /// Partners are drawn together by the bootstrap, and a permutation swaps the labels of partners and no others.
    pub(crate) partners: Option<Vec<Option<usize>>>,
    values: Vec<f64>,
}

impl UnitTable {
    /// An empty table for units with these labels (ascending, each below `labels`).
    pub(crate) fn new(labels: usize, label: Vec<usize>, layers: usize, columns: usize) -> Self {
        debug_assert!(label.is_sorted(), "units are sorted by label");
        let of_label = (0..labels)
            .map(|k| label.partition_point(|l| *l < k)..label.partition_point(|l| *l <= k))
            .collect();
        Self {
            layers,
            columns,
            values: vec![0.0; layers * label.len() * columns],
            label,
            of_label,
            partners: None,
        }
    }

    /// Number of labels.
    pub(crate) fn labels(&self) -> usize {
        self.of_label.len()
    }

    /// Number of units.
    pub(crate) fn units(&self) -> usize {
        self.label.len()
    }

    /// One unit's row at one layer, `[columns]`.
    pub(crate) fn row(&self, layer: usize, unit: usize) -> &[f64] {
        let start = (layer * self.units() + unit) * self.columns;
        &self.values[start..start + self.columns]
    }

    /// One unit's row at one layer, to add to.
    pub(crate) fn row_mut(&mut self, layer: usize, unit: usize) -> &mut [f64] {
        let start = (layer * self.units() + unit) * self.columns;
        &mut self.values[start..start + self.columns]
    }

    /// Sums of each label, `[labels, columns]`, with every unit counted `weight(unit)` times under `label(unit)`.
    pub(crate) fn sum_into(
        &self,
        layer: usize,
        sums: &mut [f64],
        weight: impl Fn(usize) -> u32,
        label: impl Fn(usize) -> usize,
    ) {
        sums.fill(0.0);
        for unit in 0..self.units() {
            let times = weight(unit);
            if times == 0 {
                continue;
            }
            let times = f64::from(times);
            let start = label(unit) * self.columns;
            let target = &mut sums[start..start + self.columns];
            for (sum, value) in target.iter_mut().zip(self.row(layer, unit)) {
                *sum += times * value;
            }
        }
    }

    /// Sums of each label as observed, `[labels, columns]`.
    pub(crate) fn sums(&self, layer: usize) -> Vec<f64> {
        let mut sums = vec![0.0; self.labels() * self.columns];
        self.sum_into(layer, &mut sums, |_| 1, |unit| self.label[unit]);
        sums
    }

    /// The part of the table with one layer only.
    pub(crate) fn only(&self, layer: usize) -> Self {
        let size = self.units() * self.columns;
        Self {
            layers: 1,
            columns: self.columns,
            label: self.label.clone(),
            of_label: self.of_label.clone(),
            partners: self.partners.clone(),
            values: self.values[layer * size..(layer + 1) * size].to_vec(),
        }
    }

    /// The part of the table with two labels only, which become 0 and 1.
    pub(crate) fn pair(&self, a: usize, b: usize) -> Self {
        let units: Vec<usize> = self.of_label[a]
            .clone()
            .chain(self.of_label[b].clone())
            .collect();
        let label = units
            .iter()
            .map(|unit| usize::from(self.label[*unit] == b))
            .collect();
        let mut pair = Self::new(2, label, self.layers, self.columns);
        let place = |partner: usize| units.iter().position(|unit| *unit == partner);
        pair.partners = self.partners.as_ref().map(|partners| {
            let of_unit = |unit: &usize| partners[*unit].and_then(place);
            units.iter().map(of_unit).collect()
        });
        for layer in 0..self.layers {
            for (to, from) in units.iter().enumerate() {
                pair.row_mut(layer, to)
                    .copy_from_slice(self.row(layer, *from));
            }
        }
        pair
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_follow_labels_and_weights() {
        // Three units of one layer: label 0 has (1, 2) and (3, 4), label 1 has (5, 6).
        let mut table = UnitTable::new(2, vec![0, 0, 1], 1, 2);
        for (unit, row) in [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]].iter().enumerate() {
            table.row_mut(0, unit).copy_from_slice(row);
        }
        assert_eq!(table.sums(0), [4.0, 6.0, 5.0, 6.0]);
        let mut sums = vec![0.0; 4];
        // The first unit twice, the second never.
        table.sum_into(0, &mut sums, |u| [2, 0, 1][u], |u| table.label[u]);
        assert_eq!(sums, [2.0, 4.0, 5.0, 6.0]);
        assert_eq!(table.pair(1, 0).sums(0), [5.0, 6.0, 4.0, 6.0]);
    }
}
