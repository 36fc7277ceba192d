//! Router tensors that a script saved from transformers.

use std::fs;

use serde_json::json;

use super::{demo_config, fixture, import, measured, unknown};
use crate::support::{Scratch, documents, refuse, succeed};

#[test]
fn transformers_logits_give_what_a_capture_of_the_same_texts_gives() {
    let scratch = Scratch::new();
    let labels = fixture("transformers/labels.json");
    let report = import(
        &scratch,
        "imported",
        &[
            "--format",
            "transformers",
            &fixture("transformers/scidfm-mini.safetensors"),
            "--model-spec",
            &demo_config(),
            "--samples",
            &labels,
            "--logits",
            "--full-precision",
        ],
    );
    assert_eq!(report["samples"], 2);
    // Left padding of the shorter passage is not among the 15 + 11 tokens.
    assert_eq!(report["tokens"], 26);
    assert_eq!(report["derived"][0]["column"], "routing.experts");
    succeed(&[
        "capture",
        "demo",
        "--data",
        &labels,
        "--out",
        &scratch.arg("captured"),
        "--logits",
        "--full-precision",
    ]);
    let pairs = documents(&scratch.path("imported"))
        .into_iter()
        .zip(documents(&scratch.path("captured")));
    for (imported, captured) in pairs {
        let (a, b) = (&imported.decisions, &captured.decisions);
        assert_eq!(imported.sample.meta, captured.sample.meta);
        assert_eq!(a.selected_experts, b.selected_experts);
        assert_eq!((&a.position, &a.layer), (&b.position, &b.layer));
        let ids = |tokens: &[moescope_core::TokenRow]| -> Vec<Option<u32>> {
            tokens.iter().map(|token| token.token_id).collect()
        };
        assert_eq!(ids(&imported.tokens), ids(&captured.tokens));
        // Two implementations in f32 differ by a few units in the last place of logits around 5.
        for (a, b) in [
            (&a.routing_weights, &b.routing_weights),
            (&a.entropy, &b.entropy),
            (&a.margin, &b.margin),
            (&a.logsumexp, &b.logsumexp),
            (&a.router_logits, &b.router_logits),
        ] {
            let (a, b) = (a.as_ref().unwrap(), b.as_ref().unwrap());
            assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 2e-5));
        }
    }
    let entropy = measured(&scratch.arg("imported"), "routing_entropy");
    for (key, value) in measured(&scratch.arg("captured"), "routing_entropy") {
        assert!((entropy[&key] - value).abs() < 1e-5, "{key:?}");
    }
}

#[test]
fn transformers_choices_and_weights_are_kept_as_they_were_dispatched() {
    for (family, layers) in [
        ("qwen3_moe", vec![0, 1, 2]),
        ("olmoe", vec![0, 1, 2]),
        ("deepseek_v2_lite", vec![1]),
    ] {
        let scratch = Scratch::new();
        let spec = fixture(&format!("transformers/{family}.spec.json"));
        let all = fixture(&format!("transformers/{family}.safetensors"));
        let args = [
            "--format",
            "transformers",
            "--full-precision",
            "--model-spec",
            &spec,
        ];
        let report = import(&scratch, "kept", &[&args[..], &[&all]].concat());
        assert_eq!(report["derived"], json!([]), "{family}");
        let kept = documents(&scratch.path("kept")).remove(0);
        assert_eq!(kept.tokens.len(), 33);
        let found: Vec<u16> = kept.decisions.layer[..layers.len()]
            .iter()
            .map(|layer| layer.0)
            .collect();
        assert_eq!(found, layers, "{family}");
        // The same file without choice and weights: what follows from the logits is what the model dispatched.
        let bytes = fs::read(&all).unwrap();
        let alone = without_choice(&bytes);
        let alone = scratch.write(&format!("{family}.safetensors"), alone);
        let report = import(&scratch, "derived", &[&args[..], &[&alone]].concat());
        assert_eq!(report["derived"].as_array().unwrap().len(), 2, "{family}");
        let derived = documents(&scratch.path("derived")).remove(0);
        assert_eq!(
            kept.decisions.selected_experts,
            derived.decisions.selected_experts
        );
        let (a, b) = (
            kept.decisions.routing_weights.unwrap(),
            derived.decisions.routing_weights.unwrap(),
        );
        assert!(
            a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-6),
            "{family}"
        );
    }
}

/// Renames the tensors of a safetensors file that hold choices and weights, so that no reader looks at them.
fn without_choice(bytes: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(&bytes[8..]).into_owned();
    let end = 8 + usize::try_from(u64::from_le_bytes(bytes[..8].try_into().unwrap())).unwrap();
    drop(text);
    let header = String::from_utf8(bytes[8..end].to_vec()).unwrap();
    let header = header
        .replace("selected_experts.", "selected_ignored.")
        .replace("routing_weights.", "routing_ignored.");
    assert_eq!(header.len(), end - 8);
    [&bytes[..8], header.as_bytes(), &bytes[end..]].concat()
}

#[test]
fn numpy_archives_are_read_in_any_type_and_order() {
    let scratch = Scratch::new();
    let report = import(
        &scratch,
        "half",
        &[
            "--format",
            "transformers",
            &fixture("transformers/scidfm-mini-f16.npz"),
            "--model-spec",
            &demo_config(),
            "--discipline",
            "law",
        ],
    );
    assert_eq!(report["tokens"], 26);
    let ids: Vec<String> = documents(&scratch.path("half"))
        .into_iter()
        .map(|document| document.sample.meta.id)
        .collect();
    assert_eq!(ids, ["enzyme", "court"]);
    // Choices in Fortran order and 16 bits, weights in double precision, and no logits at all.
    let spec = fixture("transformers/deepseek_v2_lite.spec.json");
    let args = [
        "--format",
        "transformers",
        "--full-precision",
        "--model-spec",
        &spec,
    ];
    let chosen = fixture("transformers/deepseek_v2_lite-chosen.npz");
    let report = import(&scratch, "chosen", &[&args[..], &[&chosen]].concat());
    assert!(unknown(&report).contains(&"routing.entropy"));
    assert!(!unknown(&report).contains(&"routing.weights"));
    let whole = fixture("transformers/deepseek_v2_lite.safetensors");
    import(&scratch, "whole", &[&args[..], &[&whole]].concat());
    let (a, b) = (
        documents(&scratch.path("chosen")).remove(0).decisions,
        documents(&scratch.path("whole")).remove(0).decisions,
    );
    assert_eq!(a.selected_experts, b.selected_experts);
    assert_eq!(a.routing_weights, b.routing_weights);
    refuse(
        &[
            "measure",
            &scratch.arg("chosen"),
            "routing_entropy",
            "--by",
            "id",
        ],
        &["does not hold routing entropies"],
    );
}

#[test]
fn probabilities_are_not_taken_for_logits() {
    let scratch = Scratch::new();
    let file = fixture("transformers/scidfm-mini-probabilities.safetensors");
    let config = demo_config();
    let args = ["--format", "transformers", &file, "--model-spec", &config];
    let out = scratch.arg("refused");
    refuse(
        &[&["import", "--out", &out], &args[..]].concat(),
        &["probabilities", "5.0.0", "--scores probabilities"],
    );
    assert!(!scratch.path("refused").exists());
    let report = import(
        &scratch,
        "told",
        &[
            &args[..],
            &["--scores", "probabilities", "--full-precision"],
        ]
        .concat(),
    );
    assert!(unknown(&report).contains(&"routing.logsumexp"));
    let logits = fixture("transformers/scidfm-mini.safetensors");
    let raw = [
        "--format",
        "transformers",
        &logits,
        "--model-spec",
        &config,
        "--full-precision",
    ];
    import(&scratch, "raw", &raw);
    refuse(
        &[
            &["import", "--out", &out, "--scores", "probabilities"],
            &raw[..],
        ]
        .concat(),
        &["are no probabilities"],
    );
    let pairs = documents(&scratch.path("told"))
        .into_iter()
        .zip(documents(&scratch.path("raw")));
    for (told, raw) in pairs {
        assert_eq!(
            told.decisions.selected_experts,
            raw.decisions.selected_experts
        );
        let (a, b) = (
            told.decisions.entropy.unwrap(),
            raw.decisions.entropy.unwrap(),
        );
        assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-5));
    }
}
