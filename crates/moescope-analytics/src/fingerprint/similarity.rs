//! Similarities of all documents, and what they say of the separation of labels.

use rayon::prelude::*;

use super::{Matrix, dot};
use crate::{data::Selection, stats::number::as_f64};

/// Cosine similarities between documents, summed over the documents of each unit of resampling.
///
/// Labels belong to units, so everything about labels, resampled units and permuted labels is a sum of these.
pub(crate) struct Similarities {
    /// Σ over the documents j ≠ i of a unit of cos(i, j), `[documents × units]`.
    sums: Vec<f64>,
    /// Σ cos², `[documents × units]`.
    squares: Vec<f64>,
    /// Documents of each unit.
    size: Vec<f64>,
    /// The unit of each document.
    unit: Vec<usize>,
    /// The group of each unit.
    group_of_unit: Vec<usize>,
    labels: usize,
}

/// Which pairs of documents are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pairs {
    /// All, as in scikit-learn.
    All,
    /// Those of different groups: parts of one book resemble each other whatever their label.
    OtherGroups,
}

/// How far labels are apart.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Separation {
    /// Mean silhouette; NaN without a document that counts.
    pub(crate) silhouette: f64,
    /// Mean cosine between documents of one label.
    pub(crate) within: f64,
    /// Mean cosine between documents of different labels.
    pub(crate) across: f64,
    /// (within − across) / pooled standard deviation of the cosines of both kinds of pairs.
    pub(crate) cohens_d: f64,
    /// Mean silhouette and mean cosine within and to other labels, `[labels × 3]`.
    pub(crate) of_labels: Vec<f64>,
}

impl Similarities {
    /// Compares all selected documents by rows of `points`.
    pub(crate) fn new(points: &Matrix, selection: &Selection) -> Self {
        let points = points.normalized_rows();
        Self::of(selection, |i, row| {
            for (cosine, other) in row.iter_mut().zip(points.iter_rows()) {
                *cosine = dot(points.row(i), other);
            }
        })
    }

    /// Compares all selected documents; `similarities(i, row)` fills `row` with those of i to all.
    pub(crate) fn of(
        selection: &Selection,
        similarities: impl Fn(usize, &mut [f64]) + Sync,
    ) -> Self {
        let (documents, units) = (selection.documents.len(), selection.unit_label.len());
        let mut sums = vec![0.0; documents * units];
        let mut squares = vec![0.0; documents * units];
        sums.par_chunks_mut(units)
            .zip(squares.par_chunks_mut(units))
            .enumerate()
            .for_each_init(
                || vec![0.0; documents],
                |row, (i, (sums, squares))| {
                    similarities(i, row);
                    for (j, cosine) in row.iter().enumerate() {
                        if i != j {
                            sums[selection.unit[j]] += cosine;
                            squares[selection.unit[j]] += cosine * cosine;
                        }
                    }
                },
            );
        let mut size = vec![0.0; units];
        let mut group_of_unit = vec![0; units];
        for (unit, group) in selection.unit.iter().zip(&selection.group) {
            size[*unit] += 1.0;
            group_of_unit[*unit] = *group;
        }
        Self {
            sums,
            squares,
            size,
            unit: selection.unit.clone(),
            group_of_unit,
            labels: selection.labels.len(),
        }
    }

    /// Number of units.
    pub(crate) fn units(&self) -> usize {
        self.size.len()
    }

    /// The documents' similarities to a unit's documents other than themselves, summed, `[units]`.
    fn row(&self, document: usize) -> &[f64] {
        let units = self.units();
        &self.sums[document * units..(document + 1) * units]
    }

    /// The separation of units with these labels, each counted so many times.
    ///
    /// Where units count several times, pairs must be those of other groups: a copy is no other document.
    pub(crate) fn separation(&self, label: &[usize], times: &[u32], pairs: Pairs) -> Separation {
        debug_assert!(
            pairs == Pairs::OtherGroups || times.iter().all(|n| *n == 1),
            "copies are in the same group"
        );
        let labels = self.labels;
        let mut within = Moments::default();
        let mut across = Moments::default();
        // Sums of silhouettes, and of cosines within and across with their numbers.
        let mut of_labels = vec![[0.0; 6]; labels];
        let mut to = vec![Moments::default(); labels];
        for (document, own) in self.unit.iter().enumerate() {
            let weight = f64::from(times[*own]);
            if weight == 0.0 {
                continue;
            }
            self.to_labels(document, label, times, pairs, &mut to);
            let own = label[*own];
            let sums = &mut of_labels[own];
            sums[0] += weight * silhouette(&to, own);
            sums[1] += weight;
            for (other, to) in to.iter().enumerate() {
                let (moments, place) = if other == own {
                    (&mut within, 2)
                } else {
                    (&mut across, 4)
                };
                moments.add(*to, weight);
                sums[place] += weight * to.sum;
                sums[place + 1] += weight * to.n;
            }
        }
        let total = |column: usize| of_labels.iter().map(|sums| sums[column]).sum::<f64>();
        Separation {
            silhouette: total(0) / total(1),
            within: within.mean(),
            across: across.mean(),
            cohens_d: cohens_d(within, across),
            of_labels: of_labels
                .iter()
                .flat_map(|s| [s[0] / s[1], s[2] / s[3], s[4] / s[5]])
                .collect(),
        }
    }

    /// The silhouette of every document for these labels of units.
    pub(crate) fn silhouettes(&self, label: &[usize], pairs: Pairs) -> Vec<f64> {
        let once = vec![1; self.units()];
        let mut to = vec![Moments::default(); self.labels];
        (0..self.unit.len())
            .map(|document| {
                self.to_labels(document, label, &once, pairs, &mut to);
                silhouette(&to, label[self.unit[document]])
            })
            .collect()
    }

    /// A document's similarities to the documents of every label.
    fn to_labels(
        &self,
        document: usize,
        label: &[usize],
        times: &[u32],
        pairs: Pairs,
        to: &mut [Moments],
    ) {
        to.fill(Moments::default());
        let own = self.unit[document];
        let start = document * self.units();
        for (unit, times) in times.iter().enumerate() {
            let is_own_group = self.group_of_unit[unit] == self.group_of_unit[own];
            if is_own_group && pairs == Pairs::OtherGroups {
                continue;
            }
            let itself = f64::from(u8::from(unit == own));
            let times = f64::from(*times);
            let to = &mut to[label[unit]];
            to.n += times * (self.size[unit] - itself);
            to.sum += times * self.sums[start + unit];
            to.squares += times * self.squares[start + unit];
        }
    }

    /// Products of the sums of two units' documents, each of length 1, `[units × units]`.
    pub(crate) fn unit_products(&self) -> Vec<f64> {
        let units = self.units();
        let mut products = vec![0.0; units * units];
        for (document, own) in self.unit.iter().enumerate() {
            let row = &mut products[own * units..(own + 1) * units];
            for (product, sum) in row.iter_mut().zip(self.row(document)) {
                *product += sum;
            }
            // The document with itself.
            row[*own] += 1.0;
        }
        products
    }

    /// The label whose mean profile of other groups is nearest to each document by cosine; `None` where no label has another group.
    ///
    /// A profile is the mean of its documents' fingerprints, each of unit length. `products` are [`Self::unit_products`].
    pub(crate) fn nearest_profiles(&self, products: &[f64], label: &[usize]) -> Vec<Option<usize>> {
        let units = self.units();
        // x_u · P_L of every unit and label, and |P_L|².
        let mut to_label = vec![0.0; units * self.labels];
        for (unit, products) in products.chunks_exact(units).enumerate() {
            for (product, label) in products.iter().zip(label) {
                to_label[unit * self.labels + label] += product;
            }
        }
        let mut squared = vec![0.0; self.labels];
        for (unit, label) in label.iter().enumerate() {
            squared[*label] += to_label[unit * self.labels + label];
        }
        let mut of_group: Vec<Vec<usize>> = Vec::new();
        for (unit, group) in self.group_of_unit.iter().enumerate() {
            of_group.resize(of_group.len().max(group + 1), Vec::new());
            of_group[*group].push(unit);
        }
        (0..self.unit.len())
            .map(|document| {
                let own = &of_group[self.group_of_unit[self.unit[document]]];
                let mut nearness = vec![0.0; self.labels];
                let mut others = vec![0.0; self.labels];
                for (unit, sum) in self.row(document).iter().enumerate() {
                    if !own.contains(&unit) {
                        nearness[label[unit]] += sum;
                        others[label[unit]] += self.size[unit];
                    }
                }
                let mut squared = squared.clone();
                for unit in own {
                    let own_label = label[*unit];
                    squared[own_label] -= 2.0 * to_label[unit * self.labels + own_label];
                    for other in own.iter().filter(|other| label[**other] == own_label) {
                        squared[own_label] += products[unit * units + other];
                    }
                }
                let cosine = |l: &usize| nearness[*l] / squared[*l].max(0.0).sqrt();
                (0..self.labels)
                    .filter(|l| others[*l] > 0.0)
                    .max_by(|a, b| cosine(a).total_cmp(&cosine(b)).then(b.cmp(a)))
            })
            .collect()
    }
}

/// Number, sum and sum of squares of cosines.
#[derive(Clone, Copy, Debug, Default)]
struct Moments {
    n: f64,
    sum: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, other: Self, weight: f64) {
        self.n += weight * other.n;
        self.sum += weight * other.sum;
        self.squares += weight * other.squares;
    }

    fn mean(self) -> f64 {
        self.sum / self.n
    }
}

/// (b − a) / max(a, b) with a the mean distance to the own label and b that to the nearest other; 0 for a label of one.
fn silhouette(to: &[Moments], own: usize) -> f64 {
    if to[own].n <= 0.0 {
        return 0.0;
    }
    let distance = |moments: &Moments| 1.0 - moments.mean();
    let a = distance(&to[own]);
    let others = to
        .iter()
        .enumerate()
        .filter(|(l, m)| *l != own && m.n > 0.0);
    let b = others
        .map(|(_, m)| distance(m))
        .fold(f64::INFINITY, f64::min);
    let largest = a.max(b);
    if b.is_finite() && largest > 0.0 {
        (b - a) / largest
    } else {
        0.0
    }
}

/// Every pair was counted from both ends; the standard deviation is pooled over pairs.
fn cohens_d(within: Moments, across: Moments) -> f64 {
    let spread = |m: Moments| (m.squares - m.n * m.mean().powi(2)) / 2.0;
    let degrees = f64::midpoint(within.n, across.n) - 2.0;
    let pooled = ((spread(within) + spread(across)) / degrees).sqrt();
    (within.mean() - across.mean()) / pooled
}

/// Share of the labels that a guess can choose from, for each document: 1 / labels with another group; 0 where its own has none.
pub(crate) fn chance_of_guessing(selection: &Selection) -> f64 {
    let mut groups: Vec<Vec<usize>> = vec![Vec::new(); selection.labels.len()];
    for (label, group) in selection.label.iter().zip(&selection.group) {
        if !groups[*label].contains(group) {
            groups[*label].push(*group);
        }
    }
    let of = |(label, group): (&usize, &usize)| {
        let has_other = |groups: &Vec<usize>| groups.iter().any(|g| g != group);
        let candidates = groups.iter().filter(|groups| has_other(groups)).count();
        if has_other(&groups[*label]) {
            1.0 / as_f64(candidates)
        } else {
            0.0
        }
    };
    let documents = selection.label.iter().zip(&selection.group);
    documents.map(of).sum::<f64>() / as_f64(selection.documents.len())
}
