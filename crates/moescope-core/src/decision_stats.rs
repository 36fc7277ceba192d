//! What the distribution behind one decision looks like.

use crate::{ExpertGroups, Gating, GroupScore, ScoreFunction};

/// Numbers that one router's logits give for one token, computed in f64.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DecisionStats {
    /// Probability mass of the chosen experts before normalisation.
    pub topk_mass: f64,
    /// Nats, of the distribution over all experts; ln(E) is the largest value.
    pub entropy: f64,
    /// Selection score of the k-th chosen minus that of the best expert left out; NaN where all are chosen.
    ///
    /// Negative when an intervention forced an expert that the scores would not have chosen.
    pub margin: f64,
    /// The best expert left out; `None` where all are chosen.
    pub runner_up: Option<u16>,
    /// ln Σ exp(z), the quantity of the router z-loss (arXiv 2202.08906, eq. 5).
    pub logsumexp: f64,
}

/// What decides between experts, besides the logits.
#[derive(Clone, Copy, Debug)]
pub struct SelectionRule<'a> {
    /// From logits to a choice.
    pub gating: &'a Gating,
    /// Added to the scores for selection only, `[num_experts]`; empty where there is none.
    pub correction_bias: &'a [f32],
}

impl<'a> From<&'a Gating> for SelectionRule<'a> {
    fn from(gating: &'a Gating) -> Self {
        Self {
            gating,
            correction_bias: &[],
        }
    }
}

impl SelectionRule<'_> {
    /// The `top_k` experts with the largest keys, best first, ties to the lower id.
    pub fn choose(&self, router_logits: &[f32], top_k: usize, chosen: &mut Vec<u16>) {
        chosen.clear();
        chosen.extend((0..=u16::MAX).take(router_logits.len()));
        if self.correction_bias.is_empty() && self.gating.groups.is_none() {
            // Every score function grows with the logit.
            let z = |e: &u16| router_logits[usize::from(*e)];
            chosen.sort_by(|a, b| z(b).total_cmp(&z(a)).then(a.cmp(b)));
        } else {
            let keys = self.keys(router_logits, logsumexp(router_logits));
            let key = |e: &u16| keys[usize::from(*e)];
            chosen.sort_by(|a, b| key(b).total_cmp(&key(a)).then(a.cmp(b)));
        }
        chosen.truncate(top_k);
    }

    /// By how much the last group of experts that is kept beats the first that is left out; `None` without groups, or
    /// where all are kept.
    #[must_use]
    pub fn group_margin(&self, router_logits: &[f32]) -> Option<f64> {
        let groups = self.gating.groups?;
        let ranked = ranked_groups(
            &self.all_keys(router_logits, logsumexp(router_logits)),
            groups,
        );
        let first_out = usize::from(groups.kept);
        let last_in = first_out.checked_sub(1)?;
        Some(ranked.get(last_in)?.1 - ranked.get(first_out)?.1)
    }

    /// p of every expert, `[num_experts]`; −∞ for experts of groups that this token may not use.
    fn keys(&self, router_logits: &[f32], logsumexp: f64) -> Vec<f64> {
        let mut keys = self.all_keys(router_logits, logsumexp);
        if let Some(groups) = self.gating.groups {
            keep_best_groups(&mut keys, groups);
        }
        keys
    }

    /// p of every expert, `[num_experts]`.
    fn all_keys(&self, router_logits: &[f32], logsumexp: f64) -> Vec<f64> {
        let mut keys: Vec<f64> = router_logits
            .iter()
            .map(|z| self.gating.score(*z, logsumexp))
            .collect();
        for (key, bias) in keys.iter_mut().zip(self.correction_bias) {
            *key += f64::from(*bias);
        }
        keys
    }
}

/// ln Σ exp(z).
fn logsumexp(router_logits: &[f32]) -> f64 {
    let max = router_logits
        .iter()
        .copied()
        .fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = router_logits.iter().map(|z| f64::from(z - max).exp()).sum();
    f64::from(max) + sum.ln()
}

/// Experts per group; 0 where there are more groups than experts.
fn group_size(keys: &[f64], groups: ExpertGroups) -> usize {
    keys.len() / usize::from(groups.count).max(1)
}

/// The groups and what they are ranked by, best first.
fn ranked_groups(keys: &[f64], groups: ExpertGroups) -> Vec<(usize, f64)> {
    let size = group_size(keys, groups);
    if size == 0 {
        return Vec::new();
    }
    let mut ranked: Vec<(usize, f64)> = keys
        .chunks(size)
        .map(|group| {
            let mut sorted = group.to_vec();
            sorted.sort_by(|a, b| b.total_cmp(a));
            match groups.ranked_by {
                GroupScore::Max => sorted[0],
                GroupScore::SumOfTopTwo => sorted.iter().take(2).sum(),
            }
        })
        .enumerate()
        .collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
    ranked
}

/// Leaves the keys of the best groups as they are and lowers all others to −∞.
fn keep_best_groups(keys: &mut [f64], groups: ExpertGroups) {
    let (size, ranked) = (group_size(keys, groups), ranked_groups(keys, groups));
    for (group, _) in &ranked[usize::from(groups.kept).min(ranked.len())..] {
        let end = ((group + 1) * size).min(keys.len());
        keys[group * size..end].fill(f64::NEG_INFINITY);
    }
}

impl DecisionStats {
    /// Computes the numbers from router logits `[num_experts]` and the experts that were dispatched.
    ///
    /// The distribution is the softmax of the logits where the gating's score function is softmax or identity,
    /// and the sigmoid scores divided by their sum where it is sigmoid. Margin and runner-up compare selection keys:
    /// scores plus correction bias, among the groups that the token may use.
    #[must_use]
    pub fn from_logits<'a>(
        router_logits: &[f32],
        selected: &[u16],
        rule: impl Into<SelectionRule<'a>>,
    ) -> Self {
        let rule = rule.into();
        let max = router_logits
            .iter()
            .copied()
            .fold(f32::NEG_INFINITY, f32::max);
        // One pass: Σ exp(z − max) and Σ exp(z − max) · (z − max) give both logsumexp and entropy.
        let (mut exp_sum, mut weighted) = (0.0f64, 0.0f64);
        for z in router_logits {
            let shifted = f64::from(z - max);
            let mass = shifted.exp();
            exp_sum += mass;
            if mass > 0.0 {
                weighted += mass * shifted;
            }
        }
        let logsumexp = f64::from(max) + exp_sum.ln();
        let is_sigmoid = rule.gating.score_function == ScoreFunction::Sigmoid;
        let score = |z: f32| rule.gating.score(z, logsumexp);
        let sigmoid_sum: f64 = if is_sigmoid {
            router_logits.iter().map(|z| score(*z)).sum()
        } else {
            1.0
        };
        let probability = |z: f32| {
            if is_sigmoid {
                score(z) / sigmoid_sum
            } else {
                (f64::from(z) - logsumexp).exp()
            }
        };
        let entropy = if is_sigmoid {
            let mass = router_logits
                .iter()
                .map(|z| probability(*z))
                .filter(|p| *p > 0.0);
            -mass.map(|p| p * p.ln()).sum::<f64>()
        } else {
            exp_sum.ln() - weighted / exp_sum
        };
        let topk_mass = selected
            .iter()
            .map(|e| probability(router_logits[usize::from(*e)]))
            .sum();
        let (margin, runner_up) = if rule.correction_bias.is_empty() && rule.gating.groups.is_none()
        {
            nearest_by_logit(router_logits, selected, score)
        } else {
            nearest_by_key(&rule.keys(router_logits, logsumexp), selected)
        };
        Self {
            topk_mass,
            entropy,
            margin,
            runner_up,
            logsumexp,
        }
    }

    /// The distribution over experts that entropy and mass are computed from, `[num_experts]`.
    #[must_use]
    pub fn probabilities(router_logits: &[f32], gating: &Gating) -> Vec<f64> {
        let mut scores: Vec<f64> = match gating.score_function {
            ScoreFunction::Sigmoid => router_logits
                .iter()
                .map(|z| 1.0 / (1.0 + (-f64::from(*z)).exp()))
                .collect(),
            ScoreFunction::Softmax | ScoreFunction::Identity => {
                let max = router_logits
                    .iter()
                    .copied()
                    .fold(f32::NEG_INFINITY, f32::max);
                router_logits
                    .iter()
                    .map(|z| f64::from(z - max).exp())
                    .collect()
            }
        };
        let sum: f64 = scores.iter().sum();
        scores.iter_mut().for_each(|p| *p /= sum);
        scores
    }
}

/// Margin and runner-up where every score grows with its logit, so that logits can be compared instead.
fn nearest_by_logit(
    router_logits: &[f32],
    selected: &[u16],
    score: impl Fn(f32) -> f64,
) -> (f64, Option<u16>) {
    let weakest = selected
        .iter()
        .map(|e| router_logits[usize::from(*e)])
        .fold(f32::INFINITY, f32::min);
    let runner_up = (0u16..)
        .zip(router_logits)
        .filter(|(e, _)| !selected.contains(e))
        .max_by(|(ea, za), (eb, zb)| za.total_cmp(zb).then(eb.cmp(ea)));
    runner_up.map_or((f64::NAN, None), |(e, z)| {
        (score(weakest) - score(*z), Some(e))
    })
}

/// Margin and runner-up by selection keys; experts of groups that are not kept are no runners-up.
fn nearest_by_key(keys: &[f64], selected: &[u16]) -> (f64, Option<u16>) {
    let weakest = selected
        .iter()
        .map(|e| keys[usize::from(*e)])
        .fold(f64::INFINITY, f64::min);
    let runner_up = (0u16..)
        .zip(keys)
        .filter(|(e, key)| key.is_finite() && !selected.contains(e))
        .max_by(|(ea, a), (eb, b)| a.total_cmp(b).then(eb.cmp(ea)));
    runner_up.map_or((f64::NAN, None), |(e, key)| (weakest - key, Some(e)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_correction_bias_and_groups_decide_who_came_next() {
        // Sigmoid scores 0.5 everywhere; the bias alone decides. Groups {0, 1}, {2, 3}, {4, 5}; two are kept.
        let gating = Gating {
            score_function: ScoreFunction::Sigmoid,
            has_correction_bias: true,
            groups: Some(ExpertGroups {
                count: 3,
                kept: 2,
                ranked_by: GroupScore::SumOfTopTwo,
            }),
            ..Gating::softmax_top_k()
        };
        let rule = SelectionRule {
            gating: &gating,
            correction_bias: &[0.4, 0.1, 0.35, 0.0, 0.38, -0.5],
        };
        // Group sums of bias: 0.5, 0.35, −0.12: the third group is out, though expert 4 has the second largest key.
        let stats = DecisionStats::from_logits(&[0.0; 6], &[0, 2], rule);
        assert_eq!(stats.runner_up, Some(1));
        assert!((stats.margin - 0.25).abs() < 1e-7);
        let mut chosen = Vec::new();
        rule.choose(&[0.0; 6], 2, &mut chosen);
        assert_eq!(chosen, [0, 2]);
        // The second group beats the third by 0.35 + 0.12.
        assert!((rule.group_margin(&[0.0; 6]).unwrap() - 0.47).abs() < 1e-7);
        // Ranked by the largest key the second group is out instead, and expert 4 is chosen.
        let by_max = Gating {
            groups: gating.groups.map(|groups| ExpertGroups {
                ranked_by: GroupScore::Max,
                ..groups
            }),
            ..gating.clone()
        };
        let rule = SelectionRule {
            gating: &by_max,
            ..rule
        };
        let stats = DecisionStats::from_logits(&[0.0; 6], &[0, 4], rule);
        assert_eq!(stats.runner_up, Some(1));
        assert!((stats.margin - 0.28).abs() < 1e-7);
    }

    #[test]
    fn uniform_logits_have_the_largest_entropy_and_no_margin() {
        // Four equal logits: p = 1/4 each, entropy ln 4, two chosen hold 1/2, runner-up is the lowest id left.
        let stats = DecisionStats::from_logits(&[0.5; 4], &[0, 1], &Gating::softmax_top_k());
        assert!((stats.entropy - 4f64.ln()).abs() < 1e-12);
        assert!((stats.topk_mass - 0.5).abs() < 1e-12);
        assert!(stats.margin.abs() < 1e-12);
        assert_eq!(stats.runner_up, Some(2));
        assert!((stats.logsumexp - (0.5 + 4f64.ln())).abs() < 1e-12);
    }

    #[test]
    fn margin_is_the_gap_between_the_last_in_and_the_first_out() {
        // p ∝ 4, 3, 2, 1: margin = 3/10 − 2/10.
        let z: Vec<f32> = [4f32, 3., 2., 1.].iter().map(|x| x.ln()).collect();
        let stats = DecisionStats::from_logits(&z, &[0, 1], &Gating::softmax_top_k());
        assert!((stats.margin - 0.1).abs() < 1e-6);
        assert_eq!(stats.runner_up, Some(2));
        assert!((stats.topk_mass - 0.7).abs() < 1e-6);
    }

    /// The definitions, term by term.
    #[test]
    fn entropy_and_mass_are_those_of_the_distribution() {
        let z = [1.5, -0.25, 3.0, 0.0, -7.5, 2.25];
        for score_function in [
            ScoreFunction::Softmax,
            ScoreFunction::Sigmoid,
            ScoreFunction::Identity,
        ] {
            let gating = Gating {
                score_function,
                ..Gating::softmax_top_k()
            };
            let p = DecisionStats::probabilities(&z, &gating);
            let stats = DecisionStats::from_logits(&z, &[2, 5], &gating);
            let entropy: f64 = -p.iter().map(|p| p * p.ln()).sum::<f64>();
            assert!(
                (stats.entropy - entropy).abs() < 1e-12,
                "{score_function:?}"
            );
            assert!(
                (stats.topk_mass - p[2] - p[5]).abs() < 1e-12,
                "{score_function:?}"
            );
            assert_eq!(stats.runner_up, Some(0));
        }
    }

    #[test]
    fn choosing_every_expert_leaves_no_runner_up() {
        let stats = DecisionStats::from_logits(&[1.0, 2.0], &[1, 0], &Gating::softmax_top_k());
        assert_eq!(stats.runner_up, None);
        assert!(stats.margin.is_nan());
    }
}
