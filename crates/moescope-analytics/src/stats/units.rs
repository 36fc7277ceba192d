//! Units of resampling with their sufficient statistics.

use std::ops::Range;

/// What each unit (a group of documents under one label) adds to its label's sums, `[layers, parts, columns]`.
///
/// Units are sorted by label, so each label's units are a range.
/// A unit is one part, unless labels are matched: then it has a part in each stratum that it reaches into.
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
    /// The units that may exchange labels with each other.
    pub(crate) blocks: Vec<Vec<usize>>,
    strata: Option<Strata>,
    values: Vec<f64>,
}

/// The parts of matched units: every label's sums are those it would have with the same mass in every stratum.
///
/// The weights follow from the sums, so they are made anew for every resample and every permutation.
#[derive(Clone, Debug)]
pub(crate) struct Strata {
    /// The unit of each part.
    pub(crate) unit: Vec<usize>,
    /// The stratum of each part.
    pub(crate) stratum: Vec<usize>,
    /// The mass of each part: its tokens, or its documents.
    pub(crate) mass: Vec<f64>,
    /// The mass that every label shall have in each stratum.
    pub(crate) target: Vec<f64>,
}

impl Strata {
    /// The weight of each label's parts in each stratum, `[labels × strata]`.
    fn weights(
        &self,
        labels: usize,
        times: impl Fn(usize) -> u32,
        label: impl Fn(usize) -> usize,
    ) -> Vec<f64> {
        let strata = self.target.len();
        let mut weights = vec![0.0; labels * strata];
        for ((unit, stratum), mass) in self.unit.iter().zip(&self.stratum).zip(&self.mass) {
            weights[label(*unit) * strata + stratum] += f64::from(times(*unit)) * mass;
        }
        for weights in weights.chunks_exact_mut(strata.max(1)) {
            for (weight, target) in weights.iter_mut().zip(&self.target) {
                // A stratum that a resample missed cannot be made up for.
                *weight = if *weight > 0.0 { target / *weight } else { 0.0 };
            }
        }
        weights
    }
}

impl UnitTable {
    /// An empty table for units with these labels (ascending, each below `labels`), every unit one part.
    pub(crate) fn new(labels: usize, label: Vec<usize>, layers: usize, columns: usize) -> Self {
        debug_assert!(label.is_sorted(), "units are sorted by label");
        let of_label = (0..labels)
            .map(|k| label.partition_point(|l| *l < k)..label.partition_point(|l| *l <= k))
            .collect();
        Self {
            layers,
            columns,
            values: vec![0.0; layers * label.len() * columns],
            blocks: vec![(0..label.len()).collect()],
            strata: None,
            label,
            of_label,
        }
    }

    /// The same, empty, with the parts of matched units; `blocks` are the units that may exchange labels.
    pub(crate) fn with_strata(mut self, strata: Strata, blocks: Vec<Vec<usize>>) -> Self {
        self.values = vec![0.0; self.layers * strata.unit.len() * self.columns];
        self.blocks = blocks;
        self.strata = Some(strata);
        self
    }

    /// Number of labels.
    pub(crate) fn labels(&self) -> usize {
        self.of_label.len()
    }

    /// Number of units.
    pub(crate) fn units(&self) -> usize {
        self.label.len()
    }

    /// Number of parts: that of units unless they are matched.
    pub(super) fn parts(&self) -> usize {
        self.strata.as_ref().map_or(self.units(), |s| s.unit.len())
    }

    /// The unit of a part.
    pub(super) fn unit_of(&self, part: usize) -> usize {
        self.strata.as_ref().map_or(part, |s| s.unit[part])
    }

    /// One part's row at one layer, `[columns]`.
    pub(crate) fn row(&self, layer: usize, part: usize) -> &[f64] {
        let start = (layer * self.parts() + part) * self.columns;
        &self.values[start..start + self.columns]
    }

    /// One part's row at one layer, to add to.
    pub(crate) fn row_mut(&mut self, layer: usize, part: usize) -> &mut [f64] {
        let start = (layer * self.parts() + part) * self.columns;
        &mut self.values[start..start + self.columns]
    }

    /// Sums of each label, `[labels, columns]`, with every unit counted `times(unit)` times under `label(unit)`.
    pub(crate) fn sum_into(
        &self,
        layer: usize,
        sums: &mut [f64],
        times: impl Fn(usize) -> u32,
        label: impl Fn(usize) -> usize,
    ) {
        sums.fill(0.0);
        self.each_part(times, label, |part, label, weight| {
            let target = &mut sums[label * self.columns..(label + 1) * self.columns];
            for (sum, value) in target.iter_mut().zip(self.row(layer, part)) {
                *sum += weight * value;
            }
        });
    }

    /// Shows every part that counts with its label and weight, in ascending order.
    pub(super) fn each_part(
        &self,
        times: impl Fn(usize) -> u32,
        label: impl Fn(usize) -> usize,
        mut visit: impl FnMut(usize, usize, f64),
    ) {
        let Some(strata) = &self.strata else {
            for unit in 0..self.units() {
                match times(unit) {
                    0 => {}
                    times => visit(unit, label(unit), f64::from(times)),
                }
            }
            return;
        };
        let weights = strata.weights(self.labels(), &times, &label);
        for (part, (unit, stratum)) in strata.unit.iter().zip(&strata.stratum).enumerate() {
            let (times, label) = (times(*unit), label(*unit));
            let weight = weights[label * strata.target.len() + stratum];
            if times > 0 && weight > 0.0 {
                visit(part, label, f64::from(times) * weight);
            }
        }
    }

    /// Sums of each label as observed, `[labels, columns]`.
    pub(crate) fn sums(&self, layer: usize) -> Vec<f64> {
        let mut sums = vec![0.0; self.labels() * self.columns];
        self.sum_into(layer, &mut sums, |_| 1, |unit| self.label[unit]);
        sums
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
        let mut place = vec![None; self.units()];
        for (to, from) in units.iter().enumerate() {
            place[*from] = Some(to);
        }
        let mut pair = Self::new(2, label, self.layers, self.columns);
        let mut parts = units;
        if let Some(strata) = &self.strata {
            parts = (0..self.parts())
                .filter(|part| place[strata.unit[*part]].is_some())
                .collect();
            let kept = Strata {
                unit: parts
                    .iter()
                    .filter_map(|part| place[strata.unit[*part]])
                    .collect(),
                stratum: parts.iter().map(|part| strata.stratum[*part]).collect(),
                mass: parts.iter().map(|part| strata.mass[*part]).collect(),
                target: strata.target.clone(),
            };
            let blocks = self
                .blocks
                .iter()
                .map(|block| block.iter().filter_map(|unit| place[*unit]).collect())
                .collect();
            pair = pair.with_strata(kept, blocks);
        }
        for layer in 0..self.layers {
            for (to, from) in parts.iter().enumerate() {
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

    #[test]
    fn matched_sums_have_the_same_mass_in_every_stratum() {
        // Label 0 has masses 3 + 1 in stratum 0 and 2 in stratum 1; label 1 has 2 and 4. The targets are 2 and 2.
        let strata = Strata {
            unit: vec![0, 1, 1, 2, 3],
            stratum: vec![0, 0, 1, 0, 1],
            mass: vec![3.0, 1.0, 2.0, 2.0, 4.0],
            target: vec![2.0, 2.0],
        };
        let blocks = vec![vec![0, 2], vec![1, 3]];
        let mut table = UnitTable::new(2, vec![0, 0, 1, 1], 1, 1).with_strata(strata, blocks);
        for (part, value) in [30.0, 50.0, 8.0, 7.0, 12.0].into_iter().enumerate() {
            table.row_mut(0, part)[0] = value;
        }
        // Label 0: (30 + 50) · 2/4 + 8 · 2/2 = 48; label 1: 7 · 2/2 + 12 · 2/4 = 13.
        assert_eq!(table.sums(0), [48.0, 13.0]);
        assert_eq!(table.pair(1, 0).sums(0), [13.0, 48.0]);
        // With the labels of units 0 and 2 exchanged, label 0 has masses 2 + 1 and 2: (7 + 50) · 2/3 + 8 = 46.
        let mut sums = vec![0.0; 2];
        table.sum_into(0, &mut sums, |_| 1, |unit| [1, 0, 0, 1][unit]);
        assert!(
            (sums[0] - 46.0).abs() < 1e-12 && (sums[1] - 26.0).abs() < 1e-12,
            "{sums:?}"
        );
    }
}
