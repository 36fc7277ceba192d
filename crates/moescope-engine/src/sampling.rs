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
        if self.config.temperature <= 0.0 {
            let by_logit = |a: &usize, b: &usize| logits[*b].total_cmp(&logits[*a]).then(a.cmp(b));
            let best = (0..logits.len()).min_by(by_logit).unwrap_or(0);
            return u32::try_from(best).expect("a vocabulary fits 32 bits");
        }
        let mut order = Descending::new(logits);
        if self.config.top_k > 0 {
            order.truncate(self.config.top_k);
        }
        let temperature = f64::from(self.config.temperature);
        let max = f64::from(logits[order.id(0)]);
        let mass = |id: usize| ((f64::from(logits[id]) - max) / temperature).exp();
        let total: f64 = order.ids().map(mass).sum();
        let top_p = f64::from(self.config.top_p);
        let mut kept = total;
        let mut len = order.len();
        if top_p < 1.0 {
            kept = 0.0;
            len = 0;
            while len < order.len() && (len == 0 || kept < top_p * total) {
                kept += mass(order.id(len));
                len += 1;
            }
        }
        let mut draw = self.rng.random_range(0.0..kept);
        for place in 0..len {
            draw -= mass(order.id(place));
            if draw < 0.0 || place + 1 == len {
                return u32::try_from(order.id(place)).expect("a vocabulary fits 32 bits");
            }
        }
        unreachable!("at least one token is kept")
    }
}

/// Tokens from the most likely on, ordered as far as they are asked for: few of a large vocabulary are.
struct Descending<'a> {
    logits: &'a [f32],
    ids: Vec<usize>,
    sorted: usize,
}

impl<'a> Descending<'a> {
    /// Tokens that are ordered at first; each time more are asked for, four times as many are.
    const FIRST: usize = 64;

    fn new(logits: &'a [f32]) -> Self {
        Self {
            logits,
            ids: (0..logits.len()).collect(),
            sorted: 0,
        }
    }

    fn len(&self) -> usize {
        self.ids.len()
    }

    fn ids(&self) -> impl Iterator<Item = usize> {
        self.ids.iter().copied()
    }

    /// Forgets all but the first `most`.
    fn truncate(&mut self, most: usize) {
        self.sort(most);
        self.ids.truncate(most);
    }

    /// The token of a place; the lowest id comes first of a tie.
    fn id(&mut self, place: usize) -> usize {
        if place >= self.sorted {
            self.sort((4 * self.sorted).max(Self::FIRST).max(place + 1));
        }
        self.ids[place]
    }

    fn sort(&mut self, most: usize) {
        let most = most.min(self.ids.len());
        let logits = self.logits;
        let by_logit = |a: &usize, b: &usize| logits[*b].total_cmp(&logits[*a]).then(a.cmp(b));
        let rest = &mut self.ids[self.sorted..];
        let new = most - self.sorted;
        if new < rest.len() {
            rest.select_nth_unstable_by(new, by_logit);
        }
        rest[..new].sort_unstable_by(by_logit);
        self.sorted = most;
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
    fn tokens_come_in_order_however_many_are_asked_for() {
        // Distinct and equal logits, out of order.
        let logits: Vec<f32> = (0u16..1000)
            .map(|id| f32::from((id * 7919) % 613))
            .collect();
        let mut whole: Vec<usize> = (0..logits.len()).collect();
        whole.sort_by(|a, b| logits[*b].total_cmp(&logits[*a]).then(a.cmp(b)));
        for (places, most) in [(1000, 1000), (70, 1000), (10, 10), (100, 100)] {
            let mut order = Descending::new(&logits);
            if most < 1000 {
                order.truncate(most);
            }
            assert_eq!(order.len(), most);
            let found: Vec<usize> = (0..places).map(|place| order.id(place)).collect();
            assert_eq!(found, whole[..places]);
        }
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
