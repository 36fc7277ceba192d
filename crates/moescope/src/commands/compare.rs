//! `moescope compare`: what differs between traces.

use std::fmt::Write as _;

use anyhow::bail;
use clap::Args;
use moescope_analytics::{ReferenceScope, TraceSet};
use moescope_core::{LabelFilter, Measurement, PhaseSelection, PositionSelection};
use moescope_pipeline::{
    ComparedMetric, Finding, OriginDifference, TraceComparison, compare_traces, place_of_reference,
};
use moescope_trace::{Manifest, RoutingTrace};
use serde::Serialize;

use super::measure::RequestArgs;
use crate::{
    console::Console,
    exit::Outcome,
    output::wrapped,
    table_args::{TableArgs, TableFormat},
    trace_args,
};

/// Compare traces of the same texts: checkpoints, models, types of weights, prompts, interventions
///
/// The last trace is the reference, and every other one is compared with it. Documents are matched by id, tokens one to
/// one where both traces hold the same ones, and by the bytes they share where tokenizers differ. Without a METRIC the
/// standard comparison is told in words: how the traces were made, how often they choose the same experts and at which
/// margins, where they part, and for which labels. With a METRIC of several traces it is measured, and with one of a
/// single trace the difference is: the trace minus the reference, by groups that are in both. For a difference other
/// tokens or documents of the reference may count than of the others, and both may be the same trace: its replies minus
/// its prompts.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  moescope compare plain masked
  moescope compare step-1000 step-10000 final router_saturation --by all
  moescope compare base tuned assignment_share --layers 7 --format csv --out moved.csv
  moescope compare small large expert_matching --reference large
  moescope compare chat chat assignment_share --by all --phase decode --reference-phase prefill
  moescope compare chat texts routing_drift --phase decode --reference-phase prefill --reference-only discipline=law

`moescope metrics` lists the metrics of several traces.")]
pub(crate) struct CompareArgs {
    /// A trace's folder
    #[arg(value_name = "TRACE")]
    trace: String,
    /// Further traces, and names of metrics; what is a folder with a manifest is a trace
    #[arg(value_name = "TRACE|METRIC", required = true)]
    rest: Vec<String>,
    /// The trace that the others are compared with, by its folder's name [default: the last one]
    #[arg(long, value_name = "NAME")]
    reference: Option<String>,
    #[command(flatten)]
    reference_scope: ReferenceArgs,
    #[command(flatten)]
    request: RequestArgs,
    #[command(flatten)]
    tables: TableArgs,
}

/// What of the reference counts, where it is not what counts of the others.
#[derive(Args, Debug)]
#[expect(
    clippy::struct_field_names,
    reason = "fields are options, which have one name space"
)]
struct ReferenceArgs {
    /// Of the reference, for a difference: prefill, decode, all [default: that of --phase]
    #[arg(long, value_name = "PHASE")]
    reference_phase: Option<PhaseSelection>,
    /// Tokens of the reference by their position, for a difference [default: those of --positions]
    #[arg(long, value_name = "POSITIONS")]
    reference_positions: Option<PositionSelection>,
    /// Documents of the reference with one of these labels of any column, for a difference; once for each column [default:
    /// those of every --only]
    #[arg(long, value_name = "COLUMN=LABELS")]
    reference_only: Vec<LabelFilter>,
}

impl ReferenceArgs {
    fn scope(&self) -> ReferenceScope {
        ReferenceScope {
            phase: self.reference_phase,
            positions: self.reference_positions.clone(),
            only: self.reference_only.clone(),
        }
    }
}

/// What `--json` prints without a metric.
#[derive(Serialize)]
struct Report<'a> {
    traces: &'a [String],
    reference: &'a str,
    origins: &'a [OriginDifference],
    findings: &'a [Finding],
    refusals: &'a [String],
    measurements: &'a [Measurement],
}

pub(crate) fn run(args: &CompareArgs, console: &Console) -> anyhow::Result<Outcome> {
    let mut request = args.request.request()?;
    request.reference = args.reference_scope.scope();
    request.check()?;
    args.tables.check()?;
    let (named, metrics) = if request.reference.is_as_scope() {
        trace_args::split(&args.trace, &args.rest)?
    } else {
        trace_args::split_with_doubles(&args.trace, &args.rest)?
    };
    if named.len() < 2 {
        let unknown = metrics.iter().find(|name| !is_metric(name));
        let help = unknown.map_or(String::new(), |name| {
            format!("; '{name}' is neither a metric nor a folder with a manifest.json")
        });
        bail!("a comparison needs two traces{help}");
    }
    let chosen = metrics
        .iter()
        .map(|name| ComparedMetric::find(name))
        .collect::<Result<Vec<_>, _>>()?;
    let reference = place_of_reference(&named, args.reference.as_deref())?;
    let traces = named
        .iter()
        .map(|trace| RoutingTrace::open(&trace.path))
        .collect::<Result<Vec<_>, _>>()?;
    let data = named.iter();
    let data = data.map(|trace| Ok((trace.name.clone(), args.request.open(&trace.path)?)));
    let set = TraceSet::new(data.collect::<anyhow::Result<_>>()?, reference)?;
    if chosen.is_empty() {
        let manifests: Vec<&Manifest> = traces.iter().map(RoutingTrace::manifest).collect();
        let found = compare_traces(&set, &manifests, &request, console)?;
        console.finish();
        tell(&found, &set, args)?;
        return Ok(Outcome::Success);
    }
    let mut measurements = Vec::new();
    for metric in chosen {
        measurements.extend(metric.compare(&set, &request, console)?);
    }
    console.finish();
    args.tables.write(&measurements)?;
    Ok(Outcome::Success)
}

fn is_metric(name: &str) -> bool {
    ComparedMetric::find(name).is_ok()
}

/// Prints or writes the standard comparison.
fn tell(found: &TraceComparison, traces: &TraceSet, args: &CompareArgs) -> anyhow::Result<()> {
    match args.tables.format() {
        TableFormat::Table => args.tables.write_bytes(report(found, traces)?.as_bytes()),
        TableFormat::Json => {
            let mut json = serde_json::to_vec(&Report {
                traces: traces.names(),
                reference: traces.reference_name(),
                origins: &found.origins,
                findings: &found.findings,
                refusals: &found.refusals,
                measurements: &found.measurements,
            })?;
            json.push(b'\n');
            args.tables.write_bytes(&json)
        }
        TableFormat::Csv | TableFormat::Parquet | TableFormat::Measurements => {
            args.tables.write(&found.measurements)
        }
    }
}

/// The standard comparison in words.
fn report(found: &TraceComparison, traces: &TraceSet) -> anyhow::Result<String> {
    const WIDTH: usize = 96;
    let level = found.measurements.iter().find_map(|m| m.protocol.level);
    let intervals = level.map_or_else(
        || "There are no intervals.".to_owned(),
        |level| format!("Intervals are {:.0} %.", 100.0 * level),
    );
    let reference = traces.reference_name();
    let others = traces.names().iter().filter(|name| *name != reference);
    let others: Vec<&str> = others.map(String::as_str).collect();
    let mut text = format!("{} beside {reference}. {intervals}\n", others.join(", "));
    for (number, finding) in found.findings.iter().enumerate() {
        writeln!(text, "\n{}. {}", number + 1, finding.question)?;
        for line in wrapped(&finding.answer, WIDTH) {
            writeln!(text, "   {line}")?;
        }
        writeln!(text, "   → moescope {}", finding.command)?;
    }
    if !found.origins.is_empty() {
        text.push_str("\nFields of the manifests that differ:\n");
        for origin in &found.origins {
            writeln!(
                text,
                "   {}: {} = {} in {}, {} in {reference}",
                origin.about, origin.field, origin.value, origin.trace, origin.reference
            )?;
        }
    }
    Ok(text)
}
