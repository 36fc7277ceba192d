//! Products with weights in every type, in f32 and in bf16, against burn's operators with the same weights as f32.

use burn::tensor::{Device, Distribution, Tensor, activation};
use moescope_core::{Gating, WeightTarget};
use moescope_engine::{
    Activation, ComputeType, CpuKernels, ExpertFunction, ExpertWeights, GluWeights, Head, Kernels,
    Matrix, PlainKernels, RouterConfig, WeightType,
};

/// Both operands of a product are rounded to bf16, each by a part of 2⁻⁹ at most.
const BF16_PRODUCT: f32 = 1.01 / 256.0;
/// The steepest slope of x · sigmoid(x).
const SILU_SLOPE: f32 = 1.1;

fn plain() -> PlainKernels {
    PlainKernels::new(&Device::flex())
}

fn random<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    Tensor::random(shape, Distribution::Uniform(-1.0, 1.0), &Device::flex())
}

/// A matrix as it is kept in a type: as f32, as bf16, in blocks.
fn kept(rows: usize, width: usize, kind: usize) -> Matrix {
    let weights = random([rows, width]);
    match kind {
        0 => weights.into(),
        1 => weights.cast(burn::tensor::DType::BF16).into(),
        2 => Matrix::kept_as(&weights, WeightType::Q8).unwrap(),
        _ => Matrix::kept_as(&weights, WeightType::Q4).unwrap(),
    }
}
const KINDS: std::ops::Range<usize> = 0..4;

/// The same weights as f32.
fn widened(matrix: &Matrix) -> Matrix {
    matrix.to_tensor().cast(burn::tensor::DType::F32).into()
}

/// x · wᵀ of absolute values: what each error is a part of.
fn sizes(x: &Tensor<2>, w: &Matrix) -> Tensor<2> {
    let w = widened(w).to_tensor().abs();
    x.clone().abs().matmul(w.transpose())
}

/// Within the tolerance of f32, and of `allowed` where there is one.
#[track_caller]
fn assert_within(what: &str, want: &Tensor<2>, got: &Tensor<2>, allowed: Option<&Tensor<2>>) {
    assert_eq!(want.dims(), got.dims(), "{what}");
    let values = |x: &Tensor<2>| x.to_data().iter::<f32>().collect::<Vec<_>>();
    let allowed = allowed.map_or_else(|| vec![0.0; want.dims()[0] * want.dims()[1]], values);
    let mut largest = 0.0f32;
    for ((a, b), more) in values(want).iter().zip(values(got)).zip(allowed) {
        let allowed = 2e-5 * a.abs().max(1.0) + more;
        assert!(
            (a - b).abs() <= allowed,
            "{what}: {a} against {b}, allowed {allowed}"
        );
        largest = largest.max((a - b).abs() / allowed);
    }
    println!("{what}: {largest:.2} of what is allowed");
}

#[test]
fn products_of_every_type() {
    for kind in KINDS {
        for (n, m, k) in [
            (1, 1, 32),
            (1, 300, 64),
            (3, 17, 96),
            (5, 7, 160),
            (66, 129, 352),
        ] {
            let (x, w) = (random([n, k]), kept(m, k, kind));
            let want = plain().linear(&x, &widened(&w));
            let got = CpuKernels::new(ComputeType::F32).linear(&x, &w);
            assert_within(&format!("type {kind}, f32, {n}×{m}×{k}"), &want, &got, None);
            let in_f32 = got;
            let got = CpuKernels::new(ComputeType::Bf16).linear(&x, &w);
            assert!(got.to_data() != in_f32.to_data(), "bf16 rounds something");
            let allowed = sizes(&x, &w) * BF16_PRODUCT;
            assert_within(
                &format!("type {kind}, bf16, {n}×{m}×{k}"),
                &want,
                &got,
                Some(&allowed),
            );
        }
    }
}

/// One expert, or a dense layer.
fn random_glu(hidden: usize, inner: usize, kind: usize) -> GluWeights {
    GluWeights {
        gate: kept(inner, hidden, kind),
        up: kept(inner, hidden, kind),
        down: kept(hidden, inner, kind),
    }
}

fn widened_glu(weights: &GluWeights) -> GluWeights {
    GluWeights {
        gate: widened(&weights.gate),
        up: widened(&weights.up),
        down: widened(&weights.down),
    }
}

/// By how much down(silu(gate(x)) · up(x)) may be wrong when each product's operands are rounded to bf16.
fn glu_error(x: &Tensor<2>, weights: &GluWeights) -> Tensor<2> {
    let product = |w: &Matrix| plain().linear(x, &widened(w));
    let (gate, up) = (product(&weights.gate), product(&weights.up));
    let (gate_error, up_error) = (
        sizes(x, &weights.gate) * BF16_PRODUCT,
        sizes(x, &weights.up) * BF16_PRODUCT,
    );
    let silu = activation::silu(gate);
    let inner = silu.clone() * up.clone();
    let inner_error =
        gate_error * SILU_SLOPE * (up.abs() + up_error.clone()) + silu.abs() * up_error;
    sizes(&inner, &weights.down) * BF16_PRODUCT
        + sizes(&inner_error, &weights.down) * (1.0 + BF16_PRODUCT)
}

#[test]
fn dense_layers_of_every_type() {
    let silu = ExpertFunction::Glu(Activation::Silu);
    for kind in KINDS {
        for (tokens, hidden, inner) in [(1, 64, 96), (9, 32, 32), (70, 128, 160)] {
            // Inputs that keep the activations of size 1.
            let x = random([tokens, hidden]) * 0.3;
            let weights = random_glu(hidden, inner, kind);
            let want = plain().glu(&x, &widened_glu(&weights), silu);
            let got = CpuKernels::new(ComputeType::F32).glu(&x, &weights, silu);
            assert_within(&format!("type {kind}, f32"), &want, &got, None);
            let got = CpuKernels::new(ComputeType::Bf16).glu(&x, &weights, silu);
            let allowed = glu_error(&x, &weights);
            assert_within(&format!("type {kind}, bf16"), &want, &got, Some(&allowed));
        }
    }
}

#[test]
fn experts_of_every_type() {
    let silu = ExpertFunction::Glu(Activation::Silu);
    for kind in KINDS {
        for (count, top_k, hidden, inner, tokens) in
            [(4, 2, 64, 32, 1), (8, 2, 32, 96, 40), (16, 10, 96, 64, 5)]
        {
            let all: Vec<GluWeights> = (0..count)
                .map(|_| random_glu(hidden, inner, kind))
                .collect();
            let stacked = |wide: bool| {
                let matrices = |of: fn(&GluWeights) -> &Matrix| -> Vec<Matrix> {
                    all.iter()
                        .map(|expert| {
                            if wide {
                                widened(of(expert))
                            } else {
                                of(expert).clone()
                            }
                        })
                        .collect()
                };
                ExpertWeights {
                    gate: matrices(|e| &e.gate),
                    up: matrices(|e| &e.up),
                    down: matrices(|e| &e.down),
                    biases: None,
                }
            };
            let x = random([tokens, hidden]) * 0.3;
            let config = RouterConfig::new(count, top_k, Gating::softmax_top_k());
            let routing = plain().route(random([tokens, count]), None, &config);
            let want = plain().experts(&x, &routing, &stacked(true), silu, WeightTarget::Output);
            // Each expert's own error, as far as it is weighted.
            let mut allowed = Tensor::<2>::zeros([tokens, hidden], &Device::flex());
            for (number, expert) in all.iter().enumerate() {
                let chosen = routing
                    .selected_experts
                    .clone()
                    .equal_elem(i64::try_from(number).unwrap());
                let share = routing
                    .routing_weights
                    .clone()
                    .mask_fill(chosen.bool_not(), 0.0)
                    .sum_dim(1);
                allowed = allowed + glu_error(&x, expert) * share;
            }
            let run = |compute| {
                CpuKernels::new(compute).experts(
                    &x,
                    &routing,
                    &stacked(false),
                    silu,
                    WeightTarget::Output,
                )
            };
            assert_within(
                &format!("type {kind}, f32"),
                &want,
                &run(ComputeType::F32),
                None,
            );
            assert_within(
                &format!("type {kind}, bf16"),
                &want,
                &run(ComputeType::Bf16),
                Some(&allowed),
            );
        }
    }
}

#[test]
fn heads_of_every_type() {
    for kind in KINDS {
        let (hidden, weight) = (random([70, 64]), kept(201, 64, kind));
        let wide = widened(&weight);
        let next: Vec<Option<u32>> = (0..70)
            .map(|token| (token % 3 > 0).then_some(token * 2))
            .collect();
        let (want, _) = plain().token_stats(
            &hidden,
            Head {
                weight: &wide,
                bias: None,
            },
            &next,
        );
        let error = (sizes(&hidden, &weight) * BF16_PRODUCT)
            .max()
            .into_scalar::<f32>();
        for (compute, allowed) in [(ComputeType::F32, 1e-4), (ComputeType::Bf16, 2.0 * error)] {
            let kernels = CpuKernels::new(compute);
            let (got, ids) = kernels.token_stats(
                &hidden,
                Head {
                    weight: &weight,
                    bias: None,
                },
                &next,
            );
            // A surprisal is a logit less the mean of all, in a manner of speaking: both are wrong by the error.
            for (a, b) in want
                .to_data()
                .iter::<f32>()
                .zip(got.to_data().iter::<f32>())
            {
                assert!(
                    a.is_nan() && b.is_nan() || (a - b).abs() <= allowed,
                    "{compute} {a} {b}"
                );
            }
            // The chosen token's logit is within twice the error of the largest.
            let logits = plain()
                .linear(&hidden, &wide)
                .into_data()
                .iter::<f32>()
                .collect::<Vec<_>>();
            for (row, id) in logits.chunks(201).zip(ids.to_data().iter::<i64>()) {
                let largest = row.iter().copied().fold(f32::MIN, f32::max);
                assert!(row[usize::try_from(id).unwrap()] >= largest - allowed);
            }
        }
    }
}

/// Blocks must be whole: a row of 40 is one block and a quarter.
#[test]
fn rows_that_are_no_whole_blocks_are_refused() {
    let error = Matrix::kept_as(&random([2, 40]), WeightType::Q4).unwrap_err();
    assert!(error.to_string().contains("rows of 40"), "{error}");
}
