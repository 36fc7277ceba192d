//! ESFT's text and counts of experts, with the values that were published of them.

use std::{fs, path::PathBuf};

use serde_json::{Value, json};

use super::{fixture, import, measured};
use crate::support::{Scratch, documents, refuse, succeed};

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
