//! `moescope effect`: what interventions do to one text that stands, token by token.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use moescope_core::Progress as _;
use moescope_engine::{DecoderConfig, Interventions, Tokenizer};
use moescope_pipeline::{LoadedModel, PassSize, TextEffect, text_effect};
use serde::Serialize;

use crate::{
    cells::significant,
    cli::GlobalArgs,
    console::Console,
    devices,
    exit::Outcome,
    output,
    run_head::RunHead,
    shared_args::{InterventionArgs, ModelArgs, check_fit},
    text_file,
};

/// Measure what interventions do to one text: change of surprisal, divergence of predictions and rerouting by token
///
/// The same tokens are read without and with the interventions (teacher forcing). There is no interval: one text is one
/// group. `ablate` measures many texts, beside the same intervention on other experts. Take a text that was not written
/// under the interventions: such a text suits them, and its change of surprisal comes out too low.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  moescope effect demo --text \"The enzyme lowers the activation energy of the reaction.\" --intervene mask:3:5
  moescope effect my-model --text-file abstract.txt --intervene zero:12:7,41 --intervene boost=2:11:3 --json")]
pub(crate) struct EffectArgs {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    text: OneTextArgs,
    #[command(flatten)]
    interventions: InterventionArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What is read.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct OneTextArgs {
    /// The text; the tokenizer adds what it puts before texts
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    text: Option<String>,
    /// A file with the text; `-` is standard input
    #[arg(long, value_name = "FILE")]
    text_file: Option<PathBuf>,
    /// The text's tokens as entries of the vocabulary, with nothing added: for what no text gives, such as a conversation
    #[arg(long, value_name = "ID,ID,…", value_delimiter = ',')]
    token_ids: Option<Vec<u32>>,
}

impl OneTextArgs {
    /// The tokens to read.
    fn ids(&self, tokenizer: &Tokenizer) -> anyhow::Result<Vec<u32>> {
        match (&self.token_ids, &self.text, &self.text_file) {
            (Some(ids), ..) => Ok(ids.clone()),
            (None, Some(text), _) => encoded(tokenizer, text),
            (None, None, Some(path)) => encoded(tokenizer, &text_file::read(path, "text")?),
            (None, None, None) => bail!("give the text with --text, --text-file or --token-ids"),
        }
    }
}

fn encoded(tokenizer: &Tokenizer, text: &str) -> anyhow::Result<Vec<u32>> {
    let tokens = tokenizer.encode(text)?;
    Ok(tokens.iter().map(|token| token.id).collect())
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    run: RunHead<'a>,
    token_ids: &'a [u32],
    #[serde(flatten)]
    effect: &'a TextEffect,
}

pub(crate) fn run(
    args: &EffectArgs,
    global: &GlobalArgs,
    console: &Console,
) -> anyhow::Result<Outcome> {
    let interventions = args.interventions.interventions()?;
    if interventions.is_empty() {
        bail!("there is nothing to measure: give the change of routing with --intervene");
    }
    let (files, choice) = args.model.open(global, console)?;
    // What would be refused in the end is refused before anything slow happens.
    Interventions::new(interventions.clone(), &files.checkpoint.model_spec())?;
    let ids = args.text.ids(&files.tokenizer)?;
    check_tokens(&ids, files.checkpoint.config())?;
    let device = devices::open(choice, console)?;
    let options = args.model.options();
    // What the first computation recorded is kept while the second runs.
    let pass = PassSize::prefill(2 * ids.len() as u64);
    check_fit(&files.checkpoint, &device, options, &pass, console)?;
    console.report(0, 0, "loading weights")?;
    let loaded = files.load(device, options, console)?;
    let effect = text_effect(&loaded, &ids, &interventions, console)?;
    console.finish();
    if args.json {
        output::json(&Report {
            run: RunHead::of(&loaded.files.folder, &loaded.device),
            token_ids: &ids,
            effect: &effect,
        })?;
    } else {
        show(&effect, &ids, &loaded)?;
    }
    Ok(Outcome::Success)
}

fn check_tokens(ids: &[u32], config: &DecoderConfig) -> anyhow::Result<()> {
    let context = config.max_positions;
    if ids.is_empty() {
        bail!("the text is empty, and this model's tokenizer puts no token first; give some text");
    }
    if ids.len() > context {
        bail!(
            "the text's {} tokens do not fit the model's context of {context}; shorten it",
            ids.len()
        );
    }
    let size = config.vocab_size;
    if let Some(id) = ids.iter().find(|id| **id as usize >= size) {
        bail!("there is no token {id} in a vocabulary of {size}; give ids of this model's tokens");
    }
    Ok(())
}

/// Prints what the app shows: the means, the layers, and all tokens, those whose surprisal changed most first.
fn show(effect: &TextEffect, ids: &[u32], loaded: &LoadedModel) -> anyhow::Result<()> {
    let nats = |value: f64| format!("{} nats per token", significant(value));
    let change = effect.mean_surprisal_change;
    output::pairs(&[
        ("model", loaded.files.folder.name.clone()),
        ("interventions", effect.interventions.join(", ")),
        (
            "text",
            format!("{} tokens; one text, no interval", ids.len()),
        ),
        (
            "change of surprisal",
            change.map_or_else(|| "not defined for one token".to_owned(), nats),
        ),
        ("divergence of predictions", nats(effect.mean_kl)),
    ])?;
    output::line("")?;
    let layers = effect.layers.iter().map(|layer| {
        let share = significant(100.0 * layer.changed_assignments);
        vec![layer.layer.to_string(), format!("{share} %")]
    });
    let layers: Vec<Vec<String>> = layers.collect();
    output::table(&["layer", ">changed assignments"], &layers)?;
    output::line("")?;
    let tokens = effect.by_change().into_iter().map(|position| {
        let token = &effect.tokens[position];
        let change = token.surprisal_change;
        let has_other = if token.is_prediction_changed {
            "yes"
        } else {
            "no"
        };
        vec![
            position.to_string(),
            output::visible(&loaded.files.tokenizer.piece(ids[position])),
            change.map_or_else(|| "—".to_owned(), signed),
            significant(token.kl_nats),
            has_other.to_owned(),
            token.changed_layers.to_string(),
        ]
    });
    let tokens: Vec<Vec<String>> = tokens.collect();
    let headings = [
        ">position",
        "token",
        ">surprisal [nats]",
        ">KL [nats]",
        "other prediction",
        ">rerouted layers",
    ];
    Ok(output::table(&headings, &tokens)?)
}

/// A change with its sign.
fn signed(change: f64) -> String {
    let sign = if change > 0.0 { "+" } else { "" };
    format!("{sign}{}", significant(change))
}
