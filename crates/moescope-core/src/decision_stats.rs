//! What the distribution behind one decision looks like.

use crate::{Gating, ScoreFunction};

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

impl DecisionStats {
    /// Computes the numbers from router logits `[num_experts]` and the experts that were dispatched.
    ///
    /// The distribution is the softmax of the logits where the gating's score function is softmax or identity,
    /// and the sigmoid scores divided by their sum where it is sigmoid.
    #[must_use]
    pub fn from_logits(router_logits: &[f32], selected: &[u16], gating: &Gating) -> Self {
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
        let sigmoid = |z: f32| 1.0 / (1.0 + (-f64::from(z)).exp());
        let is_sigmoid = gating.score_function == ScoreFunction::Sigmoid;
        let sigmoid_sum: f64 = if is_sigmoid {
            router_logits.iter().map(|z| sigmoid(*z)).sum()
        } else {
            1.0
        };
        let probability = |z: f32| {
            if is_sigmoid {
                sigmoid(z) / sigmoid_sum
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
        let logit = |e: u16| router_logits[usize::from(e)];
        let topk_mass = selected.iter().map(|e| probability(logit(*e))).sum();
        // Every score function grows with the logit, so the weakest chosen has the smallest logit.
        let weakest = selected
            .iter()
            .map(|e| logit(*e))
            .fold(f32::INFINITY, f32::min);
        let runner_up = (0u16..)
            .zip(router_logits)
            .filter(|(e, _)| !selected.contains(e))
            .max_by(|(ea, za), (eb, zb)| za.total_cmp(zb).then(eb.cmp(ea)))
            .map(|(e, _)| e);
        let selection_score = |z: f32| match gating.score_function {
            ScoreFunction::Softmax => (f64::from(z) - logsumexp).exp(),
            ScoreFunction::Sigmoid => sigmoid(z),
            ScoreFunction::Identity => f64::from(z),
        };
        let margin = runner_up.map_or(f64::NAN, |e| {
            selection_score(weakest) - selection_score(logit(e))
        });
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

#[cfg(test)]
mod tests {
    use super::*;

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
