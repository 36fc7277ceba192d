//! Damaged files of every format end in an error or in a document, never in a panic or in memory without end.

use std::{
    fs,
    path::{Path, PathBuf},
};

use moescope_core::ModelSpec;
use moescope_trace::import::{
    Container, CountTable, ScoreKind, TransformersBatch, parse_esft_line, parse_npy,
    parse_sglang_replies, parse_vllm_replies,
};

fn fixtures() -> PathBuf {
    let member = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    member.join("../../tests/fixtures/imports")
}

fn model(name: &str) -> ModelSpec {
    serde_json::from_slice(&fs::read(fixtures().join(name)).unwrap()).unwrap()
}

/// A fixed generator (splitmix64), so that a failure comes again.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % limit.max(1) as u64).unwrap()
    }
}

/// Reads a file in hundreds of damaged forms; the whole one must be readable.
fn damage(path: &Path, read: impl Fn(&[u8]) -> bool) {
    let whole = fs::read(path).unwrap();
    assert!(read(&whole), "{}", path.display());
    let mut random = Random(7);
    let mut refused = 0;
    for round in 0..600 {
        let mut bytes = whole.clone();
        match round % 3 {
            0 => bytes.truncate(random.below(whole.len())),
            1 => {
                for _ in 0..=random.below(4) {
                    let place = random.below(bytes.len());
                    bytes[place] = u8::try_from(random.below(256)).unwrap();
                }
            }
            // Numbers that claim much: a run of 0xff or of nines.
            _ => {
                let place = random.below(bytes.len());
                let end = (place + 1 + random.below(8)).min(bytes.len());
                bytes[place..end].fill(if round % 2 == 0 { 0xff } else { b'9' });
            }
        }
        refused += u32::from(!read(&bytes));
    }
    // A cut file is never taken for a whole one.
    assert!(refused >= 200, "{}: {refused}", path.display());
}

#[test]
fn damaged_tensors_are_refused_in_words() {
    let folder = fixtures().join("transformers");
    let spec = model("transformers/deepseek_v2_lite.spec.json");
    let read = |container| {
        let spec = &spec;
        move |bytes: &[u8]| {
            TransformersBatch::parse(bytes, container, "x", spec, ScoreKind::Logits)
                .and_then(|batch| batch.check())
                .is_ok()
        }
    };
    damage(
        &folder.join("deepseek_v2_lite.safetensors"),
        read(Container::Safetensors),
    );
    damage(
        &folder.join("deepseek_v2_lite-chosen.npz"),
        read(Container::Npz),
    );
    damage(&fixtures().join("vllm/lone.npy"), |bytes| {
        parse_npy(bytes).is_ok()
    });
}

#[test]
fn damaged_replies_are_refused_in_words() {
    let spec = model("transformers/deepseek_v2_lite.spec.json");
    let lines = |parse: fn(&str, &ModelSpec) -> Result<usize, String>| {
        let spec = &spec;
        move |bytes: &[u8]| {
            let Ok(text) = std::str::from_utf8(bytes) else {
                return false;
            };
            text.ends_with('\n') && text.lines().all(|line| parse(line, spec).is_ok())
        }
    };
    for file in ["replies-0.21.jsonl", "replies-0.33.jsonl"] {
        damage(
            &fixtures().join("vllm").join(file),
            lines(parse_vllm_replies),
        );
    }
    for file in ["generate-0.5.23.jsonl", "openai-0.5.23.jsonl"] {
        damage(
            &fixtures().join("sglang").join(file),
            lines(parse_sglang_replies),
        );
    }
}

#[test]
fn claims_of_many_tokens_are_not_believed() {
    let spec = model("transformers/deepseek_v2_lite.spec.json");
    let line = r#"{"prompt_routed_experts": [[[0, 1, 2]]], "usage": {"prompt_tokens": 1, "completion_tokens": 4000000000},
        "choices": [{"routed_experts": [[[0, 1, 2]]]}]}"#;
    let error = parse_vllm_replies(line, &spec).unwrap_err();
    assert!(error.contains("claims 4000000001 tokens"), "{error}");
    // Six numbers: one token of both layers, the last but one of four thousand million.
    let line = r#"{"meta_info": {"prompt_tokens": 4000000000, "completion_tokens": 2,
        "routed_experts": "AAAAAAAAAAAAAAAAAAAAAAEAAAACAAAA"}, "routed_experts_start_len": 4000000000}"#;
    let error = parse_sglang_replies(line, &spec).unwrap_err();
    assert!(error.contains("claims 4000000002 tokens"), "{error}");
}

#[test]
fn damaged_counts_and_lines_are_refused_in_words() {
    let spec = model("olmoe-counts/tiny.spec.json");
    let layers = [moescope_core::LayerId(0), moescope_core::LayerId(3)];
    damage(&fixtures().join("olmoe-counts/counts.json"), |bytes| {
        CountTable::parse(bytes, Some("tiny/expert_counts"), Some(&layers), &spec).is_ok()
    });
    let spec = ModelSpec {
        num_experts: 64,
        top_k: 6,
        ..spec
    };
    damage(&fixtures().join("esft/law/expert_weights_3.txt"), |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else {
            return false;
        };
        text.ends_with('\n')
            && text
                .lines()
                .all(|line| parse_esft_line(line, &spec).is_ok())
    });
}
