//! `moescope import`: other programs' routing as a trace.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use moescope_core::{Discipline, LayerSelection, Phase};
use moescope_pipeline::{Columns, DataConfig, ImportJob};
use moescope_trace::import::{Derived, FORMATS, ImportReport, ScoreKind};
use serde::Serialize;

use crate::{
    console::Console,
    exit::Outcome,
    output::{self, count},
};

/// Make a trace of what another program recorded
///
/// All that cannot be used is listed at once, and the trace appears only if there is no such thing.
/// What the source does not know stays NULL. docs/IMPORTS.md describes every format.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  moescope import --list
  moescope import --format transformers captures/ --model-spec config.json --samples labels.csv --out my-trace
  moescope import --format vllm replies.jsonl --model-spec config.json --discipline law --out my-trace
  moescope import --format esft expert_scores/intent expert_scores/law --out my-trace")]
pub(crate) struct ImportArgs {
    /// List the formats
    #[arg(long, conflicts_with_all = ["format", "paths", "out"])]
    list: bool,
    /// The format's name
    #[arg(long, value_name = "NAME", required_unless_present = "list")]
    format: Option<String>,
    /// Files or folders, in the order of the trace
    #[arg(value_name = "PATH", required_unless_present = "list")]
    paths: Vec<PathBuf>,
    /// The trace's folder, a new one
    #[arg(long, value_name = "TRACE", required_unless_present = "list")]
    out: Option<PathBuf>,
    /// The discipline of every document that has no other
    #[arg(long, value_name = "NAME", value_parser = Discipline::new)]
    discipline: Option<Discipline>,
    /// The model: its config.json or folder, a trace's manifest.json, or a description as in docs/IMPORTS.md
    #[arg(long, value_name = "FILE")]
    model_spec: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    labels: LabelArgs,
    #[command(flatten)]
    reading: ReadingArgs,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Labels")]
struct LabelArgs {
    /// Files with one record for each document: id, discipline, group, genre, text, … (.jsonl, .json, .csv, .tsv)
    #[arg(long, value_name = "FILE", num_args = 1)]
    samples: Vec<PathBuf>,
    /// The column of the document's id [default: id]
    #[arg(long, value_name = "NAME", requires = "samples")]
    id_column: Option<String>,
    /// The column of the discipline [default: discipline, if there is one]
    #[arg(long, value_name = "NAME", requires = "samples")]
    discipline_column: Option<String>,
    /// The column of the parent document, the unit of resampling [default: group, if there is one]
    #[arg(long, value_name = "NAME", requires = "samples")]
    group_column: Option<String>,
    /// The column of the kind of text [default: genre, if there is one]
    #[arg(long, value_name = "NAME", requires = "samples")]
    genre_column: Option<String>,
    /// The column of the text [default: text, if there is one]
    #[arg(long, value_name = "NAME", requires = "samples")]
    text_column: Option<String>,
    /// Further columns to keep as labels
    #[arg(long, value_name = "A,B", value_delimiter = ',', requires = "samples")]
    keep_columns: Vec<String>,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Reading and recording")]
struct ReadingArgs {
    /// What the router logits are; transformers 5.0.0 gave probabilities for some families
    #[arg(long, value_enum, default_value_t, value_name = "KIND")]
    scores: ScoresArg,
    /// The phase of all tokens, where a file does not tell which were generated
    #[arg(long, value_enum, value_name = "PHASE")]
    phase: Option<PhaseArg>,
    /// Which table of a file of counts, like `olmoe/expert_counts`
    #[arg(long, value_name = "NAME")]
    table: Option<String>,
    /// The layers that a file of counts is of, like 0,7,15
    #[arg(long, default_value = "all", value_name = "LAYERS")]
    layers: LayerSelection,
    /// Keep router logits, where the source has them; they are most of a trace's bytes
    #[arg(long)]
    logits: bool,
    /// Keep all bits of numbers instead of 11
    #[arg(long)]
    full_precision: bool,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum ScoresArg {
    /// Before the softmax or sigmoid.
    #[default]
    Logits,
    /// After the softmax.
    Probabilities,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum PhaseArg {
    /// Given text.
    Prefill,
    /// Generated text.
    Decode,
}

/// A format as `--list --json` prints it.
#[derive(Serialize)]
struct Listed {
    name: &'static str,
    summary: &'static str,
    paths: &'static str,
    needs_model_spec: bool,
    unknown: &'static str,
}

/// What `--json` prints after an import.
#[derive(Serialize)]
struct Report<'a> {
    trace: &'a PathBuf,
    format: &'a str,
    samples: u64,
    tokens: u64,
    decisions: u64,
    profiles_only: bool,
    tokens_without_routing: u64,
    derived: &'a [Derived],
    unknown_columns: &'a [String],
    unused_labels: u64,
}

pub(crate) fn run(args: &ImportArgs, console: &Console) -> anyhow::Result<Outcome> {
    let (Some(format), Some(out)) = (&args.format, &args.out) else {
        list(args.json)?;
        return Ok(Outcome::Success);
    };
    let report = job(args, format, out).run(console)?;
    console.finish();
    if report.unused_labels > 0 {
        console.warning(&format!(
            "{} labels are of documents that the source does not hold",
            count(report.unused_labels)
        ));
    }
    show(&report, out, args.json)?;
    Ok(Outcome::Success)
}

fn job(args: &ImportArgs, format: &str, out: &std::path::Path) -> ImportJob {
    let (labels, reading) = (&args.labels, &args.reading);
    ImportJob {
        format: format.to_owned(),
        paths: args.paths.clone(),
        out: out.to_owned(),
        model_spec: args.model_spec.clone(),
        discipline: args.discipline.clone(),
        labels: (!labels.samples.is_empty()).then(|| DataConfig {
            files: labels.samples.clone(),
            columns: Columns {
                text: labels.text_column.clone(),
                discipline: labels.discipline_column.clone(),
                id: labels.id_column.clone(),
                group: labels.group_column.clone(),
                group_before: None,
                genre: labels.genre_column.clone(),
            },
            keep_columns: labels.keep_columns.clone(),
            ..DataConfig::default()
        }),
        scores: match reading.scores {
            ScoresArg::Logits => ScoreKind::Logits,
            ScoresArg::Probabilities => ScoreKind::Probabilities,
        },
        phase: reading.phase.map(|phase| match phase {
            PhaseArg::Prefill => Phase::Prefill,
            PhaseArg::Decode => Phase::Decode,
        }),
        table: reading.table.clone(),
        layers: reading.layers.clone(),
        keeps_logits: reading.logits,
        is_full_precision: reading.full_precision,
    }
}

fn list(is_json: bool) -> anyhow::Result<()> {
    for format in FORMATS {
        if is_json {
            output::json(&Listed {
                name: format.name,
                summary: format.summary,
                paths: format.paths,
                needs_model_spec: format.needs_model,
                unknown: format.unknown,
            })?;
            continue;
        }
        let model = if format.needs_model {
            "needs --model-spec"
        } else {
            "--model-spec may be left out"
        };
        output::line(&format!(
            "{}\n  {}\n  reads    {}\n  model    {model}\n  unknown  {}",
            format.name, format.summary, format.paths, format.unknown
        ))?;
    }
    Ok(())
}

fn show(report: &ImportReport, out: &PathBuf, is_json: bool) -> anyhow::Result<()> {
    let manifest = &report.manifest;
    let counts = &manifest.counts;
    let import = manifest.import().unwrap_or_default();
    if is_json {
        return output::json(&Report {
            trace: out,
            format: &import.format,
            samples: counts.samples,
            tokens: counts.tokens,
            decisions: counts.decisions,
            profiles_only: manifest.profiles_only,
            tokens_without_routing: import.tokens_without_routing,
            derived: &import.derived,
            unknown_columns: &manifest.unknown_columns,
            unused_labels: report.unused_labels,
        });
    }
    let mut rows = vec![
        ("trace", out.display().to_string()),
        ("samples", count(counts.samples)),
        ("tokens", count(counts.tokens)),
        ("decisions", count(counts.decisions)),
    ];
    if import.tokens_without_routing > 0 {
        rows.push(("without routing", count(import.tokens_without_routing)));
    }
    rows.extend(
        import
            .derived
            .iter()
            .map(|derived| ("derived", format!("{}: {}", derived.column, derived.from))),
    );
    rows.push(("unknown", manifest.unknown_columns.join(", ")));
    output::pairs(&rows)?;
    Ok(())
}
