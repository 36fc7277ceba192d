//! The pass against burn's operators, over random shapes and every kind of gating.

use burn::tensor::{Device, Tensor, TensorData};
use moescope_core::{ExpertGroups, Gating, GroupScore};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::{kernels::cpu::matmul::tests::random, routing::Routing};

const SCORES: [ScoreFunction; 3] = [
    ScoreFunction::Softmax,
    ScoreFunction::Sigmoid,
    ScoreFunction::Identity,
];
const NORMALIZATIONS: [WeightNormalization; 6] = [
    WeightNormalization::None,
    WeightNormalization::SumOfSelected,
    WeightNormalization::PNormOfSelected,
    WeightNormalization::SoftmaxOfSelected,
    WeightNormalization::SigmoidOfSelected,
    WeightNormalization::Sparsemixer,
];

/// `[tokens, num_experts]` on the CPU.
fn tensor(values: &[f32], num_experts: usize) -> Tensor<2> {
    let dims = [values.len() / num_experts, num_experts];
    Tensor::from_data(TensorData::new(values.to_vec(), dims), &Device::flex())
}

/// What decides between experts, in f64; groups left aside.
fn key(logits: &[f32], bias: Option<&[f32]>, config: &RouterConfig, expert: i64) -> f64 {
    let expert = place(expert);
    let z = f64::from(logits[expert]);
    let score = match config.gating.score_function {
        ScoreFunction::Softmax => z.exp() / logits.iter().map(|z| f64::from(*z).exp()).sum::<f64>(),
        ScoreFunction::Sigmoid => 1.0 / (1.0 + (-z).exp()),
        ScoreFunction::Identity => z,
    };
    score + bias.map_or(0.0, |bias| f64::from(bias[expert]))
}

/// The choices are the same, but for keys that are equal within what f32 loses, and so are the weights.
fn assert_as_plain(logits: &[f32], bias: Option<&[f32]>, config: &RouterConfig) {
    let (num_experts, top_k) = (config.num_experts, config.top_k);
    let there = bias.map(|bias| {
        let data = TensorData::new(bias.to_vec(), [bias.len()]);
        Tensor::<1>::from_data(data, &Device::flex())
    });
    let plain = Routing::select(tensor(logits, num_experts), there.as_ref(), config);
    let want: Vec<i64> = plain.selected_experts.into_data().iter::<i64>().collect();
    let weights: Vec<f32> = plain.routing_weights.into_data().iter::<f32>().collect();
    for set in InstructionSet::available() {
        let got = route(set, logits, bias, config);
        assert_eq!(got.experts.len(), want.len());
        let chosen = got.experts.chunks(top_k).zip(want.chunks(top_k));
        let weights = got.weights.chunks(top_k).zip(weights.chunks(top_k));
        let rows = logits.chunks(num_experts);
        for ((logits, (got, want)), (a, b)) in rows.zip(chosen).zip(weights) {
            if got == want {
                for (a, b) in a.iter().zip(b) {
                    let is_close = (a - b).abs() <= 5e-6 * b.abs().max(1.0);
                    assert!(is_close, "{set:?} {config:?}: {a} against {b}");
                }
                continue;
            }
            for (got, want) in got.iter().zip(want) {
                let (a, b) = (
                    key(logits, bias, config, *got),
                    key(logits, bias, config, *want),
                );
                let is_tie = (a - b).abs() <= 1e-6 * b.abs();
                assert!(is_tie, "{set:?} {config:?}: {got} {a} against {want} {b}");
            }
        }
    }
}

#[test]
fn one_pass_chooses_and_weighs_as_the_plain_operators_do() {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    for (tokens, num_experts, top_k) in [
        (1, 4, 1),
        (1, 4, 4),
        (7, 8, 2),
        (40, 60, 4),
        (33, 64, 8),
        (1, 128, 8),
        (150, 160, 6),
        (17, 256, 8),
        (5, 512, 10),
    ] {
        for score_function in SCORES {
            for normalization in NORMALIZATIONS {
                // Sums of logits may be nothing, and the sparse mixer compares logits with what was chosen.
                let is_unusual = match normalization {
                    WeightNormalization::SumOfSelected => score_function == ScoreFunction::Identity,
                    WeightNormalization::Sparsemixer => score_function != ScoreFunction::Identity,
                    _ => false,
                };
                if is_unusual {
                    continue;
                }
                let mut config = RouterConfig::new(
                    num_experts,
                    top_k,
                    Gating {
                        score_function,
                        normalization,
                        norm_order: Some(2.0),
                        sparsemixer_threshold: Some(0.01),
                        scaling: 2.5,
                        ..Gating::softmax_top_k()
                    },
                );
                let logits: Vec<f32> = random(&mut rng, tokens * num_experts)
                    .into_iter()
                    .map(|z| 6.0 * z)
                    .collect();
                let bias: Vec<f32> = random(&mut rng, num_experts);
                assert_as_plain(&logits, None, &config);
                assert_as_plain(&logits, Some(&bias), &config);
                for ranked_by in [GroupScore::Max, GroupScore::SumOfTopTwo] {
                    // A quarter of the experts in each of four groups; enough are kept for every choice.
                    let kept = u16::try_from(top_k.div_ceil(num_experts / 4)).unwrap();
                    config.gating.groups = Some(ExpertGroups {
                        count: 4,
                        kept: kept.max(rng.random_range(1..=4)),
                        ranked_by,
                    });
                    assert_as_plain(&logits, Some(&bias), &config);
                    assert_as_plain(&logits, None, &config);
                }
            }
        }
    }
}

/// A masked expert is not chosen and a forced one is, whatever their groups.
#[test]
fn large_biases_decide_against_scores_and_groups() {
    let mut config = RouterConfig::new(8, 2, Gating::softmax_top_k());
    let logits = [5.0, 4.0, 3.0, 2.0, 1.0, 0.0, -1.0, -2.0];
    let mut bias = [0.0f32; 8];
    (bias[0], bias[7]) = (-1e30, 1e30);
    assert_as_plain(&logits, Some(&bias), &config);
    config.gating.groups = Some(ExpertGroups {
        count: 4,
        kept: 1,
        ranked_by: GroupScore::Max,
    });
    for set in InstructionSet::available() {
        let chosen = route(set, &logits, Some(&bias), &config);
        assert_eq!(chosen.experts[0], 7, "{set:?}");
        assert!(!chosen.experts.contains(&0), "{set:?}");
    }
}

#[test]
fn equal_keys_go_to_the_lower_id() {
    // Eleven times the same logit, and one better in their midst.
    let mut logits = [0.5f32; 12];
    logits[5] = 1.0;
    for top_k in [1, 3, 7, 12] {
        let config = RouterConfig::new(12, top_k, Gating::softmax_top_k());
        let mut want: Vec<i64> = vec![5];
        want.extend((0..12).filter(|id| *id != 5));
        want.truncate(top_k);
        for set in InstructionSet::available() {
            assert_eq!(route(set, &logits, None, &config).experts, want, "{set:?}");
        }
    }
}

/// What is no number is reported when it is recorded; until then every choice must be an expert, each once.
#[test]
fn a_logit_that_is_no_number_still_leaves_a_choice_of_experts() {
    let config = RouterConfig::new(4, 3, Gating::softmax_top_k());
    for logits in [[f32::NAN; 4], [f32::NAN, 1.0, f32::NAN, 2.0]] {
        for set in InstructionSet::available() {
            let mut experts = route(set, &logits, None, &config).experts;
            experts.sort_unstable();
            experts.dedup();
            assert_eq!(experts.len(), 3, "{set:?}");
            assert!(experts.iter().all(|id| (0..4).contains(id)), "{set:?}");
        }
    }
}
