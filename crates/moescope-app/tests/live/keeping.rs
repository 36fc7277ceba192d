//! Lines that are kept, and those of a run that was killed.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use egui_kittest::kittest::Queryable as _;
use moescope_app::{AppConfig, Command, SettingsPlace, ThemeChoice};
use moescope_pipeline::session::{BranchId, Session, SessionCommand, SessionConfig, StartConfig};
use moescope_trace::read_journal;

use super::generated;
use crate::common::{SIZE, Window, config, loaded};

#[test]
fn a_line_is_kept_in_the_folder_that_was_chosen() {
    let mut window = generated(ThemeChoice::Light);
    let folder = tempfile::tempdir().unwrap();
    let usual = window.app().state().choices.capture.out.clone();
    assert!(window.says("Keep in") && window.says("Choose…"));
    window.send(Command::ChooseKeptIn(folder.path().to_owned()));
    for name in ["live-0", "live-0-2"] {
        window.click("Keep as a trace");
        let path = folder.path().join(name);
        assert!(path.join("manifest.json").is_file());
        assert!(window.says(&format!("Kept as a trace: {}", path.display())));
    }
    // Opened from the message, and nothing else was changed by it.
    window
        .harness
        .get_all_by_label("Open")
        .next()
        .unwrap()
        .click();
    window.settle();
    let trace = window.app().state().traces.active().unwrap();
    assert!(trace.path.starts_with(folder.path()));
    assert_eq!(window.app().state().choices.capture.out, usual);
}

/// Leaves in a folder what a process leaves that was killed after four tokens: a journal that nobody holds.
fn interrupt(unfinished: &Path) {
    let aside = unfinished.with_file_name("aside");
    let config = SessionConfig {
        journal_in: Some(aside.clone()),
        ..SessionConfig::default()
    };
    let session = Session::open(Arc::new(loaded()), config, || {}).unwrap();
    session.send(SessionCommand::Start(StartConfig {
        prompt: "The enzyme lowers".into(),
        ..StartConfig::default()
    }));
    session.send(SessionCommand::Run {
        branch: BranchId(0),
        tokens: Some(4),
    });
    let begun = Instant::now();
    loop {
        let folder = std::fs::read_dir(&aside).into_iter().flatten().next();
        let journal = folder.map(|folder| folder.unwrap().path().join("branch-0.journal"));
        let journal = journal.filter(|journal| journal.exists());
        // While it is begun, its first tokens are not whole.
        let found = journal.and_then(|path| Some((read_journal(&path).ok()??, path)));
        if let Some((sample, path)) = found
            && sample.record.tokens.len() == sample.head.num_prompt_tokens as usize + 4
        {
            let left = unfinished.join("session-of-another-process");
            std::fs::create_dir_all(&left).unwrap();
            std::fs::write(left.join(".lock"), "").unwrap();
            std::fs::copy(path, left.join("branch-0.journal")).unwrap();
            return;
        }
        assert!(begun.elapsed().as_secs() < 60, "nothing is journalled");
    }
}

#[test]
fn a_reply_of_a_killed_run_is_offered_at_the_next_start_and_opens() {
    let folder = tempfile::tempdir().unwrap();
    interrupt(&folder.path().join("unfinished"));
    let config = || AppConfig {
        settings: SettingsPlace::File(folder.path().join("app.json")),
        ..config(ThemeChoice::Dark, &[])
    };
    let mut window = Window::open(SIZE, config());
    assert!(window.says("The reply to “The enzyme lowers”, 4 tokens, is a trace now"));
    let path = folder.path().join("replies").join("recovered-1");
    assert_eq!(
        window.app().state().recent.traces,
        std::slice::from_ref(&path)
    );
    window.click("Open");
    let trace = window.app().state().traces.active().unwrap();
    assert_eq!((&trace.path, trace.about.counts.samples), (&path, 1));
    assert!(
        !window.says("The reply to"),
        "what was taken is not offered any more"
    );
    drop(window);
    let window = Window::open(SIZE, config());
    assert!(!window.says("The reply to"), "it is told once");
}
