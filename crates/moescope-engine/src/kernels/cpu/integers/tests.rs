//! Products with integers against their meaning, bit for bit, and against sums in f64.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::{
    kernels::cpu::{
        InstructionSet,
        matmul::{
            linear,
            tests::{Kept, random},
        },
        rows::Rows,
    },
    precision::ComputeType,
};

/// The integers of 32 activations and their scale.
fn rounded(values: &[f32]) -> ([i32; BLOCK], f32) {
    let largest = values.iter().fold(0.0f32, |max, x| max.max(x.abs()));
    if values.iter().any(|x| !x.is_finite()) {
        return ([0; BLOCK], f32::NAN);
    }
    let inverse = 32767.0 / largest;
    if !inverse.is_finite() {
        return ([0; BLOCK], 0.0);
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "at most 32,767 by the scale"
    )]
    let integers = std::array::from_fn(|i| (values[i] * inverse).round_ties_even() as i32);
    (integers, largest / 32767.0)
}

/// The integers of a block of weights and their scale.
fn taken_apart(kind: BlockType, block: &[u8]) -> ([i32; BLOCK], f32) {
    let scale = half::f16::from_le_bytes([block[0], block[1]]).to_f32();
    let integers = std::array::from_fn(|i| match kind {
        BlockType::Q8 => i32::from(block[2 + i].cast_signed()),
        BlockType::Q4 if i < 16 => i32::from(block[2 + i] & 15) - 8,
        BlockType::Q4 => i32::from(block[2 + i - 16] >> 4) - 8,
    });
    (integers, scale)
}

/// The meaning of the product, number by number.
fn plain(x: &[f32], kind: BlockType, weights: &[u8], k: usize) -> Vec<f32> {
    let dot = |x: &[f32], row: &[u8]| {
        let mut sums = [0.0f32; 8];
        let blocks = x.chunks(BLOCK).zip(row.chunks(kind.bytes()));
        for (number, (x, block)) in blocks.enumerate() {
            let ((x, x_scale), (w, w_scale)) = (rounded(x), taken_apart(kind, block));
            let exact: i32 = x.iter().zip(w).map(|(x, w)| x * w).sum();
            let sum = &mut sums[number % 8];
            #[expect(clippy::cast_precision_loss, reason = "rounded to the nearest f32")]
            let exact = exact as f32;
            *sum = exact.mul_add(w_scale * x_scale, *sum);
        }
        let [a, b, c, d, e, f, g, h] = sums;
        ((a + e) + (c + g)) + ((b + f) + (d + h))
    };
    (x.chunks(k))
        .flat_map(|x| {
            let rows = weights.chunks(kind.row_bytes(k));
            rows.map(move |row| dot(x, row))
        })
        .collect()
}

/// What of this machine multiplies with integers.
fn sets() -> Vec<InstructionSet> {
    let sets = InstructionSet::available().into_iter();
    let sets: Vec<_> = sets.filter(|set| set.rounds_to_integers()).collect();
    if sets.is_empty() {
        println!("skipped: this machine has no AVX2");
    }
    sets
}

/// Matrices in both types of blocks.
fn in_blocks(weights: &[f32], k: usize) -> impl Iterator<Item = (BlockType, Vec<u8>)> {
    (Kept::all(weights, k).into_iter()).filter_map(|kept| match kept {
        Kept::Blocks(kind, bytes) => Some((kind, bytes)),
        _ => None,
    })
}

fn product(set: InstructionSet, x: &[f32], kind: BlockType, weights: &[u8], k: usize) -> Vec<f32> {
    let weights = Rows::Blocks(kind, weights);
    linear(set, ComputeType::Bf16, x, weights, k)
}

#[track_caller]
fn assert_is_plain(what: &str, x: &[f32], kind: BlockType, weights: &[u8], k: usize) {
    let want = plain(x, kind, weights, k);
    for set in sets() {
        let got = product(set, x, kind, weights, k);
        assert_eq!(got.len(), want.len(), "{what}");
        for (at, (got, want)) in got.iter().zip(&want).enumerate() {
            assert!(
                got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan(),
                "{set:?} {what} {kind:?}, result {at}: {got} against {want}"
            );
        }
    }
}

#[test]
fn every_shape_is_its_meaning_bit_for_bit() {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    // Whole tasks and parts of them; chunks of eight blocks and parts; then any.
    let mut shapes = vec![(1, 32, 256), (4, 32, 512), (130, 65, 96), (3, 8, 32)];
    shapes.extend((0..40).map(|_| {
        let rows = rng.random_range(1..=11);
        (
            rows,
            rng.random_range(1..=70),
            32 * rng.random_range(1..=20),
        )
    }));
    for (n, m, k) in shapes {
        // Sizes of blocks differ by many powers of two.
        let mut x = random(&mut rng, n * k);
        for block in x.chunks_mut(BLOCK) {
            let size = rng.random_range(-8.0f32..8.0).exp2();
            block.iter_mut().for_each(|x| *x *= size);
        }
        for (kind, weights) in in_blocks(&random(&mut rng, m * k), k) {
            assert_is_plain(&format!("{n}×{m}×{k}"), &x, kind, &weights, k);
        }
    }
}

#[test]
fn the_largest_integers_do_not_overflow() {
    let k = 512;
    for (x, w) in [(1.0, 1.0), (1.0, -1.0), (-1.0, 1.0), (-1.0, -1.0)] {
        for (kind, weights) in in_blocks(&vec![w; 33 * k], k) {
            for rows in [1, 2, 3, 5] {
                assert_is_plain("largest", &vec![x; rows * k], kind, &weights, k);
            }
        }
    }
}

#[test]
fn activations_that_are_no_numbers_or_tiny() {
    let (k, m) = (64, 9);
    let mut rng = ChaCha8Rng::seed_from_u64(12);
    let weights = random(&mut rng, m * k);
    for (kind, weights) in in_blocks(&weights, k) {
        for rows in [1, 4] {
            for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let mut x = random(&mut rng, rows * k);
                x[k - 7] = value;
                for set in sets() {
                    let got = product(set, &x, kind, &weights, k);
                    assert!(got[..m].iter().all(|y| y.is_nan()), "{value}");
                    assert!(got[m..].iter().all(|y| y.is_finite()), "{value}");
                }
            }
            for size in [0.0, 1e-44, 1e-36, 1e-33, 1e37] {
                let mut x = random(&mut rng, rows * k);
                x[..32].iter_mut().for_each(|x| *x *= size);
                assert_is_plain(&format!("{size:e}"), &x, kind, &weights, k);
            }
        }
    }
}

/// Root of the mean square of `got` − `want`, over that of `want`.
fn relative_error(got: impl Iterator<Item = f64>, want: &[f64]) -> f64 {
    let wrong: f64 = got.zip(want).map(|(a, b)| (a - b).powi(2)).sum();
    (wrong / want.iter().map(|b| b * b).sum::<f64>()).sqrt()
}

/// Activations as they come out of a norm, with a few that are thirty times larger: how far both roundings are from the
/// exact product.
#[test]
fn integers_are_nearer_to_the_exact_product_than_bf16() {
    let mut rng = ChaCha8Rng::seed_from_u64(13);
    let (n, m, k) = (5, 64, 2048);
    for outlier in [1.0, 30.0] {
        let mut x = random(&mut rng, n * k);
        for x in x.iter_mut().step_by(61) {
            *x *= outlier;
        }
        for (kind, weights) in in_blocks(&random(&mut rng, m * k), k) {
            let blocks = weights.chunks(kind.bytes());
            let values: Vec<f32> = blocks.flat_map(|block| kind.dequantise(block)).collect();
            let sums = |x: &[f32]| -> Vec<f64> {
                let dot = |x: &[f32], w: &[f32]| {
                    let products = x.iter().zip(w);
                    products.map(|(x, w)| f64::from(*x) * f64::from(*w)).sum()
                };
                x.chunks(k)
                    .flat_map(|x| values.chunks(k).map(move |w| dot(x, w)))
                    .collect()
            };
            let want = sums(&x);
            let in_bf16: Vec<f32> = (x.iter())
                .map(|x| half::bf16::from_f32(*x).to_f32())
                .collect();
            let bf16 = relative_error(sums(&in_bf16).into_iter(), &want);
            for set in sets() {
                let got = product(set, &x, kind, &weights, k);
                let integers = relative_error(got.into_iter().map(f64::from), &want);
                println!(
                    "{set:?} {kind:?}, outliers × {outlier}: integers {integers:.1e}, bf16 {bf16:.1e}"
                );
                assert!(integers * 20.0 < bf16, "{integers:e} {bf16:e}");
            }
        }
    }
}
