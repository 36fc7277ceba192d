//! Many sequences through a model at once: prefill together, decode together, every decision recorded.

use moescope_core::{DecisionBatch, Phase};

use crate::{
    decoder::{KvCache, MoeModel, Span},
    error::EngineError,
    interventions::Interventions,
    recorder::{StepExtras, StepRecord, TraceRecorder},
    sampling::{Sampler, SamplingConfig},
};

/// What a run records and generates.
#[derive(Clone, Debug, PartialEq)]
pub struct RunConfig {
    /// Whether router decisions are recorded.
    pub records_routing: bool,
    /// Whether surprisal and arg max of every token are computed, which needs the head for every token.
    pub records_surprisal: bool,
    /// Most tokens to generate per sequence.
    pub max_new_tokens: usize,
    /// How tokens are drawn.
    pub sampling: SamplingConfig,
    /// Tokens that end a sequence.
    pub stop_tokens: Vec<u32>,
}

impl Default for RunConfig {
    fn default() -> Self {
        Self {
            records_routing: true,
            records_surprisal: true,
            max_new_tokens: 0,
            sampling: SamplingConfig::default(),
            stop_tokens: Vec::new(),
        }
    }
}

/// One token of a finished sequence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SequenceToken {
    /// Entry of the vocabulary.
    pub id: u32,
    /// The forward pass that routed it; `None` for a last sampled token that was never fed back.
    pub phase: Option<Phase>,
    /// Nats, of this token given those before it; `None` for the first, or where it was not recorded.
    pub surprisal: Option<f32>,
    /// The arg max after this token, where it was recorded.
    pub predicted_id: Option<u32>,
}

/// What a run knows of one sequence.
#[derive(Clone, Debug)]
pub struct SequenceRecord {
    /// Prompt and generated tokens.
    pub tokens: Vec<SequenceToken>,
    /// Tokens of the prompt.
    pub num_prompt_tokens: usize,
    /// Router decisions, by position and layer.
    pub decisions: DecisionBatch,
}

#[derive(Debug)]
struct Sequence {
    record: SequenceRecord,
    sampler: Sampler,
    is_live: bool,
}

/// Sequences that go through a model together.
///
/// ```text
/// let mut run = BatchRun::new(&model, &prompts, &numbers, config, interventions);
/// run.prefill()?;
/// while run.decode_step()? {}
/// let records = run.finish();
/// ```
#[derive(Debug)]
pub struct BatchRun<'m> {
    model: &'m MoeModel,
    config: RunConfig,
    cache: KvCache,
    recorder: Option<TraceRecorder>,
    interventions: Interventions,
    sequences: Vec<Sequence>,
    /// Logits after the last token of each sequence, until the next token is drawn.
    last_logits: Vec<Option<Vec<f32>>>,
}

impl<'m> BatchRun<'m> {
    /// Prepares prompts; `numbers` are the sequences' numbers in the data set, from which their random streams come.
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
        assert_eq!(prompts.len(), numbers.len(), "one number per prompt");
        let capacities: Vec<usize> = prompts
            .iter()
            .map(|prompt| prompt.len() + config.max_new_tokens)
            .collect();
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
            })
            .collect();
        Self {
            model,
            cache: KvCache::new(model, &capacities),
            recorder: config.records_routing.then(TraceRecorder::new),
            interventions,
            sequences,
            last_logits: vec![None; prompts.len()],
            config,
        }
    }

    /// Runs all prompts in one pass.
    ///
    /// # Errors
    /// When a token is unknown, the device fails, or a router's logits are not finite.
    pub fn prefill(&mut self) -> Result<(), EngineError> {
        let prompts: Vec<(usize, Vec<u32>)> = self
            .sequences
            .iter()
            .enumerate()
            .filter(|(_, sequence)| !sequence.record.tokens.is_empty())
            .map(|(number, sequence)| {
                (
                    number,
                    sequence
                        .record
                        .tokens
                        .iter()
                        .map(|token| token.id)
                        .collect(),
                )
            })
            .collect();
        self.step(&prompts, Phase::Prefill)
    }

    /// Draws one token for every live sequence and feeds it back. Returns the new tokens by sequence number; none when
    /// all sequences have ended.
    ///
    /// # Errors
    /// As [`Self::prefill`].
    ///
    /// # Panics
    /// When it is called before [`Self::prefill`].
    pub fn decode_step(&mut self) -> Result<Vec<(usize, u32)>, EngineError> {
        let mut drawn = Vec::new();
        let mut fed = Vec::new();
        for (number, sequence) in self
            .sequences
            .iter_mut()
            .enumerate()
            .filter(|(_, s)| s.is_live)
        {
            let logits = self.last_logits[number]
                .take()
                .expect("a live sequence has logits after its last token");
            let id = sequence.sampler.sample(&logits);
            let (surprisal, _) = crate::kernels::token_stats(&logits, Some(id));
            sequence.record.tokens.push(SequenceToken {
                id,
                phase: None,
                surprisal: Some(surprisal),
                predicted_id: None,
            });
            drawn.push((number, id));
            let generated = sequence.record.tokens.len() - sequence.record.num_prompt_tokens;
            if generated >= self.config.max_new_tokens || self.config.stop_tokens.contains(&id) {
                sequence.is_live = false;
            } else {
                fed.push((number, vec![id]));
            }
        }
        if !fed.is_empty() {
            self.step(&fed, Phase::Decode)?;
        }
        Ok(drawn)
    }

    /// Ends a sequence, after a stop text for example; its last token is not fed back.
    pub fn stop(&mut self, sequence: usize) {
        self.sequences[sequence].is_live = false;
        self.last_logits[sequence] = None;
    }

    /// Logits after a live sequence's last token, `[vocab]`; `None` once it has ended.
    #[must_use]
    pub fn last_logits(&self, sequence: usize) -> Option<&[f32]> {
        self.last_logits[sequence].as_deref()
    }

    /// Whether any sequence still grows.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.sequences.iter().any(|sequence| sequence.is_live)
    }

    /// What was recorded, sequence by sequence.
    #[must_use]
    pub fn finish(self) -> Vec<SequenceRecord> {
        self.sequences
            .into_iter()
            .map(|sequence| sequence.record)
            .collect()
    }

    /// One forward pass of new tokens, one read-back.
    fn step(&mut self, new: &[(usize, Vec<u32>)], phase: Phase) -> Result<(), EngineError> {
        let spans: Vec<Span<'_>> = new
            .iter()
            .map(|(sequence, tokens)| Span {
                sequence: *sequence,
                tokens,
            })
            .collect();
        let starts: Vec<usize> = new
            .iter()
            .map(|(sequence, _)| self.cache.len(*sequence))
            .collect();
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
        let mut first = 0;
        let mut live = 0;
        for ((number, tokens), start) in new.iter().zip(starts) {
            let sequence = &mut self.sequences[*number];
            note_tokens(
                &mut sequence.record,
                &record,
                first,
                start,
                tokens.len(),
                phase,
            );
            if self.config.records_routing {
                let position = u32::try_from(start).expect("positions fit 32 bits");
                record.push_decisions(
                    first..first + tokens.len(),
                    position,
                    *number,
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
                self.last_logits[*number] = Some(logits[live * vocab..(live + 1) * vocab].to_vec());
                live += 1;
            }
            first += tokens.len();
        }
        Ok(())
    }

    /// Surprisal of every token where it is wanted, and logits after each live sequence's last token.
    fn extras(&self, hidden: &burn::tensor::Tensor<2>, new: &[(usize, Vec<u32>)]) -> StepExtras {
        let token_stats = self.config.records_surprisal.then(|| {
            let next: Vec<Option<u32>> = new
                .iter()
                .flat_map(|(_, tokens)| {
                    tokens
                        .iter()
                        .skip(1)
                        .map(|id| Some(*id))
                        .chain(std::iter::once(None))
                })
                .collect();
            self.model.kernels().token_stats(
                &self.model.before_head(hidden),
                self.model.head(),
                &next,
            )
        });
        let mut end = 0;
        let last_rows: Vec<burn::tensor::Tensor<2>> = new
            .iter()
            .filter_map(|(number, tokens)| {
                end += tokens.len();
                self.sequences[*number]
                    .is_live
                    .then(|| hidden.clone().narrow(0, end - 1, 1))
            })
            .collect();
        let logits = (!last_rows.is_empty())
            .then(|| self.model.logits(&burn::tensor::Tensor::cat(last_rows, 0)));
        StepExtras {
            token_stats,
            logits,
        }
    }
}

/// Copies a step's token numbers into a sequence: the surprisal computed at a token belongs to the next one.
fn note_tokens(
    record: &mut SequenceRecord,
    step: &StepRecord,
    first: usize,
    start: usize,
    len: usize,
    phase: Phase,
) {
    for offset in 0..len {
        let token = &mut record.tokens[start + offset];
        token.phase = Some(phase);
        token.predicted_id = step.predicted.as_ref().map(|ids| ids[first + offset]);
        if let (Some(surprisal), Some(next)) =
            (&step.surprisal, record.tokens.get_mut(start + offset + 1))
        {
            let nats = surprisal[first + offset];
            if !nats.is_nan() {
                next.surprisal = Some(nats);
            }
        }
    }
}
