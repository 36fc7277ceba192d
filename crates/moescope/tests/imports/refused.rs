//! What cannot be imported, and what is said about it; and the list of formats.

use std::fs;

use serde_json::Value;

use super::{demo_config, fixture, import, unknown};
use crate::support::{Scratch, documents, refuse, run, succeed};

#[test]
fn all_that_is_wrong_is_listed_and_nothing_is_left() {
    let scratch = Scratch::new();
    let spec = fixture("transformers/deepseek_v2_lite.spec.json");
    let good = fs::read_to_string(fixture("vllm/replies-0.33.jsonl")).unwrap();
    let good: Vec<&str> = good.lines().collect();
    let cut = good[0].replace("\"routed_experts\":\"", "\"routed_experts\":\"!");
    let lists = |experts: &str| {
        format!(
            r#"{{"id": "x", "choices": [{{"prompt_token_ids": [1], "token_ids": [2], "routed_experts": {experts}}}]}}"#
        )
    };
    let lines = [
        good[0],
        "{",
        &cut,
        &lists("[[[0, 1, 8]]]"),
        &lists("[[[0, 0, 1]]]"),
        &lists("[[[0, 1]]]"),
        &lists("[[[0, 1, 2], [0, 1, 2], [0, 1, 2]]]"),
        &lists("[]"),
        good[0],
        r#"{"id": "y", "choices": [{"routed_experts": null, "prompt_token_ids": [1], "token_ids": [2]}]}"#,
        r#"{"object": "error"}"#,
    ];
    let file = scratch.write("replies.jsonl", lines.join("\n"));
    let out = scratch.arg("trace");
    refuse(
        &[
            "import",
            "--format",
            "vllm",
            &file,
            "--model-spec",
            &spec,
            "--out",
            &out,
        ],
        &[
            "10 problems",
            "replies.jsonl:2: broken JSON",
            "replies.jsonl:3: sample 'cmpl-1': its routing is not base64",
            "replies.jsonl:4: sample 'x': position 0, layer 1: expert 8 does not exist; there are 8",
            "replies.jsonl:5: sample 'x': position 0, layer 1: expert 0 is chosen twice",
            "replies.jsonl:6: sample 'x': its routing has 2 experts for each token",
            "replies.jsonl:7: sample 'x': its routing has 3 layers",
            "replies.jsonl:8: sample 'x'",
            "replies.jsonl:9: sample 'cmpl-1': its id occurred before",
            "replies.jsonl:10: sample 'y': it has no routed_experts",
            "replies.jsonl:11: it has no choices",
        ],
    );
    let left: Vec<_> = fs::read_dir(scratch.path(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .filter(|name| name.to_string_lossy().contains("trace"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn broken_tensors_name_the_sample_and_the_place() {
    let scratch = Scratch::new();
    let config = demo_config();
    let bytes = fs::read(fixture("transformers/scidfm-mini.safetensors")).unwrap();
    let end = 8 + usize::try_from(u64::from_le_bytes(bytes[..8].try_into().unwrap())).unwrap();
    let header: Value = serde_json::from_slice(&bytes[8..end]).unwrap();
    let start = header["router_logits.2"]["data_offsets"][0]
        .as_u64()
        .unwrap();
    // Row 4 is the first real token of the first sequence's neighbour: 15 tokens, none of them padding.
    let place = end + usize::try_from(start).unwrap() + 4 * 8 * 4;
    let mut nan = bytes.clone();
    nan[place..place + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    let nan = scratch.write("nan.safetensors", nan);
    let cut = scratch.write("cut.safetensors", &bytes[..bytes.len() - 1]);
    let out = scratch.arg("trace");
    let import = [
        "import",
        "--format",
        "transformers",
        "--out",
        &out,
        "--model-spec",
    ];
    refuse(
        &[&import[..], &[&config, &nan]].concat(),
        &["nan.safetensors: sample 'enzyme': position 4, layer 2: the score of expert 0 is NaN"],
    );
    refuse(
        &[&import[..], &[&config, &cut]].concat(),
        &["cut.safetensors: this is no whole safetensors file"],
    );
    let other = fixture("transformers/qwen3_moe.spec.json");
    let good = fixture("transformers/scidfm-mini.safetensors");
    refuse(
        &[&import[..], &[&other, &good]].concat(),
        &["router_logits of 6 layers", "3 layers with a router"],
    );
    refuse(
        &["import", "--format", "transformers", &good, "--out", &out],
        &["--model-spec"],
    );
    refuse(
        &[
            "import",
            "--format",
            "vlm",
            &good,
            "--out",
            &out,
            "--model-spec",
            &config,
        ],
        &["no format is called 'vlm' (did you mean 'vllm'?)"],
    );
    refuse(
        &[
            "import",
            "--format",
            "sglang",
            &good,
            "--out",
            &out,
            "--model-spec",
            &config,
            "--phase",
            "decode",
        ],
        &["--phase is not for the format 'sglang'"],
    );
}

#[test]
fn labels_must_cover_the_documents() {
    let scratch = Scratch::new();
    let labels = scratch.write(
        "labels.csv",
        "id,discipline,group,year\nenzyme,biology,g1,1999\nother,law,g2,2000\n",
    );
    let file = fixture("transformers/scidfm-mini.safetensors");
    let config = demo_config();
    let out = scratch.arg("trace");
    let args = [
        "--format",
        "transformers",
        &file,
        "--model-spec",
        &config,
        "--samples",
        &labels,
    ];
    refuse(
        &[&["import", "--out", &out], &args[..]].concat(),
        &["sample 'court': the labels have no row with its id"],
    );
    let nameless = scratch.write("nameless.csv", "name,discipline\nenzyme,biology\n");
    refuse(
        &[
            "import",
            "--out",
            &out,
            "--format",
            "transformers",
            &file,
            "--model-spec",
            &config,
            "--samples",
            &nameless,
        ],
        &["no file has the column 'id'"],
    );
    scratch.write(
        "labels.csv",
        "id,discipline,group,year\nenzyme,biology,g1,1999\ncourt,law,g2,2000\nother,law,g2,2000\n",
    );
    let report = import(
        &scratch,
        "labelled",
        &[&args[..], &["--keep-columns", "year"]].concat(),
    );
    assert_eq!(report["unused_labels"], 1);
    assert!(unknown(&report).contains(&"samples.text"));
    let document = documents(&scratch.path("labelled")).remove(1);
    assert_eq!(document.sample.meta.group.as_deref(), Some("g2"));
    assert_eq!(document.sample.meta.labels["year"], "2000");
}

#[test]
fn the_formats_are_listed_and_described() {
    let ran = succeed(&["import", "--list", "--json"]);
    let guide =
        fs::read_to_string(moescope_testkit::repository_root().join("docs/IMPORTS.md")).unwrap();
    for line in ran.stdout.lines() {
        let format: Value = serde_json::from_str(line).unwrap();
        let heading = format!("## `{}`", format["name"].as_str().unwrap());
        assert!(guide.contains(&heading), "docs/IMPORTS.md lacks {heading}");
    }
    assert_eq!(run(&["import"]).code, Some(2));
}
