//! The sufficient statistics of a document: sums over its content tokens.

use std::collections::BTreeMap;

use moescope_core::{DecisionBatch, DecisionStats, Gating, LayerId, Phase, TokenRow};

/// Sums over the content tokens of one document at one layer in one phase.
///
/// A content token is routed and neither special nor from a template (`TokenRow::is_content`).
/// Lists have one value per expert, `[num_experts]`; `None` means that the source does not know the scores.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// The layer in the model's numbering.
    pub layer: LayerId,
    /// The layer's number among the layers with a router.
    pub moe_layer: u16,
    /// The phase that is summed over.
    pub phase: Phase,
    /// Content tokens.
    pub n_tokens: u32,
    /// How many of them chose each expert.
    pub counts: Vec<u32>,
    /// Sum of each expert's weights where it was chosen.
    pub weight_sum: Option<Vec<f32>>,
    /// Sum of each expert's probabilities over all tokens.
    pub prob_sum: Option<Vec<f32>>,
    /// Sum of each expert's router logits over all tokens.
    pub logit_sum: Option<Vec<f32>>,
    /// The distribution over experts at the last content token of the phase.
    pub last_prob: Option<Vec<f32>>,
}

/// Sums a document's decisions, by layer and phase, accumulated in f64.
///
/// The decisions' positions must be those of routed tokens and their experts below `num_experts`;
/// the writer and the validator check both first.
pub(crate) fn profiles(
    tokens: &[TokenRow],
    decisions: &DecisionBatch,
    gating: &Gating,
) -> Vec<Profile> {
    let content: BTreeMap<u32, Phase> = tokens
        .iter()
        .filter(|token| token.is_content())
        .filter_map(|token| Some((token.position, token.phase?)))
        .collect();
    let mut sums: BTreeMap<(LayerId, Phase), Sums> = BTreeMap::new();
    for row in 0..decisions.len() {
        let Some(phase) = content.get(&decisions.position[row]) else {
            continue;
        };
        sums.entry((decisions.layer[row], *phase))
            .or_insert_with(|| Sums::new(decisions, row))
            .add(decisions, row, gating);
    }
    sums.into_iter()
        .map(|((layer, phase), sums)| sums.into_profile(layer, phase))
        .collect()
}

struct Sums {
    moe_layer: u16,
    n_tokens: u32,
    counts: Vec<u32>,
    weights: Option<Vec<f64>>,
    /// Sums of probabilities and logits, and the last probabilities.
    scores: Option<[Vec<f64>; 3]>,
}

impl Sums {
    fn new(decisions: &DecisionBatch, row: usize) -> Self {
        let zeros = vec![0.0; decisions.num_experts()];
        Self {
            moe_layer: decisions.moe_layer[row],
            n_tokens: 0,
            counts: vec![0; decisions.num_experts()],
            weights: decisions.routing_weights.is_some().then(|| zeros.clone()),
            scores: decisions
                .router_logits
                .is_some()
                .then(|| [zeros.clone(), zeros.clone(), zeros]),
        }
    }

    fn add(&mut self, decisions: &DecisionBatch, row: usize, gating: &Gating) {
        self.n_tokens += 1;
        let experts = decisions.experts(row);
        for expert in experts {
            self.counts[usize::from(*expert)] += 1;
        }
        if let (Some(sums), Some(weights)) = (&mut self.weights, decisions.weights(row)) {
            for (expert, weight) in experts.iter().zip(weights) {
                sums[usize::from(*expert)] += f64::from(*weight);
            }
        }
        if let (Some([probabilities, logits, last]), Some(row_logits)) =
            (&mut self.scores, decisions.logits(row))
        {
            *last = DecisionStats::probabilities(row_logits, gating);
            for (sum, p) in probabilities.iter_mut().zip(&*last) {
                *sum += p;
            }
            for (sum, z) in logits.iter_mut().zip(row_logits) {
                *sum += f64::from(*z);
            }
        }
    }

    fn into_profile(self, layer: LayerId, phase: Phase) -> Profile {
        let [prob_sum, logit_sum, last_prob] = match self.scores {
            Some(scores) => scores.map(|values| Some(narrow(&values))),
            None => [None, None, None],
        };
        Profile {
            layer,
            moe_layer: self.moe_layer,
            phase,
            n_tokens: self.n_tokens,
            counts: self.counts,
            weight_sum: self.weights.map(|values| narrow(&values)),
            prob_sum,
            logit_sum,
            last_prob,
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "profiles are stored as f32"
)]
fn narrow(values: &[f64]) -> Vec<f32> {
    values.iter().map(|value| *value as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn profiles_are_sums_over_content_tokens_by_layer_and_phase() {
        // Position 0 is special; 1 and 2 are prefill content; 3 was decoded; 4 was never fed back.
        // One layer, three experts, top 2, p ∝ exp(z) with z = ln of the given numbers.
        let token = |position, phase, is_special, is_routed| TokenRow {
            phase,
            is_special: Some(is_special),
            is_routed,
            ..fixture::token(position)
        };
        let tokens = [
            token(0, Some(Phase::Prefill), true, true),
            token(1, Some(Phase::Prefill), false, true),
            token(2, Some(Phase::Prefill), false, true),
            token(3, Some(Phase::Decode), false, true),
            token(4, None, false, false),
        ];
        let gating = Gating::softmax_top_k();
        let mut decisions = DecisionBatch::new(3, 2);
        let mut push = |position, experts: [u16; 2], weights: [f32; 2], odds: [f32; 3]| {
            let logits = odds.map(f32::ln);
            decisions.push_decision(
                position,
                LayerId(5),
                1,
                &experts,
                &weights,
                &logits,
                &gating,
            );
        };
        push(0, [0, 1], [0.5, 0.5], [4.0, 4.0, 2.0]);
        push(1, [0, 1], [0.75, 0.25], [6.0, 2.0, 2.0]);
        push(2, [2, 0], [0.5, 0.5], [4.0, 2.0, 4.0]);
        push(3, [1, 2], [0.9, 0.1], [1.0, 8.0, 1.0]);

        let found = profiles(&tokens, &decisions, &gating);
        assert_eq!(found.len(), 2);
        let prefill = &found[0];
        assert_eq!((prefill.layer, prefill.moe_layer), (LayerId(5), 1));
        assert_eq!((prefill.phase, prefill.n_tokens), (Phase::Prefill, 2));
        assert_eq!(prefill.counts, [2, 1, 1]);
        // Expert 0: 0.75 + 0.5; expert 1: 0.25; expert 2: 0.5.
        assert_close(prefill.weight_sum.as_deref(), &[1.25, 0.25, 0.5]);
        // 0.6 + 0.4, 0.2 + 0.2, 0.2 + 0.4.
        assert_close(prefill.prob_sum.as_deref(), &[1.0, 0.4, 0.6]);
        // ln 6 + ln 4, ln 2 + ln 2, ln 2 + ln 4.
        assert_close(
            prefill.logit_sum.as_deref(),
            &[24f32.ln(), 4f32.ln(), 8f32.ln()],
        );
        assert_close(prefill.last_prob.as_deref(), &[0.4, 0.2, 0.4]);
        assert_eq!((found[1].phase, found[1].n_tokens), (Phase::Decode, 1));
        assert_close(found[1].last_prob.as_deref(), &[0.1, 0.8, 0.1]);
    }

    #[test]
    fn without_scores_only_counts_are_known() {
        let tokens = [fixture::token(0)];
        let mut decisions = DecisionBatch::ids_only(4, 2);
        decisions.position.push(0);
        decisions.layer.push(LayerId(0));
        decisions.moe_layer.push(0);
        decisions.selected_experts.extend([3, 1]);
        let found = profiles(&tokens, &decisions, &Gating::softmax_top_k());
        assert_eq!(found[0].counts, [0, 1, 0, 1]);
        assert_eq!(found[0].weight_sum, None);
        assert_eq!(found[0].last_prob, None);
    }

    fn assert_close(found: Option<&[f32]>, expected: &[f32]) {
        for (a, b) in found.unwrap().iter().zip(expected) {
            // Logits are f32, so probabilities carry an error of a few 1e-7.
            assert!((a - b).abs() < 1e-6, "{found:?} {expected:?}");
        }
    }
}
