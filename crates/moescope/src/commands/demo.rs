//! `demo`: the whole line on the embedded model.

use std::{path::PathBuf, time::Instant};

use clap::Args;
use moescope_pipeline::demo;
use serde_json::json;

use crate::{cli::GlobalArgs, console::Console, devices, exit::Outcome, output};

/// Capture, measure and draw the embedded prompts with the embedded model, and say what was found
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  moescope demo --out my-demo")]
pub(crate) struct DemoArgs {
    /// A new folder for prompts, trace, table and figures
    #[arg(long, default_value = "moescope-demo", value_name = "DIR")]
    out: PathBuf,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(
    args: &DemoArgs,
    global: &GlobalArgs,
    console: &Console,
) -> anyhow::Result<Outcome> {
    let start = Instant::now();
    let outcome = demo::run(&args.out, devices::choice(global)?, console)?;
    console.finish();
    console.note(&format!("device: {}", outcome.device));
    if args.json {
        output::json(&json!({
            "trace": outcome.trace, "figures": outcome.figures, "measurements": outcome.measurements,
            "findings": outcome.findings, "samples": outcome.counts[0], "tokens": outcome.counts[1],
            "decisions": outcome.counts[2],
        }))?;
        return Ok(Outcome::Success);
    }
    let [samples, tokens, decisions] = outcome.counts.map(output::count);
    output::line(&format!(
        "scidfm-mini, a 10.6-million-parameter model of SciDFM's architecture (6 layers, 8 experts, top-2), read {samples} \
         texts of 15 disciplines: {tokens} tokens, {decisions} router decisions. Intervals are 95 %.\n"
    ))?;
    for (number, finding) in outcome.findings.iter().enumerate() {
        output::line(&format!("{}. {}", number + 1, finding.question))?;
        for line in output::wrapped(&finding.answer, 96) {
            output::line(&format!("   {line}"))?;
        }
        output::line("")?;
    }
    let trace = outcome.trace.display().to_string();
    output::line("Written:")?;
    output::line(&format!(
        "   {trace}  the routing dataset (Parquet; it is valid)"
    ))?;
    output::line(&format!(
        "   {}  every number above and more",
        outcome.measurements.display()
    ))?;
    for figure in &outcome.figures {
        output::line(&format!("   {}", figure.display()))?;
    }
    output::line("\nTry next:")?;
    for command in [
        format!("moescope show {trace} --sample smiles-smiles-01"),
        format!("moescope measure {trace} domain_specialization --contrast math:law"),
        format!("moescope measure {trace} mutual_information --by genre"),
        format!("moescope figure {trace} group_matrix --out jsd.pdf"),
        "moescope generate demo --prompt \"The enzyme\" --max-tokens 30 --temperature 0.8 --intervene mask:all:3".to_owned(),
        "moescope capture YOUR-MODEL --data YOUR-TEXTS.jsonl --out your-trace".to_owned(),
    ] {
        output::line(&format!("   {command}"))?;
    }
    console.note(&format!("done in {:.0} s", start.elapsed().as_secs_f64()));
    Ok(Outcome::Success)
}
