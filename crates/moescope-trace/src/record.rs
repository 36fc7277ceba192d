//! What a writer takes: one document with its tokens and decisions, held to the rules of a trace.

use std::collections::BTreeSet;

use moescope_core::{DecisionBatch, LayerId, Sample, TokenRow};

use crate::{
    error::TraceError,
    manifest::{ExpertsOrder, Manifest},
    profile::Profile,
};

/// One captured document, ready to be written.
#[derive(Clone, Debug)]
pub struct SampleRecord {
    /// The document's number: 0 for the first of a trace, then one more each.
    pub sample: u32,
    /// The document and its labels.
    pub meta: Sample,
    /// How many of the tokens were given rather than generated.
    pub num_prompt_tokens: Option<u32>,
    /// The seed of the document's sampling.
    pub seed: Option<u64>,
    /// Every token, by ascending position.
    pub tokens: Vec<TokenRow>,
    /// Every routed token at every recorded layer, by position, then layer.
    pub decisions: DecisionBatch,
}

/// One document of which only sums are known, as some imports deliver it.
#[derive(Clone, Debug)]
pub struct ProfileRecord {
    /// The document's number: 0 for the first of a trace, then one more each.
    pub sample: u32,
    /// The document and its labels.
    pub meta: Sample,
    /// How many tokens the document has.
    pub num_tokens: u32,
    /// Its sums, by layer, then phase.
    pub profiles: Vec<Profile>,
}

impl SampleRecord {
    /// Checks the record against the rules that every reader relies on.
    pub(crate) fn check(&self, manifest: &Manifest) -> Result<(), TraceError> {
        let result = check_tokens(&self.tokens)
            .and_then(|()| check_lengths(&self.decisions, manifest))
            .and_then(|()| check_coverage(&self.tokens, &self.decisions, manifest))
            .and_then(|()| check_experts(&self.decisions, manifest));
        result.map_err(|reason| record_error(self.sample, &self.meta, reason))
    }
}

impl ProfileRecord {
    pub(crate) fn check(&self, manifest: &Manifest) -> Result<(), TraceError> {
        let experts = usize::from(manifest.model.num_experts);
        let problem = self.profiles.iter().find_map(|profile| {
            let lists = [
                &profile.weight_sum,
                &profile.prob_sum,
                &profile.logit_sum,
                &profile.last_prob,
            ];
            let wrong_length = profile.counts.len() != experts
                || lists
                    .iter()
                    .any(|list| list.as_ref().is_some_and(|l| l.len() != experts));
            if wrong_length {
                return Some(format!(
                    "the profile of layer {} has lists of other lengths than {experts} experts",
                    profile.layer
                ));
            }
            check_layer(manifest, profile.layer, profile.moe_layer).err()
        });
        let keys = self.profiles.iter().map(|p| (p.layer, p.phase));
        let problem = problem.or_else(|| {
            (!keys.is_sorted_by(|a, b| a < b))
                .then(|| "the profiles are not sorted by layer, then phase".to_owned())
        });
        match problem {
            Some(reason) => Err(record_error(self.sample, &self.meta, reason)),
            None => Ok(()),
        }
    }
}

pub(crate) fn record_error(sample: u32, meta: &Sample, reason: String) -> TraceError {
    TraceError::Record {
        sample,
        id: meta.id.chars().take(80).collect(),
        reason,
    }
}

fn check_tokens(tokens: &[TokenRow]) -> Result<(), String> {
    if let Some(pair) = tokens.windows(2).find(|t| t[0].position >= t[1].position) {
        return Err(format!(
            "token position {} follows {}; positions must ascend",
            pair[1].position, pair[0].position
        ));
    }
    if let Some(token) = tokens.iter().find(|t| t.is_routed && t.phase.is_none()) {
        return Err(format!(
            "the token at position {} was routed, but its phase is unknown; say prefill for given text",
            token.position
        ));
    }
    Ok(())
}

fn check_lengths(decisions: &DecisionBatch, manifest: &Manifest) -> Result<(), String> {
    let (experts, top_k) = (decisions.num_experts(), decisions.top_k());
    let model = &manifest.model;
    if experts != usize::from(model.num_experts) || top_k != usize::from(model.top_k) {
        return Err(format!(
            "its decisions choose {top_k} of {experts} experts, the manifest's model {} of {}",
            model.top_k, model.num_experts
        ));
    }
    let rows = decisions.len();
    let known = |column: Option<usize>, width: usize| column.map(|len| (len, width));
    let columns = [
        ("layer", known(Some(decisions.layer.len()), 1)),
        ("moe_layer", known(Some(decisions.moe_layer.len()), 1)),
        (
            "selected_experts",
            known(Some(decisions.selected_experts.len()), top_k),
        ),
        (
            "routing_weights",
            known(decisions.routing_weights.as_ref().map(Vec::len), top_k),
        ),
        (
            "topk_mass",
            known(decisions.topk_mass.as_ref().map(Vec::len), 1),
        ),
        (
            "entropy",
            known(decisions.entropy.as_ref().map(Vec::len), 1),
        ),
        ("margin", known(decisions.margin.as_ref().map(Vec::len), 1)),
        (
            "runner_up",
            known(decisions.runner_up.as_ref().map(Vec::len), 1),
        ),
        (
            "logsumexp",
            known(decisions.logsumexp.as_ref().map(Vec::len), 1),
        ),
        (
            "router_logits",
            known(decisions.router_logits.as_ref().map(Vec::len), experts),
        ),
    ];
    for (name, column) in columns {
        if let Some((len, width)) = column
            && len != rows * width
        {
            return Err(format!(
                "column {name} holds {len} values for {rows} decisions, expected {}",
                rows * width
            ));
        }
    }
    Ok(())
}

/// Every routed token has one decision at each recorded layer, in order, and no other token has any.
fn check_coverage(
    tokens: &[TokenRow],
    decisions: &DecisionBatch,
    manifest: &Manifest,
) -> Result<(), String> {
    let layers = manifest.recorded_layers();
    let expected = tokens
        .iter()
        .filter(|token| token.is_routed)
        .flat_map(|token| layers.iter().map(|layer| (token.position, *layer)));
    let found = decisions
        .position
        .iter()
        .copied()
        .zip(decisions.layer.iter().copied());
    let mut found = found.peekable();
    for (position, layer) in expected {
        match found.next() {
            Some(key) if key == (position, layer) => {}
            Some((at, of)) => {
                return Err(format!(
                    "the decision of position {position} at layer {layer} was expected, found that of {at} at {of}"
                ));
            }
            None => {
                return Err(format!(
                    "no decision of position {position} at layer {layer}"
                ));
            }
        }
    }
    if let Some((position, layer)) = found.next() {
        return Err(format!(
            "a decision of position {position} at layer {layer} belongs to no routed token"
        ));
    }
    let numbered = decisions.layer.iter().zip(&decisions.moe_layer);
    for (layer, moe_layer) in numbered {
        check_layer(manifest, *layer, *moe_layer)?;
    }
    Ok(())
}

fn check_layer(manifest: &Manifest, layer: LayerId, moe_layer: u16) -> Result<(), String> {
    if manifest.recorded_layers().binary_search(&layer).is_err() {
        return Err(format!("layer {layer} is not among the recorded layers"));
    }
    match manifest.moe_layer(layer) {
        Some(number) if number == moe_layer => Ok(()),
        other => Err(format!(
            "layer {layer} is called MoE layer {moe_layer}, the manifest's model says {other:?}"
        )),
    }
}

fn check_experts(decisions: &DecisionBatch, manifest: &Manifest) -> Result<(), String> {
    let ordered = manifest.scores.experts_order == ExpertsOrder::ByWeight;
    let mut seen = BTreeSet::new();
    for row in 0..decisions.len() {
        let experts = decisions.experts(row);
        let place = || {
            format!(
                "at position {}, layer {}",
                decisions.position[row], decisions.layer[row]
            )
        };
        seen.clear();
        for expert in experts {
            if *expert >= manifest.model.num_experts {
                return Err(format!(
                    "expert {expert} {} does not exist; there are {}",
                    place(),
                    manifest.model.num_experts
                ));
            }
            if !seen.insert(*expert) {
                return Err(format!("expert {expert} is chosen twice {}", place()));
            }
        }
        if let (true, Some(weights)) = (ordered, decisions.weights(row)) {
            let pairs = experts.windows(2).zip(weights.windows(2));
            for (e, w) in pairs {
                if w[0] < w[1] || (w[0].to_bits() == w[1].to_bits() && e[0] > e[1]) {
                    return Err(format!(
                        "experts {} and {} are not in order of weight {}",
                        e[0],
                        e[1],
                        place()
                    ));
                }
            }
        }
    }
    Ok(())
}
