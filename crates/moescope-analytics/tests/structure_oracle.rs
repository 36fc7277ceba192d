//! Structure across experts, layers and tokens against numpy, scipy and scikit-learn; `oracle/structure.py` made the values.

use std::sync::Arc;

use moescope_analytics::{
    AnalyticsError, ExpertProjection, ExpertsOrder, LayerWeights, MeasureRequest, MemoryDocument,
    TraceData, WeightSource,
};
use moescope_core::{DecisionBatch, LayerId, Measurement};
use serde_json::Value;

use crate::common::{self, measure, model, sample, token};

fn oracle() -> Value {
    serde_json::from_str(include_str!("oracle/structure.json")).unwrap()
}

fn integer(value: &Value) -> u16 {
    u16::try_from(value.as_u64().unwrap()).unwrap()
}

/// The oracle's documents as a trace of layers 1, 3, 5 with all documents under one label.
fn trace(oracle: &Value) -> TraceData {
    let [layers, experts, top_k] = ["layers", "experts", "top_k"].map(|key| integer(&oracle[key]));
    let model = model(layers, experts, top_k);
    let documents = oracle["documents"].as_array().unwrap();
    let documents = documents
        .iter()
        .enumerate()
        .map(|(number, document)| {
            let mut batch = DecisionBatch::ids_only(usize::from(experts), usize::from(top_k));
            let mut tokens = Vec::new();
            let chosen = document["chosen"].as_array().unwrap();
            for (position, chosen) in (0u32..).zip(chosen) {
                let at = position as usize;
                let mut row = token(position, u32::from(integer(&document["ids"][at])));
                row.predicted_id = Some(u32::from(integer(&document["predicted"][at])));
                tokens.push(row);
                for (place, of_layer) in (0u16..).zip(chosen.as_array().unwrap()) {
                    batch.position.push(position);
                    batch.layer.push(model.moe_layers[usize::from(place)]);
                    batch.moe_layer.push(place);
                    let experts = of_layer.as_array().unwrap().iter().map(integer);
                    batch.selected_experts.extend(experts);
                }
            }
            let id = format!("d{number}");
            MemoryDocument::from_decisions(&model, sample(&id, "math", &id), tokens, batch)
        })
        .collect();
    TraceData::in_memory(model, ExpertsOrder::ByWeight, documents).unwrap()
}

/// Values only: four documents have no intervals anyway.
fn plain() -> MeasureRequest {
    MeasureRequest {
        resamples: 0,
        permutations: 0,
        ..MeasureRequest::default()
    }
}

/// Nested lists in their order; null is NaN.
fn flat(value: &Value, into: &mut Vec<f64>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| flat(item, into)),
        other => into.push(other.as_f64().unwrap_or(f64::NAN)),
    }
}

#[track_caller]
fn close(found: &[f64], expected: &Value, tolerance: f64) {
    let mut values = Vec::new();
    flat(expected, &mut values);
    assert_eq!(found.len(), values.len());
    for (place, (found, expected)) in found.iter().zip(values).enumerate() {
        assert!(
            (found.is_nan() && expected.is_nan()) || (found - expected).abs() <= tolerance,
            "value {place}: found {found}, expected {expected}"
        );
    }
}

fn first(data: &TraceData, name: &str) -> Measurement {
    measure(data, name, &plain()).remove(0)
}

#[test]
fn co_activation_is_that_of_numpy_in_both_ways_of_counting() {
    let oracle = oracle();
    let data = trace(&oracle);
    for name in ["co_activation", "co_activation_rank_adjacent"] {
        close(&first(&data, name).values, &oracle[name], 1e-12);
    }
}

#[test]
fn lift_is_that_of_scipys_hypergeometric_and_of_all_sets_enumerated() {
    let oracle = oracle();
    let found = first(&trace(&oracle), "co_activation_lift");
    // Fitted inclusion probabilities are right to 1e-10 here and 1e-13 there.
    close(&found.values, &oracle["co_activation_lift"], 1e-7);
}

#[test]
fn transitions_are_normalised_confusion_matrices() {
    let oracle = oracle();
    let data = trace(&oracle);
    for name in ["layer_transition", "layer_transition_slotwise"] {
        let found = first(&data, name);
        assert_eq!(found.axes[0].labels, ["1", "3"]);
        close(&found.values, &oracle[name], 1e-12);
    }
}

#[test]
fn information_between_layers_is_scikit_learns() {
    let oracle = oracle();
    let found = first(&trace(&oracle), "layer_mutual_information");
    let variant = |variant: usize| -> Vec<f64> {
        found
            .values
            .iter()
            .skip(variant)
            .step_by(3)
            .copied()
            .collect()
    };
    close(&variant(0), &oracle["layer_information"], 1e-12);
    close(&variant(2), &oracle["layer_nmi"], 1e-12);
}

#[test]
fn paths_have_scipys_entropy() {
    let oracle = oracle();
    let data = trace(&oracle);
    let found = measure(&data, "path_entropy", &plain());
    let value = |place: usize| found[0].values[place];
    for (place, key) in [
        (0, "path_bits"),
        (4, "path_markov"),
        (5, "path_independent"),
    ] {
        let expected = oracle[key].as_f64().unwrap();
        assert!(
            (value(place) - expected).abs() < 1e-12,
            "{key}: {}",
            value(place)
        );
    }
    // Drawn paths are biased as the observed ones are, and so below their models' entropies.
    assert!(value(2) < value(4) && value(3) < value(5), "{found:?}");
    assert_eq!(Some(found[1].values[0]), oracle["path_distinct"].as_f64());
    let purity = first(&data, "path_purity");
    let expected = [
        oracle["path_purity"][0].as_f64().unwrap(),
        oracle["expert_purity"].as_f64().unwrap(),
        oracle["path_purity"][1].as_f64().unwrap(),
    ];
    for (place, expected) in [0, 2, 4].into_iter().zip(expected) {
        assert!((purity.values[place] - expected).abs() < 1e-12);
    }
}

#[test]
fn vocabulary_specialization_is_numpys_for_all_three_kinds_of_ids() {
    let oracle = oracle();
    let found = first(&trace(&oracle), "vocabulary_specialization");
    let names = &found.axes[2].labels;
    assert_eq!(names[4], "predicted");
    assert_eq!(names[9], "next_every_id");
    let kept: Vec<f64> = found
        .values
        .chunks(4)
        .flat_map(|values| values[..3].to_vec())
        .collect();
    close(&kept, &oracle["specialization"], 1e-12);
}

#[test]
fn token_dependence_is_scikit_learns_information_over_scipys_entropy() {
    let oracle = oracle();
    let found = first(&trace(&oracle), "token_dependence");
    let kept: Vec<f64> = found.values.chunks(2).map(|values| values[0]).collect();
    close(&kept, &oracle["dependence"], 1e-12);
}

/// Router rows from the oracle; experts of one number each.
struct Rows(Vec<f32>);

impl WeightSource for Rows {
    fn model(&self) -> String {
        "oracle".into()
    }

    fn with_layer(
        &self,
        _: LayerId,
        work: &mut dyn FnMut(&dyn LayerWeights) -> Result<(), AnalyticsError>,
    ) -> Result<(), AnalyticsError> {
        work(self)
    }
}

impl LayerWeights for Rows {
    fn router(&self) -> Result<Vec<f32>, AnalyticsError> {
        Ok(self.0.clone())
    }

    fn expert(&self, expert: u16, matrix: ExpertProjection) -> Result<Vec<f32>, AnalyticsError> {
        // All rows in one matrix of each expert, and nothing in the others.
        let width = self.0.len() / 5;
        let start = usize::from(expert) * width;
        Ok(match matrix {
            ExpertProjection::Down => vec![0.0; width],
            _ => self.0[start..start + width].to_vec(),
        })
    }
}

#[test]
fn similarities_of_weights_are_scikit_learns_cosines() {
    let oracle = oracle();
    let mut rows = Vec::new();
    flat(&oracle["router"], &mut rows);
    #[expect(clippy::cast_possible_truncation, reason = "they were f32")]
    let rows = Rows(rows.into_iter().map(|x| x as f32).collect());
    let synthetic = common::Synthetic {
        layers: 1,
        experts: 5,
        ..common::Synthetic::default()
    };
    let without = synthetic.data();
    let error = common::fails(&without, "router_similarity", &plain());
    assert!(error.contains("--model MODEL"), "{error}");
    let data = without.with_weights(Arc::new(rows));
    let cosines = &oracle["router_cosines"];
    close(&first(&data, "router_similarity").values, cosines, 1e-12);
    let experts = first(&data, "expert_weight_similarity");
    assert_eq!(experts.axes[1].labels[3], "concatenated");
    close(&experts.values[..25], cosines, 1e-12);
    // Two equal matrices and one of zeros concatenated have the cosines of either; zeros have none.
    close(&experts.values[75..], cosines, 1e-12);
    assert!(experts.values[50..75].iter().all(|value| value.is_nan()));
}
