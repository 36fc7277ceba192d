//! A capture whose process is killed loses at most its last moments, and goes on to the rows of one that was not.
#![cfg(unix)]

use std::{
    env, fs,
    io::{BufRead as _, BufReader, Write as _},
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use moescope_core::{Cancelled, NoProgress, Progress};
use moescope_engine::SamplingConfig;
use moescope_pipeline::{CaptureConfig, CapturePlan, DataConfig};
use moescope_trace::{RoutingTrace, validate};

use crate::support::loaded;

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

/// How a capture ends before its time.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    /// It is asked to stop.
    Cancel,
    /// Its thread is gone, as if the process were: nobody puts on the disk what is not there yet.
    Panic,
}

/// Lets so many reports pass.
struct EndsAfter(AtomicU32, End);

impl Progress for EndsAfter {
    fn report(&self, _done: u64, _total: u64, _message: &str) -> Result<(), Cancelled> {
        if self.0.fetch_sub(1, Ordering::Relaxed) > 0 {
            return Ok(());
        }
        assert!(self.1 == End::Cancel, "the end, on purpose, in a test");
        Err(Cancelled)
    }
}

/// Keeps what it hears first: how many tokens are done.
#[derive(Default)]
struct FirstReport(OnceLock<u64>);

impl Progress for FirstReport {
    fn report(&self, done: u64, _total: u64, _message: &str) -> Result<(), Cancelled> {
        self.0.get_or_init(|| done);
        Ok(())
    }
}

#[test]
fn finished_documents_do_not_wait_for_the_rest_of_their_batch() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let texts: Vec<String> = (0..6)
        .map(|number| format!("{{\"id\": \"{number}\", \"text\": \"The court of {number}\"}}\n"))
        .collect();
    fs::write(folder.join("texts.jsonl"), texts.concat()).unwrap();
    // One document grows at a time, and four of them are a batch.
    let generating = |out: &str| CaptureConfig {
        generate: 8,
        sampling: SamplingConfig {
            temperature: 0.9,
            seed: 5,
            ..SamplingConfig::default()
        },
        cut_after: Duration::ZERO,
        ..config(folder, out)
    };
    let whole = CaptureConfig {
        cut_after: Duration::from_hours(1),
        ..generating("whole")
    };
    capture(whole, &NoProgress);
    let loaded = loaded();
    for end in [End::Cancel, End::Panic] {
        let name = format!("{end:?}");
        let kind = loaded.device.kind;
        let plan = CapturePlan::new(generating(&name), &loaded.files, kind, &NoProgress).unwrap();
        // One report for the batch and one for each token; a document has eight tokens at most.
        let progress = EndsAfter(AtomicU32::new(14), end);
        let ran = catch_unwind(AssertUnwindSafe(|| plan.run(&loaded, &progress)));
        assert_eq!(ran.is_err(), end == End::Panic);
        let kept = RoutingTrace::open(&folder.join(&name)).unwrap();
        let kept = kept.manifest().counts.samples;
        assert!((1..4).contains(&kept), "{name}: {kept} are kept");

        let resumed = CaptureConfig {
            resumes: true,
            ..generating(&name)
        };
        let first = FirstReport::default();
        capture(resumed, &first);
        // The first batch was begun, and runs from its start again.
        assert_eq!(first.0.get(), Some(&0), "{name}");
        let traces = ["whole", name.as_str()];
        let traces = traces.map(|name| RoutingTrace::open(&folder.join(name)).unwrap());
        let [whole, resumed] = &traces;
        assert_eq!(whole.manifest().counts, resumed.manifest().counts);
        for number in 0..6 {
            let id = number.to_string();
            assert_eq!(
                whole.document(&id).unwrap(),
                resumed.document(&id).unwrap(),
                "{name}: document {id}"
            );
        }
        let report = validate(&folder.join(&name), &NoProgress).unwrap();
        assert!(report.is_valid(), "{report:?}");
    }
}

fn spawn(folder: &Path) -> Child {
    Command::new(env::current_exe().unwrap())
        .args([
            "--exact",
            "killed_capture::child_that_captures",
            "--ignored",
            "--nocapture",
        ])
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
    let shards = &killed.manifest().shards;
    assert_eq!(shards.len(), 1, "small shards are merged at the end");
    let last = before.shards.last().unwrap().index;
    assert!(shards[0].index > last, "under a number of its own");
    for number in 0..DOCUMENTS {
        let id = number.to_string();
        assert_eq!(
            whole.document(&id).unwrap(),
            killed.document(&id).unwrap(),
            "document {id}"
        );
    }
}
