//! Many sequences through a model at once: prefill together, decode together, every decision recorded.

mod growth;
mod record;

use std::mem;

use burn::tensor::Tensor;
use moescope_core::{DecisionBatch, Phase};

use crate::{
    decoder::{KvCache, MoeModel, Span},
    error::EngineError,
    interventions::Interventions,
    kernels::token_stats,
    recorder::{StepExtras, StepRecord, TraceRecorder},
    sampling::Sampler,
};
pub use growth::{Growth, GrowthConfig, most_likely};
use record::note_tokens;
pub use record::{RunConfig, SequenceRecord, SequenceToken};

#[derive(Clone, Debug)]
struct Sequence {
    record: SequenceRecord,
    sampler: Sampler,
    /// Whether it still grows, or waits for its turn.
    is_live: bool,
    /// Its part of the cache, from its prompt's pass until it ends.
    place: Option<usize>,
}

/// How many sequences of a run grow at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lanes {
    /// Sequences that grow at a time.
    pub count: usize,
    /// Most tokens of a pass in which further prompts begin; one alone may be longer.
    pub pass_tokens: usize,
}

/// Sequences that go through a model together.
///
/// ```text
/// let mut run = BatchRun::new(&model, &prompts, &numbers, config, interventions);
/// run.prefill()?;
/// while run.decode_step()? {}
/// let records = run.finish();
/// ```
#[derive(Clone, Debug)]
pub struct BatchRun<'m> {
    model: &'m MoeModel,
    config: RunConfig,
    cache: KvCache,
    recorder: Option<TraceRecorder>,
    interventions: Interventions,
    sequences: Vec<Sequence>,
    /// Logits after the last token of each sequence, until the next token is drawn.
    last_logits: Vec<Option<Vec<f32>>>,
    /// Parts of the cache that no sequence uses, the next one last.
    free: Vec<usize>,
    /// The first sequence that has not begun.
    next: usize,
    /// The first sequence whose record was not taken out.
    kept: usize,
    pass_tokens: usize,
    tokens_run: usize,
}

impl<'m> BatchRun<'m> {
    /// Prepares prompts that all begin in one pass; `numbers` are the sequences' numbers in the data set, from which
    /// their random streams come.
    ///
    /// # Panics
    /// When there are not as many numbers as prompts.
    #[must_use]
    pub fn new(
        model: &'m MoeModel,
        prompts: &[Vec<u32>],
        numbers: &[u64],
        config: RunConfig,
        interventions: Interventions,
    ) -> Self {
        // What is empty takes no place.
        let capacities: Vec<usize> = prompts
            .iter()
            .filter(|prompt| !prompt.is_empty())
            .map(|prompt| prompt.len() + config.max_new_tokens)
            .collect();
        let cache = KvCache::new(model, &capacities);
        let places = capacities.len();
        let all = Self::with_cache(model, prompts, numbers, config, interventions, cache);
        Self {
            free: (0..places).rev().collect(),
            pass_tokens: usize::MAX,
            ..all
        }
    }

    /// Prepares prompts of which some grow at a time: where a sequence ends, the next one begins in its place.
    ///
    /// Which tokens share a pass follows from the prompts, the settings and what is generated, so it is the same in
    /// every run.
    ///
    /// # Panics
    /// When there are not as many numbers as prompts, no lane, or nothing is generated.
    #[must_use]
    pub fn in_lanes(
        model: &'m MoeModel,
        prompts: &[Vec<u32>],
        numbers: &[u64],
        config: RunConfig,
        interventions: Interventions,
        lanes: Lanes,
    ) -> Self {
        assert!(lanes.count > 0 && config.max_new_tokens > 0, "lanes grow");
        let longest = prompts.iter().map(Vec::len).max().unwrap_or(0);
        let count = lanes.count.min(prompts.len());
        let cache = KvCache::new(model, &vec![longest + config.max_new_tokens; count]);
        let all = Self::with_cache(model, prompts, numbers, config, interventions, cache);
        Self {
            free: (0..count).rev().collect(),
            pass_tokens: lanes.pass_tokens,
            ..all
        }
    }

    fn with_cache(
        model: &'m MoeModel,
        prompts: &[Vec<u32>],
        numbers: &[u64],
        config: RunConfig,
        interventions: Interventions,
        cache: KvCache,
    ) -> Self {
        assert_eq!(prompts.len(), numbers.len(), "one number per prompt");
        let spec = model.spec();
        let sequences = prompts
            .iter()
            .zip(numbers)
            .map(|(prompt, number)| Sequence {
                record: SequenceRecord {
                    tokens: prompt
                        .iter()
                        .map(|id| SequenceToken {
                            id: *id,
                            phase: None,
                            surprisal: None,
                            predicted_id: None,
                        })
                        .collect(),
                    num_prompt_tokens: prompt.len(),
                    decisions: DecisionBatch::new(
                        usize::from(spec.num_experts),
                        usize::from(spec.top_k),
                    ),
                },
                sampler: Sampler::new(&config.sampling, *number),
                is_live: config.max_new_tokens > 0 && !prompt.is_empty(),
                place: None,
            })
            .collect();
        Self {
            model,
            cache,
            recorder: config.records_routing.then(TraceRecorder::new),
            interventions,
            sequences,
            last_logits: vec![None; prompts.len()],
            free: Vec::new(),
            next: 0,
            kept: 0,
            pass_tokens: usize::MAX,
            tokens_run: 0,
            config,
        }
    }

    /// Runs the prompts in one pass, or as many of them as there are lanes.
    ///
    /// # Errors
    /// When a token is unknown, the device fails, or a router's logits are not finite.
    pub fn prefill(&mut self) -> Result<(), EngineError> {
        let prompts = self.begin(0);
        self.step(&prompts)
    }

    /// The prompts of the sequences that begin in a pass which has `tokens` tokens already.
    fn begin(&mut self, mut tokens: usize) -> Vec<NewTokens> {
        let mut begun = Vec::new();
        while let Some(sequence) = self.sequences.get_mut(self.next) {
            let ids: Vec<u32> = sequence.record.tokens.iter().map(|t| t.id).collect();
            if ids.is_empty() {
                self.next += 1;
                continue;
            }
            let fits = tokens == 0 || tokens.saturating_add(ids.len()) <= self.pass_tokens;
            let Some(place) = self.free.pop_if(|_| fits) else {
                break;
            };
            self.cache.clear(place);
            sequence.place = Some(place);
            tokens += ids.len();
            begun.push(NewTokens {
                sequence: self.next,
                ids,
                phase: Phase::Prefill,
            });
            self.next += 1;
        }
        begun
    }

    /// Draws one token for every growing sequence and feeds it back, together with the prompts of those that begin in
    /// the places of the ended. Returns the drawn tokens by sequence number; none when all sequences have ended.
    ///
    /// # Errors
    /// As [`Self::prefill`].
    ///
    /// # Panics
    /// When it is called before [`Self::prefill`].
    pub fn decode_step(&mut self) -> Result<Vec<(usize, u32)>, EngineError> {
        let (mut drawn, mut fed, mut ended) = (Vec::new(), Vec::new(), Vec::new());
        for (number, sequence) in self
            .sequences
            .iter_mut()
            .enumerate()
            .filter(|(_, s)| s.is_live && s.place.is_some())
        {
            let logits = self.last_logits[number]
                .take()
                .expect("a live sequence has logits after its last token");
            let id = sequence.sampler.sample(&logits);
            let surprisal = || token_stats(&logits, Some(id)).0;
            sequence.record.tokens.push(SequenceToken {
                id,
                phase: None,
                surprisal: self.config.records_surprisal.then(surprisal),
                predicted_id: None,
            });
            drawn.push((number, id));
            let generated = sequence.record.tokens.len() - sequence.record.num_prompt_tokens;
            if generated >= self.config.max_new_tokens || self.config.stop_tokens.contains(&id) {
                sequence.is_live = false;
                ended.push(number);
            }
            if sequence.is_live || self.config.routes_last {
                fed.push(NewTokens {
                    sequence: number,
                    ids: vec![id],
                    phase: Phase::Decode,
                });
            }
        }
        // A last token that is routed still needs its sequence's part of the cache in this pass.
        if !self.config.routes_last {
            self.free_places(&ended);
        }
        let begun = self.begin(fed.len());
        fed.extend(begun);
        if !fed.is_empty() {
            self.step(&fed)?;
        }
        self.free_places(&ended);
        Ok(drawn)
    }

    /// Gives the parts of the cache back that ended sequences had.
    fn free_places(&mut self, ended: &[usize]) {
        for number in ended {
            self.free.extend(self.sequences[*number].place.take());
        }
    }

    /// Ends a sequence, after a stop text for example: no token is drawn after its last one.
    pub fn stop(&mut self, sequence: usize) {
        self.sequences[sequence].is_live = false;
        self.free.extend(self.sequences[sequence].place.take());
        self.last_logits[sequence] = None;
    }

    /// Logits after a live sequence's last token, `[vocab]`; `None` once it has ended.
    #[must_use]
    pub fn last_logits(&self, sequence: usize) -> Option<&[f32]> {
        self.last_logits[sequence].as_deref()
    }

    /// Tokens that went through the model.
    #[must_use]
    pub fn tokens_run(&self) -> usize {
        self.tokens_run
    }

    /// Whether any sequence still grows or has not begun.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.sequences.iter().any(|sequence| sequence.is_live)
    }

    /// Takes out what was recorded of the next sequences that have ended, in their order: one that still grows holds back
    /// those after it. Ask only between passes.
    #[must_use]
    pub fn take_ended(&mut self) -> Vec<SequenceRecord> {
        let spec = self.model.spec();
        let (experts, top_k) = (usize::from(spec.num_experts), usize::from(spec.top_k));
        let begun = &mut self.sequences[self.kept..self.next];
        let ended = begun.iter_mut().take_while(|sequence| !sequence.is_live);
        let taken: Vec<SequenceRecord> = ended
            .map(|sequence| {
                let nothing = SequenceRecord {
                    tokens: Vec::new(),
                    num_prompt_tokens: 0,
                    decisions: DecisionBatch::new(experts, top_k),
                };
                mem::replace(&mut sequence.record, nothing)
            })
            .collect();
        self.kept += taken.len();
        taken
    }

    /// What was recorded, sequence by sequence, of those that were not [taken out](Self::take_ended).
    #[must_use]
    pub fn finish(self) -> Vec<SequenceRecord> {
        self.sequences
            .into_iter()
            .skip(self.kept)
            .map(|sequence| sequence.record)
            .collect()
    }

    /// One forward pass of new tokens, one read-back.
    fn step(&mut self, new: &[NewTokens]) -> Result<(), EngineError> {
        let places: Vec<usize> = new
            .iter()
            .map(|new| {
                let place = self.sequences[new.sequence].place;
                place.expect("a sequence of a pass has its part of the cache")
            })
            .collect();
        let spans: Vec<Span<'_>> = new
            .iter()
            .zip(&places)
            .map(|(new, place)| Span {
                sequence: *place,
                tokens: &new.ids,
            })
            .collect();
        let starts: Vec<usize> = places.iter().map(|place| self.cache.len(*place)).collect();
        self.tokens_run += new.iter().map(|new| new.ids.len()).sum::<usize>();
        let hidden = match &mut self.recorder {
            Some(recorder) => {
                let mut probe = (&mut self.interventions, recorder);
                self.model.forward(&spans, &mut self.cache, &mut probe)?
            }
            None => self
                .model
                .forward(&spans, &mut self.cache, &mut self.interventions)?,
        };
        let extras = self.extras(&hidden, new);
        let recorded = self
            .recorder
            .as_mut()
            .map(TraceRecorder::end_step)
            .unwrap_or_default();
        let record = recorded.read(extras)?;
        let told = self
            .config
            .records_surprisal
            .then(|| self.told(&record, new));
        let mut first = 0;
        let mut live = 0;
        for (new, start) in new.iter().zip(starts) {
            let (number, len) = (new.sequence, new.ids.len());
            let sequence = &mut self.sequences[number];
            let told = told.as_deref().map(|told| &told[first..first + len]);
            note_tokens(&mut sequence.record, start, len, new.phase, told);
            if self.config.records_routing {
                let position = u32::try_from(start).expect("positions fit 32 bits");
                record.push_decisions(
                    first..first + len,
                    position,
                    number,
                    self.model,
                    &mut sequence.record.decisions,
                )?;
            }
            if sequence.is_live {
                let vocab = self.model.config().vocab_size;
                let logits = record
                    .logits
                    .as_ref()
                    .expect("live sequences asked for logits");
                self.last_logits[number] = Some(logits[live * vocab..(live + 1) * vocab].to_vec());
                live += 1;
            }
            first += len;
        }
        Ok(())
    }

    /// Surprisal where it is wanted, and logits after each live sequence's last token.
    ///
    /// Those logits tell what is predicted there as well, so no row goes through the head twice.
    fn extras(&self, hidden: &Tensor<2>, new: &[NewTokens]) -> StepExtras {
        let (mut told, mut next, mut last) = (Vec::new(), Vec::new(), Vec::new());
        let mut start = 0;
        for new in new {
            let len = new.ids.len();
            let is_live = self.sequences[new.sequence].is_live;
            let own = len - usize::from(is_live);
            if self.config.records_surprisal && own > 0 {
                told.push(hidden.clone().narrow(0, start, own));
                next.extend((1..=own).map(|place| new.ids.get(place).copied()));
            }
            if is_live {
                last.push(hidden.clone().narrow(0, start + len - 1, 1));
            }
            start += len;
        }
        let token_stats = (!told.is_empty()).then(|| {
            let told = self.model.before_head(&Tensor::cat(told, 0));
            let kernels = self.model.kernels();
            kernels.token_stats(&told, self.model.head(), &next)
        });
        let logits = (!last.is_empty()).then(|| self.model.logits(&Tensor::cat(last, 0)));
        StepExtras {
            token_stats,
            logits,
        }
    }

    /// Surprisal of what follows each of a pass's tokens, NaN where nothing does, and the arg max.
    fn told(&self, record: &StepRecord, new: &[NewTokens]) -> Vec<(f32, u32)> {
        let vocab = self.model.config().vocab_size;
        let mut read = record.token_stats.iter().copied();
        let mut logits = record.logits.iter().flat_map(|all| all.chunks_exact(vocab));
        let mut told = Vec::new();
        for new in new {
            let is_live = self.sequences[new.sequence].is_live;
            told.extend(read.by_ref().take(new.ids.len() - usize::from(is_live)));
            let last = logits.by_ref().take(usize::from(is_live));
            told.extend(last.map(|logits| token_stats(logits, None)));
        }
        told
    }
}

/// What one sequence adds to a pass.
#[derive(Debug)]
struct NewTokens {
    sequence: usize,
    ids: Vec<u32>,
    phase: Phase,
}
