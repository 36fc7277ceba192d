//! `moescope inspect`: what a model is, from its headers alone.

use clap::Args;
use moescope_core::{Gating, ScoreFunction, WeightNormalization};
use moescope_pipeline::{Inspection, ModelFolder, TokenizerKind, inspect};

use crate::{
    exit::Outcome,
    output::{self, bytes, count, parameters},
};

/// Say what a model is, reading its headers only
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  moescope inspect demo")]
pub(crate) struct InspectArgs {
    /// A folder in Hugging Face layout, a repository id in the local cache, or `demo`
    #[arg(value_name = "MODEL")]
    model: String,
    /// Commit, branch or tag of a repository
    #[arg(long, value_name = "REVISION")]
    revision: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &InspectArgs) -> anyhow::Result<Outcome> {
    let found = inspect(&ModelFolder::find(&args.model, args.revision.as_deref())?)?;
    if args.json {
        output::json(&found)?;
    } else {
        output::pairs(&rows(&found))?;
    }
    Ok(Outcome::Success)
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
                "{} per layer, top-{}, width {}, {} shared",
                spec.num_experts,
                spec.top_k,
                found.expert_intermediate_size,
                spec.num_shared_experts
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
            format!("{} as stored, {} as f32", memory("stored"), memory("f32")),
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
    let weights = match gating.normalization {
        WeightNormalization::None => "weights as they are",
        WeightNormalization::SumOfSelected => "weights sum to 1",
        WeightNormalization::SoftmaxOfSelected => "weights are the softmax of the chosen",
    };
    #[expect(clippy::float_cmp, reason = "exactly 1 means no scaling")]
    let scaling = if gating.scaling == 1.0 {
        String::new()
    } else {
        format!(", times {}", gating.scaling)
    };
    format!("{score}{bias}, {weights}{scaling}")
}
