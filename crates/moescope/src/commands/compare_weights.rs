//! `moescope compare-weights`: what the type of weights or arithmetic does to routing.

mod report;

use std::{collections::BTreeMap, path::PathBuf};

use clap::Args;
use moescope_core::{Measurement, Progress as _};
use moescope_figures::Format;
use moescope_pipeline::{
    CaptureConfig, CapturePlan, CompareWeightsConfig, WeightComparison, WeightVariant,
    check_memory_of_pair, compare_weights,
};
use serde::Serialize;

use crate::{
    cli::GlobalArgs,
    console::Console,
    data_args::{ColumnArgs, TextArgs},
    devices,
    exit::Outcome,
    output,
    run_head::RunHead,
    shared_args::{ComputeArg, SourceArgs},
    table_file::TableFile,
    text_statistics::TextStatisticsArgs,
};

/// Measure what 8-bit and 4-bit weights, or bf16 arithmetic, do to routing and predictions
///
/// The model with its weights as stored and each variant read the same texts; every router decision and every
/// next-token distribution of the default scope is compared. Definitions: `docs/COMPARE_WEIGHTS.md`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  moescope compare-weights demo --data law.jsonl physics.jsonl
  moescope compare-weights my-model --data texts.jsonl --against q4,q4+bf16-compute --limit 50
  moescope compare-weights my-model --data texts.jsonl --out numbers.csv --figure changed.pdf")]
pub(crate) struct CompareWeightsArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// The files with the texts
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    data: Vec<PathBuf>,
    /// What to compare with the weights as stored: q8, q4, bf16-compute, f32-compute, stored, or one of each kind
    /// joined by + [default: q8,q4,bf16-compute; on a GPU q8,q4]
    #[arg(long, value_name = "VARIANTS", value_delimiter = ',')]
    against: Vec<String>,
    /// Arithmetic of the reference, and of every variant that names none
    #[arg(long, value_enum, default_value_t, value_name = "TYPE")]
    compute: ComputeArg,
    /// Print one JSON object with every table
    #[arg(long)]
    json: bool,
    /// Write every table in long form; the ending chooses the format (.json is one object a line)
    #[arg(long, value_name = "FILE.csv|parquet|json")]
    out: Option<PathBuf>,
    /// Draw the changed selections by layer here, and by margin into a file beside it (-by-margin)
    #[arg(long, value_name = "FILE.svg|pdf|png")]
    figure: Option<PathBuf>,
    #[command(flatten)]
    columns: ColumnArgs,
    #[command(flatten)]
    texts: TextArgs,
    /// Tokens that go through the model together [default: 2048 on the CPU, 512 on a GPU]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Data")]
    batch_tokens: Option<u32>,
    #[command(flatten)]
    statistics: TextStatisticsArgs,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    run: RunHead<'a>,
    reference: Loaded<'a>,
    variants: Vec<Loaded<'a>>,
    samples: u64,
    tokens: u64,
    elapsed_secs: f64,
    figures: &'a [PathBuf],
    measurements: &'a [Measurement],
}

/// A load of the model.
#[derive(Serialize)]
struct Loaded<'a> {
    name: &'a str,
    weights: &'static str,
    compute: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    weight_types: Option<&'a BTreeMap<String, String>>,
}

pub(crate) fn run(
    args: &CompareWeightsArgs,
    global: &GlobalArgs,
    console: &Console,
) -> anyhow::Result<Outcome> {
    let request = args.statistics.request(0)?;
    // What would be refused in the end is refused before anything slow happens.
    let table_format = args.out.as_deref().map(TableFile::of).transpose()?;
    if let Some(figure) = &args.figure {
        Format::from_path(figure)?;
    }
    let (files, choice) = args.source.open(global, console)?;
    let device = devices::open(choice, console)?;
    let compute = args.compute.into();
    let variants = if args.against.is_empty() {
        WeightVariant::usual(compute, device.kind)
    } else {
        WeightVariant::parse_all(&args.against, compute, device.kind)?
    };
    let plan = CapturePlan::new(
        CaptureConfig {
            batch_tokens: args.batch_tokens.map(|tokens| tokens as usize),
            ..args.columns.config(&args.data, &args.texts)?
        },
        &files,
        device.kind,
        console,
    )?;
    args.columns.tell(&plan, console);
    for variant in &variants {
        let weights = variant.options.weights;
        if let Some(warning) =
            check_memory_of_pair(&files.checkpoint, &device, weights, &plan.pass_size())?
        {
            console.warning(&warning);
        }
    }
    console.report(0, 0, "loading weights")?;
    let config = CompareWeightsConfig {
        compute,
        variants,
        request,
    };
    let found = compare_weights(&plan, &files, &device, &config, console)?;
    console.finish();
    if let (Some(format), Some(out)) = (table_format, &args.out) {
        format.write(&found.measurements, out)?;
    }
    let figures = match &args.figure {
        Some(figure) => found.write_figures(figure)?,
        None => Vec::new(),
    };
    if args.json {
        show_json(&found, &figures, RunHead::of(&files.folder, &device))?;
    } else {
        report::show(&found, &files.folder.name, &device)?;
        for figure in &figures {
            console.note(&format!("figure: {}", figure.display()));
        }
    }
    Ok(Outcome::Success)
}

fn show_json(
    found: &WeightComparison,
    figures: &[PathBuf],
    run: RunHead<'_>,
) -> anyhow::Result<()> {
    let variants = found.variants.iter().zip(&found.weight_types);
    output::json(&Report {
        run,
        reference: Loaded {
            name: "reference",
            weights: found.reference.weights.name(),
            compute: found.reference.compute.name(),
            weight_types: None,
        },
        variants: variants
            .map(|(variant, types)| Loaded {
                name: &variant.name,
                weights: variant.options.weights.name(),
                compute: variant.options.compute.name(),
                weight_types: Some(types),
            })
            .collect(),
        samples: found.samples,
        tokens: found.tokens,
        elapsed_secs: found.elapsed_secs,
        figures,
        measurements: &found.measurements,
    })
}
