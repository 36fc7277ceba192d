//! The binary and a Hub on this machine: from a repository's id to a trace.

use std::{path::Path, process::Command};

use moescope_testkit::{HubAnswer, HubRepository, HubServer, TinyModel};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Ran, command, documents};

const ID: &str = "ada/tiny-moe";

fn repository() -> HubRepository {
    let model = tempfile::tempdir().unwrap();
    TinyModel::default().write(model.path()).unwrap();
    HubRepository::new(ID)
        .folder(model.path())
        .unwrap()
        .file("pytorch_model.bin", "the same weights once more")
}

/// The binary with a Hub and a cache of the test's own, and nothing else of the user's environment that matters.
fn with_hub(server: &HubServer, home: &Path, args: &[&str]) -> Command {
    let mut command = command(args);
    for name in [
        "HF_HUB_CACHE",
        "HUGGINGFACE_HUB_CACHE",
        "HF_TOKEN",
        "HUGGING_FACE_HUB_TOKEN",
        "HF_TOKEN_PATH",
        "HF_HUB_OFFLINE",
        "TRANSFORMERS_OFFLINE",
    ] {
        command.env_remove(name);
    }
    command
        .env("HF_ENDPOINT", server.endpoint())
        .env("HF_HOME", home);
    command
}

fn run(server: &HubServer, home: &TempDir, args: &[&str]) -> Ran {
    with_hub(server, home.path(), args).output().unwrap().into()
}

#[test]
fn a_repository_is_downloaded_once_and_captured_from_the_cache() {
    let server = HubServer::serve(repository());
    let home = tempfile::tempdir().unwrap();
    let refused = run(&server, &home, &["inspect", ID]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("--download"), "{}", refused.stderr);
    assert!(
        server.requests().is_empty(),
        "nothing was asked without leave"
    );

    let ran = run(&server, &home, &["inspect", ID, "--download", "--json"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let found: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(found["total_parameters"], 14_896);
    assert_eq!(found["revision"], repository().commit.as_str());
    assert_eq!(server.count("pytorch_model.bin"), 0);
    let asked = server.requests().len();

    let data = home.path().join("texts.jsonl");
    std::fs::write(&data, "{\"text\": \"the enzyme binds\", \"id\": \"a\"}\n").unwrap();
    let out = home.path().join("trace");
    let (data, out_arg) = (data.to_str().unwrap(), out.to_str().unwrap());
    let args = ["capture", ID, "--data", data, "--out", out_arg, "--offline"];
    let ran = run(&server, &home, &args);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(documents(&out).len(), 1);
    let manifest: Value =
        serde_json::from_slice(&std::fs::read(out.join("manifest.json")).unwrap()).unwrap();
    let text = manifest.to_string();
    assert!(
        text.contains(ID) && text.contains(&repository().commit),
        "{text}"
    );
    assert_eq!(server.requests().len(), asked);
}

#[test]
fn a_token_is_sent_and_never_shown() {
    let server = HubServer::start(|_| HubAnswer::new(403, "").with("X-Error-Code", "GatedRepo"));
    let home = tempfile::tempdir().unwrap();
    let secret = "hf_secretsecret";
    let args = ["inspect", ID, "--download", "--verbose"];
    let ran: Ran = with_hub(&server, home.path(), &args)
        .env("HF_TOKEN", secret)
        .output()
        .unwrap()
        .into();
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("is gated"), "{}", ran.stderr);
    assert!(!ran.stderr.contains(secret), "{}", ran.stderr);
    // A token in the folder of the Hugging Face tools is as good.
    std::fs::write(home.path().join("token"), format!("{secret}\n")).unwrap();
    run(&server, &home, &args);
    for request in server.requests() {
        assert_eq!(
            request.headers.get("authorization"),
            Some(&format!("Bearer {secret}"))
        );
    }
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn offline_means_offline() {
    let server = HubServer::serve(repository());
    let home = tempfile::tempdir().unwrap();
    let both = run(&server, &home, &["inspect", ID, "--download", "--offline"]);
    assert_eq!(both.code, Some(2));
    let ran: Ran = with_hub(&server, home.path(), &["inspect", ID, "--download"])
        .env("HF_HUB_OFFLINE", "1")
        .output()
        .unwrap()
        .into();
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("HF_HUB_OFFLINE"), "{}", ran.stderr);
    assert!(server.requests().is_empty());
}

#[cfg(unix)]
#[test]
fn an_interrupted_download_ends_with_130_and_is_continued() {
    use std::{
        process::Stdio,
        time::{Duration, Instant},
    };

    let repository = repository();
    let slow = repository.clone();
    let server = HubServer::start(move |request| {
        let mut answer = slow.answer(request);
        if request.path.ends_with("/model.safetensors") && request.from() == 0 {
            answer.pause = Duration::from_millis(20);
        }
        answer
    });
    let home = tempfile::tempdir().unwrap();
    let args = ["inspect", ID, "--download"];
    let child = with_hub(&server, home.path(), &args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let blobs = home.path().join("hub/models--ada--tiny-moe/blobs");
    let started = Instant::now();
    let arrived = || {
        std::fs::read_dir(&blobs)
            .into_iter()
            .flatten()
            .filter_map(Result::ok)
            .filter(|entry| entry.path().extension().is_some_and(|e| e == "incomplete"))
            .map(|entry| entry.metadata().map_or(0, |found| found.len()))
            .max()
            .unwrap_or(0)
    };
    while arrived() < 2000 {
        assert!(started.elapsed() < Duration::from_mins(1), "no download");
        std::thread::sleep(Duration::from_millis(10));
    }
    Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!(ran.code, Some(130), "{}", ran.stderr);
    assert!(ran.stderr.contains("continues"), "{}", ran.stderr);
    let ran = run(&server, &home, &args);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(server.requests().last().unwrap().from() >= 2000);
}
