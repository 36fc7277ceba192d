//! A capture whose process is killed loses at most its last moments, and goes on to the rows of one that was not.
#![cfg(unix)]

mod support;

use std::{
    env, fs,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use moescope_core::{Cancelled, NoProgress, Progress};
use moescope_pipeline::{CaptureConfig, CapturePlan, DataConfig};
use moescope_trace::{RoutingTrace, validate};
use support::loaded;

/// Where the child captures; only the parent sets it.
const CHILD: &str = "MOESCOPE_TEST_CAPTURE";
const DOCUMENTS: usize = 200;
/// Far sooner than usual, so that the test need not wait.
const CUT_AFTER: Duration = Duration::from_millis(200);
/// The batch in flight, the disk and the machine's other work.
const GRACE: Duration = Duration::from_millis(900);

/// Two hundred texts; each is a batch of its own.
fn config(folder: &Path, out: &str) -> CaptureConfig {
    CaptureConfig {
        data: DataConfig {
            files: vec![folder.join("texts.jsonl")],
            ..DataConfig::default()
        },
        out: folder.join(out),
        batch_tokens: Some(1),
        ..CaptureConfig::default()
    }
}

fn capture(config: CaptureConfig, progress: &dyn Progress) {
    let loaded = loaded();
    let kind = loaded.device.kind;
    let plan = CapturePlan::new(config, &loaded.files, kind, &NoProgress).unwrap();
    plan.run(&loaded, progress).unwrap();
}

/// Takes its time, as a large model does, and says how many tokens are done.
struct Slow;

impl Progress for Slow {
    fn report(&self, done: u64, _total: u64, _message: &str) -> Result<(), Cancelled> {
        println!("done {done}");
        std::io::stdout().flush().unwrap();
        thread::sleep(Duration::from_millis(40));
        Ok(())
    }
}

/// A capture that goes on until its process is killed.
#[test]
#[ignore = "another test runs it as a process of its own"]
fn child_that_captures() {
    let Some(folder) = env::var_os(CHILD) else {
        return;
    };
    let config = CaptureConfig {
        cut_after: CUT_AFTER,
        ..config(Path::new(&folder), "killed")
    };
    capture(config, &Slow);
}

fn spawn(folder: &Path) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "child_that_captures", "--ignored", "--nocapture"])
        .env(CHILD, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Follows the child for a while and kills it; how many tokens were done long enough before to be on the disk.
fn killed(folder: &Path, after: Duration) -> u64 {
    let mut child = spawn(folder);
    let mut heard: Vec<(Instant, u64)> = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        // The test harness's own words may stand before it on the line.
        let Some((_, number)) = line.split_once("done ") else {
            continue;
        };
        heard.push((Instant::now(), number.parse().unwrap()));
        if heard[0].0.elapsed() > after {
            break;
        }
    }
    child.kill().unwrap();
    let end = Instant::now();
    child.wait().unwrap();
    let safe = heard
        .iter()
        .rfind(|(at, _)| end.duration_since(*at) > CUT_AFTER + GRACE);
    safe.map_or(0, |(_, tokens)| *tokens)
}

#[test]
fn a_killed_capture_loses_its_last_moments_and_resumes_to_the_same_rows() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let texts: Vec<String> = (0..DOCUMENTS)
        .map(|number| {
            format!(
                "{{\"id\": \"{number}\", \"discipline\": \"law\", \"text\": \"The court of district {number} held that\"}}\n"
            )
        })
        .collect();
    fs::write(folder.join("texts.jsonl"), texts.concat()).unwrap();
    capture(config(folder, "whole"), &NoProgress);
    let safe = killed(folder, Duration::from_millis(2500));
    assert!(safe > 0, "the child was too slow for this test");

    let (whole, killed) = (folder.join("whole"), folder.join("killed"));
    let before = RoutingTrace::open(&killed).unwrap().manifest().clone();
    assert!(!before.complete);
    assert!(
        before.counts.tokens >= safe,
        "{} tokens are on the disk, {safe} should be",
        before.counts.tokens
    );
    assert!(before.shards.len() > 1, "shards are cut by time alone here");

    let config = CaptureConfig {
        resumes: true,
        ..config(folder, "killed")
    };
    capture(config, &NoProgress);
    let report = validate(&killed, &NoProgress).unwrap();
    assert!(report.is_valid(), "{report:?}");
    let traces = [&whole, &killed].map(|path| RoutingTrace::open(path).unwrap());
    let [whole, killed] = &traces;
    assert_eq!(whole.manifest().counts, killed.manifest().counts);
    assert_eq!(
        killed.manifest().shards[..before.shards.len()],
        before.shards,
        "what was on the disk stays as it was"
    );
    for number in 0..DOCUMENTS {
        let id = number.to_string();
        assert_eq!(
            whole.document(&id).unwrap(),
            killed.document(&id).unwrap(),
            "document {id}"
        );
    }
}
