//! The embedded model, and what other implementations computed.

use std::{fs, process::Command};

use moescope_testkit::{golden_case, golden_cases, repository_root, scidfm_mini};
use moescope_trace::RoutingTrace;
use serde_json::Value;

use crate::support::{Scratch, command, refuse, run, succeed};

#[test]
fn the_demo_model_agrees_with_transformers() {
    let expected = repository_root().join("tests/fixtures/scidfm-mini/expected.safetensors");
    let ran = succeed(&[
        "verify",
        "demo",
        "--expected",
        expected.to_str().unwrap(),
        "--json",
    ]);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(report["passes"], true);
    // 616 tokens in 6 layers.
    assert_eq!(
        (&report["selections"], &report["differing"]),
        (&3696.into(), &0.into())
    );
    assert_eq!(
        (&report["greedy_tokens"], &report["differing_greedy"]),
        (&8.into(), &0.into())
    );
}

#[test]
fn oracle_cases_pass_and_a_tight_tolerance_fails() {
    for name in golden_cases()
        .iter()
        .filter(|name| name.starts_with("mixtral"))
    {
        let folder = golden_case(name).unwrap();
        let expected = folder.join("expected.safetensors");
        let (model, expected) = (folder.to_str().unwrap(), expected.to_str().unwrap());
        let ran = succeed(&["verify", model, "--expected", expected]);
        assert!(ran.stdout.ends_with("passed\n"), "{name}: {}", ran.stdout);
        let ran = run(&[
            "verify",
            model,
            "--expected",
            expected,
            "--tolerance",
            "1e-12",
        ]);
        assert_eq!(ran.code, Some(1), "{name}");
        assert!(
            ran.stdout.contains("FAILED: next-token logits differ by"),
            "{}",
            ran.stdout
        );
    }
}

#[test]
fn comparing_nothing_is_not_a_pass() {
    let scratch = Scratch::new();
    let file = scratch.path("expected.safetensors");
    moescope_testkit::SafetensorsFile::new()
        .ids("input_ids.3", &[1, 2, 3])
        .write(&file)
        .unwrap();
    let ran = run(&[
        "verify",
        &scratch.arg("model"),
        "--expected",
        file.to_str().unwrap(),
    ]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(
        ran.stdout.contains("no next-token logits were compared"),
        "{}",
        ran.stdout
    );
    refuse(
        &[
            "verify",
            &scratch.arg("model"),
            "--expected",
            &scratch.arg("nothing"),
        ],
        &["expected values"],
    );
}

#[test]
fn the_embedded_files_are_those_of_the_repository() {
    let cache = tempfile::tempdir().unwrap();
    let ran = command(&["inspect", "demo"])
        .env("XDG_CACHE_HOME", cache.path())
        .output()
        .unwrap();
    assert!(ran.status.success());
    let unpacked = fs::read_dir(cache.path().join("moescope"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    for name in ["config.json", "model.safetensors", "tokenizer.json"] {
        assert_eq!(
            fs::read(unpacked.join(name)).unwrap(),
            fs::read(scidfm_mini().join(name)).unwrap(),
            "{name}"
        );
    }
    // A damaged copy is mended.
    fs::write(unpacked.join("model.safetensors"), "oops").unwrap();
    let ran = command(&["inspect", "demo"])
        .env("XDG_CACHE_HOME", cache.path())
        .output()
        .unwrap();
    assert!(ran.status.success());
}

#[test]
fn without_a_cache_folder_the_demo_runs_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let blocked = folder.path().join("a-file");
    fs::write(&blocked, "").unwrap();
    let temporary = folder.path().join("tmp");
    fs::create_dir(&temporary).unwrap();
    let ran = command(&[
        "generate",
        "demo",
        "--prompt",
        "The enzyme",
        "--max-tokens",
        "3",
    ])
    .env("XDG_CACHE_HOME", &blocked)
    .env("TMPDIR", &temporary)
    .current_dir(folder.path())
    .output()
    .unwrap();
    assert!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    assert!(String::from_utf8_lossy(&ran.stderr).contains("XDG_CACHE_HOME"));
    assert_eq!(
        fs::read_dir(&temporary).unwrap().count(),
        0,
        "nothing is left behind"
    );
}

#[test]
fn generation_streams_stops_and_repeats() {
    let base = [
        "generate",
        "demo",
        "--prompt",
        "The enzyme",
        "--max-tokens",
        "20",
    ];
    let with = |more: &[&str]| {
        let args: Vec<&str> = base.iter().chain(more).copied().collect();
        succeed(&args)
    };
    let greedy = with(&[]).stdout;
    assert!(greedy.split_whitespace().count() > 5, "{greedy}");
    assert_eq!(greedy, with(&[]).stdout);
    assert_ne!(greedy, with(&["--intervene", "mask:all:0,1,2"]).stdout);
    let warm = [
        "--temperature",
        "1.2",
        "--top-k",
        "50",
        "--top-p",
        "0.95",
        "--seed",
        "3",
    ];
    assert_eq!(with(&warm).stdout, with(&warm).stdout);
    assert_ne!(
        with(&warm).stdout,
        with(&["--temperature", "1.2", "--seed", "4"]).stdout
    );
    // Stop at a word that greedy decoding is known to reach.
    let word = greedy.split_whitespace().nth(3).unwrap();
    let stopped = with(&["--stop", word, "--json"]);
    let found: Value = serde_json::from_str(&stopped.stdout).unwrap();
    assert_eq!(found["finish_reason"], "stop_text");
    assert_eq!(
        found["text"].as_str().unwrap(),
        &greedy[..greedy.find(word).unwrap()]
    );
}

#[test]
fn a_traced_generation_is_a_valid_trace() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace");
    let prompt = folder.path().join("prompt.txt");
    fs::write(&prompt, "The enzyme").unwrap();
    let args = [
        "--max-tokens",
        "8",
        "--trace",
        trace.to_str().unwrap(),
        "--logits",
    ];
    let mut all = vec![
        "generate",
        "demo",
        "--prompt-file",
        prompt.to_str().unwrap(),
    ];
    all.extend(args);
    let ran = succeed(&all);
    succeed(&["validate", trace.to_str().unwrap()]);
    let trace = RoutingTrace::open(&trace).unwrap();
    let id = trace.samples().unwrap()[0].meta.id.clone();
    assert!(
        ran.stderr.contains(&format!("--sample {id}")),
        "{}",
        ran.stderr
    );
    let document = trace.document(&id).unwrap();
    let prompt_tokens = document.sample.num_prompt_tokens.unwrap() as usize;
    let pieces: String = document.tokens[prompt_tokens..]
        .iter()
        .map(|token| token.text.clone().unwrap())
        .collect();
    assert_eq!(pieces, ran.stdout.strip_suffix('\n').unwrap());
    assert!(trace.manifest().complete && trace.manifest().keeps_logits);
}

#[test]
fn prompts_that_do_not_fit_are_refused() {
    let scratch = Scratch::new();
    let model = scratch.arg("model");
    refuse(
        &["generate", &model, "--prompt", "the", "--max-tokens", "100"],
        &["do not fit the model's context of 64"],
    );
    refuse(&["generate", &model], &["--prompt"]);
    refuse(
        &["generate", &model, "--prompt-file", "no-such-file"],
        &["cannot read the prompt"],
    );
}

#[test]
fn a_folder_named_demo_does_not_hide_the_embedded_model() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("demo")).unwrap();
    let inspect = |model: &str| {
        Command::new(env!("CARGO_BIN_EXE_moescope"))
            .args(["inspect", model])
            .current_dir(folder.path())
            .output()
            .unwrap()
    };
    assert!(inspect("demo").status.success());
    let errors = String::from_utf8(inspect("./demo").stderr).unwrap();
    assert!(errors.contains("config.json"), "{errors}");
}

#[test]
fn help_works_without_a_model() {
    let output = Command::new(env!("CARGO_BIN_EXE_moescope"))
        .arg("--help")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for verb in [
        "inspect", "generate", "capture", "verify", "validate", "info", "show",
    ] {
        assert!(text.contains(verb), "{verb}");
    }
}
