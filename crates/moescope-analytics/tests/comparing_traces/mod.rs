//! Comparing traces: values computed by hand, traces whose relation is known, and published counts.

mod differences;
mod in_step;
mod matching;
mod on_disk;
mod reference_scope;

use moescope_analytics::{
    ExpertsOrder, MeasureRequest, MemoryDocument, TraceData, TraceSet, difference_of_traces, find,
    find_comparison,
};
use moescope_core::{AxisKind, DecisionBatch, Measurement, ModelSpec, NoProgress, TokenRow};

use crate::common::{model, sample, token};

fn set(traces: Vec<(&str, TraceData)>) -> TraceSet {
    let last = traces.len() - 1;
    let traces = traces
        .into_iter()
        .map(|(name, data)| (name.to_owned(), data));
    TraceSet::new(traces.collect(), last).unwrap()
}

fn data(model: &ModelSpec, documents: Vec<MemoryDocument>) -> TraceData {
    TraceData::in_memory(model.clone(), ExpertsOrder::ByWeight, documents).unwrap()
}

fn compare(traces: &TraceSet, name: &str, request: &MeasureRequest) -> Vec<Measurement> {
    find_comparison(name)
        .unwrap()
        .compare(traces, request, &NoProgress)
        .unwrap()
}

fn refused(traces: &TraceSet, name: &str, request: &MeasureRequest) -> String {
    find_comparison(name)
        .unwrap()
        .compare(traces, request, &NoProgress)
        .unwrap_err()
        .to_string()
}

fn difference(traces: &TraceSet, name: &str, request: &MeasureRequest) -> Vec<Measurement> {
    difference_of_traces(traces, find(name).unwrap(), request, &NoProgress).unwrap()
}

/// The table over these axes whose only variant is this one, where it has variants.
#[track_caller]
fn table<'a>(found: &'a [Measurement], axes: &[AxisKind], variant: &str) -> &'a Measurement {
    let is_it = |m: &&Measurement| {
        let kinds = m.axes.iter().map(|axis| axis.kind);
        let variants = m.axis(AxisKind::Variant);
        kinds.eq(axes.iter().copied())
            && variants.is_none_or(|(_, axis)| axis.len() > 1 || axis.labels == [variant])
    };
    let found = found.iter().find(is_it);
    found.unwrap_or_else(|| panic!("no table over {axes:?} of {variant}"))
}

#[track_caller]
fn close(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len(), "{found:?} {expected:?}");
    for (a, b) in found.iter().zip(expected) {
        let is_equal = (a - b).abs() < 1e-12 || a.is_nan() && b.is_nan();
        assert!(is_equal, "found {found:?}, expected {expected:?}");
    }
}

/// Logits whose softmax makes `experts` the chosen ones, with a margin that `gap` sets.
fn logits(experts: &[u16], num_experts: usize, gap: f32) -> Vec<f32> {
    let mut logits = vec![0.0; num_experts];
    for (rank, expert) in (0u16..).zip(experts) {
        logits[usize::from(*expert)] = gap + 0.5 * f32::from(2 - rank.min(2));
    }
    logits
}

/// A document whose tokens choose these experts at every layer, heaviest first.
fn document(
    model: &ModelSpec,
    id: &str,
    tokens: Vec<TokenRow>,
    experts: &[[u16; 2]],
) -> MemoryDocument {
    let num_experts = usize::from(model.num_experts);
    let mut batch = DecisionBatch::new(num_experts, 2);
    for (token, experts) in tokens.iter().zip(experts) {
        for (place, layer) in (0u16..).zip(&model.moe_layers) {
            let gap = if token.position == 0 { 4.0 } else { 0.0 };
            let logits = logits(experts, num_experts, gap);
            let gating = &model.gating;
            batch.push_decision(
                token.position,
                *layer,
                place,
                experts,
                &[0.75, 0.25],
                &logits,
                gating,
            );
        }
    }
    let mut meta = sample(id, if id < "c" { "law" } else { "math" }, id);
    meta.text = format!("text of {id}");
    MemoryDocument::from_decisions(model, meta, tokens, batch)
}

fn tokens(ids: &[u32]) -> Vec<TokenRow> {
    (0u32..).zip(ids).map(|(p, id)| token(p, *id)).collect()
}

/// Two documents as two checkpoints route them.
fn two_checkpoints() -> TraceSet {
    let model = model(1, 4, 2);
    let early = vec![
        document(&model, "a", tokens(&[7, 8]), &[[0, 1], [0, 2]]),
        document(&model, "c", tokens(&[9]), &[[0, 3]]),
    ];
    let last = vec![
        document(&model, "a", tokens(&[7, 8]), &[[1, 0], [2, 3]]),
        document(&model, "c", tokens(&[9]), &[[1, 2]]),
    ];
    set(vec![
        ("early", data(&model, early)),
        ("last", data(&model, last)),
    ])
}
