//! The experts that a token chooses.

use std::cmp::Reverse;

use moescope_core::LayerId;
use serde::Serialize;

use super::count::Counts;

/// An expert that some occurrence of a token chooses.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TokenExpert {
    /// The layer, in the model's numbering.
    pub layer: LayerId,
    /// The expert.
    pub expert: u16,
    /// Occurrences that choose it, at any rank.
    pub chosen: u64,
    /// Occurrences whose heaviest expert it is; absent where the trace does not rank experts.
    pub heaviest: Option<u64>,
    /// `chosen` over all occurrences at the layer, 0 to 1.
    pub share: f64,
    /// The share of all tokens in scope that choose it, 0 to 1.
    pub share_of_all: f64,
    /// `share` over `share_of_all`.
    pub lift: f64,
}

/// The experts of each layer, most often chosen first; equal ones by their number.
pub(super) fn experts(
    counts: &Counts,
    layers: &[LayerId],
    num_experts: usize,
    is_ranked: bool,
) -> Vec<TokenExpert> {
    let (own, all) = (&counts.own, &counts.all);
    let mut found = Vec::new();
    for (place, layer) in layers.iter().enumerate() {
        let row = place * num_experts..(place + 1) * num_experts;
        // Every decision has one first expert, ranked or not.
        let [decisions, decisions_of_all]: [u64; 2] =
            [own, all].map(|choices| choices.first[row.clone()].iter().sum());
        let chosen = row.zip(0u16..).filter(|(cell, _)| own.any[*cell] > 0);
        let mut at_layer: Vec<TokenExpert> = chosen
            .map(|(cell, expert)| {
                let share = ratio(own.any[cell], decisions);
                let share_of_all = ratio(all.any[cell], decisions_of_all);
                TokenExpert {
                    layer: *layer,
                    expert,
                    chosen: own.any[cell],
                    heaviest: is_ranked.then(|| own.first[cell]),
                    share,
                    share_of_all,
                    lift: share / share_of_all,
                }
            })
            .collect();
        at_layer.sort_by_key(|expert| Reverse(expert.chosen));
        found.extend(at_layer);
    }
    found
}

#[expect(clippy::cast_precision_loss, reason = "counts of decisions")]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}
