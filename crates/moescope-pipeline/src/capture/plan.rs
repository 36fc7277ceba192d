//! Everything that can be known before the first forward pass.

use std::{fs, ops::Range, path::Path};

use moescope_core::{LayerId, Progress};
use moescope_engine::{Interventions, Lanes, RunConfig};
use moescope_trace::{Input, Overlong, TraceError, WriterConfig};

use super::{CaptureConfig, batches, layers, planned::PlannedSample, planner::Planner};
use crate::{
    Problems, data,
    error::PipelineError,
    model::{ModelFiles, PassSize},
    prompt::{PromptDescription, Prompter},
};

/// Tokens that go through the model together, where the user does not say.
const CPU_BATCH_TOKENS: usize = 2048;
const GPU_BATCH_TOKENS: usize = 512;

/// Tokens that go through the model together on a device, `cpu` or `gpu`, where the user does not say.
pub(crate) fn usual_batch_tokens(device_kind: &str) -> usize {
    match device_kind {
        "cpu" => CPU_BATCH_TOKENS,
        _ => GPU_BATCH_TOKENS,
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
    pub(super) prompt: PromptDescription,
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
        let prompter = Prompter::open(files, &config.prompt)?;
        let texts = data::read(&config.data, progress)?;
        let mut planner = Planner {
            prompter: &prompter,
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
        let batch_tokens = config
            .batch_tokens
            .unwrap_or_else(|| usual_batch_tokens(device_kind));
        let prompts: Vec<usize> = samples.iter().map(|sample| sample.tokens.len()).collect();
        let usual = WriterConfig::default();
        Ok(Self {
            batches: batches::plan(&prompts, config.generate, batch_tokens),
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
                stop_tokens: prompter.stop_tokens(&files.checkpoint.config().eos_token_ids),
                routes_last: false,
            },
            writer: WriterConfig {
                shard_decisions: config.shard_decisions.unwrap_or(usual.shard_decisions),
                keep_text: true,
                keep_logits: config.keeps_logits,
                full_precision: config.is_full_precision,
            },
            batch_tokens,
            prompt: prompter.describe()?,
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

    /// The samples that go through the model together, batch by batch.
    pub(crate) fn batches(&self) -> &[Range<usize>] {
        &self.batches
    }

    /// How many samples of a batch are generated at a time; `None` where nothing is generated.
    pub(super) fn lanes(&self, batch: &Range<usize>) -> Option<Lanes> {
        let prompts = self.samples[batch.clone()].iter().map(|s| s.tokens.len());
        let generate = self.config.generate;
        (generate > 0)
            .then(|| batches::lanes(prompts.max().unwrap_or(0), generate, self.batch_tokens))
    }

    /// Token ids of a batch's samples.
    pub(crate) fn prompts(&self, batch: &Range<usize>) -> Vec<Vec<u32>> {
        self.samples[batch.clone()]
            .iter()
            .map(|sample| sample.tokens.iter().map(|token| token.id).collect())
            .collect()
    }

    /// Tokens of all texts.
    #[must_use]
    pub fn num_tokens(&self) -> u64 {
        self.samples
            .iter()
            .map(|sample| sample.tokens.len() as u64)
            .sum()
    }

    /// The largest pass, cache and number of samples of all batches, as memory sees them.
    #[must_use]
    pub fn pass_size(&self) -> PassSize {
        let mut largest = PassSize::prefill(0);
        for batch in &self.batches {
            let lengths = self.samples[batch.clone()].iter().map(|s| s.tokens.len());
            let (all, longest) = (lengths.clone().sum::<usize>(), lengths.max().unwrap_or(0));
            let (tokens, cached_tokens) = match self.lanes(batch) {
                None => (all, all),
                Some(lanes) => {
                    let count = lanes.count.min(batch.len());
                    largest.sequences = largest.sequences.max(count as u64);
                    // Prompts and the growing samples' tokens share a pass.
                    let tokens = all.min(self.batch_tokens).max(longest) + count;
                    (tokens, count * (longest + self.config.generate))
                }
            };
            largest.tokens = largest.tokens.max(tokens as u64);
            largest.cached_tokens = largest.cached_tokens.max(cached_tokens as u64);
        }
        largest
    }

    /// What the user should know of how texts become prompts; nothing in the usual case.
    #[must_use]
    pub fn prompt_notes(&self) -> &[String] {
        &self.prompt.notes
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
    let room = context
        .checked_sub(config.generate)
        .filter(|room| *room > 0)
        .ok_or_else(|| {
            PipelineError::Settings(format!(
                "cannot generate {} tokens: the model's context has {context}",
                config.generate
            ))
        })?;
    match config.max_tokens {
        None => Ok(room),
        Some(0) => Err(PipelineError::Settings(
            "--max-tokens must be at least 1".to_owned(),
        )),
        Some(asked) if asked > room => Err(PipelineError::Settings(format!(
            "--max-tokens {asked} is more than the model can take: its context has {context} tokens, of which {} are to \
             be generated",
            config.generate
        ))),
        Some(asked) => Ok(asked),
    }
}
