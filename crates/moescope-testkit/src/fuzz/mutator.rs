//! From a seed and a number to an input.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::{
    byte_edits, json_edits,
    target::{Shape, Target},
};

/// Longest input that is made.
const LONGEST: usize = 1 << 18;
/// Bytes of the length that stands before a framed header.
const FRAME: usize = 8;

/// Makes the inputs of a target; each follows from the seed and its number alone.
pub struct Mutator<'t> {
    target: &'t Target,
    corpus: Vec<Vec<u8>>,
    seed: u64,
}

impl<'t> Mutator<'t> {
    /// Inputs of this target under this seed.
    ///
    /// # Panics
    /// When the target has no corpus.
    #[must_use]
    pub fn new(target: &'t Target, seed: u64) -> Self {
        let corpus = (target.corpus)();
        assert!(!corpus.is_empty(), "{} needs a corpus", target.name);
        // Targets with one corpus and one seed still differ.
        let name = target
            .name
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
        Self {
            target,
            corpus,
            seed: seed ^ name,
        }
    }

    /// Number of good files: the first inputs are these, unchanged.
    #[must_use]
    pub fn corpus_len(&self) -> usize {
        self.corpus.len()
    }

    /// The input of a number.
    #[must_use]
    pub fn input(&self, number: u64) -> Vec<u8> {
        let good = usize::try_from(number)
            .ok()
            .and_then(|n| self.corpus.get(n));
        if let Some(good) = good {
            return good.clone();
        }
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(number);
        let mut input = self.pick(&mut rng).clone();
        // Mostly one or two edits, so that most of the file stays what its reader expects.
        let mut edits = 1;
        while edits < 12 && rng.random_range(0..100) < 45 {
            edits += 1;
        }
        for _ in 0..edits {
            self.edit(&mut rng, &mut input);
        }
        input.truncate(LONGEST);
        input
    }

    fn pick(&self, rng: &mut ChaCha8Rng) -> &Vec<u8> {
        &self.corpus[rng.random_range(0..self.corpus.len())]
    }

    fn edit(&self, rng: &mut ChaCha8Rng, input: &mut Vec<u8>) {
        let other = self.pick(rng);
        let words = self.target.words;
        let is_bytes = rng.random_range(0..10) < 3;
        match self.target.shape {
            Shape::Json if !is_bytes => json_edits::edit(rng, input, other, words),
            Shape::FramedJson if !is_bytes => {
                if let (Some(own), Some(foreign)) = (header_len(input), header_len(other)) {
                    let mut text = input[FRAME..FRAME + own].to_vec();
                    let foreign = &other[FRAME..FRAME + foreign];
                    json_edits::edit(rng, &mut text, foreign, words);
                    let mut framed = (text.len() as u64).to_le_bytes().to_vec();
                    framed.append(&mut text);
                    framed.extend_from_slice(&input[FRAME + own..]);
                    *input = framed;
                } else {
                    byte_edits::edit(rng, input, other, words);
                }
            }
            _ => byte_edits::edit(rng, input, other, words),
        }
    }
}

/// The length of the header by the first eight bytes, where the file holds as much.
fn header_len(file: &[u8]) -> Option<usize> {
    let len = u64::from_le_bytes(file.get(..FRAME)?.try_into().ok()?);
    usize::try_from(len)
        .ok()
        .filter(|len| *len <= file.len() - FRAME)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: Target = Target {
        name: "test",
        shape: Shape::FramedJson,
        words: &["F32"],
        corpus: || vec![[&9_u64.to_le_bytes()[..], b"{\"a\": 1}tail"].concat()],
        open: |_| Box::new(|_| true),
    };

    #[test]
    fn an_input_follows_from_seed_and_number() {
        let inputs = |seed: u64| -> Vec<Vec<u8>> {
            let mutator = Mutator::new(&TARGET, seed);
            (0..50).map(|number| mutator.input(number)).collect()
        };
        assert_eq!(inputs(1), inputs(1));
        assert_ne!(inputs(1), inputs(2));
        assert_eq!(inputs(1)[0], (TARGET.corpus)()[0], "good files come first");
        let mut different = inputs(1);
        different.sort();
        different.dedup();
        assert!(different.len() > 30, "{}", different.len());
    }

    #[test]
    fn most_frames_stay_honest() {
        let mutator = Mutator::new(&TARGET, 3);
        let honest = (1..1000)
            .filter(|number| header_len(&mutator.input(*number)).is_some())
            .count();
        assert!(honest > 700 && honest < 999, "{honest}");
    }
}
