//! `expert`: what one expert does.

mod report;

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use moescope_analytics::{Control, ExpertConfig, MeasureRequest, TraceData, expert_profile};
use moescope_core::{LayerId, Scope};

use super::measure::WeightingArg;
use crate::{
    console::Console, counted_args::CountedArgs, exit::Outcome, label_args::LabelArgs, output,
};

/// Tell what one expert does: who chooses it, with what, where, and in which texts
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  moescope expert my-trace 3:5
  moescope expert my-trace 3:5 --by genre --top 20 --contexts 30
  moescope expert my-trace 3:5 --only genre=abstract --weighting document
  moescope expert my-trace 3:5 --json

Every number is that of the metric of its name: `moescope measure my-trace domain_specialization --layers 3`.")]
pub(crate) struct ExpertArgs {
    /// The trace's folder
    #[arg(value_name = "TRACE")]
    trace: PathBuf,
    /// The layer in the model's numbering, and the expert
    #[arg(value_name = "LAYER:EXPERT")]
    place: String,
    #[command(flatten)]
    labels: LabelArgs,
    #[command(flatten)]
    counted: CountedArgs,
    /// What has equal weight; lists of tokens and contexts count every occurrence once
    #[arg(long, value_enum, default_value_t)]
    weighting: WeightingArg,
    /// Weight documents (tokens, for `position`) so that these are distributed alike under every label whose share is told:
    /// `genre`, `length`, `position`, or any label column
    #[arg(long = "match", value_delimiter = ',', value_name = "VARIABLES")]
    match_on: Vec<Control>,
    /// Entries of each list
    #[arg(long, default_value_t = 10, value_name = "N")]
    top: usize,
    /// Occurrences to show in their text, drawn at random from all
    #[arg(long, default_value_t = 10, value_name = "N")]
    contexts: usize,
    /// Tokens to show before and after each occurrence
    #[arg(long, default_value_t = 12, value_name = "N")]
    window: usize,
    /// The column whose values are resampled together
    #[arg(long, default_value = "group", value_name = "COLUMN")]
    resample_by: String,
    /// Bootstrap resamples and permutations; 0 makes neither intervals nor p values
    #[arg(long, default_value_t = 1000, value_name = "N")]
    resamples: u32,
    /// Level of the intervals
    #[arg(long, default_value_t = 0.95, value_name = "P")]
    level: f64,
    /// Seed of all randomness
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &ExpertArgs, console: &Console) -> anyhow::Result<Outcome> {
    let (layer, expert) = parse_place(&args.place)?;
    let request = MeasureRequest {
        scope: Scope {
            labels: args.labels.labels(),
            only: args.labels.only.clone(),
            weighting: args.weighting.into(),
            ..args.counted.scope()
        },
        by: args.labels.by.clone(),
        merge: args.labels.merge.clone(),
        match_on: args.match_on.clone(),
        resample_by: args.resample_by.clone(),
        resamples: args.resamples,
        permutations: args.resamples,
        seed: args.seed,
        level: args.level,
        ..MeasureRequest::default()
    };
    let config = ExpertConfig {
        layer,
        expert,
        top: args.top,
        contexts: args.contexts,
        window: args.window,
    };
    let data = TraceData::open(&args.trace)?;
    let profile = expert_profile(&data, &request, &config, console)?;
    console.finish();
    if args.json {
        output::json(&profile)?;
    } else {
        report::print(&profile)?;
    }
    Ok(Outcome::Success)
}

/// Reads `LAYER:EXPERT`.
pub(super) fn parse_place(text: &str) -> anyhow::Result<(LayerId, u16)> {
    let parse = || {
        let (layer, expert) = text.split_once(':')?;
        Some((LayerId(layer.parse().ok()?), expert.parse().ok()?))
    };
    parse().with_context(|| format!("an expert is named LAYER:EXPERT like 3:5, found '{text}'"))
}
