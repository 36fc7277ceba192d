//! What activations are rounded to before a product with weights.

#[cfg(target_arch = "x86_64")]
use super::super::simd::round_to_pairs;
use super::super::{rows::Rows, simd::InstructionSet};
use crate::precision::ComputeType;

/// What goes into a product in place of the activations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rounding {
    /// They themselves.
    Exact,
    /// The nearest bf16, widened again.
    Bf16,
    /// The nearest bf16, two side by side, in products with bf16.
    #[cfg(target_arch = "x86_64")]
    Pairs,
    /// Integers of 16 bits with a scale for every 32, in products with blocks, where the machine has instructions that
    /// make it faster than bf16; it is also nearer.
    #[cfg(target_arch = "x86_64")]
    Integers,
}

impl Rounding {
    /// The rounding for products with all of `weights`, whose rows are `k` wide.
    pub(crate) fn of<'a>(
        set: InstructionSet,
        compute: ComputeType,
        weights: impl IntoIterator<Item = Rows<'a>>,
        k: usize,
    ) -> Self {
        if compute == ComputeType::F32 {
            return Self::Exact;
        }
        #[cfg(target_arch = "x86_64")]
        {
            let (mut are_blocks, mut are_bf16) = (true, true);
            for rows in weights {
                are_blocks &= matches!(rows, Rows::Blocks(..));
                are_bf16 &= matches!(rows, Rows::Bf16(_));
            }
            if are_blocks && set.rounds_to_integers() {
                return Self::Integers;
            }
            if are_bf16 && set == InstructionSet::Avx512Bf16 && k.is_multiple_of(2) {
                return Self::Pairs;
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = (set, weights, k);
        Self::Bf16
    }

    /// Numbers in the place of a float.
    pub(super) fn numbers(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Pairs => 2,
            _ => 1,
        }
    }

    /// Rounds a row of inputs in place; pairs take its first half.
    pub(super) fn round(self, values: &mut [f32]) {
        match self {
            Self::Bf16 => values.iter_mut().for_each(|value| *value = to_bf16(*value)),
            // SAFETY: there is this rounding only where AVX-512 with bf16 was detected.
            #[cfg(target_arch = "x86_64")]
            Self::Pairs => unsafe { round_to_pairs(values) },
            _ => {}
        }
    }
}

/// The nearest bf16, ties to even; without a branch, so that the compiler makes a loop of vector instructions of it.
#[inline]
fn to_bf16(value: f32) -> f32 {
    let bits = value.to_bits();
    let nearest = bits.wrapping_add(0x7fff + ((bits >> 16) & 1));
    // What is no number must not become infinite.
    let kept = if value.is_nan() {
        bits | 0x0040_0000
    } else {
        nearest
    };
    f32::from_bits(kept & 0xffff_0000)
}

#[cfg(test)]
mod tests {
    use half::bf16;
    use rand::{RngExt as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn activations_are_rounded_to_the_nearest_bf16() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let mut values: Vec<f32> = (0..20_000)
            .map(|_| f32::from_bits(rng.random::<u32>()))
            .collect();
        // Halfway between two, to the even one: 1 + 2⁻⁸ down and 1 + 3 · 2⁻⁸ up.
        values.extend([1.0 + 2f32.powi(-8), 1.0 + 3.0 * 2f32.powi(-8), f32::MAX]);
        for value in values {
            let (got, want) = (to_bf16(value), bf16::from_f32(value).to_f32());
            assert_eq!(got.to_bits(), want.to_bits(), "{value:e}");
        }
    }
}
