//! `findings`: the questions people ask of a trace, answered in words.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use moescope_analytics::long_table;
use moescope_pipeline::{command_words::quoted, findings};

use super::measure::RequestArgs;
use crate::{
    console::Console,
    exit::Outcome,
    output::{self, wrapped},
};

/// Answer the questions people ask of a trace, with numbers and in plain words
///
/// Do disciplines route differently? Beyond token identity, length, position and genre? At which layers? Which experts, for
/// what? How balanced is the load? How sure is the router? Is prompt routing like generated routing? What can this data not
/// say? Every answer names the command whose table has its numbers.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  moescope findings my-trace
  moescope findings my-trace --labels math,physics,chemistry --resample-by book
  moescope findings my-trace --by genre --numbers numbers.csv")]
pub(crate) struct FindingsArgs {
    /// A trace's folder
    #[arg(value_name = "TRACE")]
    trace: PathBuf,
    #[command(flatten)]
    request: RequestArgs,
    /// Write every number that was measured for it as CSV
    #[arg(long, value_name = "FILE")]
    numbers: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &FindingsArgs, console: &Console) -> anyhow::Result<Outcome> {
    let request = args.request.request()?;
    let data = args.request.open(&args.trace)?;
    let found = findings(&data, &request, console)?;
    console.finish();
    if let Some(path) = &args.numbers {
        let mut csv = Vec::new();
        long_table(&found.measurements).write_csv(&mut csv)?;
        std::fs::write(path, csv)
            .with_context(|| format!("cannot write the table: {}", path.display()))?;
    }
    if args.json {
        output::json(&serde_json::json!({ "findings": found.findings, "request": request }))?;
        return Ok(Outcome::Success);
    }
    for (number, finding) in found.findings.iter().enumerate() {
        output::line(&format!("{}. {}", number + 1, finding.question))?;
        for line in wrapped(&finding.answer, 96) {
            output::line(&format!("   {line}"))?;
        }
        // Labels may hold the word as well, and stand behind it.
        let trace = quoted(&args.trace.to_string_lossy());
        let command = finding.command.replacen("TRACE", &trace, 1);
        output::line(&format!("   → moescope {command}\n"))?;
    }
    Ok(Outcome::Success)
}
