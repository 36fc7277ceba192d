//! `bench`: how fast a model runs here.

use clap::Args;
use moescope_pipeline::bench::{self, BenchRow};

use crate::{cli::GlobalArgs, console::Console, exit::Outcome, output, shared_args::ModelArgs};

/// Measure prefill and decode, with and without recording
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  moescope bench demo
  moescope bench my-model --json > bench.jsonl")]
pub(crate) struct BenchArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(
    args: &BenchArgs,
    global: &GlobalArgs,
    console: &Console,
) -> anyhow::Result<Outcome> {
    let loaded = args.model.load(global, console, |files| {
        Ok(bench::pass_size(files.checkpoint.config().max_positions))
    })?;
    let mut failure = None;
    let rows = bench::run(&loaded, console, &mut |row| {
        if args.json && failure.is_none() {
            failure = output::json(row).err();
        }
    })?;
    console.finish();
    if let Some(error) = failure {
        return Err(error);
    }
    if !args.json {
        show(&rows)?;
    }
    Ok(Outcome::Success)
}

fn show(rows: &[BenchRow]) -> anyhow::Result<()> {
    let Some(first) = rows.first() else {
        return Ok(());
    };
    output::line(&format!(
        "{} ({} weights, {} compute) on {}",
        first.geometry, first.weights, first.compute, first.device
    ))?;
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            vec![
                row.phase.to_owned(),
                row.tokens.to_string(),
                row.batch.to_string(),
                row.recording.to_owned(),
                if row.surprisal { "yes" } else { "no" }.to_owned(),
                format!("{:.0}", row.tokens_per_s),
                format!("{:.1}", row.gb_per_s),
                row.bandwidth_fraction
                    .map_or_else(|| "-".to_owned(), |f| format!("{:.0} %", 100.0 * f)),
                format!("{:.1}", row.gflop_per_s),
                row.peak_bytes.map_or_else(|| "-".to_owned(), output::bytes),
            ]
        })
        .collect();
    output::table(
        &[
            "phase",
            ">tokens",
            ">batch",
            "recording",
            "surprisal",
            ">tokens/s",
            ">GB/s",
            ">of limit",
            ">GFLOP/s",
            ">peak",
        ],
        &cells,
    )?;
    Ok(())
}
