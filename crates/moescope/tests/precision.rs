//! `--weights` and `--compute`: what is recorded, what is told, what is refused.

use moescope_engine::{ComputeDevice, DeviceChoice};
use moescope_testkit::repository_root;
use moescope_trace::RoutingTrace;
use serde_json::Value;

use crate::support::{Scratch, refuse, run, succeed};

const TEXTS: &str = "{\"text\": \"the enzyme binds\"}\n{\"text\": \"light and time\"}\n";

#[test]
fn a_manifest_has_the_type_of_each_class_and_of_the_arithmetic() {
    let scratch = Scratch::new();
    let (data, out) = (scratch.write("texts.jsonl", TEXTS), scratch.arg("trace"));
    let base = ["capture", "demo", "--data", &data, "--out", &out];
    let asked = ["--weights", "q4", "--compute", "bf16"];
    let ran = succeed(&[&base[..], &asked].concat());
    assert!(!ran.stderr.contains("warning"), "{}", ran.stderr);
    let trace = RoutingTrace::open(&scratch.path("trace")).unwrap();
    let types = &trace.manifest().checkpoint.as_ref().unwrap().weight_types;
    let want = [
        ("attention", "q4"),
        ("embeddings", "bf16"),
        ("experts", "q4"),
        ("lm_head", "q4"),
        ("norms", "bf16"),
        ("router", "bf16"),
    ];
    let found: Vec<(&str, &str)> = types
        .iter()
        .map(|(a, b)| (a.as_str(), b.as_str()))
        .collect();
    assert_eq!(found, want);
    assert_eq!(trace.manifest().compute_type.as_deref(), Some("bf16"));

    // A trace is of one type of weights and of arithmetic.
    let resume = |more: &[&'static str]| [&base[..], &["--resume"], more].concat();
    succeed(&resume(&asked));
    for more in [
        &["--weights", "q8", "--compute", "bf16"][..],
        &["--compute", "bf16"],
    ] {
        refuse(&resume(more), &["cannot resume", "checkpoint"]);
    }
    refuse(
        &resume(&["--weights", "q4"]),
        &["cannot resume", "compute_type"],
    );
}

#[test]
fn rows_that_are_no_whole_blocks_are_told() {
    // Hidden 16, experts 32 wide: gate, up, attention and head stay f32, down becomes blocks.
    let scratch = Scratch::new();
    let (model, data) = (scratch.arg("model"), scratch.write("texts.jsonl", TEXTS));
    let out = scratch.arg("trace");
    let ran = succeed(&[
        "capture",
        &model,
        "--data",
        &data,
        "--out",
        &out,
        "--weights",
        "q8",
    ]);
    for word in [
        "--weights q8",
        "rows of 16",
        "attention, experts, lm_head",
        "stay as stored",
    ] {
        assert!(
            ran.stderr.contains(word),
            "'{word}' is not in\n{}",
            ran.stderr
        );
    }
    let trace = RoutingTrace::open(&scratch.path("trace")).unwrap();
    let types = &trace.manifest().checkpoint.as_ref().unwrap().weight_types;
    assert_eq!(types["experts"], "f32+q8");
    assert_eq!(types["attention"], "f32");
    let ran = succeed(&[
        "generate",
        &model,
        "--prompt",
        "the",
        "--max-tokens",
        "2",
        "--weights",
        "q4",
    ]);
    assert!(ran.stderr.contains("stay as stored"), "{}", ran.stderr);
}

#[test]
fn rounded_weights_are_verified_with_what_rounding_may_change() {
    let root = repository_root();
    let expected = root.join("tests/fixtures/scidfm-mini/expected.safetensors");
    let verify = |more: &[&str]| {
        let base = [
            "verify",
            "demo",
            "--expected",
            expected.to_str().unwrap(),
            "--json",
        ];
        let ran = run(&[&base[..], more].concat());
        let json: Value = serde_json::from_str(&ran.stdout).unwrap();
        (ran.code, json)
    };
    let decisions = (7 + 33 + 64 + 512) * 6;
    let (code, exact) = verify(&["--tolerance", "1e-3"]);
    assert_eq!((code, &exact["differing"]), (Some(0), &0.into()));
    assert_eq!(exact["selections"], decisions);
    for rounded in [["--compute", "bf16"], ["--weights", "q8"]] {
        // Strictly it is another model.
        let (code, strict) = verify(&rounded);
        assert_eq!((code, &strict["passes"]), (Some(1), &false.into()));
        let loose = [
            "--tolerance",
            "1",
            "--weight-tolerance",
            "0.1",
            "--near-tie",
            "0.05",
        ];
        let (code, found) = verify(&[&rounded[..], &loose].concat());
        assert_eq!(code, Some(0), "{rounded:?}: {}", found["failures"]);
        let of = |name: &str| found[name].as_u64().unwrap();
        assert_eq!(of("selections") + of("downstream"), decisions);
        assert_eq!(of("differing"), of("near_ties"), "no other differences");
        let bins = found["by_margin"].as_array().unwrap();
        let sum = |name: &str| {
            bins.iter()
                .map(|bin| bin[name].as_u64().unwrap())
                .sum::<u64>()
        };
        assert_eq!(
            (sum("selections"), sum("differing")),
            (of("selections"), of("differing"))
        );
    }
    refuse(
        &["verify", "demo", "--expected", "x", "--near-tie", "-1"],
        &["--near-tie must be 0 or more"],
    );
}

#[test]
fn text_is_generated_with_weights_in_blocks() {
    let ran = succeed(&[
        "generate",
        "demo",
        "--prompt",
        "The enzyme",
        "--max-tokens",
        "8",
        "--weights",
        "q8",
        "--compute",
        "bf16",
        "--json",
    ]);
    let json: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(json["generated_tokens"], 8);
}

#[test]
fn a_gpu_refuses_bf16_with_the_reason() {
    let reason = match ComputeDevice::open(DeviceChoice::Gpu) {
        Ok(_) => "computes in f32 only",
        Err(_) => "no graphics adapter",
    };
    refuse(
        &[
            "generate",
            "demo",
            "--prompt",
            "The",
            "--max-tokens",
            "1",
            "--compute",
            "bf16",
            "--device",
            "gpu",
        ],
        &[reason],
    );
}

#[test]
fn inspect_has_the_memory_of_every_type() {
    let ran = succeed(&["inspect", "demo", "--json"]);
    let json: Value = serde_json::from_str(&ran.stdout).unwrap();
    let total = json["total_parameters"].as_u64().unwrap();
    let bytes = |name: &str| json["memory_bytes"][name].as_u64().unwrap();
    assert_eq!(bytes("f32"), 4 * total);
    // Embeddings (8192 × 160), routers (6 × 8 × 160) and norms (13 × 160) stay in bf16; the rest are whole blocks.
    let as_stored = 8192 * 160 + 6 * 8 * 160 + 13 * 160;
    assert_eq!(bytes("q8"), 2 * as_stored + (total - as_stored) / 32 * 34);
    assert_eq!(bytes("q4"), 2 * as_stored + (total - as_stored) / 32 * 18);
    let cpu = &json["memory"][0];
    assert_eq!(cpu["q4"]["mapped"], 2 * as_stored);
    assert_eq!(cpu["q4"]["weights"], bytes("q4") - 2 * as_stored);
    // A GPU keeps f32 whatever is asked for.
    assert_eq!(json["memory"][1]["q4"]["weights"], 4 * total);
    let table = succeed(&["inspect", "demo"]).stdout;
    assert!(
        table.contains(" as q8") && table.contains(" as q4"),
        "{table}"
    );
}
