//! Captures that are killed, interrupted, or run out of disk: nothing finished is lost, and the rows come out the same.
#![cfg(unix)]

use std::{
    path::Path,
    process::Command,
    thread::sleep,
    time::{Duration, Instant},
};

use moescope_trace::{Manifest, RoutingTrace};
use tempfile::TempDir;

use crate::support::{Ran, discipline_files, documents, run, start, succeed};

/// 30 texts, about 6,000 tokens, in many small shards.
fn args<'a>(files: &'a [String], out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec![
        "capture",
        "demo",
        "--limit",
        "2",
        "--batch-tokens",
        "400",
        "--shard-decisions",
        "3000",
    ];
    args.extend(["--out", out]);
    args.extend(more);
    args.push("--data");
    args.extend(files.iter().map(String::as_str));
    args
}

fn path(folder: &TempDir, name: &str) -> String {
    folder.path().join(name).to_str().unwrap().to_owned()
}

fn manifest(trace: &str) -> Manifest {
    RoutingTrace::open(trace.as_ref())
        .unwrap()
        .manifest()
        .clone()
}

#[test]
fn a_killed_capture_resumes_to_the_same_files() {
    let (files, folder) = (discipline_files(), tempfile::tempdir().unwrap());
    let (whole, killed) = (path(&folder, "whole"), path(&folder, "killed"));
    succeed(&args(&files, &whole, &[]));
    assert!(manifest(&whole).shards.len() > 5);
    // Moments spread over start, first batches and later ones; the exact ones do not matter.
    let mut completed = 0;
    for millis in [20, 90, 170, 260, 340, 430, 70, 510] {
        let mut child = start(&args(&files, &killed, &["--resume"]));
        sleep(Duration::from_millis(millis));
        child.kill().unwrap();
        child.wait().unwrap();
        if Path::new(&killed).join("manifest.json").exists() {
            let now = manifest(&killed).counts.samples;
            assert!(
                now >= completed,
                "a resumed capture keeps what was finished"
            );
            completed = now;
        }
    }
    succeed(&args(&files, &killed, &["--resume"]));
    succeed(&["validate", &killed]);
    // The same shards, byte for byte: their checksums are in the manifest.
    assert_eq!(manifest(&whole).shards, manifest(&killed).shards);
}

#[test]
fn ctrl_c_ends_in_good_order_and_can_be_resumed() {
    let (files, folder) = (discipline_files(), tempfile::tempdir().unwrap());
    let (whole, stopped) = (path(&folder, "whole"), path(&folder, "stopped"));
    let generating = ["--generate", "12", "--temperature", "0.8"];
    let child = start(&args(&files, &stopped, &generating));
    let first_shard = Path::new(&stopped).join("routing/part-00000.parquet");
    let begun = Instant::now();
    while !first_shard.exists() {
        assert!(
            begun.elapsed() < Duration::from_mins(2),
            "no shard was written"
        );
        sleep(Duration::from_millis(5));
    }
    let killed = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(killed.success());
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!(ran.code, Some(130), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("interrupted after") && ran.stderr.contains("--resume"),
        "{}",
        ran.stderr
    );
    let found = manifest(&stopped);
    assert!(!found.complete && found.counts.samples > 0);
    assert_eq!(
        run(&["validate", &stopped]).code,
        Some(1),
        "an incomplete trace is told as such"
    );
    let measured = succeed(&["measure", &stopped, "load_entropy", "--by", "all"]);
    assert!(
        measured.stdout.contains("note: unfinished capture: "),
        "{}",
        measured.stdout
    );
    let mut resumed = generating.to_vec();
    resumed.push("--resume");
    succeed(&args(&files, &stopped, &resumed));
    succeed(&["validate", &stopped]);
    succeed(&args(&files, &whole, &generating));
    assert_eq!(documents(whole.as_ref()), documents(stopped.as_ref()));
}

#[test]
fn ctrl_c_while_generating_keeps_the_trace() {
    let folder = tempfile::tempdir().unwrap();
    let trace = path(&folder, "trace");
    let child = start(&[
        "generate",
        "demo",
        "--prompt",
        "The",
        "--max-tokens",
        "2000",
        "--temperature",
        "1",
        "--trace",
        &trace,
    ]);
    let begun = Instant::now();
    while !Path::new(&trace).join("manifest.json").exists() {
        assert!(
            begun.elapsed() < Duration::from_mins(1),
            "no trace was begun"
        );
        sleep(Duration::from_millis(5));
    }
    sleep(Duration::from_millis(100));
    Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!(ran.code, Some(130), "{}", ran.stderr);
    succeed(&["validate", &trace]);
}

#[test]
fn a_full_disk_is_told_and_the_capture_can_go_on() {
    let (files, folder) = (discipline_files(), tempfile::tempdir().unwrap());
    let disk = Disk::mount(&path(&folder, "disk"), "200k");
    let Some(disk) = disk else {
        eprintln!("skipped: a small file system cannot be mounted here");
        return;
    };
    let trace = format!("{}/trace", disk.0);
    let ran = run(&args(&files, &trace, &[]));
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("disk is full"), "{}", ran.stderr);
    let completed = manifest(&trace).counts.samples;
    assert!(completed > 0 && completed < 30, "{completed}");
    disk.grow();
    succeed(&args(&files, &trace, &["--resume"]));
    succeed(&["validate", &trace]);
    assert_eq!(manifest(&trace).counts.samples, 30);
}

/// A small file system in memory, unmounted with the value.
struct Disk(String);

impl Disk {
    fn mount(folder: &str, size: &str) -> Option<Self> {
        std::fs::create_dir(folder).ok()?;
        let options = format!("size={size}");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs", folder])
            .output()
            .ok()?;
        mounted.status.success().then(|| Self(folder.to_owned()))
    }

    fn grow(&self) {
        let grown = Command::new("mount")
            .args(["-o", "remount,size=64m", &self.0])
            .status()
            .unwrap();
        assert!(grown.success());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg(&self.0).status());
    }
}
