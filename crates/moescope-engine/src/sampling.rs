//! From next-token logits to the next token.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// How tokens are drawn. The default is greedy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SamplingConfig {
    /// Divides the logits; 0 is greedy.
    pub temperature: f32,
    /// Keeps the k most likely tokens; 0 keeps all.
    pub top_k: usize,
    /// Keeps the smallest set with at least this mass; 1 keeps all.
    pub top_p: f32,
    /// Seed of the draw.
    pub seed: u64,
}

impl Default for SamplingConfig {
    fn default() -> Self {
        Self {
            temperature: 0.0,
            top_k: 0,
            top_p: 1.0,
            seed: 0,
        }
    }
}

/// Draws the tokens of one sequence; its stream depends on the seed and the sequence alone.
#[derive(Clone, Debug)]
pub struct Sampler {
    config: SamplingConfig,
    rng: ChaCha8Rng,
}

impl Sampler {
    /// A sampler for the sequence of this number.
    #[must_use]
    pub fn new(config: &SamplingConfig, sequence: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
        rng.set_stream(sequence);
        Self {
            config: config.clone(),
            rng,
        }
    }

    /// How tokens are drawn.
    #[must_use]
    pub fn config(&self) -> &SamplingConfig {
        &self.config
    }

    /// How far the stream has been read; [`Self::rewind`] takes it.
    #[must_use]
    pub fn place(&self) -> u128 {
        self.rng.get_word_pos()
    }

    /// Reads the stream on from a place.
    pub fn rewind(&mut self, place: u128) {
        self.rng.set_word_pos(place);
    }

    /// The next token given its logits, `[vocab]`; the lowest id wins a tie.
    ///
    /// # Panics
    /// When there are no logits.
    pub fn sample(&mut self, logits: &[f32]) -> u32 {
        let by_logit = |a: &usize, b: &usize| logits[*b].total_cmp(&logits[*a]).then(a.cmp(b));
        if self.config.temperature <= 0.0 {
            let best = (0..logits.len()).min_by(by_logit).unwrap_or(0);
            return u32::try_from(best).expect("a vocabulary fits 32 bits");
        }
        let mut order: Vec<usize> = (0..logits.len()).collect();
        order.sort_unstable_by(by_logit);
        if self.config.top_k > 0 {
            order.truncate(self.config.top_k);
        }
        let temperature = f64::from(self.config.temperature);
        let max = f64::from(logits[order[0]]);
        let mut masses: Vec<f64> = order
            .iter()
            .map(|id| ((f64::from(logits[*id]) - max) / temperature).exp())
            .collect();
        let total: f64 = masses.iter().sum();
        let mut kept = 0.0;
        let enough = masses
            .iter()
            .position(|mass| {
                kept += mass / total;
                kept >= f64::from(self.config.top_p)
            })
            .map_or(masses.len(), |last| last + 1);
        masses.truncate(enough);
        let mut draw = self.rng.random_range(0.0..masses.iter().sum::<f64>());
        let chosen = masses
            .iter()
            .position(|mass| {
                draw -= mass;
                draw < 0.0
            })
            .unwrap_or(masses.len() - 1);
        u32::try_from(order[chosen]).expect("a vocabulary fits 32 bits")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(temperature: f32, top_k: usize, top_p: f32) -> SamplingConfig {
        SamplingConfig {
            temperature,
            top_k,
            top_p,
            seed: 5,
        }
    }

    #[test]
    fn greedy_takes_the_largest_and_the_lowest_id_of_a_tie() {
        let mut sampler = Sampler::new(&SamplingConfig::default(), 0);
        assert_eq!(sampler.sample(&[0.0, 2.0, 2.0, 1.0]), 1);
    }

    #[test]
    fn top_k_and_top_p_never_leave_their_sets() {
        let logits = [3.0, 2.0, 1.0, 0.0];
        let mut narrow = Sampler::new(&config(2.0, 2, 1.0), 0);
        assert!((0..200).all(|_| narrow.sample(&logits) < 2));
        // softmax(3, 2, 1, 0) = .644, .237, .087, .032: the first alone has .644 ≥ .6.
        let mut nucleus = Sampler::new(&config(1.0, 0, 0.6), 0);
        assert!((0..200).all(|_| nucleus.sample(&logits) == 0));
    }

    #[test]
    fn frequencies_follow_the_softmax() {
        let logits = [1.0f32, 0.0, -1.0];
        let mut sampler = Sampler::new(&config(1.0, 0, 1.0), 3);
        let draws = 20_000;
        let mut counts = [0u32; 3];
        (0..draws).for_each(|_| counts[sampler.sample(&logits) as usize] += 1);
        // softmax(1, 0, −1) = .6652, .2447, .0900; five standard errors are below .017.
        for (count, expected) in counts.iter().zip([0.6652, 0.2447, 0.0900]) {
            assert!((f64::from(*count) / f64::from(draws) - expected).abs() < 0.017);
        }
    }

    #[test]
    fn the_same_seed_and_sequence_repeat_and_another_sequence_differs() {
        let logits = [0.0f32; 50];
        let draw = |sequence| {
            let mut sampler = Sampler::new(&config(1.0, 0, 1.0), sequence);
            (0..20).map(|_| sampler.sample(&logits)).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }
}
