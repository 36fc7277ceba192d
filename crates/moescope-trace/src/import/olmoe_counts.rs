//! Counts of how often each expert was chosen, as OLMoE's analysis (arXiv 2409.02060) keeps them: sums, no tokens.
//!
//! A table is `{domain: [{expert: count}, …]}` with one object for each layer; experts that were never chosen may be
//! absent. The repository's file holds several tables, called by model and kind, e.g. `olmoe/expert_counts`.

use std::collections::BTreeMap;

use moescope_core::{LayerId, ModelSpec, Phase};
use serde_json::Value;

use super::{
    Format, Request,
    common::{
        files,
        sink::{Content, Facts, Imported, Sink, Stop},
    },
};
use crate::{ExpertsOrder, Profile};

pub(super) const FORMAT: Format = Format {
    name: "olmoe-counts",
    summary: "counts of chosen experts by domain and layer, as OLMoE's analysis keeps them; sums only",
    paths: "json files {domain: [{expert: count}, …]}; a domain is a document and its discipline",
    needs_model: true,
    options: &["--table", "--layers"],
    unknown: "tokens, decisions, weights and all scores: only metrics of counts can be computed",
    read,
};

/// How deep tables are looked for.
const DEEPEST: usize = 3;

fn read(request: &Request<'_>, sink: &mut dyn Sink) -> Result<(), Stop> {
    let Some(model) = request.model else {
        return Ok(());
    };
    let mut began = false;
    for path in request.paths {
        for file in files::expand(path, &["json"], sink) {
            let Some(bytes) = files::read_whole(&file, sink) else {
                continue;
            };
            let table = match Table::parse(&bytes, request.table, request.layers, model) {
                Ok(table) => table,
                Err(what) => {
                    sink.problem(&file.shown, what);
                    continue;
                }
            };
            if !began {
                began = true;
                sink.begin(Facts {
                    model: model.clone(),
                    layers: (table.layers != model.moe_layers).then(|| table.layers.clone()),
                    experts_order: ExpertsOrder::Unspecified,
                    engine: "counts in OLMoE's form",
                    engine_version: None,
                    checkpoint: None,
                    is_profiles_only: true,
                    derived: Vec::new(),
                })?;
            }
            for (domain, lists) in &table.domains {
                match profiles(lists, &table.layers, model) {
                    Ok(content) => sink.document(Imported {
                        at: file.shown.clone(),
                        id: domain.clone(),
                        discipline: Some(domain.clone()),
                        content,
                    })?,
                    Err(what) => sink.problem(&file.shown, format!("domain '{domain}': {what}")),
                }
            }
        }
    }
    Ok(())
}

/// One table of counts: for each domain the counts `[layers][experts]`.
#[derive(Debug)]
pub struct Table {
    layers: Vec<LayerId>,
    domains: BTreeMap<String, Vec<Vec<u32>>>,
}

impl Table {
    /// Reads a table from the bytes of a JSON file; `name` says which, where there are several.
    ///
    /// # Errors
    /// When the JSON is broken, holds no such table, or its layers or experts are not those of the model.
    pub fn parse(
        bytes: &[u8],
        name: Option<&str>,
        layers: Option<&[LayerId]>,
        model: &ModelSpec,
    ) -> Result<Self, String> {
        let json: Value =
            serde_json::from_slice(bytes).map_err(|error| format!("broken JSON: {error}"))?;
        let mut known = Vec::new();
        find_tables(&json, "", 0, &mut known);
        let names = || {
            let names: Vec<&str> = known
                .iter()
                .map(|(name, _)| name.as_str())
                .take(20)
                .collect();
            names.join(", ")
        };
        let table = match (name, &known[..]) {
            (_, []) => {
                return Err("it holds no table {domain: [{expert: count}, …]}".to_owned());
            }
            (None, [(_, only)]) => *only,
            (None, _) => {
                return Err(format!(
                    "it holds several tables; name one with --table: {}",
                    names()
                ));
            }
            (Some(name), _) => {
                let found = known.iter().find(|(known, _)| known == name);
                found
                    .ok_or_else(|| {
                        format!("it holds no table '{name}'; the tables are {}", names())
                    })?
                    .1
            }
        };
        let mut domains = BTreeMap::new();
        let mut lists = None;
        for (domain, value) in table.as_object().into_iter().flatten() {
            let counts: Vec<Vec<u32>> = value
                .as_array()
                .into_iter()
                .flatten()
                .map(|counts| counts_of(counts, model))
                .collect::<Result<_, _>>()
                .map_err(|what| format!("domain '{domain}': {what}"))?;
            let expected = *lists.get_or_insert(counts.len());
            if counts.len() != expected {
                return Err(format!(
                    "domain '{domain}' has {} layers, others have {expected}",
                    counts.len()
                ));
            }
            domains.insert(domain.clone(), counts);
        }
        let layers = chosen_layers(layers, lists.unwrap_or(0), model)?;
        Ok(Self { layers, domains })
    }
}

fn chosen_layers(
    layers: Option<&[LayerId]>,
    lists: usize,
    model: &ModelSpec,
) -> Result<Vec<LayerId>, String> {
    let layers = layers.unwrap_or(&model.moe_layers);
    if layers.len() != lists {
        return Err(format!(
            "each domain has {lists} layers, {} were expected; say which ones they are with --layers, like --layers 0,7,15",
            layers.len()
        ));
    }
    Ok(layers.to_vec())
}

/// Whether a value is a table, and where the tables within it are.
fn find_tables<'v>(
    value: &'v Value,
    name: &str,
    depth: usize,
    found: &mut Vec<(String, &'v Value)>,
) {
    let Some(object) = value.as_object().filter(|object| !object.is_empty()) else {
        return;
    };
    let is_table = object.values().all(|domain| {
        domain
            .as_array()
            .is_some_and(|layers| !layers.is_empty() && layers.iter().all(Value::is_object))
    });
    if is_table {
        found.push((name.to_owned(), value));
    } else if depth < DEEPEST {
        for (key, inner) in object {
            let name = if name.is_empty() {
                key.clone()
            } else {
                format!("{name}/{key}")
            };
            find_tables(inner, &name, depth + 1, found);
        }
    }
}

fn counts_of(counts: &Value, model: &ModelSpec) -> Result<Vec<u32>, String> {
    let mut list = vec![0u32; model.num_experts.into()];
    for (expert, count) in counts.as_object().into_iter().flatten() {
        let place = expert
            .parse::<usize>()
            .ok()
            .and_then(|e| list.get_mut(e))
            .ok_or_else(|| format!("'{expert}' is no expert of {}", model.num_experts))?;
        *place = count
            .as_u64()
            .and_then(|count| u32::try_from(count).ok())
            .ok_or_else(|| {
                format!("the count of expert {expert} is {count}, no number up to 2³²")
            })?;
    }
    Ok(list)
}

fn profiles(lists: &[Vec<u32>], layers: &[LayerId], model: &ModelSpec) -> Result<Content, String> {
    let top_k = u64::from(model.top_k);
    let mut tokens = None;
    let mut profiles = Vec::with_capacity(lists.len());
    for (layer, counts) in layers.iter().zip(lists) {
        let sum: u64 = counts.iter().map(|n| u64::from(*n)).sum();
        if !sum.is_multiple_of(top_k) {
            return Err(format!(
                "layer {layer}: the counts sum to {sum}, which is no multiple of {top_k} experts for each token"
            ));
        }
        let count = u32::try_from(sum / top_k).map_err(|_| "there are too many tokens")?;
        let first = *tokens.get_or_insert(count);
        if count != first {
            return Err(format!(
                "layer {layer} counts {count} tokens, the first layer {first}"
            ));
        }
        let moe_layer = model.moe_layers.binary_search(layer).ok();
        let moe_layer = moe_layer
            .and_then(|n| u16::try_from(n).ok())
            .ok_or_else(|| format!("layer {layer} has no router"))?;
        profiles.push(Profile {
            layer: *layer,
            moe_layer,
            phase: Phase::Prefill,
            n_tokens: count,
            counts: counts.clone(),
            weight_sum: None,
            prob_sum: None,
            logit_sum: None,
            last_prob: None,
        });
    }
    Ok(Content::Profiles {
        num_tokens: tokens.unwrap_or(0),
        profiles,
    })
}
