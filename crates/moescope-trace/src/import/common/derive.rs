//! From router logits to the choice and the weights, where a source saved the logits alone.

use moescope_core::{Gating, ScoreFunction, SelectionRule, WeightNormalization};

/// How weights and, where nothing else decides, the choice follow from logits.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    gating: Gating,
    /// Why the choice cannot be told from the logits.
    selection_problem: Option<String>,
    /// Why the weights cannot.
    weight_problem: Option<String>,
}

impl Rule {
    pub(crate) fn new(gating: &Gating) -> Self {
        let selection_problem = gating.has_correction_bias.then(|| {
            "its routers add a correction bias before they choose, and the logits are without it"
                .to_owned()
        });
        let weight_problem =
            (gating.normalization == WeightNormalization::Sparsemixer).then(|| {
                "sparsemixer weighs one choice after the other, which the logits do not tell"
                    .to_owned()
            });
        Self {
            gating: gating.clone(),
            selection_problem,
            weight_problem,
        }
    }

    pub(crate) fn selection_problem(&self) -> Option<&str> {
        self.selection_problem.as_deref()
    }

    pub(crate) fn weight_problem(&self) -> Option<&str> {
        self.weight_problem.as_deref()
    }

    /// The experts that the router would choose, ties to the lower id.
    pub(crate) fn select(&self, logits: &[f32], top_k: usize, chosen: &mut Vec<u16>) {
        SelectionRule::from(&self.gating).choose(logits, top_k, chosen);
    }

    /// The weights of the chosen experts, in their order.
    pub(crate) fn weigh(&self, logits: &[f32], chosen: &[u16], weights: &mut Vec<f32>) {
        let logit = |e: &u16| f64::from(logits[usize::from(*e)]);
        let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let max = f64::from(max);
        let sigmoids = || chosen.iter().map(|e| 1.0 / (1.0 + (-logit(e)).exp()));
        let mut scores: Vec<f64> = match self.gating.normalization {
            WeightNormalization::SoftmaxOfSelected => {
                chosen.iter().map(|e| (logit(e) - max).exp()).collect()
            }
            WeightNormalization::SigmoidOfSelected => sigmoids().collect(),
            _ => match self.gating.score_function {
                ScoreFunction::Softmax => {
                    let sum: f64 = logits.iter().map(|z| (f64::from(*z) - max).exp()).sum();
                    chosen
                        .iter()
                        .map(|e| (logit(e) - max).exp() / sum)
                        .collect()
                }
                ScoreFunction::Sigmoid => sigmoids().collect(),
                ScoreFunction::Identity => chosen.iter().map(logit).collect(),
            },
        };
        let divisor = match self.gating.normalization {
            WeightNormalization::SumOfSelected | WeightNormalization::SoftmaxOfSelected => {
                scores.iter().sum()
            }
            WeightNormalization::PNormOfSelected => {
                let p = f64::from(self.gating.norm_order.unwrap_or(1.0));
                let sum: f64 = scores.iter().map(|score| score.abs().powf(p)).sum();
                sum.powf(1.0 / p)
            }
            _ => 1.0,
        };
        scores.iter_mut().for_each(|score| *score /= divisor);
        let scaling = f64::from(self.gating.scaling);
        weights.clear();
        #[expect(
            clippy::cast_possible_truncation,
            reason = "weights are recorded as f32"
        )]
        weights.extend(scores.iter().map(|score| (score * scaling) as f32));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gating(score_function: ScoreFunction, normalization: WeightNormalization) -> Gating {
        Gating {
            score_function,
            normalization,
            scaling: 2.0,
            ..Gating::softmax_top_k()
        }
    }

    #[track_caller]
    fn check(score: ScoreFunction, normalization: WeightNormalization, expected: [f32; 2]) {
        // p ∝ 1, 3, 2, 2: expert 1 leads, and of the tied 2 and 3 the lower id is second.
        let logits = [1f32, 3., 2., 2.].map(f32::ln);
        let (mut chosen, mut weights) = (Vec::new(), Vec::new());
        let rule = Rule::new(&gating(score, normalization));
        rule.select(&logits, 2, &mut chosen);
        assert_eq!(chosen, [1, 2]);
        rule.weigh(&logits, &chosen, &mut weights);
        for (found, expected) in weights.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{weights:?}");
        }
    }

    #[test]
    fn weights_are_those_of_the_gating_times_its_scaling() {
        use ScoreFunction::{Identity, Sigmoid, Softmax};
        use WeightNormalization::{
            None, PNormOfSelected, SigmoidOfSelected, SoftmaxOfSelected, SumOfSelected,
        };
        check(Identity, SigmoidOfSelected, [2. * 3. / 4., 2. * 2. / 3.]);
        // Without an order the 1-norm, which is the sum.
        check(Softmax, PNormOfSelected, [2. * 3. / 5., 2. * 2. / 5.]);
        check(Softmax, None, [2. * 3. / 8., 2. * 2. / 8.]);
        check(Softmax, SumOfSelected, [2. * 3. / 5., 2. * 2. / 5.]);
        check(Softmax, SoftmaxOfSelected, [2. * 3. / 5., 2. * 2. / 5.]);
        // σ(ln x) = x / (1 + x): 3/4 and 2/3.
        check(Sigmoid, None, [2. * 3. / 4., 2. * 2. / 3.]);
        check(Sigmoid, SumOfSelected, [2. * 9. / 17., 2. * 8. / 17.]);
    }

    #[test]
    fn a_choice_that_logits_do_not_decide_is_not_guessed() {
        let biased = Gating {
            has_correction_bias: true,
            ..Gating::softmax_top_k()
        };
        assert!(
            Rule::new(&biased)
                .selection_problem()
                .unwrap()
                .contains("correction bias")
        );
        assert_eq!(
            Rule::new(&Gating::softmax_top_k()).selection_problem(),
            None
        );
    }
}
