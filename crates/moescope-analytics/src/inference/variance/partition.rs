//! The sums of squares of one layer.

use super::design::{Choices, Design};
use crate::{control::POSITION_RANGES, stats::least_squares::fit_in_order};

/// The shares of variance at one layer, in the order token id, the design's factors, document.
pub(super) struct Partition {
    /// Of each factor as if there were no other.
    pub(super) alone: Vec<f64>,
    /// Of each factor after those before it.
    pub(super) in_order: Vec<f64>,
    /// Of each factor but the document after all others but the document.
    pub(super) last: Vec<f64>,
    /// What no factor explains.
    pub(super) residual: f64,
    /// The variance, times the weight of all tokens.
    pub(super) total: f64,
    /// What token id and all factors but the label leave of each document's choices, `[documents × experts]`.
    pub(super) left_for_label: Vec<f64>,
}

/// Choices of a layer with the sums that every model needs.
struct Sums<'a> {
    design: &'a Design,
    choices: &'a Choices,
    experts: usize,
    /// `[columns × experts]`.
    of_columns: Vec<f64>,
    /// The same with every token id's mean subtracted.
    within_tokens: Vec<f64>,
    /// `XᵀX` with every token id's mean subtracted, `[columns × columns]`.
    gram_within_tokens: Vec<f64>,
    /// The size of each column.
    scale: Vec<f64>,
}

/// Partitions the variance of the choices of one layer; `of_documents` are weighted, `[documents × experts]`.
pub(super) fn partition(
    design: &Design,
    choices: &Choices,
    of_documents: &[f64],
    top_k: f64,
) -> Partition {
    let experts = choices.of_ranges.len() / POSITION_RANGES;
    let sums = Sums::new(design, choices, of_documents, experts);
    let mut all = vec![0.0; experts];
    for row in choices.of_ranges.chunks_exact(experts) {
        all.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
    }
    let mean = square(&all) / design.total;
    // Every token has k ones among its indicators.
    let total = top_k * design.total - mean;
    let between = |rows: &[f64], weights: &dyn Fn(usize) -> f64| -> f64 {
        let rows = rows.chunks_exact(experts).enumerate();
        let squares = rows.filter(|(i, _)| weights(*i) > 0.0);
        squares
            .map(|(i, row)| square(row) / weights(i))
            .sum::<f64>()
            - mean
    };
    let mut document_weight = vec![0.0; design.weight.len()];
    for cell in &design.cells {
        document_weight[cell.document as usize] += cell.weight;
    }
    let tokens = between(&choices.of_tokens, &|token| design.token_weight[token]);
    let documents = between(of_documents, &|document| document_weight[document]);
    let ranges = sums.ranges();
    let columns: Vec<usize> = (0..design.columns()).collect();
    let of_factor = |explained: &[f64]| -> Vec<f64> {
        ranges
            .iter()
            .map(|range| explained[range.clone()].iter().sum())
            .collect()
    };
    let after_tokens = sums.after_tokens(&columns);
    let steps = of_factor(&after_tokens.explained);
    let all_factors: f64 = steps.iter().sum();
    let without_tokens: f64 = sums.without_tokens(&columns).explained.iter().sum::<f64>() - mean;
    let mut alone = vec![tokens];
    let mut last = vec![tokens + all_factors - without_tokens];
    for range in &ranges {
        alone.push(between(
            &sums.of_columns[range.start * experts..range.end * experts],
            &|level| sums.scale[range.start + level],
        ));
        let others: Vec<usize> = columns
            .iter()
            .copied()
            .filter(|c| !range.contains(c))
            .collect();
        let others: f64 = sums.after_tokens(&others).explained.iter().sum();
        last.push(all_factors - others);
    }
    alone.push(documents);
    let others = &columns[..ranges.last().map_or(0, |range| range.start)];
    let left_for_label = sums.residuals(others, of_documents);
    let left = sums.residuals(&columns, of_documents);
    let documents_in_order: f64 = left
        .chunks_exact(experts)
        .zip(&document_weight)
        .filter(|(_, weight)| **weight > 0.0)
        .map(|(row, weight)| square(row) / weight)
        .sum();
    let mut in_order = vec![tokens];
    in_order.extend(steps);
    in_order.push(documents_in_order);
    let share = |squares: Vec<f64>| {
        squares
            .iter()
            .map(|s| s.max(0.0) / total)
            .collect::<Vec<f64>>()
    };
    let in_order = share(in_order);
    Partition {
        alone: share(alone),
        residual: 1.0 - in_order.iter().sum::<f64>(),
        in_order,
        last: share(last),
        total,
        left_for_label,
    }
}

impl<'a> Sums<'a> {
    fn new(design: &'a Design, choices: &'a Choices, of_documents: &[f64], experts: usize) -> Self {
        let columns = design.columns();
        let mut of_columns = vec![0.0; columns * experts];
        of_columns[..choices.of_ranges.len()].copy_from_slice(&choices.of_ranges);
        for (document, row) in of_documents.chunks_exact(experts).enumerate() {
            for column in design.columns_of_document(document) {
                add(
                    &mut of_columns[column * experts..(column + 1) * experts],
                    1.0,
                    row,
                );
            }
        }
        let mut within_tokens = of_columns.clone();
        let mut gram_within_tokens = design.gram.clone();
        let tokens = choices.of_tokens.chunks_exact(experts);
        for (token, row) in tokens.enumerate() {
            let weights = &design.token_columns[token * columns..(token + 1) * columns];
            let present: Vec<usize> = (0..columns).filter(|c| weights[*c] > 0.0).collect();
            for a in &present {
                let share = weights[*a] / design.token_weight[token];
                add(
                    &mut within_tokens[a * experts..(a + 1) * experts],
                    -share,
                    row,
                );
                for b in &present {
                    gram_within_tokens[a * columns + b] -= share * weights[*b];
                }
            }
        }
        Self {
            scale: (0..columns).map(|c| design.gram[c * columns + c]).collect(),
            design,
            choices,
            experts,
            of_columns,
            within_tokens,
            gram_within_tokens,
        }
    }

    /// The columns of each factor.
    fn ranges(&self) -> Vec<std::ops::Range<usize>> {
        let mut end = 0;
        self.design
            .factors
            .iter()
            .map(|(_, levels)| {
                end += levels;
                end - levels..end
            })
            .collect()
    }

    /// What columns explain one after the other once every token id has its mean.
    ///
    /// By the theorem of Frisch, Waugh and Lovell this is the joint fit of both.
    fn after_tokens(&self, order: &[usize]) -> crate::stats::least_squares::Fit {
        fit_in_order(
            &self.gram_within_tokens,
            &self.within_tokens,
            &self.scale,
            order,
            self.experts,
        )
    }

    /// What columns explain one after the other, the general mean included.
    fn without_tokens(&self, order: &[usize]) -> crate::stats::least_squares::Fit {
        fit_in_order(
            &self.design.gram,
            &self.of_columns,
            &self.scale,
            order,
            self.experts,
        )
    }

    /// Each document's choices minus what token ids and these columns expect of it, `[documents × experts]`.
    fn residuals(&self, order: &[usize], of_documents: &[f64]) -> Vec<f64> {
        let (experts, columns) = (self.experts, self.design.columns());
        let fit = self.after_tokens(order);
        let mut effects = vec![0.0; columns * experts];
        for (column, row) in order.iter().zip(fit.coefficients.chunks_exact(experts)) {
            effects[column * experts..(column + 1) * experts].copy_from_slice(row);
        }
        let effect = |column: usize| &effects[column * experts..(column + 1) * experts];
        let mut of_tokens = self.choices.of_tokens.clone();
        for (token, row) in of_tokens.chunks_exact_mut(experts).enumerate() {
            let weights = &self.design.token_columns[token * columns..(token + 1) * columns];
            for (column, weight) in weights.iter().enumerate().filter(|(_, w)| **w > 0.0) {
                add(row, -weight, effect(column));
            }
            row.iter_mut()
                .for_each(|x| *x /= self.design.token_weight[token]);
        }
        let mut left = of_documents.to_vec();
        for cell in &self.design.cells {
            let document = cell.document as usize;
            let row = &mut left[document * experts..(document + 1) * experts];
            let token = cell.token as usize;
            add(
                row,
                -cell.weight,
                &of_tokens[token * experts..(token + 1) * experts],
            );
            for column in self.design.columns_of(cell) {
                add(row, -cell.weight, effect(column));
            }
        }
        left
    }
}

fn add(row: &mut [f64], factor: f64, other: &[f64]) {
    row.iter_mut()
        .zip(other)
        .for_each(|(x, y)| *x += factor * y);
}

fn square(row: &[f64]) -> f64 {
    row.iter().map(|x| x * x).sum()
}
