//! Every instruction set, type of weights and type of arithmetic against sums in f64.

use half::bf16;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::blocks::{BLOCK, BlockType, quantise};

pub(in super::super) fn random(rng: &mut ChaCha8Rng, len: usize) -> Vec<f32> {
    (0..len).map(|_| rng.random_range(-1.0f32..1.0)).collect()
}

/// A matrix in one of the types that weights are kept in, and its values.
pub(in super::super) enum Kept {
    F32(Vec<f32>),
    Bf16(Vec<bf16>),
    Blocks(BlockType, Vec<u8>),
}

impl Kept {
    /// Every type that rows of this width can be kept in.
    pub(in super::super) fn all(weights: &[f32], width: usize) -> Vec<Self> {
        let bf16 = weights.iter().map(|w| bf16::from_f32(*w)).collect();
        let mut all = vec![Self::F32(weights.to_vec()), Self::Bf16(bf16)];
        if width.is_multiple_of(BLOCK) {
            all.extend([BlockType::Q8, BlockType::Q4].map(|kind| {
                let bytes = quantise(kind, weights.len(), width, |start, out| {
                    out.copy_from_slice(&weights[start..start + out.len()]);
                });
                Self::Blocks(kind, bytes.unwrap())
            }));
        }
        all
    }

    pub(in super::super) fn rows(&self) -> Rows<'_> {
        match self {
            Self::F32(values) => Rows::F32(values),
            Self::Bf16(values) => Rows::Bf16(values),
            Self::Blocks(kind, bytes) => Rows::Blocks(*kind, bytes),
        }
    }

    pub(in super::super) fn values(&self) -> Vec<f32> {
        let mut values = vec![0.0; self.rows().len()];
        self.rows().widen_into(0, &mut values);
        values
    }
}

/// Both types of arithmetic, with the largest error of a sum of `k` products of size 1.
///
/// f32: each of the products and sums rounds by 2⁻²⁴. bf16: both factors round by 2⁻⁹ at most, weights only where they
/// are kept wider.
fn arithmetics(k: usize) -> [(ComputeType, f64); 2] {
    #[expect(clippy::cast_precision_loss, reason = "a width")]
    let k = k as f64;
    [
        (ComputeType::F32, k * 2f64.powi(-22) + 1e-6),
        (ComputeType::Bf16, k * 2f64.powi(-8)),
    ]
}

/// The meaning of the kernel, in f64.
fn oracle(x: &[f32], w: &[f32], k: usize) -> Vec<f64> {
    let dot = |row: &[f32], column: &[f32]| {
        let products = row.iter().zip(column);
        products.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    };
    x.chunks(k)
        .flat_map(|row| w.chunks(k).map(move |column| dot(row, column)))
        .collect()
}

#[test]
fn every_instruction_set_agrees_with_the_plain_product() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for (n, m, k) in [
        (1, 1, 1),
        (1, 9, 24),
        (3, 5, 100),
        (4, 4, 16),
        (7, 33, 37),
        (130, 65, 48),
        (1, 32, 32),
        (1, 100, 320),
        (2, 47, 64),
        (5, 129, 1056),
        (17, 31, 96),
        (33, 300, 512),
        (200, 160, 640),
    ] {
        let (x, w) = (random(&mut rng, n * k), random(&mut rng, m * k));
        for kept in Kept::all(&w, k) {
            let want = oracle(&x, &kept.values(), k);
            for set in InstructionSet::available() {
                for (compute, tolerance) in arithmetics(k) {
                    let got = linear(set, compute, &x, kept.rows(), k);
                    assert_eq!(got.len(), want.len());
                    for (a, b) in got.iter().zip(&want) {
                        assert!(
                            (f64::from(*a) - b).abs() < tolerance,
                            "{set:?} {compute} {n}x{m}x{k} {:?}: {a} against {b}",
                            kept.rows().kind()
                        );
                    }
                }
            }
        }
    }
}

/// In bf16 arithmetic activations are rounded to the nearest bf16, and nothing else: products and sums keep the
/// precision of f32.
#[test]
fn bf16_arithmetic_rounds_activations_alone() {
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    // One row, a few and many; whole vectors of pairs and parts of them; rows of an odd width; rows of several chunks, of
    // whole vectors and not.
    for (n, m, k) in [
        (1, 40, 2),
        (2, 9, 30),
        (3, 25, 63),
        (1, 17, 64),
        (5, 31, 100),
        (9, 50, 2080),
        (131, 26, 4130),
        (7, 49, 8640),
    ] {
        let (x, w) = (random(&mut rng, n * k), random(&mut rng, m * k));
        let rounded: Vec<f32> = x.iter().map(|x| bf16::from_f32(*x).to_f32()).collect();
        let w: Vec<bf16> = w.iter().map(|w| bf16::from_f32(*w)).collect();
        let values: Vec<f32> = w.iter().map(|w| w.to_f32()).collect();
        let want = oracle(&rounded, &values, k);
        for set in InstructionSet::available() {
            // Not at the start of a line of the cache, nor at that of a float.
            let mut moved = vec![bf16::ONE];
            moved.extend_from_slice(&w);
            let got = linear(set, ComputeType::Bf16, &x, Rows::Bf16(&moved[1..]), k);
            for (a, b) in got.iter().zip(&want) {
                let error = (f64::from(*a) - b).abs();
                #[expect(clippy::cast_precision_loss, reason = "a width")]
                let tolerance = 1e-6 * (k as f64).sqrt() + 1e-6;
                assert!(error < tolerance, "{set:?} {n}x{m}x{k}: {a} against {b}");
            }
            let alone = linear(set, ComputeType::Bf16, &x[..k], Rows::Bf16(&moved[1..]), k);
            assert_eq!(alone, got[..m], "{set:?} {n}x{m}x{k}: the first row alone");
        }
    }
}

/// Sums of 4,096 products: as exact as sums of sixteen running f32 sums, which the tolerance is a few times of.
#[test]
fn long_sums_keep_the_precision_of_f32() {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let (n, m, k) = (6, 32, 4096);
    let (x, w) = (random(&mut rng, n * k), random(&mut rng, m * k));
    for kept in Kept::all(&w, k) {
        let want = oracle(&x, &kept.values(), k);
        for set in InstructionSet::available() {
            let got = linear(set, ComputeType::F32, &x, kept.rows(), k);
            let squares = got
                .iter()
                .zip(&want)
                .map(|(a, b)| (f64::from(*a) - b).powi(2));
            #[expect(clippy::cast_precision_loss, reason = "a few values")]
            let error = (squares.sum::<f64>() / want.len() as f64).sqrt();
            // The sums are of size √(4096) / 3 ≈ 21, whose last place is 2e-6; sixteen running sums round 256 times.
            assert!(error < 1e-5, "{set:?} {:?}: {error:e}", kept.rows().kind());
        }
    }
}

#[test]
fn a_row_alone_gives_the_same_bits_as_among_others() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    for (n, m, k) in [(261, 70, 116), (261, 70, 128)] {
        let (x, w) = (random(&mut rng, n * k), random(&mut rng, m * k));
        for kept in Kept::all(&w, k) {
            for set in InstructionSet::available() {
                for (compute, _) in arithmetics(k) {
                    let all = linear(set, compute, &x, kept.rows(), k);
                    for row in [0, 3, 127, 128, 260] {
                        let x = &x[row * k..(row + 1) * k];
                        let alone = linear(set, compute, x, kept.rows(), k);
                        let among = &all[row * m..(row + 1) * m];
                        // Blocks are unpacked in another way for a few tokens where there are tiles.
                        if set == InstructionSet::Amx && matches!(kept, Kept::Blocks(..)) {
                            for (a, b) in alone.iter().zip(among) {
                                assert!((a - b).abs() < 2e-6 * 128f32.sqrt(), "{a} {b}");
                            }
                        } else {
                            assert_eq!(alone, among, "{set:?} {compute} row {row}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn what_is_not_a_number_stays_so() {
    let w = vec![bf16::ONE; 64 * 32];
    let mut x = vec![1.0f32; 3 * 64];
    x[64 + 5] = f32::NAN;
    x[128 + 7] = f32::INFINITY;
    for set in InstructionSet::available() {
        for (compute, _) in arithmetics(64) {
            let got = linear(set, compute, &x, Rows::Bf16(&w), 64);
            assert!(
                got[..32].iter().all(|y| (y - 64.0).abs() < 1e-5),
                "{set:?} {compute}"
            );
            assert!(
                got[32..].iter().all(|y| !y.is_finite()),
                "{set:?} {compute}"
            );
        }
    }
}
