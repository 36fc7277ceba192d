//! Models of paths that know single layers or neighbouring ones only.

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use super::paths::path_key;
use crate::stats::information::entropy_bits;

/// Counts of first choices at every layer, and of those at every two neighbouring layers.
#[derive(Clone, Debug)]
pub(crate) struct PathModel {
    experts: usize,
    layers: usize,
    /// `[layers, E]`.
    marginals: Vec<f64>,
    /// `[layers − 1, E, E]`.
    transitions: Vec<f64>,
}

impl PathModel {
    pub(crate) fn new(experts: usize, layers: usize) -> Self {
        Self {
            experts,
            layers,
            marginals: vec![0.0; layers * experts],
            transitions: vec![0.0; layers.saturating_sub(1) * experts * experts],
        }
    }

    /// Adds a path.
    pub(crate) fn add(&mut self, path: &[u16]) {
        let experts = self.experts;
        for (layer, expert) in path.iter().enumerate() {
            self.marginals[layer * experts + usize::from(*expert)] += 1.0;
        }
        for (layer, pair) in path.windows(2).enumerate() {
            let row = layer * experts + usize::from(pair[0]);
            self.transitions[row * experts + usize::from(pair[1])] += 1.0;
        }
    }

    fn layer(&self, layer: usize) -> &[f64] {
        &self.marginals[layer * self.experts..(layer + 1) * self.experts]
    }

    fn transition(&self, layer: usize, from: usize) -> &[f64] {
        let row = layer * self.experts + from;
        &self.transitions[row * self.experts..(row + 1) * self.experts]
    }

    /// Paths added.
    pub(crate) fn paths(&self) -> f64 {
        self.layer(0).iter().sum()
    }

    /// Entropy in bits of independent layers: Σ H(e at l).
    pub(crate) fn independent_bits(&self) -> f64 {
        (0..self.layers).map(|l| entropy_bits(self.layer(l))).sum()
    }

    /// Entropy in bits of a first-order Markov chain: H(e at 0) + Σ H(e at l + 1 | e at l).
    pub(crate) fn markov_bits(&self) -> f64 {
        let square = self.experts * self.experts;
        let given: f64 = self
            .transitions
            .chunks_exact(square)
            .enumerate()
            .map(|(layer, pairs)| entropy_bits(pairs) - entropy_bits(self.layer(layer)))
            .sum();
        entropy_bits(self.layer(0)) + given
    }

    /// Plug-in entropy in bits of as many paths as were added, drawn from one of the two models.
    ///
    /// It has the finite-sample bias that the observed entropy has.
    pub(crate) fn sampled_bits(&self, is_markov: bool, rng: &mut ChaCha8Rng) -> f64 {
        let starts: Vec<Cumulative> = (0..self.layers)
            .map(|layer| Cumulative::new(self.layer(layer)))
            .collect();
        let steps: Vec<Cumulative> = if is_markov {
            self.transitions
                .chunks_exact(self.experts)
                .map(Cumulative::new)
                .collect()
        } else {
            Vec::new()
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a number of tokens"
        )]
        let draws = self.paths() as usize;
        let mut path = vec![0_u16; self.layers];
        let mut keys: Vec<u64> = (0..draws)
            .map(|_| {
                for layer in 0..self.layers {
                    let from = match layer.checked_sub(1) {
                        Some(before) if is_markov => {
                            &steps[before * self.experts + usize::from(path[before])]
                        }
                        _ => &starts[layer],
                    };
                    path[layer] = from.draw(rng);
                }
                path_key(&path)
            })
            .collect();
        keys.sort_unstable();
        #[expect(clippy::cast_precision_loss, reason = "numbers of tokens")]
        let counts: Vec<f64> = keys
            .chunk_by(|a, b| a == b)
            .map(|same| same.len() as f64)
            .collect();
        entropy_bits(&counts)
    }

    /// How often independent layers, and a Markov chain, take a path.
    pub(crate) fn probabilities(&self, path: &[u16]) -> (f64, f64) {
        let paths = self.paths();
        let at = |layer: usize| self.layer(layer)[usize::from(path[layer])];
        let independent = (0..self.layers).map(|l| at(l) / paths).product();
        let steps: f64 = (1..self.layers)
            .map(|layer| {
                let from = usize::from(path[layer - 1]);
                self.transition(layer - 1, from)[usize::from(path[layer])] / at(layer - 1)
            })
            .product();
        (independent, at(0) / paths * steps)
    }
}

/// A distribution to draw from.
struct Cumulative(Vec<f64>);

impl Cumulative {
    fn new(mass: &[f64]) -> Self {
        let mut sum = 0.0;
        Self(
            mass.iter()
                .map(|m| {
                    sum += m;
                    sum
                })
                .collect(),
        )
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> u16 {
        let total = self.0.last().copied().unwrap_or_default();
        let at = rng.random::<f64>() * total;
        let expert = self.0.partition_point(|sum| *sum <= at);
        // Rounding may reach past the end.
        u16::try_from(expert.min(self.0.len() - 1)).expect("experts are numbered in 16 bits")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::random::{Purpose, stream};

    fn model(paths: &[[u16; 3]]) -> PathModel {
        let mut model = PathModel::new(2, 3);
        for path in paths {
            model.add(path);
        }
        model
    }

    #[test]
    fn a_chain_that_repeats_its_expert_has_one_bit_and_independent_layers_three() {
        let found = model(&[[0, 0, 0], [1, 1, 1], [0, 0, 0], [1, 1, 1]]);
        assert!((found.independent_bits() - 3.0).abs() < 1e-12);
        assert!((found.markov_bits() - 1.0).abs() < 1e-12);
        // (1/2)³ against 1/2 · 1 · 1.
        let (independent, markov) = found.probabilities(&[0, 0, 0]);
        assert!((independent - 0.125).abs() < 1e-12 && (markov - 0.5).abs() < 1e-12);
        assert!(found.probabilities(&[0, 1, 0]).1.abs() < 1e-12);
    }

    #[test]
    fn drawn_paths_have_the_models_entropy_less_a_bias() {
        let paths: Vec<[u16; 3]> = (0..4000)
            .map(|i| if i % 2 == 0 { [0, 0, 0] } else { [1, 1, 1] })
            .collect();
        let found = model(&paths);
        let rng = || stream(1, Purpose::Paths, 0);
        // 4,000 draws of two paths: one bit less about 1 / (2·4000·ln 2).
        assert!((found.sampled_bits(true, &mut rng()) - 1.0).abs() < 2e-3);
        assert!((found.sampled_bits(false, &mut rng()) - 3.0).abs() < 5e-3);
    }
}
