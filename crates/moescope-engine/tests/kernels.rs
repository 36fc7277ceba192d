//! Every kernel against its meaning in burn's own operators, on random shapes.

use burn::tensor::{Device, DeviceType, Distribution, Tensor};
use moescope_core::{
    ExpertGroups, Gating, GroupScore, ScoreFunction, WeightNormalization, WeightTarget,
};
use moescope_engine::{
    Activation, AttentionShape, CacheSpan, ComputeType, CpuKernels, ExpertBiases, ExpertFunction,
    ExpertWeights, GluWeights, GpuKernels, Head, InstructionSet, Kernels, KeyRange, Matrix,
    PlainKernels, RopeLayout, RotaryAngles, RouterConfig,
};

/// The meaning, computed on the CPU, where burn's operators are known to work.
fn plain() -> PlainKernels {
    PlainKernels::new(&Device::flex())
}

/// The kernels under test with the device that their tensors live on.
fn candidates() -> Vec<(Box<dyn Kernels>, Device)> {
    let sets = InstructionSet::available().into_iter();
    let mut all: Vec<(Box<dyn Kernels>, Device)> = sets
        .map(|set| -> (Box<dyn Kernels>, Device) {
            let kernels = CpuKernels::with(set, ComputeType::F32);
            (Box::new(kernels), Device::flex())
        })
        .collect();
    if let Some(device) = Device::enumerate(DeviceType::Wgpu).into_iter().next() {
        all.push((Box::new(GpuKernels::new(&device)), device));
    } else {
        assert!(
            std::env::var_os("MOESCOPE_REQUIRE_GPU").is_none(),
            "a graphics adapter is required here"
        );
        println!("skipped on the GPU: no graphics adapter was found");
    }
    all
}

fn random<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    Tensor::random(shape, Distribution::Uniform(-1.0, 1.0), &Device::flex())
}

#[track_caller]
fn assert_close<const D: usize>(what: &str, want: Tensor<D>, got: Tensor<D>) {
    assert_eq!(want.dims(), got.dims(), "{what}");
    let (want, got) = (want.into_data(), got.into_data());
    for (a, b) in want.iter::<f32>().zip(got.iter::<f32>()) {
        assert!(
            (a - b).abs() <= 2e-5 * a.abs().max(1.0),
            "{what}: {a} against {b}"
        );
    }
}

#[test]
fn products_with_weights() {
    for (kernels, device) in candidates() {
        for (n, m, k) in [(1, 1, 3), (1, 300, 64), (5, 7, 100), (66, 129, 37)] {
            let (x, w) = (random([n, k]), random([m, k]));
            let there = w.clone().to_device(&device).into();
            let got = kernels.linear(&x.clone().to_device(&device), &there);
            assert_close(
                &kernels.name(),
                plain().linear(&x, &w.into()),
                got.to_device(&Device::flex()),
            );
        }
    }
}

#[test]
fn norms_and_rotations() {
    for (kernels, device) in candidates() {
        let (x, w) = (random([9, 100]), random([100]));
        let got = kernels.rms_norm(
            &x.clone().to_device(&device),
            &w.clone().to_device(&device),
            1e-5,
        );
        assert_close(
            &kernels.name(),
            plain().rms_norm(&x, &w, 1e-5),
            got.to_device(&Device::flex()),
        );
        for bias in [None, Some(random([100]))] {
            let there = bias.clone().map(|bias| bias.to_device(&device));
            let got = kernels.layer_norm(
                &x.clone().to_device(&device),
                &w.clone().to_device(&device),
                there.as_ref(),
                1e-5,
            );
            assert_close(
                &kernels.name(),
                plain().layer_norm(&x, &w, bias.as_ref(), 1e-5),
                got.to_device(&Device::flex()),
            );
        }
        // Five heads of 20, of which 12 dimensions rotate.
        for layout in [RopeLayout::Half, RopeLayout::Pairs] {
            let angles = RotaryAngles {
                cos: random([9, 6]),
                sin: random([9, 6]),
                layout,
            };
            let there = RotaryAngles {
                cos: angles.cos.clone().to_device(&device),
                sin: angles.sin.clone().to_device(&device),
                layout,
            };
            let got = kernels.rotate(x.clone().to_device(&device), 5, &there);
            assert_close(
                &format!("{} {layout:?}", kernels.name()),
                plain().rotate(x.clone(), 5, &angles),
                got.to_device(&Device::flex()),
            );
        }
    }
}

#[test]
fn attention_over_ragged_ranges() {
    for (kernels, device) in candidates() {
        for (heads, kv_heads, head_dim, value_dim) in [
            (1, 1, 4, 4),
            (4, 2, 12, 7),
            (8, 8, 32, 40),
            (6, 2, 100, 100),
        ] {
            let (rows, tokens) = (70, 23);
            let q = random([tokens, heads * head_dim]);
            let (k, v) = (
                random([rows, kv_heads * head_dim]),
                random([rows, kv_heads * value_dim]),
            );
            // One key, all keys, and windows that start anywhere.
            let ranges: Vec<KeyRange> = (0..tokens)
                .map(|t| KeyRange {
                    first: (t * 7) % 40,
                    end: (t * 7) % 40 + 1 + (t * 5) % 30,
                })
                .collect();
            let shape = AttentionShape {
                heads,
                kv_heads,
                head_dim,
                value_dim,
                scale: 0.3,
            };
            for sinks in [None, Some(random([heads]))] {
                let want = plain().attention(q.clone(), &k, &v, sinks.as_ref(), &ranges, shape);
                let to = |x: &Tensor<2>| x.clone().to_device(&device);
                let sinks = sinks.map(|sinks| sinks.to_device(&device));
                let got =
                    kernels.attention(to(&q), &to(&k), &to(&v), sinks.as_ref(), &ranges, shape);
                assert_close(&kernels.name(), want, got.to_device(&Device::flex()));
            }
        }
    }
}

#[test]
fn attention_of_prompts_that_begin_within_a_cache() {
    for (kernels, device) in candidates() {
        for (tokens, before) in [(1, 0), (5, 0), (40, 0), (5, 33), (40, 61)] {
            for (heads, kv_heads) in [(2, 2), (4, 2), (8, 2)] {
                let (head_dim, rows) = (100, before + tokens + 3);
                let q = random([tokens, heads * head_dim]);
                let k = random([rows, kv_heads * head_dim]);
                let v = random([rows, kv_heads * head_dim]);
                // Each token sees one key more than the token before it.
                let ranges: Vec<KeyRange> = (0..tokens)
                    .map(|token| KeyRange {
                        first: 0,
                        end: before + token + 1,
                    })
                    .collect();
                let shape = AttentionShape {
                    heads,
                    kv_heads,
                    head_dim,
                    value_dim: head_dim,
                    scale: 0.1,
                };
                let want = plain().attention(q.clone(), &k, &v, None, &ranges, shape);
                let to = |x: &Tensor<2>| x.clone().to_device(&device);
                let got = kernels.attention(to(&q), &to(&k), &to(&v), None, &ranges, shape);
                let what = format!("{}, {tokens} after {before}", kernels.name());
                assert_close(&what, want, got.to_device(&Device::flex()));
            }
        }
    }
}

#[test]
fn cache_writes_leave_other_rows_alone() {
    for (kernels, device) in candidates() {
        let (cache, new) = (random([10, 6]), random([5, 6]));
        let spans = [
            CacheSpan {
                token: 0,
                row: 7,
                len: 2,
            },
            CacheSpan {
                token: 2,
                row: 1,
                len: 3,
            },
        ];
        let want = plain().write_cache(cache.clone(), new.clone(), &spans);
        let got = kernels.write_cache(
            cache.clone().to_device(&device),
            new.to_device(&device),
            &spans,
        );
        assert_close(
            &kernels.name(),
            want.clone(),
            got.to_device(&Device::flex()),
        );
        // Row 0 was not written, and the caller's own copy stays what it was.
        assert_close("row 0", cache.clone().narrow(0, 0, 1), want.narrow(0, 0, 1));
    }
}

/// Experts with random weights, on the host and on the device.
fn random_experts(
    [experts, hidden, inner]: [usize; 3],
    has_biases: bool,
    device: &Device,
) -> (ExpertWeights, ExpertWeights) {
    let matrices = |rows, columns| -> Vec<Matrix> {
        (0..experts)
            .map(|_| random([rows, columns]).into())
            .collect()
    };
    let here = ExpertWeights {
        gate: matrices(inner, hidden),
        up: matrices(inner, hidden),
        down: matrices(hidden, inner),
        biases: has_biases.then(|| ExpertBiases {
            gate: random([experts, inner]),
            up: random([experts, inner]),
            down: random([experts, hidden]),
        }),
    };
    let to = |tensor: &Tensor<2>| tensor.clone().to_device(device);
    let all = |list: &[Matrix]| {
        list.iter()
            .map(|matrix| to(&matrix.to_tensor()).into())
            .collect()
    };
    let there = ExpertWeights {
        gate: all(&here.gate),
        up: all(&here.up),
        down: all(&here.down),
        biases: here.biases.as_ref().map(|biases| ExpertBiases {
            gate: to(&biases.gate),
            up: to(&biases.up),
            down: to(&biases.down),
        }),
    };
    (here, there)
}

#[test]
fn experts_of_every_function() {
    let clamped = ExpertFunction::ClampedSwiglu {
        alpha: 1.702,
        limit: 0.7,
    };
    let functions = [
        Activation::Silu,
        Activation::Gelu,
        Activation::GeluTanh,
        Activation::Relu,
    ]
    .map(ExpertFunction::Glu);
    for (kernels, device) in candidates() {
        for (experts, top_k, hidden, inner, tokens) in
            [(4, 2, 20, 12, 1), (8, 2, 32, 24, 17), (16, 10, 12, 8, 5)]
        {
            let config = RouterConfig::new(experts, top_k, Gating::softmax_top_k());
            let (x, logits) = (random([tokens, hidden]), random([tokens, experts]));
            let want_routing = plain().route(logits.clone(), None, &config);
            let routing = kernels.route(logits.to_device(&device), None, &config);
            let sum = routing.routing_weights.clone().sum_dim(1);
            assert_close(
                "weights sum to one",
                Tensor::ones([tokens, 1], &Device::flex()),
                sum.to_device(&Device::flex()),
            );
            for function in functions.into_iter().chain([clamped]) {
                let has_biases = function == clamped;
                let (here, there) = random_experts([experts, hidden, inner], has_biases, &device);
                for target in [WeightTarget::Output, WeightTarget::Input] {
                    let want = plain().experts(&x, &want_routing, &here, function, target);
                    let x = x.clone().to_device(&device);
                    let got = kernels.experts(&x, &routing, &there, function, target);
                    assert_close(
                        &format!("{} {function:?} {target:?}", kernels.name()),
                        want,
                        got.to_device(&Device::flex()),
                    );
                }
                let glu = |weights: &ExpertWeights| GluWeights {
                    gate: weights.gate[0].clone(),
                    up: weights.up[0].clone(),
                    down: weights.down[0].clone(),
                };
                let got = kernels.glu(&x.clone().to_device(&device), &glu(&there), function);
                assert_close(
                    &format!("{} {function:?} alone", kernels.name()),
                    plain().glu(&x, &glu(&here), function),
                    got.to_device(&Device::flex()),
                );
            }
        }
    }
}

/// A gating, a correction bias, and the choice and weights that follow.
type GatingCase = (Gating, Option<[f32; 4]>, [i64; 2], [f64; 2]);

/// Gatings of every kind, one by one against the definitions in plain numbers.
#[test]
fn gatings_choose_and_weigh_as_they_are_defined() {
    // Scores by hand: sigmoid of (2, 1, 0, −1) is (0.8808, 0.7311, 0.5, 0.2689).
    let logits = [2.0f32, 1.0, 0.0, -1.0];
    let sigmoid = Gating {
        score_function: ScoreFunction::Sigmoid,
        has_correction_bias: true,
        normalization: WeightNormalization::SumOfSelected,
        scaling: 2.5,
        ..Gating::softmax_top_k()
    };
    let groups = |ranked_by| ExpertGroups {
        count: 2,
        kept: 1,
        ranked_by,
    };
    let cases: Vec<GatingCase> = vec![
        // The bias lifts expert 3 over expert 1; the weights stay those of the scores.
        (
            sigmoid.clone(),
            Some([0.0, 0.0, 0.0, 0.5]),
            [0, 3],
            [2.5 * 0.880_797 / 1.149_738, 2.5 * 0.268_941 / 1.149_738],
        ),
        // Groups {0, 1} and {2, 3}: sums of keys 1.612 and 1.769, so expert 0 is out of reach.
        (
            Gating {
                groups: Some(groups(GroupScore::SumOfTopTwo)),
                normalization: WeightNormalization::None,
                ..sigmoid.clone()
            },
            Some([0.0, 0.0, 0.5, 0.5]),
            [2, 3],
            [2.5 * 0.5, 2.5 * 0.268_941],
        ),
        // The largest keys are 1.0 and 0.881: group {2, 3} again.
        (
            Gating {
                groups: Some(groups(GroupScore::Max)),
                normalization: WeightNormalization::SigmoidOfSelected,
                score_function: ScoreFunction::Identity,
                scaling: 1.0,
                ..sigmoid.clone()
            },
            Some([0.0, 0.0, 3.0, 0.0]),
            [2, 3],
            [0.5, 0.268_941],
        ),
        // softmax (0.6439, 0.2369, …) divided by its 2-norm.
        (
            Gating {
                normalization: WeightNormalization::PNormOfSelected,
                norm_order: Some(2.0),
                ..Gating::softmax_top_k()
            },
            None,
            [0, 1],
            [0.938_508, 0.345_258],
        ),
        (
            Gating::top_k_softmax(),
            None,
            [0, 1],
            [0.731_059, 0.268_941],
        ),
    ];
    for (kernels, device) in candidates() {
        for (gating, bias, ids, weights) in &cases {
            let config = RouterConfig::new(4, 2, gating.clone());
            let row = Tensor::<2>::from_data([logits], &device);
            let bias = bias.map(|bias| Tensor::<1>::from_data(bias, &device));
            let routing = kernels.route(row, bias.as_ref(), &config);
            let what = format!("{} {gating:?}", kernels.name());
            let found: Vec<i64> = routing.selected_experts.into_data().iter::<i64>().collect();
            assert_eq!(found, ids, "{what}");
            let found = routing.routing_weights.into_data();
            for (found, want) in found.iter::<f64>().zip(weights) {
                assert!((found - want).abs() < 1e-5, "{what}: {found} not {want}");
            }
        }
    }
}

/// GRIN's rule (arXiv 2409.12136): experts near the chosen one share its softmax; two near ones share twice.
#[test]
fn sparsemixer_weighs_each_choice_among_its_neighbours() {
    let gating = Gating {
        score_function: ScoreFunction::Identity,
        normalization: WeightNormalization::Sparsemixer,
        sparsemixer_threshold: Some(0.01),
        ..Gating::softmax_top_k()
    };
    for (kernels, device) in candidates() {
        let config = RouterConfig::new(4, 2, gating.clone());
        // 2.00 and 1.99 are within 2 %, 1.00 and 0.99 as well.
        let logits =
            Tensor::<2>::from_data([[2.0f32, 1.99, 1.0, 0.5], [2.0, 1.0, 0.99, 0.5]], &device);
        let weights = kernels.route(logits, None, &config).routing_weights;
        let found: Vec<f64> = weights.into_data().iter::<f64>().collect();
        let shared = 1.0 / (1.0 + (-0.01f64).exp());
        for (found, want) in found.iter().zip([shared, 1.0, 1.0, shared]) {
            assert!(
                (found - want).abs() < 1e-6,
                "{}: {found} {want}",
                kernels.name()
            );
        }
    }
}

#[test]
fn surprisal_and_prediction() {
    for (kernels, device) in candidates() {
        let (hidden, head) = (random([6, 40]), random([97, 40]));
        let next = [Some(3), None, Some(0), Some(96), None, Some(50)];
        let bias = random([97]);
        let here = Head {
            weight: &head.clone().into(),
            bias: Some(&bias),
        };
        let (want, want_ids) = plain().token_stats(&hidden, here, &next);
        let there = Head {
            weight: &head.clone().to_device(&device).into(),
            bias: Some(&bias.clone().to_device(&device)),
        };
        let (got, ids) = kernels.token_stats(&hidden.to_device(&device), there, &next);
        let ids: Vec<i64> = ids.into_data().iter::<i64>().collect();
        assert_eq!(want_ids.into_data().iter::<i64>().collect::<Vec<_>>(), ids);
        for (a, b) in want
            .into_data()
            .iter::<f32>()
            .zip(got.into_data().iter::<f32>())
        {
            assert!(
                a.is_nan() && b.is_nan() || (a - b).abs() < 1e-4,
                "{}: {a} against {b}",
                kernels.name()
            );
        }
    }
}
