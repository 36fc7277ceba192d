//! `moescope ablate`: does an expert matter, and for what?

mod report;

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use moescope_core::{LayerId, Measurement, Progress as _};
use moescope_figures::Format;
use moescope_pipeline::{
    AblateConfig, AblatedSet, Ablation, AblationAction, CaptureConfig, CapturePlan, EmbeddedFile,
    ExpertSet, ablate, ablation_pass,
    demo::{HELD_OUT_TOLD, held_out_for},
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
    shared_args::{ModelArgs, check_fit},
    table_file::TableFile,
    text_statistics::TextStatisticsArgs,
};

/// Measure what an expert is worth: its effect on held-out texts beside experts of the same layer and load
///
/// The texts are read with and without the intervention, token by token the same (teacher forcing): change of surprisal by
/// discipline, divergence of predictions, routing of later layers. The same intervention on random experts of the same
/// layer, matched by load, says what any expert would have done. Give texts that were not used to choose the expert. Definitions:
/// `docs/ABLATION.md`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  moescope ablate demo --expert 3:5
  moescope ablate demo --data law.jsonl chemistry.jsonl --expert 3:5
  moescope ablate my-model --data texts.jsonl --expert 12:7,41 --zero --controls 20
  moescope ablate my-model --data texts.jsonl --expert 3:5 --out numbers.csv --figure effect.pdf")]
pub(crate) struct AblateArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// The files with the texts [default for `demo`: 150 embedded texts that are not in the demo's trace]
    #[arg(long, value_name = "FILE", num_args = 1..)]
    data: Vec<PathBuf>,
    /// The expert, as LAYER:EXPERT; several experts of one layer, as in 3:5,17, are changed together
    #[arg(long, value_name = "LAYER:EXPERTS")]
    expert: ExpertSet,
    #[command(flatten)]
    action: ActionArgs,
    /// How many random sets of experts to compare with
    #[arg(long, default_value_t = 8, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    controls: u32,
    /// Compare with experts whose load is at most so many times as large, and at least the same part of it
    #[arg(long, default_value_t = 2.0, value_name = "X")]
    load_factor: f64,
    /// Print one JSON object with every table
    #[arg(long)]
    json: bool,
    /// Write every table in long form; the ending chooses the format (.json is one object a line)
    #[arg(long, value_name = "FILE.csv|parquet|json")]
    out: Option<PathBuf>,
    /// Draw the effect by discipline here, and the change of later layers into a file beside it (-downstream)
    #[arg(long, value_name = "FILE.svg|pdf|png")]
    figure: Option<PathBuf>,
    #[command(flatten)]
    columns: ColumnArgs,
    #[command(flatten)]
    texts: TextArgs,
    /// Tokens that go through the model together [default: 2048 on the CPU, 512 on a GPU]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Data")]
    batch_tokens: Option<u32>,
    /// Permutations of labels for `ablation_selectivity`; 0 makes no p values there
    #[arg(
        long,
        default_value_t = 1000,
        value_name = "N",
        help_heading = "Statistics"
    )]
    permutations: u32,
    #[command(flatten)]
    statistics: TextStatisticsArgs,
}

impl AblateArgs {
    /// The texts to take where none were given.
    fn embedded_texts(&self) -> anyhow::Result<Option<&'static [EmbeddedFile]>> {
        if !self.data.is_empty() {
            return Ok(None);
        }
        held_out_for(&self.model.source.model)
            .map(Some)
            .context(
                "an ablation needs texts that were not used to find the expert: give their files with --data; only the \
                 embedded model 'demo' has texts of its own",
            )
    }
}

/// What is done to the experts.
#[derive(Args, Debug)]
#[group(multiple = false)]
#[command(next_help_heading = "Intervention")]
struct ActionArgs {
    /// Never choose them; others are chosen in their place (the default)
    #[arg(long)]
    mask: bool,
    /// Choose them as ever, and add nothing of them
    #[arg(long)]
    zero: bool,
    /// Always choose them
    #[arg(long)]
    force: bool,
    /// Add this to their selection scores
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    boost: Option<f32>,
}

impl ActionArgs {
    fn action(&self) -> AblationAction {
        match (self.boost, self.zero, self.force, self.mask) {
            (Some(amount), ..) => AblationAction::Boost(amount),
            (None, true, ..) => AblationAction::Zero,
            (None, false, true, _) => AblationAction::Force,
            (None, false, false, true | false) => AblationAction::Mask,
        }
    }
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    run: RunHead<'a>,
    layer: LayerId,
    target: &'a AblatedSet,
    controls: &'a [AblatedSet],
    samples: u64,
    tokens: u64,
    elapsed_secs: f64,
    figures: &'a [PathBuf],
    measurements: &'a [Measurement],
}

pub(crate) fn run(
    args: &AblateArgs,
    global: &GlobalArgs,
    console: &Console,
) -> anyhow::Result<Outcome> {
    let config = AblateConfig {
        experts: args.expert.clone(),
        action: args.action.action(),
        controls: args.controls as usize,
        load_factor: args.load_factor,
        request: args.statistics.request(args.permutations)?,
    };
    // What would be refused in the end is refused before anything slow happens.
    let table_format = args.out.as_deref().map(TableFile::of).transpose()?;
    if let Some(figure) = &args.figure {
        Format::from_path(figure)?;
    }
    let embedded = args.embedded_texts()?;
    let (files, choice) = args.model.open(global, console)?;
    let device = devices::open(choice, console)?;
    let mut texts = CaptureConfig {
        batch_tokens: args.batch_tokens.map(|tokens| tokens as usize),
        ..args.columns.config(&args.data, &args.texts)?
    };
    if let Some(embedded) = embedded {
        texts.data.embedded = embedded;
        console.note(&format!("no --data was given: {HELD_OUT_TOLD}"));
    }
    let plan = CapturePlan::new(texts, &files, device.kind, console)?;
    args.columns.tell(&plan, console);
    let pass = ablation_pass(&plan);
    let options = args.model.options();
    check_fit(&files.checkpoint, &device, options, &pass, console)?;
    console.report(0, 0, "loading weights")?;
    let loaded = files.load(device, options, console)?;
    let found = ablate(&plan, &loaded, &config, console)?;
    console.finish();
    if let (Some(format), Some(out)) = (table_format, &args.out) {
        format.write(&found.measurements, out)?;
    }
    let figures = match &args.figure {
        Some(figure) => found.write_figures(figure)?,
        None => Vec::new(),
    };
    if args.json {
        show_json(&found, &loaded, &figures)?;
    } else {
        report::show(&found, &loaded)?;
        for figure in &figures {
            console.note(&format!("figure: {}", figure.display()));
        }
    }
    Ok(Outcome::Success)
}

fn show_json(
    found: &Ablation,
    loaded: &moescope_pipeline::LoadedModel,
    figures: &[PathBuf],
) -> anyhow::Result<()> {
    output::json(&Report {
        run: RunHead::of(&loaded.files.folder, &loaded.device),
        layer: found.layer,
        target: &found.target,
        controls: &found.controls,
        samples: found.samples,
        tokens: found.tokens,
        elapsed_secs: found.elapsed_secs,
        figures,
        measurements: &found.measurements,
    })
}
