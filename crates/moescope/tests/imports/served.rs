//! Replies of vLLM and SGLang.

use std::fs;

use serde_json::{Value, json};

use super::{fixture, import};
use crate::support::{Scratch, documents, refuse, succeed};

/// The routing of layer 1 that every served fixture was cut from.
fn dispatched(scratch: &Scratch, trace: &str) -> Vec<u16> {
    import(
        scratch,
        trace,
        &[
            "--format",
            "transformers",
            &fixture("transformers/deepseek_v2_lite.safetensors"),
            "--model-spec",
            &fixture("transformers/deepseek_v2_lite.spec.json"),
        ],
    );
    let document = documents(&scratch.path(trace)).remove(0);
    document.decisions.selected_experts
}

/// Checks each document of a trace: its id, its prompt, all its tokens, and the first token with routing.
fn check_served(scratch: &Scratch, trace: &str, expected: &[(&str, u32, usize, usize)]) {
    let dispatched = dispatched(scratch, &format!("{trace}-dispatched"));
    let documents = documents(&scratch.path(trace));
    assert_eq!(documents.len(), expected.len());
    for (document, (id, prompt, tokens, first)) in documents.iter().zip(expected) {
        assert_eq!(document.sample.meta.id, *id);
        assert_eq!(document.sample.num_prompt_tokens, Some(*prompt), "{id}");
        assert_eq!(document.tokens.len(), *tokens, "{id}");
        let routed = *first..tokens - 1;
        for (place, token) in document.tokens.iter().enumerate() {
            assert_eq!(token.is_routed, routed.contains(&place), "{id} {place}");
            let is_decode = token.phase.is_some_and(|phase| phase.as_str() == "decode");
            let expected = token.is_routed && place >= *prompt as usize;
            assert_eq!(is_decode, expected, "{id} {place}");
        }
        assert_eq!(
            document.decisions.selected_experts,
            dispatched[routed.start * 3..routed.end * 3],
            "{id}"
        );
        assert!(document.decisions.layer.iter().all(|layer| layer.0 == 1));
        assert_eq!(document.decisions.routing_weights, None);
    }
}

#[test]
fn replies_of_vllm_become_documents() {
    let scratch = Scratch::new();
    let spec = fixture("transformers/deepseek_v2_lite.spec.json");
    let report = import(
        &scratch,
        "new",
        &[
            "--format",
            "vllm",
            &fixture("vllm/replies-0.33.jsonl"),
            "--model-spec",
            &spec,
        ],
    );
    // One last token in each of the five, and the three that routed_experts_prompt_start left out.
    assert_eq!(report["tokens_without_routing"], 8);
    check_served(
        &scratch,
        "new",
        &[
            ("cmpl-1", 25, 33, 0),
            ("chatcmpl-2#0", 5, 9, 0),
            ("chatcmpl-2#1", 5, 12, 0),
            ("doc-3", 4, 7, 0),
            ("doc-4", 6, 10, 3),
        ],
    );
    let manifest: Value =
        serde_json::from_str(&fs::read_to_string(scratch.path("new/manifest.json")).unwrap())
            .unwrap();
    assert_eq!(manifest["engine"]["version"], "0.33.0");
    assert_eq!(manifest["scores"]["experts_order"], "unspecified");
    assert_eq!(manifest["checkpoint"]["id"], "deepseek-ai/DeepSeek-V2-Lite");
    let card = fs::read_to_string(scratch.path("new/README.md")).unwrap();
    assert!(
        card.contains("Imported: by moescope from the format 'vllm'")
            && card.contains("vLLM 0.33.0")
    );
    assert!(!card.contains("Entropy and mass are of"));
    let trace = scratch.arg("new");
    succeed(&["measure", &trace, "load_entropy", "--by", "id"]);
    refuse(
        &["measure", &trace, "routing_entropy", "--by", "id"],
        &["routing entropies"],
    );
    refuse(
        &["measure", &trace, "first_choice_repetition", "--by", "id"],
        &["order"],
    );
    succeed(&["show", &trace, "--sample", "doc-4"]);
    assert!(
        succeed(&["info", &trace])
            .stdout
            .contains("routing.weights")
    );
}

#[test]
fn older_replies_and_python_outputs_of_vllm_are_read_too() {
    let scratch = Scratch::new();
    let spec = fixture("transformers/deepseek_v2_lite.spec.json");
    let args = ["--format", "vllm", "--model-spec", &spec];
    let old = fixture("vllm/replies-0.21.jsonl");
    import(&scratch, "old", &[&args[..], &[&old]].concat());
    // The first two tokens of the prompt came from the cache.
    check_served(&scratch, "old", &[("cmpl-old", 8, 12, 2)]);
    let python = fixture("vllm/python-0.33.npz");
    import(&scratch, "python", &[&args[..], &[&python]].concat());
    check_served(&scratch, "python", &[("python-0.33", 25, 33, 0)]);
    let lone = fixture("vllm/lone.npy");
    let out = scratch.arg("refused");
    refuse(
        &[&["import", "--out", &out], &args[..], &[&lone]].concat(),
        &["lone.npy", "--phase prefill"],
    );
    let report = import(
        &scratch,
        "lone",
        &[&args[..], &[&lone, "--phase", "prefill"]].concat(),
    );
    assert_eq!(
        (&report["tokens"], &report["decisions"]),
        (&json!(32), &json!(32))
    );
}

#[test]
fn replies_of_sglang_become_documents() {
    let scratch = Scratch::new();
    let spec = fixture("transformers/deepseek_v2_lite.spec.json");
    import(
        &scratch,
        "trace",
        &[
            "--format",
            "sglang",
            &fixture("sglang/generate-0.5.23.jsonl"),
            &fixture("sglang/openai-0.5.23.jsonl"),
            "--model-spec",
            &spec,
        ]
        .map(|arg| arg),
    );
    check_served(
        &scratch,
        "trace",
        &[
            ("a1", 25, 33, 0),
            ("a2", 4, 9, 0),
            ("a3", 5, 8, 0),
            ("doc-4", 6, 10, 2),
            ("cmpl-5", 7, 12, 0),
            ("chat-6", 6, 11, 0),
        ],
    );
    let last = documents(&scratch.path("trace")).pop().unwrap();
    assert!(last.tokens.iter().all(|token| token.token_id.is_some()));
    succeed(&[
        "measure",
        &scratch.arg("trace"),
        "assignment_share",
        "--by",
        "id",
    ]);
}
