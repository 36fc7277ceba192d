//! Labels compared while other variables are held constant, and what every comparison of labels obeys.

mod every_metric;
mod known_truth;
mod oracle;

use moescope_analytics::{ExpertsOrder, MemoryDocument, TraceData};
use moescope_core::{DecisionBatch, Measurement, Sample};

use crate::common::{model, token};

/// A document with one layer of decisions: a token and its experts at every position.
pub(crate) fn document(
    meta: Sample,
    experts: u16,
    top_k: u16,
    choices: impl IntoIterator<Item = (u32, Vec<u16>)>,
) -> MemoryDocument {
    let model = model(1, experts, top_k);
    let mut batch = DecisionBatch::new(usize::from(experts), usize::from(top_k));
    let mut tokens = Vec::new();
    for (position, (id, chosen)) in (0u32..).zip(choices) {
        tokens.push(token(position, id));
        let weights = vec![1.0 / f32::from(top_k); usize::from(top_k)];
        let logits: Vec<f32> = (0..experts)
            .map(|e| if chosen.contains(&e) { 1.0 } else { 0.0 })
            .collect();
        batch.push_decision(
            position,
            model.moe_layers[0],
            0,
            &chosen,
            &weights,
            &logits,
            &model.gating,
        );
    }
    MemoryDocument::from_decisions(&model, meta, tokens, batch)
}

pub(crate) fn trace(experts: u16, top_k: u16, documents: Vec<MemoryDocument>) -> TraceData {
    TraceData::in_memory(model(1, experts, top_k), ExpertsOrder::ByWeight, documents).unwrap()
}

/// Our sums are f64 in another order than numpy's.
#[track_caller]
pub(crate) fn close(found: f64, expected: f64) {
    assert!(
        (found - expected).abs() < 1e-9,
        "found {found}, expected {expected}"
    );
}

pub(crate) fn variant(found: &Measurement, name: &str) -> usize {
    let (_, axis) = found.axis(moescope_core::AxisKind::Variant).unwrap();
    let place = axis.labels.iter().position(|label| label == name);
    place.unwrap_or_else(|| panic!("no {name} among {:?}", axis.labels))
}
