//! Traces: the manifest, and each table with checksums that fit, so that its decoder is reached.

use std::{
    fs,
    path::{Path, PathBuf},
};

use moescope_analytics::{MeasureRequest, TraceData, find};
use moescope_core::{
    DecisionBatch, Discipline, Gating, LayerId, ModelSpec, NoProgress, Phase, Sample, TokenRow,
};
use moescope_testkit::fuzz::{Reader, Shape, Target};
use moescope_trace::{
    CaptureSummary, Manifest, RoutingTrace, SampleRecord, Table, TraceWriter, WriterConfig,
    validate,
};
use serde_json::{Value, json};

pub(super) const MANIFEST: Target = Target {
    name: "trace_manifest",
    shape: Shape::Json,
    words: &[
        "schema_version",
        "model",
        "num_experts",
        "top_k",
        "moe_layers",
        "num_layers",
        "scores",
        "experts_order",
        "by_weight",
        "unspecified",
        "shards",
        "tables",
        "file",
        "rows",
        "bytes",
        "sha256",
        "../samples.parquet",
        "routing",
        "tokens",
        "profiles",
        "label_columns",
        "counts",
        "samples",
        "gating",
        "softmax",
        "sigmoid",
    ],
    corpus: || vec![file_of_trace("manifest.json")],
    open: |folder| {
        let folder = trace_in(folder);
        Box::new(move |input| {
            fs::write(folder.join("manifest.json"), input).expect("the folder can be written to");
            read(&folder)
        })
    },
};

pub(super) const SAMPLES: Target = table(
    "trace_samples",
    || corpus(Table::Samples),
    |folder| reader(folder, Table::Samples),
);
pub(super) const TOKENS: Target = table(
    "trace_tokens",
    || corpus(Table::Tokens),
    |folder| reader(folder, Table::Tokens),
);
pub(super) const ROUTING: Target = table(
    "trace_routing",
    || corpus(Table::Routing),
    |folder| reader(folder, Table::Routing),
);
pub(super) const PROFILES: Target = table(
    "trace_profiles",
    || corpus(Table::Profiles),
    |folder| reader(folder, Table::Profiles),
);

const fn table(
    name: &'static str,
    corpus: fn() -> Vec<Vec<u8>>,
    open: fn(&Path) -> Reader,
) -> Target {
    Target {
        name,
        shape: Shape::Bytes,
        words: &[
            "PAR1", "sample", "position", "layer", "experts", "weights", "list", "element",
        ],
        corpus,
        open,
    }
}

fn corpus(table: Table) -> Vec<Vec<u8>> {
    vec![file_of_trace(&table.shard_file(0))]
}

fn file_of_trace(name: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("there is a folder for temporary files");
    fs::read(trace_in(folder.path()).join(name)).expect("a trace has this file")
}

/// Reads the trace with the input as one of its shards.
fn reader(folder: &Path, table: Table) -> Reader {
    let folder = trace_in(folder);
    let shard = folder.join(table.shard_file(0));
    let manifest = folder.join("manifest.json");
    let text = fs::read(&manifest).expect("a trace has a manifest");
    let mut described: Value = serde_json::from_slice(&text).expect("a manifest is JSON");
    Box::new(move |input| {
        fs::write(&shard, input).expect("the folder can be written to");
        let entry = &mut described["shards"][0]["tables"][table.name()];
        entry["bytes"] = json!(input.len());
        entry["sha256"] = json!(sha256(input));
        fs::write(&manifest, described.to_string()).expect("the folder can be written to");
        read(&folder)
    })
}

/// Validates, shows a document, and measures from sums and from single decisions.
fn read(folder: &Path) -> bool {
    let is_valid = validate(folder, &NoProgress).is_ok_and(|report| report.is_valid());
    if let Ok(trace) = RoutingTrace::open(folder) {
        let _ = (trace.samples().is_ok(), trace.document("b").is_ok());
        if let Ok(data) = TraceData::from_trace(&trace) {
            let request = MeasureRequest {
                resamples: 0,
                permutations: 0,
                ..MeasureRequest::default()
            };
            for name in ["esft_gate_score", "any_overlap_repetition"] {
                let metric = find(name).expect("the catalogue has it");
                let _ = metric.measure(&data, &request, &NoProgress).is_ok();
            }
        }
    }
    is_valid
}

/// Writes a trace of two documents with every column; its folder.
fn trace_in(folder: &Path) -> PathBuf {
    let path = folder.join("trace");
    let gating = Gating::softmax_top_k();
    let model = ModelSpec {
        family: "mixtral".into(),
        num_layers: 2,
        moe_layers: vec![LayerId(0), LayerId(1)],
        num_experts: 3,
        top_k: 2,
        num_shared_experts: 0,
        has_shared_expert_gate: false,
        hidden_size: None,
        vocab_size: None,
        gating: gating.clone(),
    };
    let manifest = Manifest {
        model,
        compute_type: Some("f32".into()),
        ..Manifest::default()
    };
    let config = WriterConfig {
        keep_logits: true,
        ..WriterConfig::default()
    };
    if path.exists() {
        fs::remove_dir_all(&path).expect("the folder can be written to");
    }
    let mut writer = TraceWriter::create(&path, manifest, config).expect("a trace can be written");
    for (sample, id) in (0..).zip(["a", "b"]) {
        writer
            .append(record(sample, id, &gating))
            .expect("a trace can be written");
    }
    writer.end_batch().expect("a trace can be written");
    writer
        .finish(CaptureSummary::default())
        .expect("a trace can be written");
    path
}

fn record(sample: u32, id: &str, gating: &Gating) -> SampleRecord {
    let mut decisions = DecisionBatch::new(3, 2);
    let mut tokens = Vec::new();
    for position in 0..4 {
        tokens.push(TokenRow {
            position,
            token_id: Some(position * 7),
            text: Some("the".into()),
            byte_start: Some(4 * position),
            byte_end: Some(4 * position + 3),
            phase: Some(Phase::Prefill),
            role: None,
            is_special: Some(position == 0),
            is_template: Some(false),
            is_routed: true,
            surprisal: (position > 0).then_some(1.5),
            predicted_id: Some(1),
        });
        for layer in 0..2 {
            let logits = [
                0.5,
                0.1 * f32::from(layer),
                if sample == 0 { 0.25 } else { -1.0 },
            ];
            let weights = [0.6, 0.4];
            decisions.push_decision(
                position,
                LayerId(layer),
                layer,
                &[0, 2],
                &weights,
                &logits,
                gating,
            );
        }
    }
    SampleRecord {
        sample,
        meta: Sample {
            id: id.into(),
            discipline: Discipline::new("law").ok(),
            group: Some("g".into()),
            text: "the the the the".into(),
            ..Sample::default()
        },
        num_prompt_tokens: Some(4),
        seed: None,
        tokens,
        decisions,
    }
}

/// The checksum that the manifest has to tell of a file.
fn sha256(bytes: &[u8]) -> String {
    use sha2::{Digest as _, Sha256};
    use std::fmt::Write as _;
    Sha256::digest(bytes)
        .iter()
        .fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}
