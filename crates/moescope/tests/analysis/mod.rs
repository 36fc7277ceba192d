//! The verbs that analyse, on the embedded demo.

mod figures;
mod findings;
mod measures;
mod tokens;

use std::{fs, path::Path, sync::OnceLock};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{command, refuse, succeed};

/// One demo run for all tests of this folder.
fn demo() -> &'static (TempDir, Value) {
    static DEMO: OnceLock<(TempDir, Value)> = OnceLock::new();
    DEMO.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("demo");
        let ran = succeed(&["demo", "--json", "--out", out.to_str().unwrap()]);
        (folder, serde_json::from_str(&ran.stdout).unwrap())
    })
}

fn trace() -> &'static str {
    demo().1["trace"].as_str().unwrap()
}

#[test]
fn the_demo_captures_measures_draws_and_tells() {
    let report = &demo().1;
    assert_eq!(report["samples"], 240);
    assert_eq!(
        report["decisions"].as_u64().unwrap(),
        6 * report["tokens"].as_u64().unwrap()
    );
    let figures = report["figures"].as_array().unwrap();
    assert_eq!(figures.len(), 8, "four figures as SVG and PDF");
    for figure in figures {
        let bytes = fs::read(figure.as_str().unwrap()).unwrap();
        let is_svg = figure.as_str().unwrap().ends_with("svg");
        assert!(
            bytes.starts_with(if is_svg { b"<" } else { b"%PDF" }),
            "{figure}"
        );
    }
    let findings = report["findings"].as_array().unwrap();
    assert_eq!(findings.len(), 10);
    let words: String = findings
        .iter()
        .map(|f| f["answer"].as_str().unwrap())
        .collect();
    for needed in ["bits [", "bags of tokens", "identifiable", "shuffled"] {
        assert!(words.contains(needed), "'{needed}' is not in {words}");
    }
}

#[test]
fn the_demo_refuses_a_folder_that_holds_something() {
    let out = demo().0.path().join("demo");
    refuse(
        &["demo", "--out", out.to_str().unwrap()],
        &["holds something", "--out"],
    );
}

#[test]
fn mistakes_are_told_with_what_would_help() {
    refuse(
        &["measure", trace(), "mutual_informatoin"],
        &["mutual_information"],
    );
    refuse(
        &["measure", trace(), "jsd", "--contrast", "math"],
        &["math:law"],
    );
    refuse(
        &["measure", trace(), "jsd", "--contrast", "math:alchemy"],
        &["alchemy"],
    );
    refuse(
        &["measure", trace(), "jsd", "--by", "colour"],
        &["colour", "discipline"],
    );
    refuse(
        &["measure", trace(), "jsd", "--format", "parquet"],
        &["--out"],
    );
    refuse(&["measure", "no-such-trace", "jsd"], &["no-such-trace"]);
    refuse(
        &["figure", trace(), "heatmap", "--out", "x.svg"],
        &["layer_expert_heatmap"],
    );
    refuse(
        &["figure", trace(), "fingerprint_map", "--out", "x.jpeg"],
        &["x.jpeg"],
    );
    refuse(
        &["figure", trace(), "layer_expert_heatmap", "--out", "x.svg"],
        &["math"],
    );
    assert!(!Path::new("x.svg").exists());
}

#[test]
fn bench_gives_one_object_a_line_with_every_field() {
    let quick = ["--prefill", "16", "--batches", "1"];
    let args = [&["bench", "demo", "--json", "--quiet"], &quick[..]].concat();
    let rows = succeed(&args).stdout;
    let rows: Vec<Value> = rows
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for field in [
        "geometry",
        "device",
        "weights",
        "compute",
        "phase",
        "tokens",
        "batch",
        "recording",
        "surprisal",
        "tokens_per_s",
        "gb_per_s",
        "bandwidth_fraction",
        "gflop_per_s",
        "peak_bytes",
    ] {
        assert!(rows.iter().all(|row| row.get(field).is_some()), "{field}");
    }
    let is = |phase: &str, recording: &str| {
        rows.iter()
            .any(|row| row["phase"] == phase && row["recording"] == recording)
    };
    assert!(
        ["off", "routing", "logits"]
            .iter()
            .all(|r| is("prefill", r) && is("decode", r))
    );
    assert!(
        rows.iter()
            .all(|row| row["tokens_per_s"].as_f64().is_some_and(|x| x > 0.0))
    );
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let mut child = command(&["metrics"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
