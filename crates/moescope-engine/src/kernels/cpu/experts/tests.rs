//! Grouped experts of every type against one token and one expert at a time, in f64.

use rand::{SeedableRng as _, seq::SliceRandom as _};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::kernels::cpu::matmul::tests::{Kept, random};

/// The meaning, expert by expert and number by number.
fn oracle(
    x: &[f32],
    selected: &[usize],
    weights: &[f32],
    matrices: &[[Vec<f32>; 3]],
    sizes: ExpertSizes,
) -> Vec<f64> {
    let ExpertSizes {
        hidden,
        intermediate,
        top_k,
    } = sizes;
    let dot = |a: &[f64], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * f64::from(*b)).sum::<f64>();
    let mut out = vec![0.0; x.len()];
    for (assignment, e) in selected.iter().enumerate() {
        let token = assignment / top_k;
        let row: Vec<f64> = x[token * hidden..(token + 1) * hidden]
            .iter()
            .map(|x| f64::from(*x))
            .collect();
        let [gate, up, down] = &matrices[*e];
        let inner: Vec<f64> = (0..intermediate)
            .map(|i| {
                let g = dot(&row, &gate[i * hidden..(i + 1) * hidden]);
                g / (1.0 + (-g).exp()) * dot(&row, &up[i * hidden..(i + 1) * hidden])
            })
            .collect();
        for h in 0..hidden {
            let value = dot(&inner, &down[h * intermediate..(h + 1) * intermediate]);
            out[token * hidden + h] += f64::from(weights[assignment]) * value;
        }
    }
    out
}

#[test]
fn grouped_experts_agree_with_one_token_at_a_time() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    // Shapes with empty experts, one token, all experts chosen, odd widths; then widths that tiles take.
    for (n, num_experts, top_k, hidden, intermediate) in [
        (1, 4, 1, 5, 7),
        (9, 8, 2, 32, 24),
        (40, 4, 4, 20, 36),
        (3, 512, 10, 16, 8),
        (300, 3, 2, 33, 40),
        (1, 8, 2, 64, 32),
        (21, 4, 2, 96, 160),
        (3, 512, 10, 32, 32),
        (300, 3, 2, 160, 96),
    ] {
        let x = random(&mut rng, n * hidden);
        let weights = random(&mut rng, n * top_k);
        let matrices: Vec<Vec<f32>> = (0..3 * num_experts)
            .map(|_| {
                let mut matrix = random(&mut rng, hidden * intermediate);
                matrix.iter_mut().for_each(|w| *w *= 0.5);
                matrix
            })
            .collect();
        let mut selected = Vec::new();
        for _ in 0..n {
            let mut ids: Vec<usize> = (0..num_experts).collect();
            ids.shuffle(&mut rng);
            selected.extend_from_slice(&ids[..top_k]);
        }
        let sizes = ExpertSizes {
            hidden,
            intermediate,
            top_k,
        };
        let width = |matrix: usize| {
            if matrix % 3 == 2 {
                intermediate
            } else {
                hidden
            }
        };
        let kept: Vec<Vec<Kept>> = matrices
            .iter()
            .enumerate()
            .map(|(number, matrix)| Kept::all(matrix, width(number)))
            .collect();
        let kinds = kept.iter().map(Vec::len).min().expect("there are matrices");
        for kind in 0..kinds {
            let values: Vec<[Vec<f32>; 3]> = kept
                .chunks(3)
                .map(|expert| [0, 1, 2].map(|matrix| expert[matrix][kind].values()))
                .collect();
            let want = oracle(&x, &selected, &weights, &values, sizes);
            let rows: Vec<ExpertRows<'_>> = kept
                .chunks(3)
                .map(|expert| ExpertRows {
                    gate: expert[0][kind].rows(),
                    up: expert[1][kind].rows(),
                    down: expert[2][kind].rows(),
                    biases: None,
                })
                .collect();
            let choice = |range: std::ops::RangeFrom<usize>| Choice {
                selected: &selected[range.clone()],
                weights: &weights[range],
                target: WeightTarget::Output,
            };
            let silu = ExpertFunction::Glu(Activation::Silu);
            let largest = want.iter().fold(1.0f64, |max, v| max.max(v.abs()));
            for set in InstructionSet::available() {
                // bf16 rounds inputs, inner activations and weights of a wider type by 2⁻⁹ each.
                for (compute, tolerance) in [(ComputeType::F32, 2e-5), (ComputeType::Bf16, 0.03)] {
                    let got = experts(set, compute, &x, choice(0..), &rows, silu, sizes);
                    for (a, b) in got.iter().zip(&want) {
                        assert!(
                            (f64::from(*a) - b).abs() < tolerance * largest,
                            "{set:?} {compute} kind {kind} {n} {num_experts} {hidden}: {a} against {b}"
                        );
                    }
                    let last = &x[(n - 1) * hidden..];
                    let own = choice((n - 1) * top_k..);
                    let alone = experts(set, compute, last, own, &rows, silu, sizes);
                    let among = &got[(n - 1) * hidden..];
                    if kind >= 2 && set == InstructionSet::Amx {
                        for (a, b) in alone.iter().zip(among) {
                            assert!(f64::from((a - b).abs()) < tolerance * largest, "{a} {b}");
                        }
                    } else {
                        assert_eq!(alone, among, "{set:?} {compute}: the last token alone");
                    }
                }
            }
        }
    }
}
