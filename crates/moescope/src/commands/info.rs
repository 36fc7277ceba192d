//! `moescope info`: what is in a trace.

use std::{collections::BTreeMap, path::PathBuf};

use clap::Args;
use moescope_core::Discipline;
use moescope_trace::{Manifest, RoutingTrace, TraceError};
use serde::Serialize;

use super::inspect::gating;
use crate::{
    exit::Outcome,
    output::{self, bytes, count},
};

/// Say what is in a trace
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  moescope info my-trace")]
pub(crate) struct InfoArgs {
    /// The trace's folder
    #[arg(value_name = "TRACE")]
    trace: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Info<'a> {
    bytes: u64,
    bytes_per_token: Option<f64>,
    by_discipline: &'a BTreeMap<String, u64>,
    by_genre: BTreeMap<String, u64>,
    groups: u64,
    manifest: &'a Manifest,
}

pub(crate) fn run(args: &InfoArgs) -> anyhow::Result<Outcome> {
    let trace = RoutingTrace::open(&args.trace)?;
    let info = read(&trace)?;
    if args.json {
        output::json(&info)?;
    } else {
        show(&info)?;
    }
    Ok(Outcome::Success)
}

fn read(trace: &RoutingTrace) -> Result<Info<'_>, TraceError> {
    let manifest = trace.manifest();
    let mut by_genre: BTreeMap<String, u64> = BTreeMap::new();
    let mut groups = std::collections::HashSet::new();
    for row in trace.samples()? {
        if let Some(genre) = &row.meta.genre {
            *by_genre.entry(genre.clone()).or_default() += 1;
        }
        groups.insert(row.meta.group_or_id().to_owned());
    }
    let size: u64 = manifest
        .shards
        .iter()
        .flat_map(|shard| shard.tables.values())
        .map(|file| file.bytes)
        .sum();
    #[expect(clippy::cast_precision_loss, reason = "shown with a few digits")]
    let bytes_per_token =
        (manifest.counts.tokens > 0).then(|| size as f64 / manifest.counts.tokens as f64);
    Ok(Info {
        bytes: size,
        bytes_per_token,
        by_discipline: &manifest.counts.by_discipline,
        by_genre,
        groups: groups.len() as u64,
        manifest,
    })
}

fn show(info: &Info<'_>) -> anyhow::Result<()> {
    let mut rows = origin(info.manifest);
    rows.extend(content(info));
    output::pairs(&rows)?;
    show_counts("discipline", info.by_discipline)?;
    show_counts("genre", &info.by_genre)
}

/// Which model and engine wrote the trace, and what its numbers are.
fn origin(manifest: &Manifest) -> Vec<(&'static str, String)> {
    let model = &manifest.model;
    let or_unknown = |text: Option<&String>| text.cloned().unwrap_or_else(|| "unknown".to_owned());
    let checkpoint = manifest.checkpoint.as_ref();
    let engine = manifest.engine.as_ref();
    vec![
        (
            "state",
            if manifest.complete {
                "complete".to_owned()
            } else {
                "INCOMPLETE: the capture did not reach its end; continue it with `moescope capture … --resume`".to_owned()
            },
        ),
        (
            "model",
            format!(
                "{} ({}, {} layers, top-{} of {} experts)",
                or_unknown(checkpoint.and_then(|checkpoint| checkpoint.id.as_ref())),
                model.family,
                model.num_layers,
                model.top_k,
                model.num_experts
            ),
        ),
        ("gating", gating(&model.gating)),
        (
            "layers",
            output::ranges(manifest.recorded_layers().iter().map(|layer| layer.0)),
        ),
        (
            "engine",
            format!(
                "{} {}",
                engine.map_or("unknown", |engine| engine.name.as_str()),
                engine
                    .and_then(|engine| engine.version.as_deref())
                    .unwrap_or_default()
            ),
        ),
        (
            "device",
            or_unknown(engine.and_then(|engine| engine.device.as_ref())),
        ),
        (
            "kernels",
            or_unknown(engine.and_then(|engine| engine.kernel_path.as_ref())),
        ),
        (
            "numbers",
            format!(
                "computed in {}, floats with {} significant bits{}",
                or_unknown(manifest.compute_type.as_ref()),
                manifest.float_significant_bits,
                if manifest.keeps_logits {
                    ", with router logits"
                } else {
                    ""
                }
            ),
        ),
    ]
}

/// What the trace holds, and what was done to the model for it.
fn content(info: &Info<'_>) -> Vec<(&'static str, String)> {
    let manifest = info.manifest;
    let counts = &manifest.counts;
    let mut rows = vec![
        (
            "rows",
            format!(
                "{} samples in {} groups, {} tokens, {} decisions",
                count(counts.samples),
                count(info.groups),
                count(counts.tokens),
                count(counts.decisions)
            ),
        ),
        (
            "size",
            format!(
                "{} in {} shards{}",
                bytes(info.bytes),
                manifest.shards.len(),
                info.bytes_per_token
                    .map_or(String::new(), |each| format!(", {each:.0} B per token"))
            ),
        ),
    ];
    if let Some(decoding) = &manifest.decoding {
        rows.push((
            "generated",
            format!(
                "up to {} tokens each, temperature {}",
                decoding.max_new_tokens, decoding.temperature
            ),
        ));
    }
    rows.push((
        "interventions",
        if manifest.interventions.is_empty() {
            "none".to_owned()
        } else {
            manifest.interventions.join(", ")
        },
    ));
    if let Some(import) = manifest.import() {
        rows.push(("imported", format!("from the format {}", import.format)));
        rows.extend(
            import
                .derived
                .iter()
                .map(|derived| ("computed", format!("{}: {}", derived.column, derived.from))),
        );
        if import.tokens_without_routing > 0 {
            rows.push(("without routing", count(import.tokens_without_routing)));
        }
        rows.push(("unknown", manifest.unknown_columns.join(", ")));
    }
    for input in &manifest.inputs {
        rows.push((
            "input",
            format!("{} ({} records)", input.name, count(input.rows)),
        ));
    }
    rows
}

fn show_counts(label: &str, counts: &BTreeMap<String, u64>) -> anyhow::Result<()> {
    if counts.is_empty() {
        return Ok(());
    }
    let mut ordered: Vec<(&String, u64)> =
        counts.iter().map(|(name, count)| (name, *count)).collect();
    ordered.sort_by_key(|(name, _)| Discipline::display_order(name));
    let rows: Vec<Vec<String>> = ordered
        .into_iter()
        .map(|(name, samples)| vec![name.clone(), count(samples)])
        .collect();
    output::line("")?;
    output::table(&[label, ">samples"], &rows)?;
    Ok(())
}
