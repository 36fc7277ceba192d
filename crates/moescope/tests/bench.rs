//! `moescope bench`: models with random weights from a configuration alone, and what it refuses.

use std::{fs, path::Path};

use moescope_testkit::TinyModel;
use serde_json::Value;

use crate::support::{Scratch, command, refuse, run, succeed};

/// Every case in one or two passes.
const QUICK: [&str; 6] = ["--prefill", "8", "--batches", "2", "--recording", "routing"];

fn rows(stdout: &str) -> Vec<Value> {
    stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn config(scratch: &Scratch) -> String {
    scratch.write("config.json", TinyModel::default().config().to_string())
}

#[test]
fn a_configuration_alone_is_measured_and_its_checkpoint_kept() {
    let scratch = Scratch::new();
    let like = config(&scratch);
    let cache = scratch.path("cache");
    let bench = |more: &[&str]| {
        let args = [
            &["bench", "--like", &like, "--layers", "1", "--json"],
            &QUICK[..],
            more,
        ]
        .concat();
        let output = command(&args)
            .env("XDG_CACHE_HOME", &cache)
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{stderr}");
        (String::from_utf8(output.stdout).unwrap(), stderr)
    };
    let (stdout, stderr) = bench(&[]);
    assert!(stderr.contains("may be deleted"), "{stderr}");
    let rows = rows(&stdout);
    let cases: Vec<_> = rows
        .iter()
        .map(|row| {
            let text = |key: &str| row[key].as_str().unwrap().to_owned();
            (
                text("phase"),
                row["batch"].as_u64().unwrap(),
                row["surprisal"].as_bool().unwrap(),
            )
        })
        .collect();
    let case = |phase: &str, batch, surprisal| (phase.to_owned(), batch, surprisal);
    assert_eq!(
        cases,
        [
            case("prefill", 1, false),
            case("decode", 2, false),
            case("prefill", 1, true)
        ]
    );
    for row in &rows {
        let number = |key: &str| {
            row[key]
                .as_f64()
                .unwrap_or_else(|| panic!("no {key} in {row}"))
        };
        assert_eq!(row["model"], "mixtral-1l");
        assert_eq!(row["weights"], "bf16");
        for key in [
            "tokens_per_s",
            "bytes_per_token",
            "gb_per_s",
            "gflop_per_s",
            "stream_gb_per_s",
        ] {
            assert!(number(key) > 0.0, "{key} in {row}");
        }
        let share = number("gflop_per_s") / number("product_gflop_per_s");
        assert!((number("product_fraction") - share).abs() <= 1e-9 * share);
        let share = number("gb_per_s") / number("stream_gb_per_s");
        assert!((number("bandwidth_fraction") - share).abs() <= 1e-9 * share);
        // Embeddings and head 27 · 16 each; a layer's attention 16 · (16 + 8 + 8 + 16), router 4 · 16, four experts of
        // 3 · 16 · 32; norms 16, 16 and 16. Two bytes each.
        assert_eq!(row["weights_bytes"], 2 * (864 + 768 + 64 + 6144 + 48));
        assert!(row["repeats"].as_u64().unwrap() >= 3);
    }
    // The next run finds the checkpoint.
    let written = |folder: &Path| {
        let names = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let folders: Vec<_> = names.filter(|path| path.is_dir()).collect();
        assert_eq!(folders.len(), 1, "{folders:?}");
        let weights = folders[0].join("model.safetensors");
        fs::metadata(weights).unwrap().modified().unwrap()
    };
    let folder = cache.join("moescope/bench");
    let first = written(&folder);
    let (stdout, _) = bench(&["--phases", "decode", "--compute", "bf16"]);
    assert_eq!(written(&folder), first);
    assert!(stdout.contains("\"compute\":\"bf16\""), "{stdout}");
}

#[test]
fn a_checkpoint_is_written_where_it_is_asked_for_and_runs() {
    let scratch = Scratch::new();
    let like = config(&scratch);
    let folder = scratch.arg("random");
    let ran = succeed(&["bench", "--like", &like, "--write", &folder]);
    assert_eq!(ran.stdout, "");
    let inspected = succeed(&["inspect", &folder]).stdout;
    assert!(inspected.contains("mixtral"), "{inspected}");
    // A folder without a tokenizer is measured as well.
    let table = succeed(&[&["bench", &folder, "--phases", "prefill"], &QUICK[..]].concat()).stdout;
    for word in [
        "random: mixtral",
        "GB/s read by all cores",
        "of limit",
        "routing",
    ] {
        assert!(table.contains(word), "'{word}' is not in\n{table}");
    }
    refuse(&["bench", "--like", &like, "--write", &folder], &["exists"]);
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let scratch = Scratch::new();
    let like = config(&scratch);
    let like = like.as_str();
    refuse(&["bench", "olmo-4l"], &["did you mean 'olmoe-4l'?"]);
    refuse(&["bench", "no-such-model"], &["no-such-model"]);
    refuse(&["bench", "--like", "no/config.json"], &["no/config.json"]);
    refuse(
        &["bench", "--like", like, "--layers", "0"],
        &["take 1 to 2"],
    );
    refuse(
        &["bench", "--like", like, "--layers", "3"],
        &["take 1 to 2"],
    );
    refuse(&["bench", "demo", "--like", like], &["cannot be used with"]);
    refuse(&["bench", "demo", "--layers", "1"], &["--like"]);
    refuse(&["bench"], &["MODEL"]);
    refuse(&["bench", "demo", "--prefill", "0"], &["found 0"]);
    refuse(&["bench", "demo", "--phases", "training"], &["training"]);
    refuse(
        &["bench", "demo", "--write", "x"],
        &["random weights", "olmoe-4l"],
    );
    let context = scratch.arg("model");
    refuse(
        &["bench", &context, "--phases", "prefill", "--prefill", "65"],
        &["context of 64 tokens is too short"],
    );
    let broken = scratch.write("broken.json", "{\"model_type\": \"mixtral\"}");
    refuse(&["bench", "--like", &broken], &["hidden_size"]);
    // More than any disk has: two layers of 64 experts of 3 · 2²⁰ · 2²⁰ weights, and attention.
    let huge = TinyModel {
        hidden: 1 << 20,
        experts: 64,
        ..TinyModel::default()
    };
    let huge = scratch.write("huge.json", huge.config().to_string());
    let target = scratch.arg("huge");
    refuse(
        &["bench", "--like", &huge, "--write", &target],
        &["are free", "--layers"],
    );
    assert!(!scratch.path("huge").exists());
    let ran = run(&[
        "bench",
        "--like",
        like,
        "--phases",
        "prefill",
        "--recording",
        "everything",
    ]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
}
