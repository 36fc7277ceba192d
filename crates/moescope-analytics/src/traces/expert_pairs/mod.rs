//! One-to-one matchings of the experts of two traces.

mod co_selection;
mod layers;
mod profiles;

pub(crate) use co_selection::CoSelection;
pub(crate) use layers::LayerPairs;
pub(crate) use profiles::ProfileMatching;

use crate::stats::assignment_problem::{best_assignment, total};

/// The matching of one layer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Mapping {
    /// The other trace's expert for each of the reference's.
    pub(crate) expert: Vec<Option<usize>>,
    /// The sum of the matched similarities.
    pub(crate) score: f64,
    /// The similarity of each of the reference's experts with its match, over what the expert has at most; NaN for an
    /// expert without assignments.
    pub(crate) explained: Vec<f64>,
}

impl Mapping {
    /// The best matching by similarities `[reference experts, other experts]`; `most` is what an expert has at most.
    fn best(similarity: &[f64], most: &[f64]) -> Self {
        let rows = most.len();
        let columns = similarity.len() / rows.max(1);
        let expert = best_assignment(similarity, rows, columns);
        let explained = expert
            .iter()
            .enumerate()
            .map(|(row, column)| {
                let matched = column.map_or(0.0, |column| similarity[row * columns + column]);
                matched / most[row]
            })
            .collect();
        Self {
            score: total(similarity, columns, &expert),
            expert,
            explained,
        }
    }
}
