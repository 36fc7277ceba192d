//! `moescope validate`: whether a trace keeps every rule of the format.

use std::path::PathBuf;

use clap::Args;
use moescope_trace::{ValidationReport, validate};
use serde::Serialize;

use crate::{
    console::Console,
    exit::Outcome,
    output::{self, count},
};

/// Check a trace against every rule of the format; the exit status is 1 where it breaks one
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  moescope validate my-trace")]
pub(crate) struct ValidateArgs {
    /// The trace's folder
    #[arg(value_name = "TRACE")]
    trace: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    valid: bool,
    #[serde(flatten)]
    report: &'a ValidationReport,
}

pub(crate) fn run(args: &ValidateArgs, console: &Console) -> anyhow::Result<Outcome> {
    let report = validate(&args.trace, console)?;
    console.finish();
    if args.json {
        output::json(&Report {
            valid: report.is_valid(),
            report: &report,
        })?;
    } else {
        show(&report)?;
    }
    Ok(if report.is_valid() {
        Outcome::Success
    } else {
        Outcome::CheckFailed
    })
}

fn show(report: &ValidationReport) -> anyhow::Result<()> {
    output::line(&format!(
        "{} shards, {} samples, {} tokens, {} decisions, {} profiles",
        count(report.shards),
        count(report.samples),
        count(report.tokens),
        count(report.decisions),
        count(report.profiles)
    ))?;
    for violation in &report.violations {
        let kind = serde_json::to_value(violation.kind)?;
        let kind = kind.as_str().unwrap_or_default().replace('_', " ");
        output::line(&format!("{kind}: {}", count(violation.count)))?;
        for example in &violation.examples {
            output::line(&format!("  {example}"))?;
        }
        let more = violation.count - violation.examples.len() as u64;
        if more > 0 {
            output::line(&format!("  … and {} more", count(more)))?;
        }
    }
    output::line(if report.is_valid() {
        "valid"
    } else {
        "INVALID"
    })?;
    Ok(())
}
