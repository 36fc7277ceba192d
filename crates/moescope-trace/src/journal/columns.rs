//! The decisions of a piece: one column after the other, little-endian.
//!
//! Positions and layers are not written; they follow from the tokens, each of which was routed at every layer.

use moescope_core::{DecisionBatch, TokenRow};

use crate::manifest::Manifest;

/// Appends the columns; `None` where one is unknown.
pub(super) fn encode(
    decisions: &DecisionBatch,
    keeps_logits: bool,
    bytes: &mut Vec<u8>,
) -> Option<()> {
    let logits = decisions.router_logits.as_ref();
    let floats = [
        decisions.routing_weights.as_ref()?,
        decisions.topk_mass.as_ref()?,
        decisions.entropy.as_ref()?,
        decisions.margin.as_ref()?,
        decisions.logsumexp.as_ref()?,
    ];
    let logits = if keeps_logits { Some(logits?) } else { None };
    for ids in [&decisions.selected_experts, decisions.runner_up.as_ref()?] {
        bytes.extend(ids.iter().flat_map(|id| id.to_le_bytes()));
    }
    for column in floats.into_iter().chain(logits) {
        bytes.extend(column.iter().flat_map(|value| value.to_le_bytes()));
    }
    Some(())
}

/// Adds the decisions of some tokens; `None`, and nothing is added, where there are not as many bytes as they take.
pub(super) fn decode(
    bytes: &[u8],
    tokens: &[TokenRow],
    manifest: &Manifest,
    decisions: &mut DecisionBatch,
) -> Option<()> {
    let layers = manifest.recorded_layers();
    let rows = tokens.len().checked_mul(layers.len())?;
    let (top_k, experts) = (decisions.top_k(), decisions.num_experts());
    let logits = if manifest.keeps_logits { experts } else { 0 };
    // Two bytes for each expert and the runner-up; four for each weight, four further floats, and each logit.
    let row_bytes = 2 * (top_k + 1) + 4 * (top_k + 4 + logits);
    if rows.checked_mul(row_bytes)? != bytes.len() {
        return None;
    }
    let mut left = bytes;
    let mut take = |count: usize, width: usize| {
        let (column, rest) = left.split_at(count * width);
        left = rest;
        column
    };
    let ids = |bytes: &[u8], column: &mut Vec<u16>| {
        let (chunks, _) = bytes.as_chunks();
        column.extend(chunks.iter().map(|bytes| u16::from_le_bytes(*bytes)));
    };
    let floats = |bytes: &[u8], column: &mut Option<Vec<f32>>| {
        let (chunks, _) = bytes.as_chunks();
        let values = chunks.iter().map(|bytes| f32::from_le_bytes(*bytes));
        column.get_or_insert_default().extend(values);
    };
    ids(take(rows * top_k, 2), &mut decisions.selected_experts);
    let runner_up = decisions.runner_up.get_or_insert_default();
    ids(take(rows, 2), runner_up);
    floats(take(rows * top_k, 4), &mut decisions.routing_weights);
    floats(take(rows, 4), &mut decisions.topk_mass);
    floats(take(rows, 4), &mut decisions.entropy);
    floats(take(rows, 4), &mut decisions.margin);
    floats(take(rows, 4), &mut decisions.logsumexp);
    if manifest.keeps_logits {
        floats(take(rows * experts, 4), &mut decisions.router_logits);
    }
    for token in tokens {
        for layer in layers {
            decisions.position.push(token.position);
            decisions.layer.push(*layer);
            // Whether it is a layer of the model was checked with the manifest.
            decisions.moe_layer.push(manifest.moe_layer(*layer)?);
        }
    }
    Some(())
}
