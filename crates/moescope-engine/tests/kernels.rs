//! Every kernel against its meaning in burn's own operators, on random shapes.

use burn::tensor::{Device, DeviceType, Distribution, Tensor};
use moescope_core::Gating;
use moescope_engine::{
    Activation, AttentionShape, CacheSpan, CpuKernels, ExpertWeights, GpuKernels, Kernels,
    KeyRange, PlainKernels, RotaryAngles, RouterConfig,
};

/// The meaning, computed on the CPU, where burn's operators are known to work.
fn plain() -> PlainKernels {
    PlainKernels::new(&Device::flex())
}

/// The kernels under test with the device that their tensors live on.
fn candidates() -> Vec<(Box<dyn Kernels>, Device)> {
    let mut all: Vec<(Box<dyn Kernels>, Device)> =
        vec![(Box::new(CpuKernels::new()), Device::flex())];
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
            let got = kernels.linear(&x.clone().to_device(&device), &w.clone().to_device(&device));
            assert_close(
                &kernels.name(),
                plain().linear(&x, &w),
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
        // Five heads of 20, of which 12 dimensions rotate.
        let angles = RotaryAngles {
            cos: random([9, 6]),
            sin: random([9, 6]),
        };
        let there = RotaryAngles {
            cos: angles.cos.clone().to_device(&device),
            sin: angles.sin.clone().to_device(&device),
        };
        let got = kernels.rotate(x.clone().to_device(&device), 5, &there);
        assert_close(
            &kernels.name(),
            plain().rotate(x, 5, &angles),
            got.to_device(&Device::flex()),
        );
    }
}

#[test]
fn attention_over_ragged_ranges() {
    for (kernels, device) in candidates() {
        for (heads, kv_heads, head_dim) in [(1, 1, 4), (4, 2, 12), (8, 8, 32), (6, 2, 100)] {
            let (rows, tokens) = (70, 23);
            let q = random([tokens, heads * head_dim]);
            let (k, v) = (
                random([rows, kv_heads * head_dim]),
                random([rows, kv_heads * head_dim]),
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
                scale: 0.3,
            };
            let want = plain().attention(q.clone(), &k, &v, &ranges, shape);
            let to = |x: &Tensor<2>| x.clone().to_device(&device);
            let got = kernels.attention(to(&q), &to(&k), &to(&v), &ranges, shape);
            assert_close(&kernels.name(), want, got.to_device(&Device::flex()));
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

#[test]
fn routing_and_experts() {
    for (kernels, device) in candidates() {
        for (experts, top_k, hidden, inner, tokens) in
            [(4, 2, 20, 12, 1), (8, 2, 32, 24, 17), (16, 10, 12, 8, 5)]
        {
            let config = RouterConfig {
                num_experts: experts,
                top_k,
                gating: Gating::softmax_top_k(),
            };
            let (x, logits) = (random([tokens, hidden]), random([tokens, experts]));
            let matrices = |rows: usize, columns: usize| {
                (0..experts)
                    .map(|_| random([rows, columns]))
                    .collect::<Vec<_>>()
            };
            let weights = ExpertWeights {
                gate: matrices(inner, hidden),
                up: matrices(inner, hidden),
                down: matrices(hidden, inner),
            };
            let to =
                |list: &[Tensor<2>]| list.iter().map(|w| w.clone().to_device(&device)).collect();
            let there = ExpertWeights {
                gate: to(&weights.gate),
                up: to(&weights.up),
                down: to(&weights.down),
            };
            for activation in [
                Activation::Silu,
                Activation::Gelu,
                Activation::GeluTanh,
                Activation::Relu,
            ] {
                let want_routing = plain().route(logits.clone(), &config);
                let want = plain().experts(&x, &want_routing, &weights, activation);
                let routing = kernels.route(logits.clone().to_device(&device), &config);
                let got =
                    kernels.experts(&x.clone().to_device(&device), &routing, &there, activation);
                let sum = routing
                    .routing_weights
                    .clone()
                    .sum_dim(1)
                    .to_device(&Device::flex());
                assert_close(
                    "weights sum to one",
                    Tensor::ones([tokens, 1], &Device::flex()),
                    sum,
                );
                assert_close(
                    &format!("{} {activation:?}", kernels.name()),
                    want,
                    got.to_device(&Device::flex()),
                );
            }
        }
    }
}

#[test]
fn surprisal_and_prediction() {
    for (kernels, device) in candidates() {
        let (hidden, head) = (random([6, 40]), random([97, 40]));
        let next = [Some(3), None, Some(0), Some(96), None, Some(50)];
        let (want, want_ids) = plain().token_stats(&hidden, &head, &next);
        let (got, ids) =
            kernels.token_stats(&hidden.to_device(&device), &head.to_device(&device), &next);
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
