//! A trace of any length with the geometry of OLMoE-1B-7B: 16 layers, 64 experts, top-8.
//!
//! Its decisions are drawn, not computed: each discipline prefers some experts at each layer. The same number of rows
//! gives the same bytes. Router logits are not kept, and sums of probabilities are unknown, since no router ran.

use std::{path::Path, time::Instant};

use moescope_core::{
    DecisionBatch, Discipline, Gating, LayerId, ModelSpec, Phase, Sample, TokenRow,
    WeightNormalization,
};
use moescope_trace::{CaptureSummary, Manifest, SampleRecord, TraceWriter, WriterConfig};
use rayon::prelude::*;

use super::Failure;

const LAYERS: u16 = 16;
const EXPERTS: u16 = 64;
const TOP_K: u16 = 8;
const DISCIPLINES: usize = 15;
const DOCUMENTS: u32 = 3000;
/// Documents that are drawn at a time.
const BATCH: u32 = 16;
const SEED: u64 = 20_261_129;

/// Writes a trace of about so many rows of `routing`.
pub(super) fn generate(path: &Path, rows: u64) -> Result<(), Failure> {
    let start = Instant::now();
    // OLMoE does not normalise the weights of the chosen experts.
    let gating = Gating {
        normalization: WeightNormalization::None,
        ..Gating::softmax_top_k()
    };
    let model = ModelSpec {
        family: "olmoe".to_owned(),
        num_layers: LAYERS,
        moe_layers: (0..LAYERS).map(LayerId).collect(),
        num_experts: EXPERTS,
        top_k: TOP_K,
        num_shared_experts: 0,
        has_shared_expert_gate: false,
        hidden_size: None,
        vocab_size: Some(50_304),
        gating,
    };
    let manifest = Manifest {
        title: Some("generated, for benchmarks".to_owned()),
        model,
        compute_type: Some("f32".to_owned()),
        ..Manifest::default()
    };
    let mut writer = TraceWriter::create(path, manifest, WriterConfig::default())?;
    let tokens = u32::try_from(rows / u64::from(LAYERS) / u64::from(DOCUMENTS))?.max(2);
    let mut last = 0;
    while last < DOCUMENTS {
        let first = last;
        last = DOCUMENTS.min(first + BATCH);
        let records: Vec<SampleRecord> = (first..last)
            .into_par_iter()
            .map(|document| record(document, tokens))
            .collect();
        for record in records {
            writer.append(record)?;
        }
        writer.end_batch()?;
    }
    let manifest = writer.finish(CaptureSummary::default())?;
    println!(
        "{{\"rows\": {}, \"seconds\": {:.1}}}",
        manifest.counts.decisions,
        start.elapsed().as_secs_f64()
    );
    Ok(())
}

/// One document: a special token and then content tokens; lengths vary by a fifth around the mean.
fn record(document: u32, mean_tokens: u32) -> SampleRecord {
    let mut random = Random(SEED ^ u64::from(document).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let discipline = document as usize % DISCIPLINES;
    let spread = (mean_tokens / 5).max(1);
    let tokens = mean_tokens - spread / 2 + random.below(spread);
    let mut rows = Vec::with_capacity(tokens as usize);
    let mut decisions = DecisionBatch::new(usize::from(EXPERTS), usize::from(TOP_K));
    decisions.router_logits = None;
    let mut byte = 0;
    for position in 0..tokens {
        let id = if position == 0 {
            50_279
        } else {
            random.token_id()
        };
        let text = format!(" t{id}");
        let end = byte + u32::try_from(text.len()).expect("a short word");
        rows.push(TokenRow {
            position,
            token_id: Some(id),
            text: Some(text),
            byte_start: Some(byte),
            byte_end: Some(end),
            phase: Some(Phase::Prefill),
            role: None,
            is_special: Some(position == 0),
            is_template: Some(false),
            is_routed: true,
            surprisal: (position > 0).then(|| 6.0 * random.unit()),
            predicted_id: Some(random.token_id()),
        });
        byte = end;
        for layer in 0..LAYERS {
            decide(&mut random, discipline, position, layer, &mut decisions);
        }
    }
    SampleRecord {
        sample: document,
        meta: Sample {
            id: format!("document-{document:05}"),
            discipline: Some(
                Discipline::new(&format!("discipline-{discipline:02}")).expect("a plain name"),
            ),
            ..Sample::default()
        },
        num_prompt_tokens: Some(tokens),
        seed: None,
        tokens: rows,
        decisions,
    }
}

/// Adds one decision: experts without repetition, a third of them from those that the discipline prefers.
fn decide(
    random: &mut Random,
    discipline: usize,
    position: u32,
    layer: u16,
    decisions: &mut DecisionBatch,
) {
    let mut chosen = [0_u16; TOP_K as usize + 1];
    let mut taken = 0_u64;
    let mut count = 0;
    let preferred = discipline * 4 + usize::from(layer) * 7;
    while count < chosen.len() {
        let bits = random.next();
        for byte in bits.to_le_bytes() {
            let expert = if byte < 85 {
                (preferred + usize::from(byte) % 12) % usize::from(EXPERTS)
            } else {
                usize::from(byte) % usize::from(EXPERTS)
            };
            if (taken >> expert) & 1 == 0 && count < chosen.len() {
                taken |= 1 << expert;
                chosen[count] = u16::try_from(expert).expect("below 64");
                count += 1;
            }
        }
    }
    let mut weights = [0.0_f32; TOP_K as usize];
    let mut weight = 1.0;
    for to in &mut weights {
        *to = weight;
        weight *= 0.6 + 0.39 * random.unit();
    }
    let mass = 0.35 + 0.6 * random.unit();
    let scale = mass / weights.iter().sum::<f32>();
    let last = weights[TOP_K as usize - 1] * scale;
    decisions.position.push(position);
    decisions.layer.push(LayerId(layer));
    decisions.moe_layer.push(layer);
    decisions
        .selected_experts
        .extend_from_slice(&chosen[..TOP_K as usize]);
    let push = |column: &mut Option<Vec<f32>>, value| {
        column.get_or_insert_default().push(value);
    };
    for weight in weights {
        push(&mut decisions.routing_weights, weight * scale);
    }
    push(&mut decisions.topk_mass, mass);
    push(&mut decisions.entropy, 1.5 + 2.5 * random.unit());
    push(&mut decisions.margin, last * random.unit());
    push(&mut decisions.logsumexp, 4.0 + 2.0 * random.unit());
    decisions
        .runner_up
        .get_or_insert_default()
        .push(chosen[TOP_K as usize]);
}

/// `SplitMix64` (Steele, Lea and Flood 2014): fast, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// Between 0 and 1, in steps finer than the table's floats.
    fn unit(&mut self) -> f32 {
        let bits = u16::try_from(self.next() >> 48).expect("16 bits");
        f32::from(bits) / f32::from(u16::MAX)
    }

    fn below(&mut self, bound: u32) -> u32 {
        let high = self.next() >> 32;
        u32::try_from((high * u64::from(bound)) >> 32).expect("below a u32")
    }

    /// Small ids are frequent, as in a vocabulary that is sorted by frequency.
    fn token_id(&mut self) -> u32 {
        let (a, b) = (self.below(224), self.below(224));
        a * b
    }
}
