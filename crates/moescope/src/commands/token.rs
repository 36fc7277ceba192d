//! `token`: where one token occurs, and which experts it goes to.

mod report;
mod spelled;

use std::{collections::BTreeSet, path::PathBuf};

use anyhow::{anyhow, bail};
use clap::Args;
use moescope_analytics::{
    FirstChoiceAgreement, MeasureRequest, TokenConfig, TokenProfile, TraceData, token_profile,
    token_spellings,
};
use moescope_core::{LayerId, LayerSelection, Scope};
use serde::Serialize;

use super::expert::parse_place;
use crate::{
    console::Console, counted_args::CountedArgs, exit::Outcome, label_args::LabelArgs, output,
};

/// Tell where one token occurs in a trace, and which experts it goes to there
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  moescope token my-trace --text ' enzyme'
  moescope token my-trace --text enzyme --by genre --layer 3 --contexts 30
  moescope token my-trace --id 1234 --only genre=abstract --layers 0-3 --top 8
  moescope token my-trace --id 1234 --phase all --include-special --json
  moescope token my-trace --id 1234 --heaviest 0:7,1:3

Most tokens that begin a word hold the space before it. Write it as it is, in quotes (' enzyme'), or as the tables show
it (·enzyme). Without it the token that is spelled exactly so is taken, else the only one that has such a space; a note
names others. `moescope show my-trace --sample ID` shows the tokens of a text.")]
pub(crate) struct TokenArgs {
    /// The trace's folder
    #[arg(value_name = "TRACE")]
    trace: PathBuf,
    #[command(flatten)]
    which: WhichToken,
    #[command(flatten)]
    labels: LabelArgs,
    /// Layers to count at, in the model's numbering, like 0,5-8
    #[arg(long, default_value = "all", value_name = "LAYERS")]
    layers: LayerSelection,
    #[command(flatten)]
    counted: CountedArgs,
    /// Experts to list at each layer, those first that it chooses most often
    #[arg(long, default_value_t = 3, value_name = "N")]
    top: usize,
    /// Tell how often these are its heaviest experts, beside what any token would give; one a layer, as in 0:7,1:3
    #[arg(long, value_delimiter = ',', value_name = "LAYER:EXPERT,…")]
    heaviest: Vec<String>,
    /// Occurrences to show in their text, drawn at random from all
    #[arg(long, default_value_t = 10, value_name = "N")]
    contexts: usize,
    /// Tokens to show before and after each occurrence
    #[arg(long, default_value_t = 12, value_name = "N")]
    window: usize,
    /// The layer whose experts are shown at each occurrence [default: the first that is counted]
    #[arg(long, value_name = "LAYER")]
    layer: Option<u16>,
    /// Seed of the occurrences that are drawn
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// Print one JSON object, with every expert and the experts of each occurrence at all layers
    #[arg(long)]
    json: bool,
}

/// Which token it is.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct WhichToken {
    /// The token's number in the vocabulary
    #[arg(long, value_name = "N")]
    id: Option<u32>,
    /// The token's piece of text, with its space (see below)
    #[arg(long, value_name = "PIECE", allow_hyphen_values = true)]
    text: Option<String>,
}

/// What is printed.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    profile: &'a TokenProfile,
    /// The layer whose experts people are shown.
    #[serde(skip)]
    layer: LayerId,
    /// What was asked for.
    #[serde(skip)]
    scope: &'a Scope,
    /// How often experts that were named are its heaviest.
    #[serde(skip_serializing_if = "Option::is_none")]
    agreement: Option<Agreement>,
}

/// How often experts that were named are the heaviest.
#[derive(Serialize)]
struct Agreement {
    layers: Vec<AgreementAtLayer>,
    overall: FirstChoiceAgreement,
}

/// The same at one layer.
#[derive(Serialize)]
struct AgreementAtLayer {
    layer: LayerId,
    expert: u16,
    #[serde(flatten)]
    found: FirstChoiceAgreement,
}

pub(crate) fn run(args: &TokenArgs, console: &Console) -> anyhow::Result<Outcome> {
    let heaviest: Vec<(LayerId, u16)> = args
        .heaviest
        .iter()
        .map(|place| parse_place(place))
        .collect::<anyhow::Result<_>>()?;
    let request = MeasureRequest {
        scope: Scope {
            layers: args.layers.clone(),
            labels: args.labels.labels(),
            only: args.labels.only.clone(),
            ..args.counted.scope()
        },
        by: args.labels.by.clone(),
        merge: args.labels.merge.clone(),
        seed: args.seed,
        ..MeasureRequest::default()
    };
    let data = TraceData::open(&args.trace)?;
    let layers = counted_layers(&data, &request.scope.layers)?;
    let layer = shown_layer(args.layer, &layers)?;
    check_places(&data, &layers, &heaviest)?;
    let config = TokenConfig {
        id: id(args, &data, console)?,
        contexts: args.contexts,
        window: args.window,
    };
    let profile = token_profile(&data, &request, &config, console)?;
    console.finish();
    let report = Report {
        layer,
        scope: &request.scope,
        agreement: agreement(&profile, &heaviest),
        profile: &profile,
    };
    if args.json {
        output::json(&report)?;
    } else {
        report::print(&report, args.top)?;
    }
    Ok(Outcome::Success)
}

/// The entry of the vocabulary that is meant.
fn id(args: &TokenArgs, data: &TraceData, console: &Console) -> anyhow::Result<u32> {
    let text = match (args.which.id, &args.which.text) {
        (Some(id), _) => return Ok(id),
        (None, Some(text)) => text,
        (None, None) => bail!("say which token, with --id or --text"),
    };
    let known = token_spellings(data, console)?;
    let found = spelled::find(text, &known)
        .map_err(|error| anyhow!("{error}: {}", args.trace.display()))?;
    for other in &found.others {
        console.note(&format!(
            "spelled alike but for spaces: {}",
            spelled::told(other)
        ));
    }
    Ok(found.id)
}

/// The trace's layers that are counted; at least one.
fn counted_layers(data: &TraceData, asked: &LayerSelection) -> anyhow::Result<Vec<LayerId>> {
    let layers = data.layers().iter().copied();
    let counted: Vec<LayerId> = layers.filter(|layer| asked.contains(*layer)).collect();
    if counted.is_empty() {
        bail!(
            "--layers {asked} names no layer of the trace; it has layers {}",
            ranges(data.layers())
        );
    }
    Ok(counted)
}

/// The layer whose experts are shown at occurrences, among those that are counted.
fn shown_layer(asked: Option<u16>, counted: &[LayerId]) -> anyhow::Result<LayerId> {
    let layer = asked.map_or(counted[0], LayerId);
    if !counted.contains(&layer) {
        bail!(
            "--layer {layer} is not counted; layers {} are",
            ranges(counted)
        );
    }
    Ok(layer)
}

/// Refuses experts that are not counted, and two of one layer.
fn check_places(
    data: &TraceData,
    counted: &[LayerId],
    heaviest: &[(LayerId, u16)],
) -> anyhow::Result<()> {
    let num_experts = data.model().num_experts;
    let mut layers = BTreeSet::new();
    for (layer, expert) in heaviest {
        if !counted.contains(layer) {
            bail!(
                "--heaviest names layer {layer}, which is not counted; layers {} are",
                ranges(counted)
            );
        }
        if *expert >= num_experts {
            bail!(
                "--heaviest names expert {expert} of layer {layer}, which has experts 0 to {}",
                num_experts.saturating_sub(1)
            );
        }
        if !layers.insert(*layer) {
            bail!(
                "--heaviest names two experts of layer {layer}; name the one that is compared with"
            );
        }
    }
    Ok(())
}

fn ranges(layers: &[LayerId]) -> String {
    output::ranges(layers.iter().map(|layer| layer.0))
}

/// How often the heaviest experts are the ones that were named; `None` where none was.
fn agreement(profile: &TokenProfile, heaviest: &[(LayerId, u16)]) -> Option<Agreement> {
    if heaviest.is_empty() {
        return None;
    }
    let at_layer = |(layer, expert): &(LayerId, u16)| AgreementAtLayer {
        layer: *layer,
        expert: *expert,
        found: profile.agreement([(*layer, *expert)]),
    };
    Some(Agreement {
        layers: heaviest.iter().map(at_layer).collect(),
        overall: profile.agreement(heaviest.iter().copied()),
    })
}
