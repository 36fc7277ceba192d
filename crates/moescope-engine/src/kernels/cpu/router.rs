//! The router in one pass over each token's logits: scores, keys, groups, choice and weights.

mod choice;

use std::ops::Range;

use moescope_core::{ScoreFunction, WeightNormalization};

use super::{
    exp::exp,
    output::SharedOut,
    simd::{InstructionSet, Simd, SimdTask, with_simd},
    softmax::softmax,
    team,
};
use crate::config::RouterConfig;
use choice::{choose, keep_best_groups};

/// Logits below which threads cost more than they bring.
const SERIAL_BELOW: usize = 16 * 1024;
/// Tokens per task.
const TOKENS: usize = 16;

/// The experts of every token, best key first, and their weights, `[tokens, top_k]` each.
pub(super) struct Chosen {
    pub(super) experts: Vec<i64>,
    pub(super) weights: Vec<f32>,
}

/// Chooses from `logits [tokens, num_experts]`; `bias [num_experts]` is added to the scores for the choice alone.
pub(super) fn route(
    set: InstructionSet,
    logits: &[f32],
    bias: Option<&[f32]>,
    config: &RouterConfig,
) -> Chosen {
    let (num_experts, top_k) = (config.num_experts, config.top_k);
    let tokens = logits.len() / num_experts;
    let mut chosen = Chosen {
        experts: vec![0; tokens * top_k],
        weights: vec![0.0; tokens * top_k],
    };
    let experts = SharedOut::new(&mut chosen.experts);
    let weights = SharedOut::new(&mut chosen.weights);
    let work = |tokens: Range<usize>| {
        let (first, len) = (tokens.start * top_k, tokens.len() * top_k);
        // SAFETY: every task has its own tokens.
        let (experts, weights) = unsafe { (experts.range(first, len), weights.range(first, len)) };
        let task = Tokens {
            logits: &logits[tokens.start * num_experts..tokens.end * num_experts],
            bias,
            config,
            experts,
            weights,
        };
        with_simd(set, task);
    };
    if logits.len() < SERIAL_BELOW {
        work(0..tokens);
    } else {
        team::for_each(tokens.div_ceil(TOKENS), |task| {
            work(task * TOKENS..((task + 1) * TOKENS).min(tokens));
        });
    }
    chosen
}

/// Some tokens.
struct Tokens<'a> {
    logits: &'a [f32],
    bias: Option<&'a [f32]>,
    config: &'a RouterConfig,
    experts: &'a mut [i64],
    weights: &'a mut [f32],
}

impl SimdTask for Tokens<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let RouterConfig {
            num_experts, top_k, ..
        } = *self.config;
        let gating = &self.config.gating;
        let mut scores = vec![0.0f32; num_experts];
        let mut keys = vec![0.0f32; num_experts];
        let rows = self.logits.chunks(num_experts);
        let chosen = self
            .experts
            .chunks_mut(top_k)
            .zip(self.weights.chunks_mut(top_k));
        for (logits, (experts, weights)) in rows.zip(chosen) {
            scores.copy_from_slice(logits);
            match gating.score_function {
                // SAFETY: the machine has `S`.
                ScoreFunction::Softmax => unsafe { softmax::<S>(&mut scores, None) },
                ScoreFunction::Sigmoid => scores.iter_mut().for_each(|z| *z = sigmoid(*z)),
                ScoreFunction::Identity => {}
            }
            // Every score grows with its logit, which is more exact than the score.
            let by_logit = self.bias.is_none() && gating.groups.is_none();
            keys.copy_from_slice(if by_logit { logits } else { &scores });
            if let Some(bias) = self.bias {
                keys.iter_mut().zip(bias).for_each(|(key, b)| *key += b);
            }
            if let Some(groups) = gating.groups {
                keep_best_groups(&mut keys, groups);
            }
            choose(&keys, experts);
            weigh(&scores, logits, experts, weights, self.config);
        }
    }
}

/// Normalises the scores of the chosen, `[top_k]`.
#[inline(always)]
fn weigh(
    scores: &[f32],
    logits: &[f32],
    experts: &[i64],
    weights: &mut [f32],
    config: &RouterConfig,
) {
    let gating = &config.gating;
    for (weight, expert) in weights.iter_mut().zip(experts) {
        *weight = scores[place(*expert)];
    }
    match gating.normalization {
        WeightNormalization::None => {}
        WeightNormalization::SumOfSelected => {
            #[expect(clippy::cast_possible_truncation, reason = "a bound of f32 sums")]
            let least = config.least_weight_sum as f32;
            divide(weights, weights.iter().sum::<f32>().max(least));
        }
        WeightNormalization::PNormOfSelected => {
            let p = gating.norm_order.unwrap_or(1.0);
            let sum: f32 = weights.iter().map(|weight| weight.abs().powf(p)).sum();
            divide(weights, sum.powf(1.0 / p));
        }
        WeightNormalization::SoftmaxOfSelected => {
            let max = weights.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            weights.iter_mut().for_each(|z| *z = exp(*z - max));
            divide(weights, weights.iter().sum());
        }
        WeightNormalization::SigmoidOfSelected => {
            weights.iter_mut().for_each(|z| *z = sigmoid(*z));
        }
        WeightNormalization::Sparsemixer => {
            let threshold = gating.sparsemixer_threshold.unwrap_or(0.0);
            for slot in 0..weights.len() {
                weights[slot] =
                    sparsemixer(weights[slot], logits, &experts[..slot], 2.0 * threshold);
            }
        }
    }
    weights
        .iter_mut()
        .for_each(|weight| *weight *= gating.scaling);
}

/// A chosen expert's share among the experts whose logits are near its own `z`; those chosen before it are left out.
fn sparsemixer(z: f32, logits: &[f32], before: &[i64], farthest: f32) -> f32 {
    let near = logits.iter().enumerate().filter(|(expert, logit)| {
        let is_out = (z - **logit) / logit.abs().max(z) > farthest;
        !is_out && !before.iter().any(|other| place(*other) == *expert)
    });
    1.0 / near.map(|(_, logit)| exp(logit - z)).sum::<f32>()
}

/// 1 / (1 + e⁻ᶻ)
#[inline(always)]
fn sigmoid(z: f32) -> f32 {
    1.0 / (1.0 + exp(-z))
}

fn divide(weights: &mut [f32], by: f32) {
    weights.iter_mut().for_each(|weight| *weight /= by);
}

/// The index of a chosen expert.
fn place(expert: i64) -> usize {
    usize::try_from(expert).expect("the choice holds numbers of experts")
}

#[cfg(test)]
mod tests;
