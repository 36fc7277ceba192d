//! One prompt continued, token by token, with its routing kept where it is wanted.

pub(crate) mod text_stream;

use std::{path::PathBuf, time::Instant};

use moescope_core::{Progress, Sample};
use moescope_engine::{
    BatchRun, Intervention, Interventions, RunConfig, SamplingConfig, SequenceRecord,
};
use moescope_trace::{CaptureSummary, TraceWriter, WriterConfig};
use serde::Serialize;

use crate::{
    capture::{PlannedSample, PlannedToken, describe_model, sample_record},
    clock,
    error::PipelineError,
    model::{LoadedModel, ModelFiles, PassSize},
    prompt::{PromptConfig, Prompter, prompt_id},
};
use text_stream::TextStream;

/// What to generate, and how.
#[derive(Clone, Debug, Default)]
pub struct GenerateConfig {
    /// The text to continue, or the user's message.
    pub prompt: String,
    /// How it becomes what the model reads.
    pub framing: PromptConfig,
    /// Most tokens to generate.
    pub max_new_tokens: usize,
    /// How they are drawn.
    pub sampling: SamplingConfig,
    /// Texts that end the generation; they are not part of its text.
    pub stop: Vec<String>,
    /// Changes to routing.
    pub interventions: Vec<Intervention>,
    /// Where to keep the routing as a trace of one sample.
    pub trace: Option<PathBuf>,
    /// Whether floats of the trace keep all their bits.
    pub is_full_precision: bool,
    /// Whether the trace keeps router logits.
    pub keeps_logits: bool,
}

/// Why a generation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// The model said so.
    EndToken,
    /// A stop text came.
    StopText,
    /// Enough tokens.
    Length,
    /// It was asked to stop.
    Cancelled,
}

/// What was generated.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Generation {
    /// The text after the prompt.
    pub text: String,
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Tokens after it.
    pub generated_tokens: usize,
    /// Why it ended.
    pub finish_reason: FinishReason,
    /// Seconds until the prompt was read.
    pub prefill_secs: f64,
    /// Seconds of all tokens after it.
    pub decode_secs: f64,
    /// The trace's folder, where one was asked for.
    pub trace: Option<PathBuf>,
    /// What the user should know of how the prompt was made; nothing in the usual case.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// Continues a prompt; `on_text` sees the text as it comes and may end it by returning `false`.
///
/// A cancel ends the generation in good order: what was generated is returned, and its trace is complete.
///
/// # Errors
/// When the prompt is empty or too long, when an intervention does not fit, when the trace cannot be written, or when
/// the model fails.
///
/// # Panics
/// Never: one prompt gives one record.
pub fn generate(
    loaded: &LoadedModel,
    config: &GenerateConfig,
    on_text: &mut dyn FnMut(&str) -> bool,
    progress: &dyn Progress,
) -> Result<Generation, PipelineError> {
    let prompter = Prompter::open(&loaded.files, &config.framing)?;
    let planned = plan(&loaded.files, config, &prompter)?;
    let prompt_description = prompter.describe()?;
    let spec = loaded.model.spec();
    let interventions = Interventions::new(config.interventions.clone(), spec)?;
    let run_config = RunConfig {
        records_routing: config.trace.is_some(),
        records_surprisal: config.trace.is_some(),
        max_new_tokens: config.max_new_tokens,
        sampling: config.sampling.clone(),
        stop_tokens: prompter.stop_tokens(&loaded.model.config().eos_token_ids),
        // One text costs one step more, and its trace says of every token where it went, as that of a session does.
        routes_last: config.trace.is_some(),
    };
    let stop_tokens = run_config.stop_tokens.clone();
    let writer = config
        .trace
        .as_ref()
        .map(|path| {
            let mut manifest = describe_model(loaded, &run_config, &interventions.specs());
            if let Some(decoding) = &mut manifest.decoding {
                decoding.stop.clone_from(&config.stop);
            }
            manifest
                .chat_template
                .clone_from(&prompt_description.chat_template);
            manifest.bos_policy = Some(prompt_description.bos_policy.clone());
            manifest
                .settings
                .extend(prompt_description.settings.clone());
            let writer = WriterConfig {
                keep_logits: config.keeps_logits,
                full_precision: config.is_full_precision,
                ..WriterConfig::default()
            };
            TraceWriter::create(path, manifest, writer)
        })
        .transpose()?;
    let prompt: Vec<u32> = planned.tokens.iter().map(|token| token.id).collect();
    let started = Instant::now();
    let mut run = BatchRun::new(&loaded.model, &[prompt], &[0], run_config, interventions);
    run.prefill()?;
    let prefill_secs = started.elapsed().as_secs_f64();
    let started = Instant::now();
    let (text, finish_reason) = decode(loaded, config, &stop_tokens, &mut run, on_text, progress)?;
    let decode_secs = started.elapsed().as_secs_f64();
    let record = run.finish().pop().expect("one prompt, one record");
    let generated_tokens = record.tokens.len() - record.num_prompt_tokens;
    if let Some(writer) = writer {
        keep(
            loaded,
            config,
            writer,
            &planned,
            record,
            prefill_secs + decode_secs,
        )?;
    }
    Ok(Generation {
        text,
        prompt_tokens: planned.tokens.len(),
        generated_tokens,
        finish_reason,
        prefill_secs,
        decode_secs,
        trace: config.trace.clone(),
        notes: prompt_description.notes,
    })
}

/// How large a generation's passes are, before any weight is loaded.
///
/// # Errors
/// When the prompt is empty or does not fit the model's context.
pub fn pass_size(files: &ModelFiles, config: &GenerateConfig) -> Result<PassSize, PipelineError> {
    let prompter = Prompter::open(files, &config.framing)?;
    let tokens = plan(files, config, &prompter)?.tokens.len();
    Ok(PassSize {
        tokens: tokens as u64,
        cached_tokens: (tokens + config.max_new_tokens) as u64,
        sequences: 1,
        records_routing: config.trace.is_some(),
    })
}

fn plan(
    files: &ModelFiles,
    config: &GenerateConfig,
    prompter: &Prompter<'_>,
) -> Result<PlannedSample, PipelineError> {
    let tokens: Vec<PlannedToken> = prompter.tokens(&config.prompt, None)?;
    if tokens.is_empty() {
        return Err(PipelineError::Settings(
            "the prompt is empty, and this model's tokenizer puts no token first; give some text with --prompt".to_owned(),
        ));
    }
    let context = files.checkpoint.config().max_positions;
    if tokens.len().saturating_add(config.max_new_tokens) > context {
        return Err(PipelineError::Settings(format!(
            "the prompt's {} tokens and {} to generate do not fit the model's context of {context}; shorten the prompt or \
             lower --max-tokens",
            tokens.len(),
            config.max_new_tokens
        )));
    }
    Ok(PlannedSample {
        sample: Sample {
            id: prompt_id(&config.prompt),
            text: config.prompt.clone(),
            ..Sample::default()
        },
        tokens,
    })
}

fn decode(
    loaded: &LoadedModel,
    config: &GenerateConfig,
    stop_tokens: &[u32],
    run: &mut BatchRun<'_>,
    on_text: &mut dyn FnMut(&str) -> bool,
    progress: &dyn Progress,
) -> Result<(String, FinishReason), PipelineError> {
    let mut stream = TextStream::new(&config.stop);
    let mut emit = |text: String| text.is_empty() || on_text(&text);
    let mut done = 0;
    let mut reason = FinishReason::Length;
    while run.is_live() {
        if progress
            .report(done, config.max_new_tokens as u64, "generating")
            .is_err()
        {
            run.stop(0);
            reason = FinishReason::Cancelled;
            break;
        }
        let drawn = run.decode_step()?;
        let Some((_, id)) = drawn.first().copied() else {
            break;
        };
        done += 1;
        let is_end = stop_tokens.contains(&id);
        let new = stream.push(&loaded.files.tokenizer, id)?;
        let is_wanted = emit(new);
        if stream.is_stopped() {
            run.stop(0);
            reason = FinishReason::StopText;
        } else if !is_wanted {
            run.stop(0);
            reason = FinishReason::Cancelled;
        } else if is_end {
            reason = FinishReason::EndToken;
        }
    }
    emit(stream.finish(&loaded.files.tokenizer)?);
    Ok((stream.into_text(), reason))
}

fn keep(
    loaded: &LoadedModel,
    config: &GenerateConfig,
    mut writer: TraceWriter,
    planned: &PlannedSample,
    record: SequenceRecord,
    elapsed_secs: f64,
) -> Result<(), PipelineError> {
    let tokens = record
        .tokens
        .iter()
        .filter(|token| token.phase.is_some())
        .count() as u64;
    let seed = (config.max_new_tokens > 0).then_some(config.sampling.seed);
    writer.append(sample_record(
        0,
        planned,
        record,
        None,
        seed,
        &loaded.files.tokenizer,
    ))?;
    writer.end_batch()?;
    writer.finish(CaptureSummary {
        elapsed_secs,
        tokens,
        finished_at: Some(clock::now()),
    })?;
    Ok(())
}
