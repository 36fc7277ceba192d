//! Models that are larger than any machine: refused from their headers, without touching a page of their weights.
#![cfg(unix)]

use std::{fs, fs::File, io::Write as _, path::Path, time::Instant};

use serde_json::{Map, Value, json};

use crate::support::{Scratch, refuse, run, succeed};

/// A model of 16 layers whose 64 experts have 8192 × 65536 weights each: 3.3 terabytes in 16 bits, in a sparse file
/// that takes a few kilobytes of disk.
fn write_huge_model(folder: &Path, dtype: &str) {
    let (hidden, wide, layers, experts, vocab) = (8192u64, 65_536u64, 16, 64, 27u64);
    let mut header = Map::new();
    let mut end = 0u64;
    let mut add = |name: String, shape: &[u64]| {
        let start = end;
        end += 2 * shape.iter().product::<u64>();
        let entry = json!({"dtype": dtype, "shape": shape, "data_offsets": [start, end]});
        header.insert(name, entry);
    };
    add("model.embed_tokens.weight".to_owned(), &[vocab, hidden]);
    add("lm_head.weight".to_owned(), &[vocab, hidden]);
    add("model.norm.weight".to_owned(), &[hidden]);
    for layer in 0..layers {
        let prefix = format!("model.layers.{layer}.");
        for name in ["input_layernorm", "post_attention_layernorm"] {
            add(format!("{prefix}{name}.weight"), &[hidden]);
        }
        for name in ["q_proj", "o_proj"] {
            add(
                format!("{prefix}self_attn.{name}.weight"),
                &[hidden, hidden],
            );
        }
        for name in ["k_proj", "v_proj"] {
            add(
                format!("{prefix}self_attn.{name}.weight"),
                &[hidden / 2, hidden],
            );
        }
        add(
            format!("{prefix}block_sparse_moe.gate.weight"),
            &[experts, hidden],
        );
        for expert in 0..experts {
            let prefix = format!("{prefix}block_sparse_moe.experts.{expert}.");
            add(format!("{prefix}w1.weight"), &[wide, hidden]);
            add(format!("{prefix}w2.weight"), &[hidden, wide]);
            add(format!("{prefix}w3.weight"), &[wide, hidden]);
        }
    }
    let header = serde_json::to_vec(&header).unwrap();
    let mut file = File::create(folder.join("model.safetensors")).unwrap();
    file.write_all(&(header.len() as u64).to_le_bytes())
        .unwrap();
    file.write_all(&header).unwrap();
    file.set_len(8 + header.len() as u64 + end).unwrap();
    let config = folder.join("config.json");
    let mut json: Value = serde_json::from_slice(&fs::read(&config).unwrap()).unwrap();
    json["hidden_size"] = hidden.into();
    json["intermediate_size"] = wide.into();
    json["num_hidden_layers"] = layers.into();
    json["num_local_experts"] = experts.into();
    fs::write(config, json.to_string()).unwrap();
}

#[test]
fn a_model_that_must_be_allocated_is_refused_before_it_is_loaded() {
    let scratch = Scratch::new();
    let model = scratch.arg("model");
    write_huge_model(&scratch.path("model"), "F16");
    let data = scratch.write("a.jsonl", "{\"text\": \"the enzyme\"}\n");
    let expected = scratch.write("expected.safetensors", "");
    let out = scratch.arg("trace");
    let started = Instant::now();
    let words = [
        "not enough memory",
        "are available",
        "what would fit",
        "6.61 TB",
    ];
    for args in [
        vec!["generate", &model, "--prompt", "the", "--max-tokens", "4"],
        vec!["capture", &model, "--data", &data, "--out", &out],
        vec!["verify", &model, "--expected", &expected],
        vec!["bench", &model],
    ] {
        refuse(&args, &words);
    }
    assert!(!Path::new(&out).exists(), "nothing was written");
    // Reading 3.3 terabytes takes longer on any disk.
    assert!(started.elapsed().as_secs() < 30);
}

#[test]
fn inspect_says_what_does_not_fit_and_what_is_merely_slow() {
    let scratch = Scratch::new();
    let model = scratch.arg("model");
    write_huge_model(&scratch.path("model"), "F16");
    let ran = succeed(&["inspect", &model]);
    assert!(ran.stdout.contains("DOES NOT FIT"), "{}", ran.stdout);
    write_huge_model(&scratch.path("model"), "BF16");
    let ran = succeed(&["inspect", &model]);
    assert!(ran.stdout.contains("SLOW: the weights"), "{}", ran.stdout);
    let json: Value =
        serde_json::from_str(&succeed(&["inspect", &model, "--json"]).stdout).unwrap();
    let cpu = &json["memory"][0];
    assert_eq!(cpu["device"], "cpu");
    assert_eq!(cpu["verdict"]["fit"], "slow");
    // Even four bits of it are more than any machine has, so nothing is suggested.
    let reason = cpu["verdict"]["reason"].as_str().unwrap();
    assert!(!reason.contains("--weights"), "{reason}");
    // bf16 weights stay in the file: nothing is allocated for them on the CPU, and twice their bytes on a GPU.
    assert_eq!(cpu["stored"]["weights"], 0);
    let mapped = cpu["stored"]["mapped"].as_u64().unwrap();
    assert_eq!(json["memory"][1]["stored"]["weights"], 2 * mapped);
    assert_eq!(json["memory"][1]["verdict"], Value::Null);
}

#[test]
fn a_tiny_model_fits_everywhere() {
    let scratch = Scratch::new();
    let ran = run(&["inspect", &scratch.arg("model"), "--json"]);
    let json: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(json["memory"][0]["verdict"]["fit"], "fits");
    // 14,896 values as f32.
    assert_eq!(json["memory"][0]["stored"]["mapped"], 4 * 14_896);
    assert_eq!(json["memory"][0]["stored"]["weights"], 0);
}
