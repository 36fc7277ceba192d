//! `moescope inspect`: what a model is, from its headers alone.

use clap::Args;
use moescope_core::{Gating, ScoreFunction, WeightNormalization, WeightTarget};
use moescope_engine::ComputeDevice;
use moescope_pipeline::{Fit, Inspection, MemoryReport, TokenizerKind, inspect, memory_reports};
use serde::Serialize;

use crate::{
    cli::GlobalArgs,
    console::Console,
    devices,
    exit::Outcome,
    output::{self, bytes, count, parameters},
    shared_args::SourceArgs,
};

/// Say what a model is and whether it fits here, reading its headers only
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  moescope inspect demo")]
pub(crate) struct InspectArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(
    args: &InspectArgs,
    global: &GlobalArgs,
    console: &Console,
) -> anyhow::Result<Outcome> {
    let choice = devices::choice(global)?;
    let folder = args.source.find(console)?;
    let found = inspect(&folder)?;
    let memory = memory_reports(&folder, &ComputeDevice::open(choice)?)?;
    console.finish();
    if args.json {
        output::json(&Report {
            found: &found,
            memory: &memory,
        })?;
    } else {
        let mut rows = rows(&found);
        // After the memory of the weights alone.
        let place = rows
            .iter()
            .position(|(name, _)| *name == "files")
            .unwrap_or(rows.len());
        rows.splice(place..place, memory.iter().map(memory_row));
        output::pairs(&rows)?;
    }
    Ok(Outcome::Success)
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    found: &'a Inspection,
    memory: &'a [MemoryReport],
}

/// What a device must hold for a usual capture, and whether it does.
fn memory_row(report: &MemoryReport) -> (&'static str, String) {
    let (need, is_cpu) = (&report.stored, report.device == "cpu");
    let weights = match (need.mapped, need.weights) {
        (mapped, 0) => format!("weights {} in the mapped files", bytes(mapped)),
        (0, weights) => format!("weights {} as f32", bytes(weights)),
        (mapped, weights) => format!(
            "weights {} in the mapped files and {} converted",
            bytes(mapped),
            bytes(weights)
        ),
    };
    let work = need.cache.saturating_add(need.pass);
    let has = report.has.and_then(|has| has.memory);
    let verdict = match (&report.verdict, has) {
        (Some(Fit::Fits), Some(memory)) => format!(
            "fits: {} {}",
            bytes(memory),
            if is_cpu { "available" } else { "on this GPU" }
        ),
        (Some(Fit::Slow(reason)), _) => format!("SLOW: {reason}"),
        (Some(Fit::TooLarge(reason)), _) => format!("DOES NOT FIT: {reason}"),
        (Some(_), _) => {
            "whether it fits is unknown: the driver does not say how much there is".to_owned()
        }
        (None, _) => "no GPU was looked at (see --device)".to_owned(),
    };
    (
        if is_cpu { "on the CPU" } else { "on a GPU" },
        format!(
            "{weights}, {} tokens at a time about {} more; {verdict}",
            count(report.batch_tokens),
            bytes(work)
        ),
    )
}

fn rows(found: &Inspection) -> Vec<(&'static str, String)> {
    let spec = &found.model;
    let moe = output::ranges(spec.moe_layers.iter().map(|layer| layer.0));
    let revision = found
        .revision
        .as_ref()
        .map_or(String::new(), |r| format!(" @ {r}"));
    let types: Vec<String> = found
        .weight_types
        .iter()
        .map(|(class, kind)| format!("{class} {kind}"))
        .collect();
    let memory = |kind| bytes(found.memory_bytes.get(kind).copied().unwrap_or(0));
    let mut rows = vec![
        ("model", format!("{}{revision}", found.name)),
        ("family", spec.family.clone()),
        (
            "layers",
            format!(
                "{} ({} with experts: {moe}; {} dense)",
                spec.num_layers,
                spec.moe_layers.len(),
                found.dense_layers
            ),
        ),
        (
            "experts",
            format!(
                "{} per layer, top-{}, width {}, {} shared{}",
                spec.num_experts,
                spec.top_k,
                found.expert_intermediate_size,
                spec.num_shared_experts,
                if spec.has_shared_expert_gate {
                    " behind a sigmoid gate"
                } else {
                    ""
                }
            ),
        ),
        ("gating", gating(&spec.gating)),
        (
            "attention",
            format!(
                "{} heads, {} key-value heads{}",
                found.attention_heads,
                found.key_value_heads,
                found.sliding_window.map_or(String::new(), |window| format!(
                    ", window of {window} tokens"
                ))
            ),
        ),
        (
            "parameters",
            format!(
                "{} in all ({}), {} active per token ({})",
                parameters(found.total_parameters),
                count(found.total_parameters),
                parameters(found.active_parameters),
                count(found.active_parameters)
            ),
        ),
        ("weights", types.join(", ")),
        (
            "memory",
            format!(
                "{} as stored, {} as f32, {} as q8, {} as q4",
                memory("stored"),
                memory("f32"),
                memory("q8"),
                memory("q4")
            ),
        ),
        (
            "files",
            match &found.files[..] {
                [file] => format!("{} ({})", file.name, bytes(file.bytes)),
                files => format!("{} weight files", files.len()),
            },
        ),
        ("context", format!("{} tokens", count(found.context as u64))),
    ];
    rows.extend(tokenizer_rows(found.tokenizer.as_ref()));
    rows.push((
        "trace",
        format!(
            "about {} per token, {} with router logits",
            bytes(found.trace_bytes_per_token),
            bytes(found.trace_bytes_per_token_with_logits)
        ),
    ));
    rows
}

fn tokenizer_rows(tokenizer: Option<&TokenizerKind>) -> Vec<(&'static str, String)> {
    let Some(tokenizer) = tokenizer else {
        let none = "none: there is neither tokenizer.json nor tokenizer.model, so texts cannot be captured";
        return vec![("tokenizer", none.to_owned())];
    };
    let template = tokenizer.chat_template.as_deref().unwrap_or("none");
    vec![
        (
            "tokenizer",
            format!(
                "{}, {} entries, from {}",
                tokenizer.kind,
                count(tokenizer.vocab_size as u64),
                tokenizer.file
            ),
        ),
        ("first token", tokenizer.bos_policy.clone()),
        ("chat template", template.to_owned()),
    ]
}

/// A gating in words.
pub(crate) fn gating(gating: &Gating) -> String {
    let score = match gating.score_function {
        ScoreFunction::Softmax => "softmax over all experts",
        ScoreFunction::Sigmoid => "sigmoid, expert by expert",
        ScoreFunction::Identity => "the logits themselves",
    };
    let bias = if gating.has_correction_bias {
        ", bias for selection only"
    } else {
        ""
    };
    let groups = gating.groups.map_or(String::new(), |groups| {
        format!(", from the best {} of {} groups", groups.kept, groups.count)
    });
    let weights = match gating.normalization {
        WeightNormalization::None => "weights as they are",
        WeightNormalization::SumOfSelected => "weights sum to 1",
        WeightNormalization::PNormOfSelected => "weights divided by their p-norm",
        WeightNormalization::SoftmaxOfSelected => "weights are the softmax of the chosen",
        WeightNormalization::SigmoidOfSelected => "weights are the sigmoid of the chosen",
        WeightNormalization::Sparsemixer => "weights by sparsemixer",
    };
    let target = match gating.weight_target {
        WeightTarget::Output => "",
        WeightTarget::Input => ", on the experts' input",
    };
    #[expect(clippy::float_cmp, reason = "exactly 1 means no scaling")]
    let scaling = if gating.scaling == 1.0 {
        String::new()
    } else {
        format!(", times {}", gating.scaling)
    };
    format!("{score}{bias}{groups}, {weights}{scaling}{target}")
}
