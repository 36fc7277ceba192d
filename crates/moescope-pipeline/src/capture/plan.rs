//! Everything that can be known before the first forward pass.

use std::{fs, ops::Range, path::Path};

use moescope_core::{LayerId, Progress, Sample};
use moescope_engine::{Interventions, RunConfig, Tokenizer};
use moescope_trace::{Input, Overlong, OverlongPolicy, TraceError, WriterConfig};

use super::{
    CaptureConfig, batches, layers,
    overlong::{self, Frame},
};
use crate::{
    data::{self, SourcedSample},
    error::PipelineError,
    model::ModelFiles,
    problems::Problems,
};

/// Tokens that go through the model together, where the user does not say.
const CPU_BATCH_TOKENS: usize = 2048;
const GPU_BATCH_TOKENS: usize = 512;

/// A sample with its tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedSample {
    /// The sample; its text is what the tokens are of, cut where the document was.
    pub sample: Sample,
    /// Its tokens.
    pub tokens: Vec<PlannedToken>,
}

/// A token of a text, in 16 bytes: a corpus has millions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlannedToken {
    /// Entry of the vocabulary.
    pub id: u32,
    start: u32,
    end: u32,
    /// Whether it is a special token.
    pub is_special: bool,
}

impl PlannedToken {
    /// A token at bytes `start..end` of its text, or nowhere in it.
    #[must_use]
    pub fn new(id: u32, bytes: Option<(u32, u32)>, is_special: bool) -> Self {
        let (start, end) = bytes.unwrap_or((u32::MAX, u32::MAX));
        Self {
            id,
            start,
            end,
            is_special,
        }
    }

    /// Its place in the text; `None` for tokens that the tokenizer added.
    #[must_use]
    pub fn bytes(&self) -> Option<Range<u32>> {
        (self.start != u32::MAX).then_some(self.start..self.end)
    }

    /// Whether the tokenizer added it.
    pub(super) fn is_added(&self) -> bool {
        self.is_special && self.start == u32::MAX
    }

    /// The same token, its place counted from the start of a piece of the text.
    pub(super) fn moved(mut self, piece: &Range<u32>) -> Self {
        if self.start != u32::MAX {
            self.start -= piece.start;
            self.end -= piece.start;
        }
        self
    }
}

/// A capture that is ready to run.
#[derive(Debug)]
pub struct CapturePlan {
    pub(super) config: CaptureConfig,
    pub(super) samples: Vec<PlannedSample>,
    pub(super) batches: Vec<Range<usize>>,
    pub(super) inputs: Vec<Input>,
    pub(super) overlong: Overlong,
    /// The layers to record, where not all of them are.
    pub(super) layers: Option<Vec<LayerId>>,
    pub(super) interventions: Interventions,
    pub(super) run: RunConfig,
    pub(super) writer: WriterConfig,
    pub(super) batch_tokens: usize,
    pub(super) bos_policy: String,
    /// Records that were left out because they cannot be used.
    pub skipped: Problems,
}

impl CapturePlan {
    /// Reads and tokenises all data and checks every setting. No weight is needed for it.
    ///
    /// `device_kind` is `cpu` or `gpu`; the usual batch depends on it.
    ///
    /// # Errors
    /// With every record that cannot be used, too long or not of this model's vocabulary; when settings contradict the
    /// model; when the trace's folder holds something and `resumes` is not set.
    pub fn new(
        config: CaptureConfig,
        files: &ModelFiles,
        device_kind: &str,
        progress: &dyn Progress,
    ) -> Result<Self, PipelineError> {
        check_out(&config.out, config.resumes)?;
        let spec = files.checkpoint.model_spec();
        let layers = layers::choose(&config.layers, &spec)?;
        let interventions = Interventions::new(config.interventions.clone(), &spec)?;
        let max_tokens = max_tokens(&config, files.checkpoint.config().max_positions)?;
        let texts = data::read(&config.data, progress)?;
        let mut planner = Planner {
            tokenizer: &files.tokenizer,
            vocab_size: files.checkpoint.config().vocab_size,
            policy: config.overlong,
            max_tokens,
            samples: Vec::with_capacity(texts.samples.len()),
            problems: Problems::default(),
            touched: Vec::new(),
        };
        let total = texts.samples.len() as u64;
        for (done, text) in texts.samples.into_iter().enumerate() {
            if done % 64 == 0 {
                progress.report(done as u64, total, "tokenising")?;
            }
            planner.add(text);
        }
        let (samples, touched) = planner.finish()?;
        let batch_tokens = config.batch_tokens.unwrap_or(match device_kind {
            "cpu" => CPU_BATCH_TOKENS,
            _ => GPU_BATCH_TOKENS,
        });
        let lengths: Vec<usize> = samples
            .iter()
            .map(|sample| sample.tokens.len() + config.generate)
            .collect();
        let usual = WriterConfig::default();
        Ok(Self {
            batches: batches::plan(&lengths, batch_tokens),
            inputs: texts.inputs,
            overlong: Overlong {
                policy: config.overlong,
                max_tokens: max_tokens as u64,
                touched,
            },
            layers,
            interventions,
            run: RunConfig {
                records_routing: true,
                records_surprisal: config.records_surprisal,
                max_new_tokens: config.generate,
                sampling: config.sampling.clone(),
                stop_tokens: files.checkpoint.config().eos_token_ids.clone(),
            },
            writer: WriterConfig {
                shard_decisions: config.shard_decisions.unwrap_or(usual.shard_decisions),
                keep_text: true,
                keep_logits: config.keeps_logits,
                full_precision: config.is_full_precision,
            },
            batch_tokens,
            bos_policy: bos_policy(&samples, &files.tokenizer),
            skipped: texts.skipped,
            samples,
            config,
        })
    }

    /// The samples in the order of the trace.
    #[must_use]
    pub fn samples(&self) -> &[PlannedSample] {
        &self.samples
    }

    /// Tokens of all texts.
    #[must_use]
    pub fn num_tokens(&self) -> u64 {
        self.samples.iter().map(|sample| sample.tokens.len() as u64).sum()
    }

    /// Ids of the documents that the overlong policy touched.
    #[must_use]
    pub fn touched(&self) -> &[String] {
        &self.overlong.touched
    }
}

/// Refuses a folder in use before anything slow happens.
fn check_out(out: &Path, resumes: bool) -> Result<(), PipelineError> {
    let is_occupied = match fs::read_dir(out) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
        Err(error) => return Err(PipelineError::io("use the trace's folder", out, error)),
    };
    if is_occupied && !resumes {
        return Err(TraceError::NotEmpty {
            path: out.to_owned(),
        }
        .into());
    }
    Ok(())
}

fn max_tokens(config: &CaptureConfig, context: usize) -> Result<usize, PipelineError> {
    let room = context.checked_sub(config.generate).filter(|room| *room > 0).ok_or_else(|| {
        PipelineError::Settings(format!(
            "cannot generate {} tokens: the model's context has {context}",
            config.generate
        ))
    })?;
    match config.max_tokens {
        None => Ok(room),
        Some(0) => Err(PipelineError::Settings("--max-tokens must be at least 1".to_owned())),
        Some(asked) if asked > room => Err(PipelineError::Settings(format!(
            "--max-tokens {asked} is more than the model can take: its context has {context} tokens, of which {} are to \
             be generated",
            config.generate
        ))),
        Some(asked) => Ok(asked),
    }
}

/// Turns texts into samples with tokens, and notes what cannot be used.
struct Planner<'t> {
    tokenizer: &'t Tokenizer,
    vocab_size: usize,
    policy: OverlongPolicy,
    max_tokens: usize,
    samples: Vec<PlannedSample>,
    problems: Problems,
    touched: Vec<String>,
}

impl Planner<'_> {
    fn add(&mut self, text: SourcedSample) {
        let SourcedSample { sample, at } = text;
        match self.plan(sample) {
            Ok(()) => {}
            Err(what) => self.problems.push(at, what),
        }
    }

    fn plan(&mut self, mut sample: Sample) -> Result<(), String> {
        let tokens = self.tokens(&sample.text)?;
        let frame = Frame::of(&tokens);
        let content = frame.content(&tokens);
        if content.is_empty() {
            return Err("the tokenizer makes no token of the text".to_owned());
        }
        if tokens.len() <= self.max_tokens {
            self.samples.push(PlannedSample { sample, tokens });
            return Ok(());
        }
        let room = frame.room(self.max_tokens);
        if room == 0 && self.policy != OverlongPolicy::Skip {
            return Err(format!(
                "the limit of {} tokens leaves no room beside the special ones",
                self.max_tokens
            ));
        }
        match self.policy {
            OverlongPolicy::Error => {
                return Err(format!(
                    "'{}' has {} tokens, the limit is {}; see --overlong and --max-tokens",
                    sample.id.chars().take(80).collect::<String>(),
                    tokens.len(),
                    self.max_tokens
                ));
            }
            OverlongPolicy::Skip => self.touched.push(sample.id),
            OverlongPolicy::Truncate => {
                let piece = &content[..overlong::piece_len(content, room)];
                let bytes = overlong::covered(piece);
                let tokens = overlong::framed(&tokens, frame, piece, &bytes);
                self.touched.push(sample.id.clone());
                sample.text = slice(&sample.text, &bytes);
                self.samples.push(PlannedSample { sample, tokens });
            }
            OverlongPolicy::Chunk => self.chunk(&sample, &tokens, frame, room),
        }
        Ok(())
    }

    /// Pieces `id#0`, `id#1`, …, all of the parent's group.
    fn chunk(&mut self, parent: &Sample, tokens: &[PlannedToken], frame: Frame, room: usize) {
        self.touched.push(parent.id.clone());
        let mut rest = frame.content(tokens);
        let mut number = 0;
        while !rest.is_empty() {
            let (piece, others) = rest.split_at(overlong::piece_len(rest, room));
            let bytes = overlong::covered(piece);
            let sample = Sample {
                id: format!("{}#{number}", parent.id),
                group: Some(parent.group_or_id().to_owned()),
                text: slice(&parent.text, &bytes),
                ..parent.clone()
            };
            let tokens = overlong::framed(tokens, frame, piece, &bytes);
            self.samples.push(PlannedSample { sample, tokens });
            rest = others;
            number += 1;
        }
    }

    fn tokens(&self, text: &str) -> Result<Vec<PlannedToken>, String> {
        let tokens = self.tokenizer.encode(text).map_err(|error| error.to_string())?;
        if let Some(token) = tokens.iter().find(|token| token.id as usize >= self.vocab_size) {
            return Err(format!(
                "its token {} ('{}') is outside the model's vocabulary of {}; is this the model's own tokenizer?",
                token.id, token.text, self.vocab_size
            ));
        }
        Ok(tokens
            .iter()
            .map(|token| {
                let is_special = token.is_special || self.tokenizer.is_special(token.id);
                PlannedToken::new(token.id, token.bytes, is_special)
            })
            .collect())
    }

    fn finish(mut self) -> Result<(Vec<PlannedSample>, Vec<String>), PipelineError> {
        if self.policy == OverlongPolicy::Chunk {
            self.check_piece_ids();
        }
        if !self.problems.is_empty() {
            return Err(PipelineError::Data {
                heading: format!(
                    "{} of {} texts cannot be captured:",
                    self.problems.total(),
                    self.samples.len() as u64 + self.problems.total()
                ),
                problems: self.problems,
            });
        }
        if self.samples.is_empty() {
            return Err(PipelineError::Settings(format!(
                "there is nothing to capture: all {} texts are longer than {} tokens and were to be skipped",
                self.touched.len(),
                self.max_tokens
            )));
        }
        if u32::try_from(self.samples.len()).is_err() {
            return Err(PipelineError::Settings(format!(
                "{} samples are more than a trace can number",
                self.samples.len()
            )));
        }
        Ok((self.samples, self.touched))
    }

    /// A document may already be called `a#0`.
    fn check_piece_ids(&mut self) {
        let mut seen = std::collections::HashSet::with_capacity(self.samples.len());
        for planned in &self.samples {
            if !seen.insert(planned.sample.id.as_str()) {
                self.problems.push(
                    planned.sample.id.clone(),
                    "a piece of an overlong document would have the same id as another document",
                );
            }
        }
    }
}

/// The text at some bytes; whole characters, should a tokenizer have cut inside one.
fn slice(text: &str, bytes: &Range<u32>) -> String {
    let (mut start, mut end) = (bytes.start as usize, (bytes.end as usize).min(text.len()));
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    while !text.is_char_boundary(end) {
        end += 1;
    }
    text[start..end].to_owned()
}

/// Which token the tokenizer puts first, as it was seen on the data.
fn bos_policy(samples: &[PlannedSample], tokenizer: &Tokenizer) -> String {
    let mut first = samples.iter().map(|sample| sample.tokens.first().filter(|t| t.is_added()).map(|t| t.id));
    let observed = first.next().flatten();
    match observed {
        Some(id) if first.all(|other| other == Some(id)) => {
            format!("tokenizer.json puts '{}' (id {id}) first", tokenizer.piece(id))
        }
        None if first.all(|other| other.is_none()) => "none: tokenizer.json puts no token first".to_owned(),
        _ => "mixed: tokenizer.json puts a token first in some texts".to_owned(),
    }
}
