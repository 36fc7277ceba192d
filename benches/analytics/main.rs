//! Makes a trace of the size that studies have, and measures how fast it is read and resampled.
//!
//! `docs/BENCHMARKS.md` says how to run it; `compare.py` beside this file runs it in turns with other programs.

mod generate;

use std::{env, fmt::Write as _, fs, path::Path, process::ExitCode, time::Instant};

use moescope_analytics::{CountSource, MeasureRequest, TraceData, find};
use moescope_core::{NoProgress, PhaseSelection};

const USAGE: &str = "\
usage: analytics_bench generate TRACE ROWS
       analytics_bench counts TRACE routing|profiles [OUT.csv]
       analytics_bench resampling TRACE";

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        ["generate", trace, rows] => {
            let rows: Result<u64, _> = rows.parse();
            rows.map_err(Failure::from)
                .and_then(|rows| generate::generate(Path::new(trace), rows))
        }
        ["counts", trace, source] => counts(Path::new(trace), source, None),
        ["counts", trace, source, out] => counts(Path::new(trace), source, Some(Path::new(out))),
        ["resampling", trace] => resampling(Path::new(trace)),
        _ => Err(USAGE.into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Layer × discipline × expert counts of content tokens, timed from the closed folder to the counts.
fn counts(trace: &Path, source: &str, out: Option<&Path>) -> Result<(), Failure> {
    let source = match source {
        "routing" => CountSource::Decisions,
        "profiles" => CountSource::Profiles,
        _ => return Err(USAGE.into()),
    };
    let start = Instant::now();
    let data = TraceData::open(trace)?.without_cache();
    let counts = data.label_counts("discipline", PhaseSelection::Prefill, source, &NoProgress)?;
    report(start);
    if let Some(out) = out {
        let mut text = String::from("layer,discipline,expert,count\n");
        for (layer, id) in data.layers().iter().enumerate() {
            for (label, name) in counts.labels.iter().enumerate() {
                for (expert, count) in counts.row(label, layer).iter().enumerate() {
                    if *count > 0 {
                        writeln!(text, "{id},{name},{expert},{count}")?;
                    }
                }
            }
        }
        fs::write(out, text)?;
    }
    Ok(())
}

/// 1,000 resamples of groups and 1,000 permutations with max-T of the mutual information at every layer.
fn resampling(trace: &Path) -> Result<(), Failure> {
    let data = TraceData::open(trace)?.without_cache();
    let metric = find("mutual_information")?;
    let request = MeasureRequest {
        resamples: 0,
        permutations: 0,
        ..MeasureRequest::default()
    };
    // The first measurement reads the profiles, which are timed by themselves.
    metric.measure(&data, &request, &NoProgress)?;
    let request = MeasureRequest {
        resamples: 1000,
        permutations: 1000,
        ..request
    };
    let start = Instant::now();
    metric.measure(&data, &request, &NoProgress)?;
    report(start);
    Ok(())
}

fn report(start: Instant) {
    println!("{{\"seconds\": {:.4}}}", start.elapsed().as_secs_f64());
}
