//! Small traces for tests, from a fixed generator.

use std::{collections::BTreeMap, path::Path};

use moescope_core::{
    DecisionBatch, Discipline, Gating, LayerId, ModelSpec, Phase, Role, Sample, TokenRow,
};

use crate::{
    CaptureSummary, Checkpoint, CheckpointFile, Engine, Input, Manifest, SampleRecord,
    TokenizerIdentity, TraceWriter, WriterConfig,
};

pub(crate) const EXPERTS: u16 = 6;
pub(crate) const TOP_K: u16 = 2;
/// The first layer is dense; layers 1 and 3 have routers.
pub(crate) const LAYERS: [u16; 2] = [1, 3];

pub(crate) fn manifest() -> Manifest {
    Manifest {
        model: ModelSpec {
            family: "mixtral".into(),
            num_layers: 4,
            moe_layers: LAYERS.map(LayerId).to_vec(),
            num_experts: EXPERTS,
            top_k: TOP_K,
            num_shared_experts: 0,
            has_shared_expert_gate: false,
            hidden_size: Some(32),
            vocab_size: Some(100),
            gating: Gating::softmax_top_k(),
        },
        checkpoint: Some(Checkpoint {
            id: Some("example/tiny-moe".into()),
            config_sha256: Some("ab".repeat(32)),
            files: vec![CheckpointFile {
                name: "model.safetensors".into(),
                size: 4096,
                header_sha256: Some("cd".repeat(32)),
            }],
            weight_types: BTreeMap::from([("experts".into(), "bf16".into())]),
            ..Checkpoint::default()
        }),
        compute_type: Some("f32".into()),
        tokenizer: Some(TokenizerIdentity {
            kind: "tokenizer.json".into(),
            sha256: Some("ef".repeat(32)),
            vocab_size: Some(100),
        }),
        engine: Some(Engine {
            name: "moescope".into(),
            device: Some("cpu".into()),
            ..Engine::default()
        }),
        inputs: vec![Input {
            name: "texts.jsonl".into(),
            rows: 10,
            ..Input::default()
        }],
        label_columns: vec!["year".into()],
        ..Manifest::default()
    }
}

pub(crate) fn token(position: u32) -> TokenRow {
    TokenRow {
        position,
        token_id: Some(position * 7 % 100),
        text: Some(format!("t{position}")),
        byte_start: Some(position * 2),
        byte_end: Some(position * 2 + 2),
        phase: Some(Phase::Prefill),
        role: Some(Role::Document),
        is_special: Some(false),
        is_template: Some(false),
        is_routed: true,
        surprisal: (position > 0).then_some(1.25),
        predicted_id: Some(3),
    }
}

/// Document `sample`: a special token, content, two decoded tokens and a last one that was never fed back.
pub(crate) fn record(sample: u32) -> SampleRecord {
    let length = 5 + sample % 4;
    let tokens: Vec<TokenRow> = (0..length)
        .map(|position| {
            let decoded = position + 3 >= length;
            TokenRow {
                is_special: Some(position == 0),
                phase: if position + 1 == length {
                    None
                } else if decoded {
                    Some(Phase::Decode)
                } else {
                    Some(Phase::Prefill)
                },
                is_routed: position + 1 < length,
                ..token(position)
            }
        })
        .collect();
    let mut noise = Noise(sample + 1);
    let gating = Gating::softmax_top_k();
    let mut decisions = DecisionBatch::new(usize::from(EXPERTS), usize::from(TOP_K));
    for token in tokens.iter().filter(|token| token.is_routed) {
        for (moe_layer, layer) in (0u16..).zip(LAYERS) {
            let logits: Vec<f32> = (0..EXPERTS).map(|_| noise.next()).collect();
            let (experts, weights) = choose(&logits);
            decisions.push_decision(
                token.position,
                LayerId(layer),
                moe_layer,
                &experts,
                &weights,
                &logits,
                &gating,
            );
        }
    }
    let label = ["physics", "law", "code"][sample as usize % 3];
    SampleRecord {
        sample,
        meta: Sample {
            id: format!("doc-{sample}"),
            discipline: (sample % 5 != 4).then(|| Discipline::new(label).unwrap()),
            group: Some(format!("book-{}", sample / 2)),
            licence: Some("CC-BY-4.0".into()),
            text: format!("text of {sample} \u{e4}\u{1f600}"),
            labels: BTreeMap::from([("year".to_owned(), format!("{}", 1990 + sample))]),
            ..Sample::default()
        },
        num_prompt_tokens: Some(length - 2),
        seed: Some(u64::MAX - u64::from(sample)),
        tokens,
        decisions,
    }
}

/// The two largest logits and their softmax.
fn choose(logits: &[f32]) -> (Vec<u16>, Vec<f32>) {
    let mut order: Vec<u16> = (0..EXPERTS).collect();
    order.sort_by(|a, b| logits[usize::from(*b)].total_cmp(&logits[usize::from(*a)]));
    order.truncate(usize::from(TOP_K));
    let odds: Vec<f32> = order
        .iter()
        .map(|e| logits[usize::from(*e)].exp())
        .collect();
    let sum: f32 = odds.iter().sum();
    (order, odds.into_iter().map(|odd| odd / sum).collect())
}

/// A linear congruential generator (Numerical Recipes); values between −2 and 2.
struct Noise(u32);

impl Noise {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f32::from(u16::try_from(self.0 >> 16).unwrap()) / 16_384.0 - 2.0
    }
}

/// A shard every few documents.
pub(crate) fn config() -> WriterConfig {
    WriterConfig {
        shard_decisions: 16,
        keep_logits: true,
        ..WriterConfig::default()
    }
}

/// Writes documents `from..to` in batches of two.
pub(crate) fn write_samples(
    writer: &mut TraceWriter,
    from: u32,
    to: u32,
) -> Result<(), crate::TraceError> {
    for sample in from..to {
        writer.append(record(sample))?;
        if sample % 2 == 1 || sample + 1 == to {
            writer.end_batch()?;
        }
    }
    Ok(())
}

pub(crate) fn write_trace(path: &Path, samples: u32, config: WriterConfig) -> Manifest {
    let mut writer = TraceWriter::create(path, manifest(), config).unwrap();
    write_samples(&mut writer, 0, samples).unwrap();
    writer.finish(summary()).unwrap()
}

pub(crate) fn summary() -> CaptureSummary {
    CaptureSummary {
        elapsed_secs: 2.0,
        tokens: 100,
        finished_at: Some("2030-01-01T00:00:00Z".into()),
    }
}
