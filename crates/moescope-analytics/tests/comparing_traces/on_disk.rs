//! Traces on disk, and published counts.

use std::{fs, path::Path};

use super::{close, compare, data, difference, set};
use crate::common::{Synthetic, counted, model, quick, sample};
use moescope_analytics::{MemoryDocument, TraceData};
use moescope_core::{LayerId, ModelSpec};
use moescope_trace::{CaptureSummary, Manifest, SampleRecord, Scores, TraceWriter, WriterConfig};

fn write(model: &ModelSpec, documents: Vec<MemoryDocument>, folder: &Path) {
    let manifest = Manifest {
        scores: Scores::of(&model.gating),
        model: model.clone(),
        ..Manifest::default()
    };
    let config = WriterConfig {
        shard_decisions: 200,
        ..WriterConfig::default()
    };
    let mut writer = TraceWriter::create(folder, manifest, config).unwrap();
    for (number, document) in (0u32..).zip(documents) {
        let record = SampleRecord {
            sample: number,
            meta: document.sample,
            num_prompt_tokens: None,
            seed: None,
            tokens: document.tokens,
            decisions: document.decisions.unwrap(),
        };
        writer.append(record).unwrap();
        writer.end_batch().unwrap();
    }
    writer.finish(CaptureSummary::default()).unwrap();
}

#[test]
fn traces_on_disk_compare_like_those_in_memory_whatever_their_order_and_shards() {
    let (early, last) = (
        Synthetic::default(),
        Synthetic {
            effect: 2.0,
            ..Synthetic::default()
        },
    );
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let mut reversed = early.documents();
    reversed.reverse();
    write(&early.model(), reversed, &path("early"));
    write(&last.model(), last.documents(), &path("last"));
    let open = |name: &str| TraceData::open(&path(name)).unwrap();
    assert!(
        fs::read_dir(path("early/routing")).unwrap().count() > 3,
        "several shards"
    );
    let stored = set(vec![("early", open("early")), ("last", open("last"))]);
    let memory = set(vec![("early", early.data()), ("last", last.data())]);
    for name in ["router_saturation", "routing_drift", "expert_matching"] {
        let (stored, memory) = (
            compare(&stored, name, &quick()),
            compare(&memory, name, &quick()),
        );
        assert_eq!(stored.len(), memory.len());
        for (stored, memory) in stored.iter().zip(&memory) {
            close(&stored.values, &memory.values);
            assert_eq!(stored.intervals, memory.intervals, "{name}");
        }
    }
    let stored = difference(&stored, "routing_entropy", &quick());
    let memory = difference(&memory, "routing_entropy", &quick());
    for (a, b) in stored[1].values.iter().zip(&memory[1].values) {
        // Floats are stored with 11 significant bits.
        assert!((a - b).abs() < 1e-3);
    }
}

#[test]
fn fine_tuning_drifted_as_far_as_published_counts_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/reference/olmoe/expert_counts.json");
    let Ok(text) = fs::read_to_string(path) else {
        println!("skipped: the published counts are not present");
        return;
    };
    let counts: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut spec = model(3, 64, 8);
    spec.moe_layers = [0, 7, 15].map(LayerId).to_vec();
    spec.num_layers = 16;
    let trace = |checkpoint: &str| {
        let layers: Vec<Vec<u32>> = (0..3)
            .map(|layer| {
                let cells = &counts[checkpoint]["expert_counts"]["tulu"][layer];
                let count = |e: u16| cells[e.to_string()].as_u64().unwrap_or(0);
                (0..64).map(|e| u32::try_from(count(e)).unwrap()).collect()
            })
            .collect();
        data(
            &spec,
            vec![counted(&spec, sample("tulu", "all", "tulu"), &layers)],
        )
    };
    let traces = set(vec![
        ("base", trace("olmoe")),
        ("dpo", trace("olmoe-dpo")),
        ("sft", trace("olmoe-sft")),
    ]);
    let found = compare(&traces, "routing_drift", &quick()).remove(0);
    assert_eq!(found.axes[1].labels, ["base", "dpo"]);
    // Layers 0, 7 and 15, base and DPO against SFT, in bits.
    let expected = [(0.0061, 0.00005), (0.0056, 0.00014), (0.0091, 0.00018)];
    for (layer, (base, dpo)) in expected.into_iter().enumerate() {
        assert!((found.value(&[layer, 0]) - base).abs() < 5.1e-5);
        assert!((found.value(&[layer, 1]) - dpo).abs() < 5.1e-6);
    }
    assert!(
        found
            .protocol
            .interval_method
            .contains("no interval: 1 groups")
    );
    assert!(found.intervals.is_none());
}
