//! Imports of other programs' routing: fixture, trace, check, measurement, with the binary as a user runs it.

mod support;

use std::{collections::BTreeMap, fs, path::PathBuf};

use serde_json::{Value, json};
use support::{Scratch, documents, refuse, run, succeed};

fn fixture(name: &str) -> String {
    let path = moescope_testkit::repository_root()
        .join("tests/fixtures/imports")
        .join(name);
    assert!(path.exists(), "{}", path.display());
    path.to_str().unwrap().to_owned()
}

fn demo_config() -> String {
    let path = moescope_testkit::scidfm_mini().join("config.json");
    path.to_str().unwrap().to_owned()
}

/// Imports into `trace`, which must be valid, and gives what `--json` says.
fn import(scratch: &Scratch, trace: &str, args: &[&str]) -> Value {
    let out = scratch.arg(trace);
    let mut all = vec!["import", "--json", "--out", &out];
    all.extend(args);
    let ran = succeed(&all);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    let valid = succeed(&["validate", &out]);
    assert!(valid.stdout.ends_with("valid\n"), "{}", valid.stdout);
    report
}

/// `metric, layer, group, expert → value` of a measurement.
fn measured(trace: &str, metric: &str) -> BTreeMap<(String, String, String), f64> {
    let ran = succeed(&["measure", trace, metric, "--json", "--resamples", "20"]);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    ran.stdout
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter_map(|row| {
            let key = (
                text(&row["layer"]),
                text(&row["group_a"]),
                text(&row["expert"]),
            );
            Some((key, row["value"].as_f64()?))
        })
        .collect()
}

fn unknown(report: &Value) -> Vec<&str> {
    let columns = report["unknown_columns"].as_array().unwrap();
    columns.iter().map(|c| c.as_str().unwrap()).collect()
}

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

#[test]
fn esft_text_keeps_choice_and_weight() {
    let scratch = Scratch::new();
    let report = import(
        &scratch,
        "trace",
        &[
            "--format",
            "esft",
            &fixture("esft/intent"),
            &fixture("esft/law"),
            "--full-precision",
        ],
    );
    // Three lines with 4, 5 and 6 tokens, and two with 4 and 5, at 26 layers.
    assert_eq!(report["tokens"], 24);
    assert_eq!(report["decisions"], 24 * 26);
    let documents = documents(&scratch.path("trace"));
    let law = documents
        .iter()
        .find(|d| d.sample.meta.id == "law-0000")
        .unwrap();
    assert_eq!(law.sample.meta.discipline.as_ref().unwrap().as_str(), "law");
    // The first six of expert_weights_3.txt: 4 9 11 54 55 5 with .0011 .0014 .0018 .9613 .0009 .0009.
    assert_eq!(law.decisions.layer[2].0, 3);
    assert_eq!(law.decisions.experts(2), [54, 11, 9, 4, 5, 55]);
    assert_eq!(
        law.decisions.weights(2).unwrap(),
        [0.9613, 0.0018, 0.0014, 0.0011, 0.0009, 0.0009]
    );
    let trace = scratch.arg("trace");
    assert!(!measured(&trace, "assignment_share").is_empty());
    refuse(
        &["measure", &trace, "routing_entropy"],
        &["routing entropies"],
    );
    let svg = scratch.arg("map.svg");
    succeed(&[
        "figure",
        &trace,
        "group_expert_heatmap",
        "--layers",
        "3",
        "--out",
        &svg,
    ]);
}

#[test]
fn published_esft_files_give_their_published_summary() {
    let Some(archive) = reference("esft.tar.zst") else {
        return println!("skipped: ../shared/reference/esft.tar.zst is not there");
    };
    let scratch = Scratch::new();
    unpack(&archive, &scratch.path("published"));
    let folder = scratch.path("published/esft/expert_scores");
    let path = |task: &str| folder.join(task).to_str().unwrap().to_owned();
    let report = import(
        &scratch,
        "trace",
        &["--format", "esft", &path("intent"), &path("law")],
    );
    assert_eq!(report["samples"], 160);
    let shares = measured(&scratch.arg("trace"), "assignment_share");
    let mut compared = 0;
    for task in ["intent", "law"] {
        let summary: Value =
            serde_json::from_slice(&fs::read(folder.join(task).join("summary.json")).unwrap())
                .unwrap();
        for (layer, experts) in summary["token_scores"].as_object().unwrap() {
            for (expert, score) in experts.as_object().unwrap() {
                let share = shares[&(layer.clone(), task.to_owned(), expert.clone())];
                assert!(
                    (share - score.as_f64().unwrap()).abs() <= 5.1e-5,
                    "{task}, layer {layer}, expert {expert}: {share}, published {score}"
                );
                compared += 1;
            }
        }
    }
    assert_eq!(compared, 2 * 26 * 64);
}

#[test]
fn counts_become_profiles_alone() {
    let scratch = Scratch::new();
    let (counts, spec) = (
        fixture("olmoe-counts/counts.json"),
        fixture("olmoe-counts/tiny.spec.json"),
    );
    let args = ["--format", "olmoe-counts", &counts, "--model-spec", &spec];
    let out = scratch.arg("refused");
    let base = ["import", "--out", &out];
    refuse(
        &[&base[..], &args[..]].concat(),
        &["several tables", "tiny/expert_counts_top1"],
    );
    let table = ["--table", "tiny/expert_counts"];
    refuse(
        &[&base[..], &args[..], &table[..]].concat(),
        &["2 layers", "--layers"],
    );
    let layers = ["--layers", "0,3"];
    let report = import(
        &scratch,
        "trace",
        &[&args[..], &table[..], &layers[..]].concat(),
    );
    assert_eq!(report["profiles_only"], true);
    assert_eq!(
        (&report["samples"], &report["decisions"]),
        (&json!(2), &json!(0))
    );
    let trace = scratch.arg("trace");
    let share = measured(&trace, "assignment_share");
    let key = |layer: &str, domain: &str, expert: &str| {
        (layer.to_owned(), domain.to_owned(), expert.to_owned())
    };
    assert!((share[&key("0", "law", "0")] - 0.6).abs() < 1e-12);
    assert!((share[&key("3", "code", "3")] - 0.5).abs() < 1e-12);
    refuse(&["measure", &trace, "routing_entropy"], &["sums only"]);
    refuse(&["measure", &trace, "first_choice_repetition"], &["order"]);
    refuse(&["show", &trace, "--sample", "law"], &["holds sums only"]);
}

#[test]
fn published_olmoe_counts_give_the_published_values() {
    let (Some(counts), Some(published)) = (
        reference("olmoe/expert_counts.json"),
        reference("published_values.json"),
    ) else {
        return println!("skipped: ../shared/reference is not there");
    };
    let published: Value = serde_json::from_slice(&fs::read(published).unwrap()).unwrap();
    let published = &published["olmoe_repo_counts"]["values"];
    for (model, experts, top_k) in [("mistral", 8, 2), ("olmoe", 64, 8)] {
        let scratch = Scratch::new();
        let table = format!("{model}/expert_counts");
        // OLMoE's file has a sixth domain that the published values leave out.
        let all: Value = serde_json::from_slice(&fs::read(&counts).unwrap()).unwrap();
        let mut domains = all[model]["expert_counts"].clone();
        domains.as_object_mut().unwrap().remove("tulu");
        let file = scratch.write("counts.json", domains.to_string());
        let spec = json!({
            "family": model, "num_layers": 32, "moe_layers": (0..32).collect::<Vec<_>>(), "num_experts": experts,
            "top_k": top_k, "num_shared_experts": 0,
            "gating": {"score_function": "softmax", "has_correction_bias": false, "normalization": "none", "scaling": 1.0},
        });
        let spec = scratch.write("spec.json", spec.to_string());
        import(
            &scratch,
            "trace",
            &[
                "--format",
                "olmoe-counts",
                &file,
                "--model-spec",
                &spec,
                "--layers",
                "0,7,15",
            ],
        );
        let entropy = measured(&scratch.arg("trace"), "load_entropy");
        assert_eq!(entropy.len(), 15);
        for ((layer, domain, _), value) in entropy {
            let own = &published[&table][format!("layer{layer}")][&domain]["entropy_norm"];
            // Printed with six digits.
            assert!(
                (value - own.as_f64().unwrap()).abs() < 5.1e-7,
                "{model} {layer} {domain}: {value}"
            );
        }
    }
}

/// Unpacks the plain files of a `.tar.zst`.
fn unpack(archive: &std::path::Path, folder: &std::path::Path) {
    let tar = zstd::decode_all(fs::File::open(archive).unwrap()).unwrap();
    let text = |bytes: &[u8]| -> String {
        let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
        String::from_utf8(bytes[..end].to_vec()).unwrap()
    };
    let mut at = 0;
    while at + 512 <= tar.len() && tar[at] != 0 {
        let header = &tar[at..at + 512];
        let size = usize::from_str_radix(text(&header[124..136]).trim(), 8).unwrap();
        if header[156] == b'0' {
            let path = folder.join(text(&header[..100]));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, &tar[at + 512..at + 512 + size]).unwrap();
        }
        at += 512 + size.next_multiple_of(512);
    }
}

/// A file or folder of the reference material, where that lies beside the repository.
fn reference(name: &str) -> Option<PathBuf> {
    let path = moescope_testkit::repository_root()
        .join("../shared/reference")
        .join(name);
    path.exists().then_some(path)
}

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
