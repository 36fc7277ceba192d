//! Looking at traces, and finding what is wrong with them.

use std::{fs, path::Path};

use serde_json::Value;

use crate::support::{Scratch, refuse, run, start, succeed};

fn traced() -> Scratch {
    let scratch = Scratch::new();
    let data = scratch.write(
        "a.jsonl",
        "{\"id\": \"a\", \"text\": \"the enzyme lowers energy\", \"discipline\": \"biology\", \"genre\": \"abstract\"}\n\
         {\"id\": \"b\", \"text\": \"the court held\", \"discipline\": \"law\", \"group\": \"g\"}\n",
    );
    succeed(&[
        "capture",
        &scratch.arg("model"),
        "--data",
        &data,
        "--out",
        &scratch.arg("trace"),
        "--logits",
    ]);
    scratch
}

#[test]
fn a_flipped_byte_in_any_table_is_found() {
    for table in ["samples", "tokens", "routing", "profiles"] {
        let scratch = traced();
        let file = scratch.path(&format!("trace/{table}/part-00000.parquet"));
        let mut bytes = fs::read(&file).unwrap();
        let middle = bytes.len() / 3;
        bytes[middle] ^= 0x10;
        fs::write(&file, bytes).unwrap();
        let ran = run(&["validate", &scratch.arg("trace"), "--json"]);
        assert_eq!(ran.code, Some(1), "{table}: {}", ran.stderr);
        let report: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(report["valid"], false);
        assert!(ran.stdout.contains("checksum"), "{table}: {}", ran.stdout);
    }
}

#[test]
fn a_sound_trace_is_valid() {
    let scratch = traced();
    let ran = succeed(&["validate", &scratch.arg("trace")]);
    assert!(
        ran.stdout.contains("2 samples") && ran.stdout.ends_with("valid\n"),
        "{}",
        ran.stdout
    );
}

#[test]
fn a_newer_trace_and_no_trace_are_refused() {
    let scratch = traced();
    let trace = scratch.arg("trace");
    refuse(&["info", &scratch.arg("model")], &["not a routing trace"]);
    let manifest = scratch.path("trace/manifest.json");
    let text = fs::read_to_string(&manifest).unwrap();
    let newer = text.replace("\"schema_version\": 1", "\"schema_version\": 99");
    assert_ne!(text, newer);
    fs::write(manifest, newer).unwrap();
    for verb in ["info", "validate"] {
        refuse(&[verb, &trace], &["schema version 99", "newer moescope"]);
    }
    refuse(&["show", &trace, "--sample", "a"], &["schema version 99"]);
}

#[test]
fn info_says_what_is_inside() {
    let scratch = traced();
    let ran = succeed(&["info", &scratch.arg("trace")]);
    for word in [
        "complete",
        "mixtral",
        "2 samples in 2 groups",
        "with router logits",
        "biology",
        "abstract",
        "a.jsonl (2 records)",
    ] {
        assert!(
            ran.stdout.contains(word),
            "'{word}' is not in\n{}",
            ran.stdout
        );
    }
    let ran = succeed(&["info", &scratch.arg("trace"), "--json"]);
    let info: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(info["by_discipline"]["law"], 1);
    assert_eq!(info["by_genre"]["abstract"], 1);
    assert_eq!(info["manifest"]["model"]["top_k"], 2);
}

#[test]
fn show_goes_through_a_document_token_by_token() {
    let scratch = traced();
    let trace = scratch.arg("trace");
    let ran = succeed(&["show", &trace, "--sample", "a"]);
    assert!(
        ran.stdout.contains("discipline biology") && ran.stdout.contains("layer 0 of 0-1"),
        "{}",
        ran.stdout
    );
    assert_eq!(ran.stdout.matches("prefill").count(), 5, "{}", ran.stdout);
    assert!(ran.stdout.contains("enzyme"));
    let ran = succeed(&["show", &trace, "--sample", "b", "--json"]);
    let lines: Vec<Value> = ran
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 4);
    assert_eq!(lines[1]["layers"].as_array().unwrap().len(), 2);
    assert_eq!(lines[1]["layers"][1]["layer"], 1);
    assert_eq!(lines[1]["layers"][0]["logits"].as_array().unwrap().len(), 4);
    refuse(
        &["show", &trace, "--sample", "z"],
        &["no sample 'z'", "a, b"],
    );
    refuse(&["show", &trace, "--sample", "A"], &["did you mean 'a'?"]);
    refuse(
        &["show", &trace, "--sample", "a", "--layer", "5"],
        &["no routing of layer 5", "0-1"],
    );
}

#[test]
fn a_closed_pipe_is_not_an_error() {
    let scratch = traced();
    let mut child = start(&["show", &scratch.arg("trace"), "--sample", "a", "--json"]);
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.is_empty(), "{stderr}");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn man_pages_and_completions_are_made() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    succeed(&["man", "--out", out]);
    for page in ["moescope.1", "moescope-capture.1", "moescope-show.1"] {
        assert!(Path::new(out).join(page).is_file(), "{page}");
    }
    for shell in ["bash", "zsh", "fish"] {
        assert!(succeed(&["completions", shell]).stdout.contains("moescope"));
    }
    let ran = run(&["captur"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("'capture'"), "{}", ran.stderr);
    assert!(run(&["--version"]).stdout.starts_with("moescope 0."));
}
