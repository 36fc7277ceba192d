//! The authors' traces of DeepSeek-V2-Lite give the authors' scores, sets of experts and the repetition known of them.
//!
//! The traces lie outside the repository; without them the test says so and passes.

use std::{collections::HashMap, fs, io::Read as _, path::Path};

use moescope_analytics::{ExpertsOrder, MeasureRequest, MemoryDocument, TraceData};
use moescope_core::{DecisionBatch, LayerId, Measurement, ModelSpec};
use serde_json::Value;

use crate::common::{self, measure, sample, token};

const TASKS: [&str; 2] = ["intent", "law"];
const LAYERS: u16 = 26;
const EXPERTS: u16 = 64;
const TOP_K: usize = 6;

/// The files of the published archive by their path inside it.
fn archive() -> Option<HashMap<String, String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/reference/esft.tar.zst");
    let packed = fs::File::open(path).ok()?;
    let mut archive = tar::Archive::new(zstd::Decoder::new(packed).unwrap());
    let mut files = HashMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_string_lossy().into_owned();
        let mut text = String::new();
        if entry.header().entry_type().is_file() {
            entry.read_to_string(&mut text).unwrap();
            files.insert(name, text);
        }
    }
    Some(files)
}

/// One sequence at one layer: experts and weights of its tokens, `[tokens × k]`, each token's heaviest first.
fn parse(line: &str) -> (Vec<u16>, Vec<f32>) {
    let (ids, weights) = line.split_once("\t\t").unwrap();
    let ids: Vec<u16> = ids.split('\t').map(|id| id.parse().unwrap()).collect();
    let weights: Vec<f32> = weights.split('\t').map(|w| w.parse().unwrap()).collect();
    assert_eq!(ids.len(), weights.len());
    let mut pairs: Vec<(u16, f32)> = ids.into_iter().zip(weights).collect();
    for token in pairs.chunks_exact_mut(TOP_K) {
        // The files keep no order; equal weights stay as they are.
        token.sort_by(|a, b| b.1.total_cmp(&a.1));
    }
    pairs.into_iter().unzip()
}

/// Every sequence of both tasks as a document, labelled with its task.
fn trace(files: &HashMap<String, String>) -> TraceData {
    let mut model: ModelSpec = common::model(LAYERS, EXPERTS, 6);
    model.moe_layers = (1..=LAYERS).map(LayerId).collect();
    model.num_layers = 27;
    let mut documents = Vec::new();
    for task in TASKS {
        let layers: Vec<Vec<(Vec<u16>, Vec<f32>)>> = (1..=LAYERS)
            .map(|layer| {
                let path = format!("esft/expert_scores/{task}/expert_weights_{layer}.txt");
                files[&path].lines().map(parse).collect()
            })
            .collect();
        for sequence in 0..layers[0].len() {
            let mut batch = DecisionBatch::ids_only(usize::from(EXPERTS), TOP_K);
            let mut all_weights = Vec::new();
            let tokens = u32::try_from(layers[0][sequence].0.len() / TOP_K).unwrap();
            for position in 0..tokens {
                for (place, layer) in (0u16..).zip(&layers) {
                    let (experts, weights) = &layer[sequence];
                    let start = position as usize * TOP_K;
                    batch.position.push(position);
                    batch.layer.push(LayerId(place + 1));
                    batch.moe_layer.push(place);
                    batch
                        .selected_experts
                        .extend(&experts[start..start + TOP_K]);
                    all_weights.extend(&weights[start..start + TOP_K]);
                }
            }
            batch.routing_weights = Some(all_weights);
            let id = format!("{task}-{sequence}");
            documents.push(MemoryDocument::from_decisions(
                &model,
                sample(&id, task, &id),
                (0..tokens).map(|position| token(position, 0)).collect(),
                batch,
            ));
        }
    }
    TraceData::in_memory(model, ExpertsOrder::ByWeight, documents).unwrap()
}

fn json(files: &HashMap<String, String>, path: &str) -> Value {
    serde_json::from_str(&files[path]).unwrap()
}

/// The place of a task on the axis of labels.
fn place(measurement: &Measurement, task: &str) -> usize {
    let labels = &measurement.axes[1].labels;
    labels.iter().position(|label| label == task).unwrap()
}

#[track_caller]
fn close(found: f64, expected: &Value, tolerance: f64) {
    let expected = expected.as_f64().unwrap();
    assert!(
        (found - expected).abs() <= tolerance,
        "found {found}, published {expected}"
    );
}

#[test]
fn traces_of_deepseek_v2_lite_give_the_published_scores_sets_and_repetition() {
    let published = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/reference/published_values.json");
    let (Some(files), Ok(published)) = (archive(), fs::read_to_string(published)) else {
        println!("skipped: not present");
        return;
    };
    let published: Value = serde_json::from_str(&published).unwrap();
    let published = &published["esft_repo_traces"]["values"];
    let data = trace(&files);
    let request = MeasureRequest {
        resamples: 0,
        permutations: 0,
        ..MeasureRequest::default()
    };
    let first = |name: &str| measure(&data, name, &request).remove(0);
    let gate = first("esft_gate_score");
    let token = first("assignment_share");
    let sets = first("esft_token_experts");
    let first_choice = first("first_choice_repetition");
    let any_overlap = first("any_overlap_repetition");
    let entropy = first("load_entropy");
    let effective = first("effective_experts");
    for task in TASKS {
        let scores = json(&files, &format!("esft/expert_scores/{task}/summary.json"));
        let config = json(&files, &format!("esft/expert_configs/{task}.json"));
        for l in 0..usize::from(LAYERS) {
            let layer = (l + 1).to_string();
            let mut mass = 0.0;
            for e in 0..usize::from(EXPERTS) {
                let expert = e.to_string();
                let score = gate.value(&[l, place(&gate, task), e]);
                mass += score;
                close(score, &scores["gate_scores"][&layer][&expert], 5.001e-5);
                let ratio = token.value(&[l, place(&token, task), e]);
                close(ratio, &scores["token_scores"][&layer][&expert], 5.001e-5);
            }
            let values = &published[task][&layer];
            close(mass, &values["gate_mass_per_token"], 5.1e-6);
            let selected: Vec<Value> = (0..sets.axes[2].len())
                .map(|i| sets.value(&[l, place(&sets, task), i]))
                .filter(|id| !id.is_nan())
                .map(|id| serde_json::from_str(&format!("{id:.0}")).unwrap())
                .collect();
            assert_eq!(
                Value::from(selected),
                config["experts"][&layer],
                "{task}, layer {layer}"
            );
            // The first of the variants is what was observed.
            let repeated = first_choice.value(&[l, place(&first_choice, task), 0]);
            close(repeated, &values["first_choice_repeat"], 5.1e-6);
            let overlapped = any_overlap.value(&[l, place(&any_overlap, task), 0]);
            close(overlapped, &values["any_overlap"], 5.1e-6);
            let place = place(&entropy, task);
            close(entropy.value(&[l, place]), &values["entropy_norm"], 5.1e-7);
            close(
                effective.value(&[l, place]),
                &values["effective_experts_expH"],
                5.1e-5,
            );
        }
    }
    // The rate of an indifferent router with 6 of 64 experts.
    assert_eq!(first_choice.reference, Some(1.0 / 64.0));
    assert!((any_overlap.reference.unwrap() - 0.4601).abs() < 5.1e-5);
}
