//! The verbs that analyse, on the embedded demo.

mod support;

use std::{fs, path::Path, sync::OnceLock};

use serde_json::Value;
use support::{command, refuse, succeed};
use tempfile::TempDir;

/// One demo run for all tests of this file.
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
    assert_eq!(findings.len(), 7);
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
fn every_metric_of_the_catalogue_measures_the_demo() {
    let listed = succeed(&["metrics", "--json"]).stdout;
    let names: Vec<String> = listed
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|metric| metric["compares_traces"] == false)
        .map(|metric| metric["name"].as_str().unwrap().to_owned())
        .collect();
    assert!(names.len() >= 13, "{names:?}");
    let mut args = vec!["measure", trace(), "--json", "--resamples", "50"];
    args.extend(names.iter().map(String::as_str));
    let rows: Vec<Value> = succeed(&args)
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for name in &names {
        let mine: Vec<&Value> = rows.iter().filter(|row| row["metric"] == **name).collect();
        assert!(
            mine.iter().any(|row| row["value"].is_number()),
            "{name} gave no number"
        );
        assert!(mine.iter().all(|row| {
            row["protocol"]
                .as_str()
                .is_some_and(|p| p.contains("prefill"))
        }));
    }
}

/// The same number in every format, and as the sum of what the trace holds.
#[test]
fn formats_agree() {
    let args = [
        "measure",
        trace(),
        "assignment_share",
        "--layers",
        "2",
        "--resamples",
        "0",
    ];
    let json = succeed(&[&args[..], &["--json"]].concat()).stdout;
    let csv = succeed(&[&args[..], &["--format", "csv"]].concat()).stdout;
    let values: Vec<f64> = json
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["value"]
                .as_f64()
                .unwrap()
        })
        .collect();
    assert_eq!(values.len(), 15 * 8);
    // Shares of one discipline's assignments over its eight experts.
    for label in values.chunks(8) {
        assert!((label.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }
    let column = csv
        .lines()
        .next()
        .unwrap()
        .split(',')
        .position(|name| name == "value")
        .unwrap();
    let first: f64 = csv
        .lines()
        .nth(1)
        .unwrap()
        .split(',')
        .nth(column)
        .unwrap()
        .parse()
        .unwrap();
    assert!((first - values[0]).abs() < 1e-12);
}

#[test]
fn figures_are_the_same_bytes_on_repeat_and_have_a_caption() {
    let folder = tempfile::tempdir().unwrap();
    for ending in ["svg", "pdf", "png"] {
        let draw = |name: &str| {
            let out = folder.path().join(format!("{name}.{ending}"));
            succeed(&[
                "figure",
                trace(),
                "layer_expert_heatmap",
                "--group",
                "math",
                "--group-b",
                "law",
                "--resamples",
                "100",
                "--dpi",
                "60",
                "--out",
                out.to_str().unwrap(),
            ]);
            fs::read(out).unwrap()
        };
        assert_eq!(draw("a"), draw("b"), "{ending}");
    }
    let caption = fs::read_to_string(folder.path().join("a.txt")).unwrap();
    assert!(caption.contains("resampling unit: group"), "{caption}");
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
