//! One sequence that grows token by token and can be cut, forked and given other words.

use moescope_core::Phase;

use super::{BatchRun, NewTokens, RunConfig, SequenceRecord};
use crate::{
    decoder::MoeModel,
    error::EngineError,
    interventions::Interventions,
    kernels::token_stats,
    run::SequenceToken,
    sampling::{Sampler, SamplingConfig},
};

/// Room in the cache for so many tokens more, whenever it is full.
const LEAST_ROOM: usize = 256;

/// How a sequence grows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GrowthConfig {
    /// How tokens are drawn.
    pub sampling: SamplingConfig,
    /// Whether router logits are kept: `num_experts` floats a decision.
    pub keeps_logits: bool,
}

/// One sequence that grows token by token, with every router decision recorded.
///
/// Each token is routed as soon as it is drawn or given, so its decisions and what would follow it are there at once.
/// A clone is a fork: it shares the past, keys and values included, and grows by itself.
///
/// What is drawn depends on the seed, the tokens and the interventions alone. On the CPU with weights as stored, a
/// sequence that was cut, forked or put together from pieces is the same bit for bit as one that was never touched.
///
/// ```no_run
/// # use moescope_engine::{EngineError, Growth, GrowthConfig, Interventions, MoeModel};
/// # fn fork(model: &MoeModel) -> Result<(), EngineError> {
/// let mut growth = Growth::new(model, &[12, 7, 99], GrowthConfig::default(), Interventions::default())?;
/// growth.draw()?;
/// let mut other = growth.clone();
/// other.set_interventions(Interventions::new(vec!["mask:0:3".parse()?], model.spec())?);
/// println!("as it was {}, without expert 3 {}", growth.draw()?, other.draw()?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Growth<'m> {
    run: BatchRun<'m>,
    keeps_logits: bool,
    /// Where the sampler's stream stood before each token.
    places: Vec<u128>,
    /// The interventions that each stretch of tokens was computed under, with its first token.
    stretches: Vec<(usize, Interventions)>,
    /// How tokens were drawn, with the first token that was drawn so.
    samplings: Vec<(usize, SamplingConfig)>,
    capacity: usize,
}

impl<'m> Growth<'m> {
    /// Runs a prompt.
    ///
    /// # Errors
    /// When the prompt is empty or longer than the model's context, a token is unknown, the device fails, or a router's
    /// logits are not finite.
    pub fn new(
        model: &'m MoeModel,
        prompt: &[u32],
        config: GrowthConfig,
        interventions: Interventions,
    ) -> Result<Self, EngineError> {
        let run_config = RunConfig {
            sampling: config.sampling,
            // The run's own bound does not matter: it never draws by itself.
            max_new_tokens: 1,
            ..RunConfig::default()
        };
        let mut run = BatchRun::new(model, &[Vec::new()], &[0], run_config, interventions);
        run.cache = crate::decoder::KvCache::new(model, &[0]);
        run.sequences[0].place = Some(0);
        run.sequences[0].is_live = true;
        let mut growth = Self {
            run,
            keeps_logits: config.keeps_logits,
            places: Vec::new(),
            stretches: Vec::new(),
            samplings: Vec::new(),
            capacity: 0,
        };
        growth.feed(prompt, Phase::Prefill)?;
        growth.run.sequences[0].record.num_prompt_tokens = prompt.len();
        Ok(growth)
    }

    /// What was recorded so far; router logits only where they are kept.
    #[must_use]
    pub fn record(&self) -> &SequenceRecord {
        &self.run.sequences[0].record
    }

    /// Number of tokens.
    #[must_use]
    pub fn len(&self) -> usize {
        self.record().tokens.len()
    }

    /// Never: a sequence has a prompt.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Tokens that the model's context has room for.
    #[must_use]
    pub fn room(&self) -> usize {
        let context = self.run.model.config().max_positions;
        context.saturating_sub(self.len())
    }

    /// Logits of the token to come, `[vocab]`; `None` only after a [`Self::cut`] that failed.
    #[must_use]
    pub fn next_logits(&self) -> Option<&[f32]> {
        self.run.last_logits[0].as_deref()
    }

    /// How tokens are drawn.
    #[must_use]
    pub fn sampling(&self) -> &SamplingConfig {
        self.run.sequences[0].sampler.config()
    }

    /// What is done to the routing of the tokens to come.
    #[must_use]
    pub fn interventions(&self) -> &Interventions {
        &self.run.interventions
    }

    /// The interventions so far, with the first token of each stretch that was computed under the same ones.
    #[must_use]
    pub fn stretches(&self) -> &[(usize, Interventions)] {
        &self.stretches
    }

    /// How the drawn tokens were drawn, with the first token of each stretch that was drawn the same way; empty before the
    /// first draw.
    #[must_use]
    pub fn samplings(&self) -> &[(usize, SamplingConfig)] {
        &self.samplings
    }

    /// Draws the next token and routes it.
    ///
    /// # Errors
    /// When the context is full, the device fails, or a router's logits are not finite.
    pub fn draw(&mut self) -> Result<u32, EngineError> {
        self.check_room(1)?;
        let place = self.run.sequences[0].sampler.place();
        let Some(logits) = self.run.last_logits[0].take() else {
            return Err(EngineError::Execution(
                "the last token could not be computed, so nothing can follow it".to_owned(),
            ));
        };
        let id = self.run.sequences[0].sampler.sample(&logits);
        self.run.last_logits[0] = Some(logits);
        let routed = self.feed(&[id], Phase::Decode);
        if routed.is_err() {
            // As if it had not been drawn.
            self.run.sequences[0].sampler.rewind(place);
        } else if let Some(last) = self.places.last_mut() {
            *last = place;
            let now = self.sampling().clone();
            if self.samplings.last().is_none_or(|(_, last)| *last != now) {
                self.samplings.push((self.len() - 1, now));
            }
        }
        routed.map(|()| id)
    }

    /// Keeps the first `tokens` tokens; the sampler stands where it stood then and draws as the last of them was drawn, and
    /// the interventions that they were computed under are in force again.
    ///
    /// The last token that stays goes through the model once more: what follows it was not kept.
    ///
    /// # Errors
    /// When no token or a token that does not exist is to stay, or as [`Self::draw`].
    pub fn cut(&mut self, tokens: usize) -> Result<(), EngineError> {
        if tokens == 0 || tokens > self.len() {
            return Err(EngineError::Execution(format!(
                "cannot keep {tokens} of {} tokens",
                self.len()
            )));
        }
        if tokens == self.len() {
            return Ok(());
        }
        let place = self.places[tokens];
        let (before, last) = (self.places[tokens - 1], self.record().tokens[tokens - 1]);
        self.forget(tokens - 1);
        self.stretches.retain(|(first, _)| *first < tokens);
        if let Some((_, interventions)) = self.stretches.last() {
            self.run.interventions = interventions.clone();
        }
        self.samplings.retain(|(first, _)| *first < tokens);
        if let Some((_, sampling)) = self.samplings.last().cloned() {
            self.set_sampling(&sampling);
        }
        self.feed(&[last.id], last.phase.unwrap_or(Phase::Decode))?;
        // Its surprisal follows from logits that are no longer there, and has not changed.
        let sequence = &mut self.run.sequences[0];
        sequence.record.tokens[tokens - 1].surprisal = last.surprisal;
        sequence.sampler.rewind(place);
        self.places[tokens - 1] = before;
        let prompt = &mut sequence.record.num_prompt_tokens;
        *prompt = (*prompt).min(tokens);
        Ok(())
    }

    /// Makes the first `keep` tokens and `ids` the prompt, as if all of it had been given from the start: computed under
    /// the interventions in force, and drawn on from the beginning of the seed's stream.
    ///
    /// # Errors
    /// When nothing would be left, and as [`Self::new`].
    ///
    /// # Panics
    /// When there are fewer than `keep` tokens.
    pub fn rewrite(&mut self, keep: usize, ids: &[u32]) -> Result<(), EngineError> {
        let now = &self.run.interventions;
        let same = |(_, under): &(usize, Interventions)| under == now;
        let is_kept = keep > 0 && self.stretches.iter().filter(|(at, _)| *at < keep).all(same);
        if is_kept {
            let (interventions, sampling) = (now.clone(), self.sampling().clone());
            self.cut(keep)?;
            self.run.interventions = interventions;
            self.set_sampling(&sampling);
            self.feed(ids, Phase::Prefill)?;
            self.as_prompt();
            return Ok(());
        }
        let kept = self.record().tokens[..keep].iter().map(|token| token.id);
        let prompt: Vec<u32> = kept.chain(ids.iter().copied()).collect();
        *self = Self::new(
            self.run.model,
            &prompt,
            GrowthConfig {
                sampling: self.sampling().clone(),
                keeps_logits: self.keeps_logits,
            },
            self.run.interventions.clone(),
        )?;
        Ok(())
    }

    /// Changes how tokens are drawn from here on; a new seed is read from the same place of its stream.
    pub fn set_sampling(&mut self, sampling: &SamplingConfig) {
        let sampler = &mut self.run.sequences[0].sampler;
        let place = sampler.place();
        *sampler = Sampler::new(sampling, 0);
        sampler.rewind(place);
    }

    /// Changes what is done to the routing of all tokens to come.
    ///
    /// The next token is still drawn from what the last one left; it is the first to be routed otherwise.
    pub fn set_interventions(&mut self, interventions: Interventions) {
        self.run.interventions = interventions;
    }

    /// Marks all tokens as given, and puts the sampler at the beginning of its stream.
    fn as_prompt(&mut self) {
        let sequence = &mut self.run.sequences[0];
        for token in &mut sequence.record.tokens {
            token.phase = Some(Phase::Prefill);
        }
        sequence.record.num_prompt_tokens = sequence.record.tokens.len();
        sequence.sampler.rewind(0);
        self.places.fill(0);
        self.samplings.clear();
    }

    fn check_room(&self, tokens: usize) -> Result<(), EngineError> {
        if tokens > self.room() {
            return Err(EngineError::Execution(format!(
                "{} tokens and {tokens} more do not fit the model's context of {}",
                self.len(),
                self.run.model.config().max_positions
            )));
        }
        Ok(())
    }

    /// Runs further tokens; when that fails, the sequence is as it was before.
    fn feed(&mut self, ids: &[u32], phase: Phase) -> Result<(), EngineError> {
        if ids.is_empty() {
            return if self.is_empty() {
                Err(EngineError::Execution("the prompt has no token".to_owned()))
            } else {
                Ok(())
            };
        }
        self.check_room(ids.len())?;
        let vocab_size = self.run.model.config().vocab_size;
        if let Some(id) = ids.iter().find(|id| **id as usize >= vocab_size) {
            return Err(EngineError::TokenOutOfRange {
                id: *id,
                vocab_size,
            });
        }
        let start = self.len();
        let end = start + ids.len();
        if end > self.capacity {
            let context = self.run.model.config().max_positions;
            self.capacity = (2 * self.capacity).max(end + LEAST_ROOM).min(context);
            self.run.cache.grow_last(self.capacity);
        }
        let before = self.run.last_logits[0].clone();
        let surprisal = before.as_deref().map(|z| token_stats(z, Some(ids[0])).0);
        let sequence = &mut self.run.sequences[0];
        sequence
            .record
            .tokens
            .extend(ids.iter().map(|id| SequenceToken {
                id: *id,
                phase: None,
                surprisal: None,
                predicted_id: None,
            }));
        sequence.record.tokens[start].surprisal = surprisal;
        if !self.keeps_logits {
            sequence.record.decisions.router_logits = Some(Vec::new());
        }
        let new = NewTokens {
            sequence: 0,
            ids: ids.to_vec(),
            phase,
        };
        let stepped = self.run.step(&[new]);
        let sequence = &mut self.run.sequences[0];
        if !self.keeps_logits {
            sequence.record.decisions.router_logits = None;
        }
        if let Err(error) = stepped {
            self.forget(start);
            self.run.last_logits[0] = before;
            return Err(error);
        }
        let place = sequence.sampler.place();
        self.places.resize(end, place);
        let is_new = self
            .stretches
            .last()
            .is_none_or(|(_, under)| *under != self.run.interventions);
        if is_new {
            self.stretches.push((start, self.run.interventions.clone()));
        }
        Ok(())
    }

    /// Drops all after the first `tokens` tokens.
    fn forget(&mut self, tokens: usize) {
        let layers = self.run.model.spec().moe_layers.len();
        let record = &mut self.run.sequences[0].record;
        record.tokens.truncate(tokens);
        record.decisions.truncate(tokens * layers);
        self.places.truncate(tokens);
        self.run.cache.truncate(0, tokens);
        self.run.last_logits[0] = None;
        // A failed pass leaves tensors that nobody will read.
        if let Some(recorder) = &mut self.run.recorder {
            drop(recorder.end_step());
        }
    }
}

/// The most likely of some logits, `[vocab]`: ids and probabilities, best first, the lowest id first of equal ones.
///
/// # Panics
/// When there are more logits than 32 bits count.
#[must_use]
pub fn most_likely(logits: &[f32], count: usize) -> Vec<(u32, f32)> {
    let count = count.min(logits.len());
    if count == 0 {
        return Vec::new();
    }
    let mut order: Vec<usize> = (0..logits.len()).collect();
    let by_logit = |a: &usize, b: &usize| logits[*b].total_cmp(&logits[*a]).then(a.cmp(b));
    order.select_nth_unstable_by(count - 1, by_logit);
    order.truncate(count);
    order.sort_unstable_by(by_logit);
    let most = f64::from(logits[order[0]]);
    let total: f64 = logits.iter().map(|z| (f64::from(*z) - most).exp()).sum();
    order
        .into_iter()
        .map(|id| {
            #[expect(clippy::cast_possible_truncation, reason = "a probability for display")]
            let probability = ((f64::from(logits[id]) - most).exp() / total) as f32;
            let id = u32::try_from(id).expect("a vocabulary fits 32 bits");
            (id, probability)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_likely_are_in_order_with_their_probabilities() {
        // softmax(2, 1, 2, 0): e² = 7.389 twice, 2.718, 1; total 18.497.
        let found = most_likely(&[2.0, 1.0, 2.0, 0.0], 3);
        let ids: Vec<u32> = found.iter().map(|(id, _)| *id).collect();
        assert_eq!(ids, [0, 2, 1]);
        for ((_, p), want) in found.iter().zip([0.399_48, 0.399_48, 0.146_96]) {
            assert!((p - want).abs() < 1e-4, "{found:?}");
        }
        assert!(most_likely(&[], 3).is_empty());
        assert_eq!(most_likely(&[1.0], 3), [(0, 1.0)]);
    }
}
