//! `moescope capture`: texts through a model, every router decision into a trace.

use std::path::PathBuf;

use clap::Args;
use moescope_core::LayerSelection;
use moescope_engine::LoadOptions;
use moescope_pipeline::{CaptureConfig, CaptureOutcome, CapturePlan, Estimate};
use serde::Serialize;

use crate::{
    cli::GlobalArgs,
    console::Console,
    data_args::{ColumnArgs, TextArgs},
    devices,
    exit::Outcome,
    output::{self, bytes, count},
    shared_args::{InterventionArgs, ModelArgs, SamplingArgs, check_fit},
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
    /// Draw the routers' weights at random with this seed, all else as trained: the baseline for what routers learned
    #[arg(long, value_name = "SEED", help_heading = "Baseline")]
    untrained_routers: Option<u64>,
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
    /// Whole texts are taken together up to this many tokens. With --generate, as many grow at a time as four times as
    /// many tokens hold, and where one ends, the next begins. Results do not depend on it.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    batch_tokens: Option<u32>,
    /// Cut a file of the trace where it has this many decisions, between documents [default: 2000000]
    ///
    /// Files are also cut ten seconds after the last cut, so that a process that is killed loses little; those are merged
    /// to this length again.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    shard_decisions: Option<u64>,
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
            args.columns.overlong_word()
        ));
    }
    console.note(&format!(
        "{} samples, {} tokens",
        count(plan.samples().len() as u64),
        count(plan.num_tokens())
    ));
    let options = LoadOptions {
        untrained_routers: args.untrained_routers,
        ..args.model.options()
    };
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
        if let Some(warning) = estimate.disk_warning() {
            console.warning(&warning);
        }
        show_estimate(&estimate, args.json)?;
        return Ok(Outcome::Success);
    }
    let outcome = plan.run(&loaded, console)?;
    console.finish();
    show_outcome(&outcome, plan.skipped.total(), args)?;
    Ok(Outcome::Success)
}

fn config(args: &CaptureArgs) -> anyhow::Result<CaptureConfig> {
    let recording = &args.recording;
    Ok(CaptureConfig {
        out: args.out.clone(),
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
        ..args.columns.config(&args.data, &args.texts)?
    })
}

fn show_estimate(estimate: &Estimate, is_json: bool) -> anyhow::Result<()> {
    if is_json {
        return output::json(estimate);
    }
    let free = estimate.free_disk_bytes;
    let free = free.map_or_else(String::new, |free| format!(", {} are free", bytes(free)));
    let memory = &estimate.memory;
    let mapped = match memory.mapped {
        0 => String::new(),
        mapped => format!(
            ", and {} of weights that stay in their files",
            bytes(mapped)
        ),
    };
    output::pairs(&[
        ("samples", count(estimate.samples)),
        ("tokens", count(estimate.tokens)),
        (
            "to generate",
            format!("at most {}", count(estimate.generated_tokens)),
        ),
        ("decisions", count(estimate.decisions)),
        ("batches", count(estimate.batches)),
        (
            "trace",
            format!("about {}{free}", bytes(estimate.trace_bytes)),
        ),
        (
            "memory",
            format!("about {}{mapped}", bytes(memory.allocated())),
        ),
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

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use moescope_app::{CaptureChoice, ColumnsChoice};
    use moescope_engine::{ComputeType, DeviceChoice, WeightType};
    use moescope_trace::OverlongPolicy;

    use super::*;
    use crate::{cli::Cli, commands::Command};

    /// The words of a line, as a POSIX shell takes it apart.
    fn words(line: &str) -> Vec<String> {
        let (mut words, mut word, mut is_quoted) = (Vec::new(), String::new(), false);
        let mut chars = line.chars();
        while let Some(c) = chars.next() {
            match c {
                '\'' => is_quoted = !is_quoted,
                '\\' if !is_quoted => word.extend(chars.next()),
                ' ' if !is_quoted => words.push(std::mem::take(&mut word)),
                _ => word.push(c),
            }
        }
        words.push(word);
        words
    }

    /// Both ways from what was chosen in the app to a capture: its own, and the line that it copies.
    fn check(choice: &CaptureChoice) {
        let line = choice.command_line(DeviceChoice::Auto).unwrap();
        let Cli { global, command } = Cli::try_parse_from(words(&line)).unwrap();
        let Some(Command::Capture(args)) = command else {
            panic!("no capture: {line}");
        };
        assert_eq!(
            format!("{:#?}", config(&args).unwrap()),
            format!("{:#?}", choice.config().unwrap()),
            "{line}"
        );
        let options = LoadOptions {
            untrained_routers: args.untrained_routers,
            ..args.model.options()
        };
        assert_eq!(options, choice.load_options(), "{line}");
        assert_eq!(
            devices::choice(&global).unwrap(),
            choice.device_choice(DeviceChoice::Auto).unwrap(),
            "{line}"
        );
        assert_eq!(args.model.source.model, choice.model, "{line}");
    }

    /// Every option that the app has, each unlike the usual.
    fn everything() -> CaptureChoice {
        CaptureChoice {
            model: "my model".into(),
            files: vec!["law's.jsonl".into(), "b c.csv".into()],
            text: String::new(),
            text_label: String::new(),
            columns: ColumnsChoice {
                text: "abstract".into(),
                discipline: "the field".into(),
                id: "doi".into(),
                group: "journal".into(),
                group_before: "#".into(),
                genre: "kind".into(),
                keep: "year, pages".into(),
                skips_bad_rows: true,
            },
            out: "my trace".into(),
            limit: 7,
            max_tokens: 90,
            overlong: OverlongPolicy::Chunk,
            generate: 12,
            temperature: 0.7,
            top_k: 40,
            top_p: 0.95,
            seed: 9,
            is_chat: true,
            system: "- Answer \"briefly\", and don't\ndigress.".into(),
            chat_date: "2024-07-26".into(),
            wraps_science_units: true,
            keeps_logits: true,
            is_full_precision: true,
            records_surprisal: false,
            layers: "0,2-4".into(),
            batch_tokens: 64,
            shard_decisions: 1000,
            interventions: vec!["mask:2:1".into(), "boost=-1.5:all:0,3".into()],
            untrained_routers: Some(4),
            weights: WeightType::Q8,
            compute: ComputeType::Bf16,
            device: "gpu:1".into(),
            resumes: true,
        }
    }

    #[test]
    fn the_line_that_the_app_copies_has_every_option_of_what_it_runs() {
        let all = everything();
        check(&all);
        check(&CaptureChoice {
            files: vec!["texts.jsonl".into()],
            out: "trace".into(),
            ..CaptureChoice::default()
        });
        // A text that was typed lies beside its trace; columns of files are none of its own.
        check(&CaptureChoice {
            files: Vec::new(),
            text: "The court held".into(),
            text_label: "law".into(),
            ..all.clone()
        });
        for overlong in [OverlongPolicy::Truncate, OverlongPolicy::Skip] {
            check(&CaptureChoice {
                overlong,
                weights: WeightType::Q4,
                generate: 0,
                ..all.clone()
            });
        }
    }
}
