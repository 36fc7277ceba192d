//! `moescope compare-weights`: what the type of weights or arithmetic does to routing.

mod report;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use clap::Args;
use moescope_analytics::{MeasureRequest, long_table};
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
    output::{self, count},
    shared_args::{ComputeArg, SourceArgs},
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
    statistics: StatisticsArgs,
}

/// How numbers are divided, and how sure they are.
#[derive(Args, Debug)]
#[command(next_help_heading = "Statistics")]
struct StatisticsArgs {
    /// The label to divide the texts by; `all` for none
    #[arg(long, default_value = "discipline", value_name = "COLUMN")]
    by: String,
    /// The column whose values are resampled together
    #[arg(long, default_value = "group", value_name = "COLUMN")]
    resample_by: String,
    /// Bootstrap resamples; 0 makes no intervals
    #[arg(long, default_value_t = 1000, value_name = "N")]
    resamples: u32,
    /// Level of the intervals
    #[arg(long, default_value_t = 0.95, value_name = "P")]
    level: f64,
    /// Seed of the resamples
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    model: &'a str,
    revision: Option<&'a str>,
    device: &'a str,
    device_name: &'a str,
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
    let request = args.statistics.request()?;
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
    tell(&plan, args, console);
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
        let folder = &files.folder;
        show_json(
            &found,
            &figures,
            (&folder.name, folder.revision.as_deref()),
            &device,
        )?;
    } else {
        report::show(&found, &files.folder.name, &device)?;
        for figure in &figures {
            console.note(&format!("figure: {}", figure.display()));
        }
    }
    Ok(Outcome::Success)
}

impl StatisticsArgs {
    fn request(&self) -> anyhow::Result<MeasureRequest> {
        let request = MeasureRequest {
            by: self.by.clone(),
            resample_by: self.resample_by.clone(),
            resamples: self.resamples,
            permutations: 0,
            seed: self.seed,
            level: self.level,
            ..MeasureRequest::default()
        };
        request.check()?;
        Ok(request)
    }
}

/// Says what was planned, and what was left out.
fn tell(plan: &CapturePlan, args: &CompareWeightsArgs, console: &Console) {
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
            "{} texts are longer than the limit and were {}",
            count(plan.touched().len() as u64),
            args.columns.overlong_word()
        ));
    }
    console.note(&format!(
        "{} samples, {} tokens",
        count(plan.samples().len() as u64),
        count(plan.num_tokens())
    ));
}

/// The formats of `--out`.
#[derive(Clone, Copy)]
enum TableFile {
    Csv,
    Json,
    Parquet,
}

impl TableFile {
    fn of(path: &Path) -> anyhow::Result<Self> {
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("csv") => Ok(Self::Csv),
            Some("json" | "jsonl") => Ok(Self::Json),
            Some("parquet") => Ok(Self::Parquet),
            _ => bail!(
                "--out takes a file that ends in .csv, .parquet or .json, found: {}",
                path.display()
            ),
        }
    }

    fn write(self, measurements: &[Measurement], path: &Path) -> anyhow::Result<()> {
        let table = long_table(measurements);
        let mut bytes = Vec::new();
        match self {
            Self::Parquet => return Ok(table.write_parquet(path)?),
            Self::Csv => table.write_csv(&mut bytes)?,
            Self::Json => table.write_json_lines(&mut bytes)?,
        }
        std::fs::write(path, bytes)
            .with_context(|| format!("cannot write the table: {}", path.display()))
    }
}

fn show_json(
    found: &WeightComparison,
    figures: &[PathBuf],
    (model, revision): (&str, Option<&str>),
    device: &moescope_engine::ComputeDevice,
) -> anyhow::Result<()> {
    let variants = found.variants.iter().zip(&found.weight_types);
    output::json(&Report {
        model,
        revision,
        device: device.kind,
        device_name: &device.name,
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
