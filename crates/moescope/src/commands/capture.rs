//! `moescope capture`: texts through a model, every router decision into a trace.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use moescope_core::LayerSelection;
use moescope_pipeline::{
    CaptureConfig, CaptureOutcome, CapturePlan, Columns, DataConfig, Estimate, OnBadRow,
    PromptConfig,
};
use moescope_trace::OverlongPolicy;
use serde::Serialize;

use crate::{
    cli::GlobalArgs,
    console::Console,
    devices,
    exit::Outcome,
    output::{self, bytes, count},
    shared_args::{InterventionArgs, ModelArgs, PromptArgs, SamplingArgs, check_fit},
};

/// Run texts through a model and keep every router decision
///
/// Formats by ending: .jsonl, .ndjson, .json, .csv, .tsv, .txt (one document a file), each also with .zst.
/// All data is read and tokenised first; every record that cannot be used is listed at once.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  moescope capture demo --data law.jsonl physics.jsonl --out my-trace
  moescope capture demo --data papers.csv --text-column abstract --discipline-column field --out my-trace --dry-run
  moescope capture demo --data papers.csv --text-column abstract --out my-trace --resume
  moescope capture my-model --data questions.jsonl --chat --system \"Answer briefly.\" --out my-trace --generate 64")]
pub(crate) struct CaptureArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// The files with the texts
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    data: Vec<PathBuf>,
    /// The trace's folder: a new one, or one to --resume
    #[arg(long, value_name = "TRACE")]
    out: PathBuf,
    /// Continue an interrupted capture (or start it, if nothing is there)
    #[arg(long)]
    resume: bool,
    /// Say what it would cost, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON object about what was done
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    columns: ColumnArgs,
    #[command(flatten)]
    texts: TextArgs,
    #[command(flatten)]
    recording: RecordingArgs,
    /// Generate up to this many tokens after each text
    #[arg(long, default_value_t = 0, value_name = "N", help_heading = "Sampling")]
    generate: usize,
    #[command(flatten)]
    sampling: SamplingArgs,
    #[command(flatten)]
    interventions: InterventionArgs,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Prompt")]
struct TextArgs {
    #[command(flatten)]
    prompt: PromptArgs,
    /// Wrap texts of the disciplines smiles and protein in SciDFM's marks; for models with a smiles.model
    #[arg(long)]
    science_units: bool,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Data")]
struct ColumnArgs {
    /// The column of the text [default: text]
    #[arg(long, value_name = "NAME")]
    text_column: Option<String>,
    /// The column of the discipline [default: discipline, if there is one]
    #[arg(long, value_name = "NAME")]
    discipline_column: Option<String>,
    /// The column of the unique id [default: id; records without one are called by file and line]
    #[arg(long, value_name = "NAME")]
    id_column: Option<String>,
    /// The column of the parent document, the unit of resampling [default: group, if there is one]
    #[arg(long, value_name = "NAME")]
    group_column: Option<String>,
    /// The column of the kind of text [default: genre, if there is one]
    #[arg(long, value_name = "NAME")]
    genre_column: Option<String>,
    /// Further columns to keep as labels
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    keep_columns: Vec<String>,
    /// At most this many texts of each discipline, the first ones
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// What to do with records that cannot be used
    #[arg(long, value_enum, default_value_t, value_name = "POLICY")]
    on_bad_row: OnBadRowArg,
    /// Longest text in tokens [default: the model's context, less what is generated]
    #[arg(long, value_name = "N")]
    max_tokens: Option<usize>,
    /// What to do with longer ones
    #[arg(long, value_enum, default_value_t, value_name = "POLICY")]
    overlong: OverlongArg,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Recording")]
struct RecordingArgs {
    /// Keep router logits; they are most of a trace's bytes
    #[arg(long)]
    logits: bool,
    /// Keep all bits of numbers instead of 11
    #[arg(long)]
    full_precision: bool,
    /// Record only these layers, like 0,5-8
    #[arg(long, default_value = "all", value_name = "LAYERS")]
    layers: LayerSelection,
    /// Leave surprisal and predictions out, which saves the head's computation
    #[arg(long)]
    no_surprisal: bool,
    /// Tokens that go through the model together [default: 2048 on the CPU, 512 on a GPU]
    ///
    /// Whole texts are taken together up to this many tokens, and up to four times as many with what is generated after
    /// them. Results do not depend on it.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    batch_tokens: Option<u32>,
    /// Cut a file of the trace after the batch that gives it this many decisions [default: 2000000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    shard_decisions: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum OnBadRowArg {
    /// List them all and stop.
    #[default]
    Error,
    /// Leave them out and say so.
    Skip,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum OverlongArg {
    /// List them all and stop.
    #[default]
    Error,
    /// Drop their end.
    Truncate,
    /// Take them in pieces ID#0, ID#1, … of one group.
    Chunk,
    /// Leave them out.
    Skip,
}

/// What `--json` prints after a capture.
#[derive(Serialize)]
struct Report<'a> {
    trace: &'a PathBuf,
    samples: u64,
    tokens: u64,
    decisions: u64,
    bytes: u64,
    resumed_samples: u32,
    tokens_run: u64,
    elapsed_secs: f64,
    skipped_records: u64,
}

pub(crate) fn run(
    args: &CaptureArgs,
    global: &GlobalArgs,
    console: &Console,
) -> anyhow::Result<Outcome> {
    let config = config(args)?;
    let (files, choice) = args.model.open(global, console)?;
    let device = devices::open(choice, console)?;
    let plan = CapturePlan::new(config, &files, device.kind, console)?;
    if !plan.skipped.is_empty() {
        console.warning(&format!(
            "{} records were left out:{}",
            count(plan.skipped.total()),
            plan.skipped
        ));
    }
    for note in plan.prompt_notes() {
        console.note(note);
    }
    if !plan.touched().is_empty() {
        console.note(&format!(
            "{} texts are longer than the limit and were {}; their ids are in the manifest",
            count(plan.touched().len() as u64),
            match args.columns.overlong {
                // The plan would not have come about.
                OverlongArg::Error => "refused",
                OverlongArg::Truncate => "truncated",
                OverlongArg::Chunk => "cut into pieces",
                OverlongArg::Skip => "left out",
            }
        ));
    }
    console.note(&format!(
        "{} samples, {} tokens",
        count(plan.samples().len() as u64),
        count(plan.num_tokens())
    ));
    let options = args.model.options();
    check_fit(
        &files.checkpoint,
        &device,
        options,
        &plan.pass_size(),
        console,
    )?;
    let loaded = files.load(device, options, console)?;
    if args.dry_run {
        let estimate = plan.estimate(&loaded, console)?;
        console.finish();
        show_estimate(&estimate, args.json)?;
        return Ok(Outcome::Success);
    }
    let outcome = plan.run(&loaded, console)?;
    console.finish();
    show_outcome(&outcome, plan.skipped.total(), args)?;
    Ok(Outcome::Success)
}

fn config(args: &CaptureArgs) -> anyhow::Result<CaptureConfig> {
    let (columns, recording) = (&args.columns, &args.recording);
    Ok(CaptureConfig {
        data: DataConfig {
            files: args.data.clone(),
            columns: Columns {
                text: columns.text_column.clone(),
                discipline: columns.discipline_column.clone(),
                id: columns.id_column.clone(),
                group: columns.group_column.clone(),
                genre: columns.genre_column.clone(),
            },
            keep_columns: columns.keep_columns.clone(),
            limit: columns.limit.map(|limit| limit as usize),
            on_bad_row: match columns.on_bad_row {
                OnBadRowArg::Error => OnBadRow::Error,
                OnBadRowArg::Skip => OnBadRow::Skip,
            },
        },
        prompt: PromptConfig {
            wraps_science_units: args.texts.science_units,
            ..args.texts.prompt.config()?
        },
        out: args.out.clone(),
        max_tokens: columns.max_tokens,
        overlong: match columns.overlong {
            OverlongArg::Error => OverlongPolicy::Error,
            OverlongArg::Truncate => OverlongPolicy::Truncate,
            OverlongArg::Chunk => OverlongPolicy::Chunk,
            OverlongArg::Skip => OverlongPolicy::Skip,
        },
        generate: args.generate,
        sampling: args.sampling.config()?,
        keeps_logits: recording.logits,
        is_full_precision: recording.full_precision,
        records_surprisal: !recording.no_surprisal,
        layers: recording.layers.clone(),
        interventions: args.interventions.interventions()?,
        batch_tokens: recording.batch_tokens.map(|tokens| tokens as usize),
        shard_decisions: recording.shard_decisions,
        resumes: args.resume,
    })
}

fn show_estimate(estimate: &Estimate, is_json: bool) -> anyhow::Result<()> {
    if is_json {
        return output::json(estimate);
    }
    output::pairs(&[
        ("samples", count(estimate.samples)),
        ("tokens", count(estimate.tokens)),
        (
            "to generate",
            format!("at most {}", count(estimate.generated_tokens)),
        ),
        ("decisions", count(estimate.decisions)),
        ("batches", count(estimate.batches)),
        ("trace", format!("about {}", bytes(estimate.trace_bytes))),
        (
            "time",
            format!(
                "about {:.1} s (a small prefill ran at {:.0} tokens/s)",
                estimate.secs, estimate.prefill_tokens_per_sec
            ),
        ),
    ])?;
    Ok(())
}

fn show_outcome(
    outcome: &CaptureOutcome,
    skipped_records: u64,
    args: &CaptureArgs,
) -> anyhow::Result<()> {
    let counts = &outcome.manifest.counts;
    let size: u64 = outcome
        .manifest
        .shards
        .iter()
        .flat_map(|shard| shard.tables.values())
        .map(|file| file.bytes)
        .sum();
    if args.json {
        return output::json(&Report {
            trace: &outcome.path,
            samples: counts.samples,
            tokens: counts.tokens,
            decisions: counts.decisions,
            bytes: size,
            resumed_samples: outcome.resumed_samples,
            tokens_run: outcome.tokens,
            elapsed_secs: outcome.elapsed_secs,
            skipped_records,
        });
    }
    let already = match outcome.resumed_samples {
        0 => String::new(),
        samples => format!(" ({} were there)", count(u64::from(samples))),
    };
    #[expect(
        clippy::cast_precision_loss,
        reason = "a rate is shown with a few digits"
    )]
    let rate = outcome.tokens as f64 / outcome.elapsed_secs.max(1e-9);
    output::pairs(&[
        ("trace", outcome.path.display().to_string()),
        ("samples", format!("{}{already}", count(counts.samples))),
        ("tokens", count(counts.tokens)),
        ("decisions", count(counts.decisions)),
        ("size", bytes(size)),
        (
            "time",
            format!("{:.1} s, {rate:.0} tokens/s", outcome.elapsed_secs),
        ),
    ])?;
    Ok(())
}
