//! A window that is closed while it captures.

use std::{
    fs,
    time::{Duration, Instant},
};

use moescope_app::{CaptureChoice, Command, ThemeChoice};
use moescope_core::NoProgress;
use moescope_trace::{RoutingTrace, ViolationKind, validate};

use crate::common::{SIZE, Window, config};

/// More texts than are read while the test looks.
const DOCUMENTS: usize = 6000;

#[test]
fn a_window_that_closes_keeps_all_batches_of_its_capture() {
    let folder = tempfile::tempdir().unwrap();
    let sentence =
        "The enzyme lowers the activation energy of the reaction in the cell. ".repeat(5);
    let texts: Vec<String> = (0..DOCUMENTS)
        .map(|number| format!("{{\"id\": \"{number}\", \"text\": \"{sentence}{number}\"}}\n"))
        .collect();
    let file = folder.path().join("texts.jsonl");
    fs::write(&file, texts.concat()).unwrap();
    let out = folder.path().join("trace");

    let mut window = Window::open(SIZE, config(ThemeChoice::Dark, &[]));
    let choice = CaptureChoice {
        files: vec![file],
        out: out.clone(),
        ..CaptureChoice::default()
    };
    window.send(Command::ChooseCapture(Box::new(choice)));
    window.app().commands().send(Command::StartCapture);
    // A pace is told once a batch is done, long before the first shard is full.
    let begun = Instant::now();
    let has_recorded = |window: &Window| {
        let progress = window.app().state().captures.run.progress();
        progress.is_some_and(|progress| progress.message().contains("tokens/s"))
    };
    while !has_recorded(&window) {
        window.harness.step();
        assert!(
            begun.elapsed() < Duration::from_mins(2),
            "nothing is captured"
        );
    }
    let app = window.harness.state_mut().as_mut().unwrap();
    eframe::App::on_exit(app);

    // Nothing waits for the thread any more, so what is there now is what a process leaves.
    let trace = RoutingTrace::open(&out).unwrap();
    let kept = trace.manifest().counts.samples;
    assert!(!trace.manifest().complete && kept > 0, "{kept} are kept");
    assert!(!out.join(".lock").exists());
    let report = validate(&out, &NoProgress).unwrap();
    let kinds: Vec<ViolationKind> = report.violations.iter().map(|found| found.kind).collect();
    assert_eq!(kinds, [ViolationKind::Incomplete]);
    assert!(window.app().state().choices.capture.resumes);
}

#[test]
fn a_capture_that_fails_before_it_begins_is_not_continued() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("trace");
    let mut window = Window::open(SIZE, config(ThemeChoice::Light, &[]));
    let choice = CaptureChoice {
        files: vec![folder.path().join("missing.jsonl")],
        out: out.clone(),
        ..CaptureChoice::default()
    };
    window.send(Command::ChooseCapture(Box::new(choice)));
    window.app().commands().send(Command::StartCapture);
    window.harness.step();
    let app = window.harness.state_mut().as_mut().unwrap();
    eframe::App::on_exit(app);
    assert!(!out.exists());
    assert!(!window.app().state().choices.capture.resumes);
}
