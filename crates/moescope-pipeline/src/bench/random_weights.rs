//! Weights as an initialisation would draw them: N(0, 0.02²), norms 1, biases 0.

use moescope_engine::NeededTensor;

/// Standard deviation of the matrices, the usual `initializer_range`.
const DEVIATION: f64 = 0.02;
/// Values that are drawn from; a power of two.
const VALUES: usize = 1 << 12;
/// 1 as a bf16.
const ONE: [u8; 2] = [0x80, 0x3f];
/// Exponent of the scale of four-bit blocks, 2⁻⁷, biased by 127: their 16 values deviate by 2.93.
const MXFP4_SCALE: u8 = 120;

/// Bytes of tensors, each piece by itself, so that pieces can be made in any order and at once.
pub(super) struct RandomWeights {
    seed: u64,
    /// A sample of N(0, 0.02²) in bf16, little endian.
    values: Vec<[u8; 2]>,
}

/// What a tensor is filled with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Normally distributed weights in bf16.
    Normal,
    /// The same two bytes everywhere.
    Repeated([u8; 2]),
    /// Arbitrary bytes: two four-bit floats each.
    Bytes,
}

impl Content {
    /// What suits a tensor: all vectors that are called weights are norms, what is not called so is a bias or a sink.
    pub(super) fn of(tensor: &NeededTensor) -> Self {
        let is_vector = tensor.shape.len() == 1;
        match tensor.dtype.as_str() {
            "U8" if tensor.name.ends_with("_scales") => Self::Repeated([MXFP4_SCALE; 2]),
            "U8" => Self::Bytes,
            _ if is_vector && tensor.name.ends_with(".weight") => Self::Repeated(ONE),
            _ if is_vector || tensor.name.ends_with("bias") => Self::Repeated([0; 2]),
            _ => Self::Normal,
        }
    }
}

impl RandomWeights {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = SplitMix(seed);
        // Box and Muller (1958), and every value's negative, so that the mean is exactly 0.
        let half: Vec<f64> = (0..VALUES / 2)
            .map(|_| {
                let radius = (-2.0 * (1.0 - random.next_unit()).ln()).sqrt();
                radius * (std::f64::consts::TAU * random.next_unit()).cos()
            })
            .collect();
        #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
        let variance = half.iter().map(|z| z * z).sum::<f64>() / half.len() as f64;
        let scale = DEVIATION / variance.sqrt();
        let values = half
            .iter()
            .flat_map(|z| [z * scale, -z * scale])
            .map(bf16)
            .collect();
        Self { seed, values }
    }

    /// Fills piece `piece` of tensor `tensor`.
    pub(super) fn fill(&self, content: Content, tensor: usize, piece: usize, out: &mut [u8]) {
        if let Content::Repeated(bytes) = content {
            for pair in out.chunks_mut(2) {
                pair.copy_from_slice(&bytes[..pair.len()]);
            }
            return;
        }
        let mut random = SplitMix(self.seed);
        for number in [tensor, piece] {
            random = SplitMix(random.next_bits() ^ number as u64);
        }
        for eight in out.chunks_mut(8) {
            let bits = random.next_bits();
            if content == Content::Bytes {
                eight.copy_from_slice(&bits.to_le_bytes()[..eight.len()]);
                continue;
            }
            for (number, pair) in eight.chunks_mut(2).enumerate() {
                let [low, high] = [2 * number, 2 * number + 1].map(|byte| bits.to_le_bytes()[byte]);
                let index = usize::from(u16::from_le_bytes([low, high])) % VALUES;
                pair.copy_from_slice(&self.values[index][..pair.len()]);
            }
        }
    }
}

/// Rounded to nearest; ties do not occur in a sample.
fn bf16(value: f64) -> [u8; 2] {
    #[expect(clippy::cast_possible_truncation, reason = "weights are small")]
    let bits = (value as f32).to_bits() + (1 << 15);
    let [_, _, low, high] = bits.to_le_bytes();
    [low, high]
}

/// The `SplitMix64` generator (Steele, Lea and Flood 2014).
struct SplitMix(u64);

impl SplitMix {
    fn next_bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// In [0, 1).
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit an f64 exactly")]
    fn next_unit(&mut self) -> f64 {
        (self.next_bits() >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use moescope_engine::TensorClass;

    use super::*;

    fn floats(bytes: &[u8]) -> Vec<f64> {
        bytes
            .chunks_exact(2)
            .map(|pair| f64::from(f32::from_le_bytes([0, 0, pair[0], pair[1]])))
            .collect()
    }

    #[test]
    fn matrices_are_normal_and_pieces_differ() {
        let weights = RandomWeights::new(1);
        let mut pieces = [vec![0; 200_000], vec![0; 200_000], vec![0; 200_000]];
        for (number, place) in [(0, 0), (0, 1), (1, 0)].into_iter().enumerate() {
            weights.fill(Content::Normal, place.0, place.1, &mut pieces[number]);
        }
        assert!(pieces[0] != pieces[1] && pieces[0] != pieces[2] && pieces[1] != pieces[2]);
        for piece in &pieces {
            let values = floats(piece);
            let count = 100_000.0;
            let mean = values.iter().sum::<f64>() / count;
            let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
            // Four standard errors of the mean and of the deviation.
            assert!(mean.abs() < 4.0 * 0.02 / count.sqrt(), "{mean}");
            assert!((variance.sqrt() - 0.02).abs() < 4.0 * 0.02 / (2.0 * count).sqrt());
            // A normal variable is within one standard deviation 68.27 % of the time.
            let within = values.iter().filter(|x| x.abs() < 0.02).count();
            assert!((66_000..70_500).contains(&within), "{within}");
        }
    }

    #[test]
    fn vectors_are_ones_or_zeros() {
        let tensor = |name: &str, shape: &[usize]| NeededTensor {
            name: name.to_owned(),
            class: TensorClass::Norms,
            dtype: "BF16".to_owned(),
            shape: shape.to_vec(),
            is_rearranged: false,
            row_width: None,
        };
        let cases = [
            ("model.norm.weight", vec![8], Content::Repeated(ONE)),
            ("self_attn.q_proj.bias", vec![8], Content::Repeated([0; 2])),
            ("self_attn.sinks", vec![8], Content::Repeated([0; 2])),
            (
                "experts.down_proj_bias",
                vec![4, 8],
                Content::Repeated([0; 2]),
            ),
            (
                "moe.e_score_correction_bias",
                vec![1, 8],
                Content::Repeated([0; 2]),
            ),
            ("mlp.gate.weight", vec![4, 8], Content::Normal),
            ("mlp.experts.gate_up_proj", vec![4, 8, 8], Content::Normal),
        ];
        for (name, shape, content) in cases {
            assert_eq!(Content::of(&tensor(name, &shape)), content, "{name}");
        }
        let mut ones = [0; 6];
        RandomWeights::new(1).fill(Content::Repeated(ONE), 0, 0, &mut ones);
        assert_eq!(floats(&ones), [1.0; 3]);
    }
}
