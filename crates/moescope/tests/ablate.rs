//! `moescope ablate` on the embedded model, against traces that `capture` wrote of the same texts.

use std::{fs, sync::OnceLock};

use moescope_trace::Document;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Scratch, discipline_files, documents, held_out_files, refuse, succeed};

/// Texts of each discipline.
const LIMIT: &str = "2";
const TARGET: &str = "2:5";

/// The report of one ablation over the prompt sets, its files, and traces without and with the intervention.
struct Ablated {
    folder: TempDir,
    report: Value,
    plain: Vec<Document>,
    masked: Vec<Document>,
}

fn ablated() -> &'static Ablated {
    static ABLATED: OnceLock<Ablated> = OnceLock::new();
    ABLATED.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let files = discipline_files();
        let mut data = vec!["demo", "--data"];
        data.extend(files.iter().map(String::as_str));
        data.extend(["--limit", LIMIT]);
        let (table, figure) = (path("table.csv"), path("effect.svg"));
        let mut args = vec!["ablate"];
        args.extend(&data);
        args.extend([
            "--expert",
            TARGET,
            "--controls",
            "3",
            "--load-factor",
            "4",
            "--json",
        ]);
        args.extend(["--resamples", "200", "--permutations", "200"]);
        args.extend(["--out", &table, "--figure", &figure]);
        let report = serde_json::from_str(&succeed(&args).stdout).unwrap();
        let capture = |name: &str, intervention: Option<&str>| {
            let out = path(name);
            let mut args = vec!["capture"];
            args.extend(&data);
            args.extend(["--full-precision", "--out", &out]);
            if let Some(spec) = intervention {
                args.extend(["--intervene", spec]);
            }
            succeed(&args);
            documents(out.as_ref())
        };
        let plain = capture("plain", None);
        let masked = capture("masked", Some("mask:2:5"));
        Ablated {
            folder,
            report,
            plain,
            masked,
        }
    })
}

fn table(metric: &str, axes: &[&str]) -> &'static Value {
    let report = &ablated().report;
    let found = report["measurements"].as_array().unwrap().iter().find(|m| {
        let kinds = m["axes"].as_array().unwrap().iter();
        m["metric"] == metric
            && kinds
                .map(|a| a["kind"].as_str().unwrap())
                .eq(axes.iter().copied())
    });
    found.unwrap_or_else(|| panic!("no {metric} over {axes:?}"))
}

fn values(table: &Value) -> Vec<f64> {
    let values = table["values"].as_array().unwrap().iter();
    values.map(|v| v.as_f64().unwrap_or(f64::NAN)).collect()
}

/// Mean change of surprisal over counted tokens of the documents of a discipline, or of all.
fn surprisal_change(discipline: Option<&str>) -> f64 {
    let (mut sum, mut number) = (0.0, 0.0);
    for (plain, masked) in ablated().plain.iter().zip(&ablated().masked) {
        let label = plain
            .sample
            .meta
            .discipline
            .as_ref()
            .map(ToString::to_string);
        if discipline.is_some_and(|wanted| label.as_deref() != Some(wanted)) {
            continue;
        }
        for (a, b) in plain.tokens.iter().zip(&masked.tokens) {
            assert_eq!(a.token_id, b.token_id);
            if let (true, Some(a), Some(b)) = (a.is_content(), a.surprisal, b.surprisal) {
                sum += f64::from(b) - f64::from(a);
                number += 1.0;
            }
        }
    }
    sum / number
}

#[test]
fn the_effect_is_what_captures_with_and_without_the_intervention_differ_by() {
    // Captures have surprisals as f32 sums over the vocabulary.
    let all = values(table("ablation_effect", &["variant"]));
    assert!((all[0] - surprisal_change(None)).abs() < 1e-4, "{all:?}");
    assert!((all[0] - all[1] - all[2]).abs() < 1e-12, "{all:?}");
    assert!(
        all[0] > 0.0,
        "an expert of a trained model is worth something: {all:?}"
    );
    let by_label = table("ablation_effect", &["group", "variant"]);
    let labels = by_label["axes"][0]["labels"].as_array().unwrap();
    assert_eq!(labels.len(), 15);
    for (label, of_label) in labels.iter().zip(values(by_label).chunks_exact(3)) {
        let wanted = surprisal_change(label.as_str());
        assert!(
            (of_label[0] - wanted).abs() < 1e-4,
            "{label}: {of_label:?} {wanted}"
        );
    }
}

#[test]
fn later_layers_feel_what_captures_say_they_feel() {
    let downstream = table("ablation_downstream", &["layer", "variant"]);
    let labels: Vec<&str> = downstream["axes"][0]["labels"]
        .as_array()
        .unwrap()
        .iter()
        .map(|label| label.as_str().unwrap())
        .collect();
    assert_eq!(labels, ["3", "4", "5"]);
    let (mut lost, mut decisions) = ([0.0; 6], [0.0; 6]);
    for (a, b) in ablated().plain.iter().zip(&ablated().masked) {
        for row in 0..a.decisions.len() {
            if a.tokens[a.decisions.position[row] as usize].is_content() {
                let layer = usize::from(a.decisions.layer[row].0);
                let kept = b.decisions.experts(row);
                let gone = a
                    .decisions
                    .experts(row)
                    .iter()
                    .filter(|e| !kept.contains(e));
                lost[layer] += f64::from(u32::try_from(gone.count()).unwrap()) / 2.0;
                decisions[layer] += 1.0;
            }
        }
    }
    for (place, found) in values(downstream).chunks_exact(3).enumerate() {
        let wanted = lost[place + 3] / decisions[place + 3];
        assert!((found[0] - wanted).abs() < 1e-12, "{found:?} {wanted}");
        assert!(found[0] > 0.0);
    }
}

#[test]
fn controls_are_of_the_same_layer_and_of_like_load() {
    let report = &ablated().report;
    assert_eq!(report["target"]["intervention"], "mask:2:5");
    let share = |set: &Value| set["load_share"].as_f64().unwrap();
    let target = share(&report["target"]);
    // The target's share of the assignments, counted in the capture.
    let (mut own, mut all) = (0.0, 0.0);
    for document in &ablated().plain {
        for row in 0..document.decisions.len() {
            let token = &document.tokens[document.decisions.position[row] as usize];
            if token.is_content() && document.decisions.layer[row].0 == 2 {
                let experts = document.decisions.experts(row);
                own += f64::from(u8::from(experts.contains(&5)));
                all += 2.0;
            }
        }
    }
    assert!((target - own / all).abs() < 1e-12, "{target} {own} {all}");
    let controls = report["controls"].as_array().unwrap();
    assert!(!controls.is_empty() && controls.len() <= 3);
    for control in controls {
        let ratio = share(control) / target;
        assert!(ratio < 4.01 && ratio > 0.249, "{control}");
        assert_ne!(control["intervention"], "mask:2:5");
        assert!(
            control["intervention"]
                .as_str()
                .unwrap()
                .starts_with("mask:2:")
        );
    }
    let effect = table("ablation_effect", &["variant"]);
    let null = &effect["nulls"][0];
    let places = f64::from(u32::try_from(controls.len()).unwrap() + 1);
    let p = null["p"].as_f64().unwrap() * places;
    assert!(
        (p - p.round()).abs() < 1e-9 && p >= 1.0,
        "a place among the controls: {null}"
    );
    assert!(effect["nulls"][1].is_null());
    let notes = effect["protocol"]["notes"].to_string();
    for words in [
        "teacher-forced",
        "target mask:2:5",
        "held out only if",
        "p cannot be below",
    ] {
        assert!(notes.contains(words), "'{words}' is not in {notes}");
    }
    // Two texts of a discipline are too few for an interval; thirty are not.
    let by_label = table("ablation_effect", &["group", "variant"]);
    assert!(by_label["intervals"].is_null());
    assert!(effect["intervals"][0].is_object());
}

#[test]
fn tables_and_figures_are_written() {
    let folder = ablated().folder.path();
    let csv = fs::read_to_string(folder.join("table.csv")).unwrap();
    let rows = csv
        .lines()
        .filter(|line| line.starts_with("ablation_effect,"));
    assert_eq!(rows.count(), 3 + 15 * 3);
    for name in ["effect.svg", "effect-downstream.svg"] {
        let svg = fs::read_to_string(folder.join(name)).unwrap();
        assert!(svg.contains("mask:2:5"), "{name}");
        assert!(folder.join(name).with_extension("txt").exists(), "{name}");
    }
}

#[test]
fn people_read_the_effect_beside_its_controls() {
    let scratch = Scratch::new();
    let texts = scratch.write(
        "texts.jsonl",
        (0..8).fold(String::new(), |all, i| {
            let label = if i % 2 == 0 { "law" } else { "math" };
            format!(
                "{all}{{\"text\": \"the cat sat on the mat {i}\", \"discipline\": \"{label}\"}}\n"
            )
        }),
    );
    let model = scratch.arg("model");
    let ran = succeed(&[
        "ablate",
        &model,
        "--data",
        &texts,
        "--expert",
        "0:1",
        "--zero",
        "--load-factor",
        "1000",
    ]);
    for words in [
        "zero:0:1, which gets",
        "Change of surprisal under the intervention [nats per token]",
        "by discipline",
        "target",
        "note: teacher-forced",
    ] {
        assert!(
            ran.stdout.contains(words),
            "'{words}' is not in\n{}",
            ran.stdout
        );
    }
}

#[test]
fn the_embedded_model_has_texts_that_are_not_in_its_trace() {
    let ran = succeed(&[
        "ablate",
        "demo",
        "--expert",
        TARGET,
        "--limit",
        "1",
        "--controls",
        "1",
        "--load-factor",
        "1000",
        "--json",
    ]);
    let told = "no --data was given: 150 embedded texts that are not in the demo's trace";
    assert!(ran.stderr.contains(told), "{}", ran.stderr);
    let embedded: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(embedded["samples"], 15);
    // They are the repository's.
    let files = held_out_files();
    let mut args = vec!["ablate", "demo", "--data"];
    args.extend(files.iter().map(String::as_str));
    args.extend(["--expert", TARGET, "--limit", "1", "--controls", "1"]);
    args.extend(["--load-factor", "1000", "--json"]);
    let from_files: Value = serde_json::from_str(&succeed(&args).stdout).unwrap();
    for what in ["tokens", "target", "controls", "measurements"] {
        assert_eq!(embedded[what], from_files[what], "{what}");
    }
}

#[test]
fn a_model_without_texts_of_its_own_needs_data() {
    let model = Scratch::new().arg("model");
    refuse(
        &["ablate", &model, "--expert", "0:1"],
        &["give their files with --data", "only the embedded model"],
    );
}

#[test]
fn what_makes_no_ablation_is_refused_in_words() {
    let scratch = Scratch::new();
    let texts = scratch.write("texts.jsonl", "{\"text\": \"the cat\"}\n");
    let model = scratch.arg("model");
    let ablate = |more: &[&str], words: &[&str]| {
        let mut args = vec!["ablate", &model, "--data", &texts];
        args.extend(more);
        refuse(&args, words);
    };
    ablate(&["--expert", "3"], &["LAYER:EXPERT"]);
    ablate(&["--expert", "77:0"], &["layer 77 has no experts"]);
    ablate(&["--expert", "0:9999"], &["expert 9999 does not exist"]);
    ablate(
        &["--expert", "0:1", "--load-factor", "0.5"],
        &["at least 1"],
    );
    ablate(
        &["--expert", "0:1", "--mask", "--zero"],
        &["cannot be used with"],
    );
    ablate(
        &["--expert", "0:1", "--out", "x.txt"],
        &[".csv, .parquet or .json"],
    );
    ablate(&["--expert", "0:1", "--by", "planet"], &["planet"]);
}
