//! Whole models: a configuration that contradicts its weights in a way that only shows while they run.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use moescope_core::NoProgress;
use moescope_engine::{
    Checkpoint, ComputeDevice, DeviceChoice, KvCache, LoadOptions, MoeModel, Span,
};
use moescope_testkit::{
    fuzz::{Shape, Target},
    golden_case, golden_cases,
};
use serde_json::Value;

use super::checkpoint::CONFIG_WORDS;

pub(super) const RUN: Target = Target {
    name: "model",
    shape: Shape::Json,
    words: CONFIG_WORDS,
    corpus: || {
        cases()
            .values()
            .map(|case| config(case).expect("a case has a configuration"))
            .collect()
    },
    open: |folder| {
        let cases = cases();
        let folder = folder.to_owned();
        let device = ComputeDevice::open(DeviceChoice::Cpu).expect("there is a CPU");
        let mut present = None;
        Box::new(move |input| {
            // The weights of the family that the configuration names.
            let Some(case) = model_type(input).and_then(|name| cases.get(&name)) else {
                return false;
            };
            if present.as_ref() != Some(case) {
                let weights = case.join("model.safetensors");
                fs::copy(weights, folder.join("model.safetensors"))
                    .expect("the folder can be written to");
                present = Some(case.clone());
            }
            fs::write(folder.join("config.json"), input).expect("the folder can be written to");
            Checkpoint::open(&folder).is_ok_and(|checkpoint| run(&checkpoint, &device))
        })
    },
};

/// Loads a model and lets it read five tokens, then one more.
fn run(checkpoint: &Checkpoint, device: &ComputeDevice) -> bool {
    let Ok(model) = MoeModel::load(checkpoint, device, LoadOptions::default(), &NoProgress) else {
        return false;
    };
    let mut cache = KvCache::new(&model, &[6]);
    let tokens: [&[u32]; 2] = [&[1, 2, 3, 2, 1], &[0]];
    tokens.iter().all(|tokens| {
        let spans = [Span {
            sequence: 0,
            tokens,
        }];
        model
            .forward(&spans, &mut cache, &mut ())
            .is_ok_and(|hidden| model.logits(&hidden).dims()[0] == tokens.len())
    })
}

/// One oracle case with a single file of weights for each `model_type`.
fn cases() -> BTreeMap<String, PathBuf> {
    let folders = golden_cases()
        .into_iter()
        .filter_map(|name| golden_case(&name));
    let mut cases = BTreeMap::new();
    for folder in folders.filter(|folder| folder.join("model.safetensors").is_file()) {
        if let Some(name) = config(&folder).and_then(|text| model_type(&text)) {
            cases.entry(name).or_insert(folder);
        }
    }
    cases
}

fn config(case: &Path) -> Option<Vec<u8>> {
    fs::read(case.join("config.json")).ok()
}

fn model_type(config: &[u8]) -> Option<String> {
    let json: Value = serde_json::from_slice(config).ok()?;
    Some(json["model_type"].as_str()?.to_owned())
}
