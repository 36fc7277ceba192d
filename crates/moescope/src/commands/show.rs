//! `moescope show`: one document of a trace, token by token.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use moescope_core::{LayerId, did_you_mean};
use moescope_trace::{Document, Manifest, RoutingTrace, TraceError};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{exit::Outcome, output};

/// Show one document of a trace, token by token
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  moescope show my-trace --sample law-textbook-01 --layer 3")]
pub(crate) struct ShowArgs {
    /// The trace's folder
    #[arg(value_name = "TRACE")]
    trace: PathBuf,
    /// The document's id
    #[arg(long, value_name = "ID")]
    sample: String,
    /// The layer to show, in the model's numbering [default: the first recorded one]
    #[arg(long, value_name = "LAYER")]
    layer: Option<u16>,
    /// Print one JSON object a token, with all layers (or the one of --layer)
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &ShowArgs) -> anyhow::Result<Outcome> {
    let trace = RoutingTrace::open(&args.trace)?;
    let manifest = trace.manifest();
    if manifest.profiles_only {
        anyhow::bail!(
            "the trace holds sums only, so there is no token to show; `moescope info` tells what is in it, and metrics of \
             counts can be measured: {}",
            args.trace.display()
        );
    }
    let layer = layer(args, manifest)?;
    let document = trace
        .document(&args.sample)
        .map_err(|error| with_suggestion(error, &trace, &args.sample))?;
    if args.json {
        show_json(&document, args.layer.map(LayerId))?;
    } else {
        show_table(&document, layer, manifest)?;
    }
    Ok(Outcome::Success)
}

/// Adds the id that the user may have meant.
fn with_suggestion(error: TraceError, trace: &RoutingTrace, id: &str) -> anyhow::Error {
    if !matches!(error, TraceError::UnknownSample { .. }) {
        return error.into();
    }
    let rows = trace.samples().unwrap_or_default();
    let ids: Vec<&str> = rows.iter().map(|row| row.meta.id.as_str()).collect();
    anyhow::anyhow!("{error}{}", did_you_mean(id, &ids))
}

fn layer(args: &ShowArgs, manifest: &Manifest) -> anyhow::Result<LayerId> {
    let recorded = manifest.recorded_layers();
    let asked = args
        .layer
        .map(LayerId)
        .or_else(|| recorded.first().copied());
    match asked.filter(|layer| recorded.contains(layer)) {
        Some(layer) => Ok(layer),
        None => bail!(
            "the trace has no routing of layer {}; it has layers {}: {}",
            args.layer.unwrap_or_default(),
            output::ranges(recorded.iter().map(|layer| layer.0)),
            args.trace.display()
        ),
    }
}

fn show_table(document: &Document, layer: LayerId, manifest: &Manifest) -> anyhow::Result<()> {
    let sample = &document.sample;
    let label = |name: &str, value: Option<&str>| {
        value.map_or(String::new(), |value| format!(", {name} {value}"))
    };
    output::line(&format!(
        "{}: {} tokens{}{}{}; layer {layer} of {}, top-{} of {} experts",
        sample.meta.id,
        sample.num_tokens,
        label(
            "discipline",
            sample
                .meta
                .discipline
                .as_ref()
                .map(moescope_core::Discipline::as_str)
        ),
        label("genre", sample.meta.genre.as_deref()),
        label("group", sample.meta.group.as_deref()),
        output::ranges(manifest.recorded_layers().iter().map(|layer| layer.0)),
        manifest.model.top_k,
        manifest.model.num_experts,
    ))?;
    let decisions = &document.decisions;
    let mut row_of = std::collections::HashMap::new();
    for row in (0..decisions.len()).filter(|row| decisions.layer[*row] == layer) {
        row_of.insert(decisions.position[row], row);
    }
    let number = |value: Option<f32>, digits: usize| {
        value
            .filter(|value| value.is_finite())
            .map_or_else(|| "–".to_owned(), |value| format!("{value:.digits$}"))
    };
    let rows: Vec<Vec<String>> = document
        .tokens
        .iter()
        .map(|token| {
            let row = row_of.get(&token.position).copied();
            let column = |values: &Option<Vec<f32>>| {
                row.and_then(|row| values.as_ref().map(|values| values[row]))
            };
            vec![
                token.position.to_string(),
                output::visible(token.text.as_deref().unwrap_or("?")),
                token
                    .phase
                    .map_or("–", moescope_core::Phase::as_str)
                    .to_owned(),
                number(token.surprisal, 2),
                row.map_or_else(|| "not routed".to_owned(), |row| experts(document, row)),
                number(column(&decisions.entropy), 3),
                number(column(&decisions.margin), 4),
            ]
        })
        .collect();
    output::table(
        &[
            ">position",
            "piece",
            "phase",
            ">surprisal",
            "experts (weight)",
            ">entropy",
            ">margin",
        ],
        &rows,
    )?;
    output::line(
        "surprisal and entropy in nats; margin between the last chosen and the first left out",
    )?;
    Ok(())
}

fn experts(document: &Document, row: usize) -> String {
    let decisions = &document.decisions;
    let weights = decisions.weights(row);
    let parts: Vec<String> = decisions
        .experts(row)
        .iter()
        .enumerate()
        .map(|(slot, expert)| match weights {
            Some(weights) => format!("{expert} ({:.3})", weights[slot]),
            None => expert.to_string(),
        })
        .collect();
    parts.join(" ")
}

#[derive(Serialize)]
struct TokenLine<'a> {
    sample: &'a str,
    position: u32,
    token_id: Option<u32>,
    text: Option<&'a str>,
    phase: Option<moescope_core::Phase>,
    is_special: Option<bool>,
    is_routed: bool,
    surprisal: Option<f32>,
    predicted_id: Option<u32>,
    layers: Vec<Value>,
}

fn show_json(document: &Document, only: Option<LayerId>) -> anyhow::Result<()> {
    let decisions = &document.decisions;
    let mut row = 0;
    for token in &document.tokens {
        let mut layers = Vec::new();
        while row < decisions.len() && decisions.position[row] == token.position {
            if only.is_none_or(|layer| layer == decisions.layer[row]) {
                layers.push(decision(document, row));
            }
            row += 1;
        }
        output::json(&TokenLine {
            sample: &document.sample.meta.id,
            position: token.position,
            token_id: token.token_id,
            text: token.text.as_deref(),
            phase: token.phase,
            is_special: token.is_special,
            is_routed: token.is_routed,
            surprisal: token.surprisal,
            predicted_id: token.predicted_id,
            layers,
        })?;
    }
    Ok(())
}

fn decision(document: &Document, row: usize) -> Value {
    let decisions = &document.decisions;
    let column = |values: &Option<Vec<f32>>| {
        values
            .as_ref()
            .map(|values| values[row])
            .filter(|value| value.is_finite())
    };
    let mut value = json!({
        "layer": decisions.layer[row],
        "experts": decisions.experts(row),
        "weights": decisions.weights(row),
        "entropy": column(&decisions.entropy),
        "topk_mass": column(&decisions.topk_mass),
        "margin": column(&decisions.margin),
        "runner_up": decisions.runner_up.as_ref().map(|ids| ids[row]).filter(|id| *id != u16::MAX),
    });
    if let (Some(logits), Some(object)) = (decisions.logits(row), value.as_object_mut()) {
        object.insert("logits".to_owned(), json!(logits));
    }
    value
}
