//! Checkpoints that are broken or lie: each is refused with a message that names the fault.

use std::fs;

use moescope_testkit::{SafetensorsFile, TinyModel, write_word_tokenizer};
use serde_json::{Value, json};

use crate::support::{Scratch, refuse, run};

const TEXT: &str = "{\"text\": \"the enzyme lowers energy\"}\n";

/// Captures one text with the model in `model` after `change`; the refusal must hold all of `words`.
#[track_caller]
fn check(change: impl FnOnce(&Scratch), words: &[&str]) {
    let scratch = Scratch::new();
    let data = scratch.write("a.jsonl", TEXT);
    change(&scratch);
    refuse(
        &[
            "capture",
            &scratch.arg("model"),
            "--data",
            &data,
            "--out",
            &scratch.arg("trace"),
        ],
        words,
    );
}

fn write_weights(scratch: &Scratch, bytes: &[u8]) {
    scratch.write("model/model.safetensors", bytes);
}

fn change_config(scratch: &Scratch, key: &str, value: Value) {
    let mut config = TinyModel::default().config();
    config[key] = value;
    scratch.write("model/config.json", config.to_string());
}

#[test]
fn a_truncated_file_is_named() {
    let whole = TinyModel::default().weights().bytes();
    check(
        |s| write_weights(s, &whole[..whole.len() - 100]),
        &["model.safetensors"],
    );
    check(
        |s| write_weights(s, &whole[..200]),
        &["truncated", "model.safetensors"],
    );
    check(
        |s| write_weights(s, &whole[..5]),
        &["truncated", "model.safetensors"],
    );
    check(|s| write_weights(s, b""), &["model.safetensors"]);
}

#[test]
fn a_header_that_lies_is_refused() {
    let weights = TinyModel::default().weights();
    let name = "lm_head.weight";
    let claim = |offsets: Value, shape: Value| {
        weights
            .clone()
            .claim(
                name,
                json!({"dtype": "F32", "shape": shape, "data_offsets": offsets}),
            )
            .bytes()
    };
    // Longer than the file, longer than any memory.
    check(
        |s| write_weights(s, &weights.bytes_claiming(u64::MAX)),
        &["header claims"],
    );
    check(
        |s| write_weights(s, &weights.bytes_claiming(1 << 20)),
        &["header claims"],
    );
    // Outside the file, over another tensor, backwards, of another length than the shape.
    check(
        |s| write_weights(s, &claim(json!([0, 1u64 << 40]), json!([27, 16]))),
        &["header"],
    );
    check(
        |s| write_weights(s, &claim(json!([0, 1728]), json!([27, 16]))),
        &["header"],
    );
    check(
        |s| write_weights(s, &claim(json!([3456, 1728]), json!([27, 16]))),
        &["header"],
    );
    check(
        |s| write_weights(s, &claim(json!([1728, 3456]), json!([27, 17]))),
        &["header"],
    );
    // A shape whose product overflows.
    check(
        |s| write_weights(s, &claim(json!([1728, 3456]), json!([u64::MAX, 4, 8]))),
        &["header"],
    );
    check(
        |s| write_weights(s, &[b"\x08\0\0\0\0\0\0\0".as_slice(), b"not json"].concat()),
        &["header"],
    );
}

#[test]
fn tensors_that_do_not_fit_are_all_listed() {
    let gone = "model.layers.1.block_sparse_moe.gate.weight";
    let bent = "model.norm.weight";
    let weights = TinyModel::default()
        .weights()
        .tensor("model.layers.0.extra", &[1], &[0.0]);
    // The bytes of the missing tensor would be a gap, which the format forbids: give them another name.
    let mut header: Value = serde_json::from_slice(&header_of(&weights)).unwrap();
    let entry = header[gone].clone();
    let weights = weights.without(gone).claim("model.layers.1.other", entry);
    let mut norm = header[bent].take();
    norm["shape"] = json!([4, 4]);
    let weights = weights.claim(bent, norm);
    check(
        |s| write_weights(s, &weights.bytes()),
        &[
            "missing",
            gone,
            "model.layers.0.extra",
            "of another shape",
            bent,
        ],
    );
}

fn header_of(weights: &SafetensorsFile) -> Vec<u8> {
    let bytes = weights.bytes();
    let len = u64::from_le_bytes(bytes[..8].try_into().unwrap());
    bytes[8..8 + usize::try_from(len).unwrap()].to_vec()
}

#[test]
fn a_missing_shard_is_named() {
    check(
        |s| {
            fs::rename(
                s.path("model/model.safetensors"),
                s.path("model/model-1.safetensors"),
            )
            .unwrap();
            let map = json!({"weight_map": {"lm_head.weight": "model-1.safetensors", "x": "model-2.safetensors"}});
            s.write("model/model.safetensors.index.json", map.to_string());
        },
        &["not in the folder", "model-2.safetensors"],
    );
    check(
        |s| {
            let map = json!({"weight_map": {"x": "../../secret.safetensors"}});
            s.write("model/model.safetensors.index.json", map.to_string());
        },
        &["not a plain file name"],
    );
    check(
        |s| fs::remove_file(s.path("model/model.safetensors")).unwrap(),
        &["neither model.safetensors nor"],
    );
}

#[test]
fn a_router_that_is_not_a_number_names_layer_token_and_sample() {
    let broken = SafetensorsFile::new().tensor("router", &[4, 16], &[f32::NAN; 64]);
    let model = TinyModel::default();
    let name = "model.layers.1.block_sparse_moe.gate.weight";
    let mut bytes = model.weights().bytes();
    let header: Value = serde_json::from_slice(&header_of(&model.weights())).unwrap();
    let start = 8 + header_of(&model.weights()).len();
    let offset =
        start + usize::try_from(header[name]["data_offsets"][0].as_u64().unwrap()).unwrap();
    let nan = &broken.bytes()[broken.bytes().len() - 256..];
    bytes[offset..offset + 256].copy_from_slice(nan);
    check(
        |s| write_weights(s, &bytes),
        &["router of layer 1", "NaN", "token 0", "sample 'a.jsonl:1'"],
    );
}

#[test]
fn an_unknown_family_lists_the_known_ones() {
    check(
        |s| change_config(s, "model_type", json!("gpt2")),
        &["'gpt2'", "mixtral", "SciDFM"],
    );
}

#[test]
fn absurd_sizes_are_refused_before_anything_is_allocated() {
    for (key, value) in [
        ("hidden_size", json!(1u64 << 60)),
        ("num_hidden_layers", json!(1_000_000_000u64)),
        ("num_hidden_layers", json!(100_000)),
        ("num_local_experts", json!(100_000)),
        ("num_experts_per_tok", json!(5)),
        ("vocab_size", json!(-3)),
        ("hidden_size", json!("sixteen")),
        ("num_attention_heads", json!(0)),
    ] {
        check(|s| change_config(s, key, value), &["config.json"]);
    }
    check(
        |s| _ = s.write("model/config.json", "{\"model_type\": "),
        &["config.json", "JSON"],
    );
    check(
        |s| fs::remove_file(s.path("model/config.json")).unwrap(),
        &["config.json"],
    );
}

#[test]
fn a_missing_or_foreign_tokenizer_is_told() {
    check(
        |s| fs::remove_file(s.path("model/tokenizer.json")).unwrap(),
        &["neither tokenizer.json nor tokenizer.model"],
    );
    check(
        |s| _ = s.write("model/tokenizer.json", "{}"),
        &["cannot read the tokenizer"],
    );
    // 27 entries in the model, 1,027 in the tokenizer, and the text uses one of the others.
    check(
        |s| {
            write_word_tokenizer(&s.path("model"), 1000).unwrap();
            s.write(
                "a.jsonl",
                "{\"text\": \"the w500\"}\n{\"text\": \"w7 light\"}\n",
            );
        },
        &[
            "a.jsonl:1",
            "a.jsonl:2",
            "outside the model's vocabulary of 27",
            "'w500'",
        ],
    );
}

#[test]
fn a_model_that_is_nowhere_gets_a_hint() {
    let scratch = Scratch::new();
    let data = scratch.write("a.jsonl", TEXT);
    let out = scratch.arg("trace");
    refuse(
        &["capture", "dmeo", "--data", &data, "--out", &out],
        &["did you mean 'demo'?"],
    );
    refuse(
        &["inspect", "no-org/no-such-model"],
        &["not in the local Hugging Face cache", "--download"],
    );
    refuse(&["inspect", &data], &["this is a file"]);
    let empty = scratch.arg("nothing-here");
    refuse(&["inspect", &empty], &["there is no model"]);
}

#[test]
fn inspect_reads_the_headers_only() {
    let scratch = Scratch::new();
    let ran = run(&["inspect", &scratch.arg("model"), "--json"]);
    let found: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(found["total_parameters"], 14_896);
    assert_eq!(found["model"]["num_experts"], 4);
    assert_eq!(found["tokenizer"]["kind"], "WordLevel");
    // Data that is not a number does not matter to it, a file that is too short does.
    let whole = TinyModel::default().weights().bytes();
    write_weights(&scratch, &whole[..whole.len() - 1]);
    refuse(&["inspect", &scratch.arg("model")], &["model.safetensors"]);
}

#[test]
fn types_and_devices_that_do_not_exist_are_refused_clearly() {
    let scratch = Scratch::new();
    let model = scratch.arg("model");
    refuse(
        &["generate", &model, "--prompt", "the", "--weights", "q3"],
        &["q3", "q4"],
    );
    refuse(
        &["generate", &model, "--prompt", "the", "--compute", "f16"],
        &["f16", "bf16"],
    );
    refuse(
        &["--device", "gpuu", "generate", &model, "--prompt", "the"],
        &["gpuu"],
    );
}
