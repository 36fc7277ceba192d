//! Temporary.
use moescope_analytics::{ExpertsOrder, MeasureRequest, MemoryDocument, TraceData, find, table};
use moescope_core::*;
use rand::{RngExt as _, SeedableRng as _};
use std::time::Instant;
fn main() {
    let args: Vec<usize> = std::env::args()
        .skip(1)
        .map(|a| a.parse().unwrap())
        .collect();
    let [docs, tokens, layers, experts, k, perms] = args[..] else {
        panic!()
    };
    let model = ModelSpec {
        family: "test".into(),
        num_layers: layers as u16,
        moe_layers: (0..layers as u16).map(LayerId).collect(),
        num_experts: experts as u16,
        top_k: k as u16,
        num_shared_experts: 0,
        has_shared_expert_gate: false,
        hidden_size: None,
        vocab_size: None,
        gating: Gating::softmax_top_k(),
    };
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
    let start = Instant::now();
    let mut documents = Vec::new();
    for d in 0..docs {
        let label = STANDARD_DISCIPLINES[d % 15];
        let mut batch = DecisionBatch::ids_only(experts, k);
        let mut rows = Vec::new();
        for position in 0..tokens as u32 {
            // Zipf-like over 20,000 ids.
            let u: f64 = rng.random();
            let id = (20_000f64.powf(u) - 1.0) as u32;
            rows.push(TokenRow {
                position,
                token_id: Some(id),
                text: None,
                byte_start: None,
                byte_end: None,
                phase: Some(Phase::Prefill),
                role: None,
                is_special: Some(false),
                is_template: Some(false),
                is_routed: true,
                surprisal: None,
                predicted_id: None,
            });
            for l in 0..layers as u16 {
                let first = (id as usize * 7 + usize::from(l)) % experts;
                let mut chosen: Vec<u16> = vec![first as u16];
                while chosen.len() < k {
                    let e = rng.random_range(0..experts as u16);
                    if !chosen.contains(&e) {
                        chosen.push(e);
                    }
                }
                batch.position.push(position);
                batch.layer.push(LayerId(l));
                batch.moe_layer.push(l);
                batch.selected_experts.extend(&chosen);
            }
        }
        let id = format!("d{d:05}");
        let sample = Sample {
            id: id.clone(),
            discipline: Some(Discipline::new(label).unwrap()),
            group: Some(id),
            genre: Some(if d % 2 == 0 { "a" } else { "b" }.into()),
            text: "x".into(),
            ..Sample::default()
        };
        documents.push(MemoryDocument::from_decisions(&model, sample, rows, batch));
    }
    let data = TraceData::in_memory(model, ExpertsOrder::ByWeight, documents).unwrap();
    println!("generated in {:?}", start.elapsed());
    let request = MeasureRequest {
        resamples: perms as u32,
        permutations: perms as u32,
        ..MeasureRequest::default()
    };
    for name in [
        "mutual_information",
        "conditional_mutual_information",
        "variance_partition",
    ] {
        let start = Instant::now();
        let found = find(name)
            .unwrap()
            .measure(&data, &request, &NoProgress)
            .unwrap();
        let took = start.elapsed();
        let text = table(&found[0]);
        println!(
            "{}\n{name}: {took:?}",
            text.lines().take(12).collect::<Vec<_>>().join("\n")
        );
        for note in &found[0].protocol.notes {
            println!("  {note}");
        }
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    println!(
        "{}",
        status.lines().find(|l| l.starts_with("VmHWM")).unwrap()
    );
}
