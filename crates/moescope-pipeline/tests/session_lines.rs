//! Branches that are closed, and the names of those that were given other words.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use moescope_core::NoProgress;
use moescope_pipeline::{
    prompt_id,
    session::{Branch, BranchId, BranchState, Given, SessionCommand, SessionConfig, SessionEvent},
};
use moescope_trace::{RoutingTrace, validate};

use crate::support::{
    FIRST, Listening, PROMPT, SECOND, document, experts, ids, loaded, run, start,
};

fn fork(branch: BranchId, keep: usize) -> SessionCommand {
    SessionCommand::Fork { branch, keep }
}

/// Closes a branch and hears of it: the event that said so.
fn closed(listening: &mut Listening, branch: BranchId) -> SessionEvent {
    listening.session.send(SessionCommand::Close(branch));
    loop {
        let event = listening.session.wait(Duration::from_mins(1));
        let event = event.expect("the session goes on");
        listening.hear(event.clone());
        if matches!(event, SessionEvent::Closed { .. }) {
            return event;
        }
    }
}

#[test]
fn a_fork_goes_on_as_ever_after_its_parent_was_closed() {
    let loaded = loaded();
    let mut listening = Listening::to(&loaded, SessionConfig::default());
    listening.drawn(vec![start(&[]), run(FIRST, 14)], FIRST, 14);
    let first = listening.branch(FIRST).clone();
    let prompt = first.columns.num_prompt_tokens();
    listening.drawn(vec![fork(FIRST, prompt + 5)], SECOND, 5);
    let told = closed(&mut listening, FIRST);
    // Nothing is kept in this session, so nothing was written.
    let wanted = SessionEvent::Closed {
        branch: FIRST,
        kept: None,
    };
    assert_eq!(told, wanted);
    assert!(listening.transcript.branch(FIRST).is_none());
    assert_eq!(listening.transcript.branches().count(), 1);
    // The same seed, and the keys and values that both had: the same tokens as the parent drew.
    listening.drawn(vec![run(SECOND, 9)], SECOND, 14);
    let second = listening.branch(SECOND);
    assert_eq!(ids(second), ids(&first));
    assert_eq!(experts(second), experts(&first));
    assert_eq!(second.info.parent, Some((FIRST, prompt + 5)));
    let (info, given) = listening.transcript.origin(FIRST).unwrap();
    assert_eq!((info, given), (&first.info, prompt));
    assert_eq!(listening.transcript.closed(FIRST).unwrap().info, first.info);
    // Its number is not used again, and nothing can be asked of it.
    listening.session.send(run(FIRST, 1));
    listening.session.send(SessionCommand::Close(FIRST));
    listening.drawn(vec![start(&[])], BranchId(2), 0);
    let (_, failures, _) = listening.close();
    let wanted = [
        "generate: there is no branch 0 in this session",
        "close the branch: there is no branch 0 in this session",
    ];
    assert_eq!(failures, wanted);
}

#[test]
fn a_branch_that_grows_is_closed_and_the_session_goes_on() {
    let loaded = loaded();
    let mut listening = Listening::to(&loaded, SessionConfig::default());
    let endless = SessionCommand::Run {
        branch: FIRST,
        tokens: None,
    };
    listening.until(vec![start(&[]), endless], FIRST, &|branch| {
        branch.pace.0 >= 2
    });
    closed(&mut listening, FIRST);
    let is_there = |branch: &Branch| branch.state == BranchState::Paused;
    listening.until(vec![start(&[])], SECOND, &is_there);
    let (transcript, failures, _) = listening.close();
    assert_eq!(transcript.branches().count(), 1);
    assert!(failures.is_empty(), "{failures:?}");
}

/// Journals below a folder.
fn journals(folder: &Path) -> usize {
    let sessions = fs::read_dir(folder).unwrap();
    let files = sessions.flat_map(|session| {
        let session = session.unwrap().path();
        fs::read_dir(session).into_iter().flatten()
    });
    let paths = files.map(|file| file.unwrap().path());
    let is_journal = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "journal");
    paths.filter(is_journal).count()
}

#[test]
fn a_closed_branch_that_nobody_saved_is_a_trace_and_has_no_journal() {
    let loaded = loaded();
    let folder = tempfile::tempdir().unwrap();
    let unfinished = folder.path().join("unfinished");
    let config = SessionConfig {
        keep_in: Some(folder.path().join("kept")),
        journal_in: Some(unfinished.clone()),
        ..SessionConfig::default()
    };
    let mut listening = Listening::to(&loaded, config);
    listening.drawn(vec![start(&[]), run(FIRST, 6)], FIRST, 6);
    let first = ids(listening.branch(FIRST));
    let saved = folder.path().join("saved");
    let save = SessionCommand::Save {
        branch: SECOND,
        path: saved.clone(),
    };
    listening.drawn(vec![fork(FIRST, first.len()), save], SECOND, 6);
    let told = closed(&mut listening, FIRST);
    let kept = folder.path().join("kept").join("branch-0");
    let wanted = SessionEvent::Closed {
        branch: FIRST,
        kept: Some(kept.clone()),
    };
    assert_eq!(told, wanted);
    let tokens = document(&kept).tokens;
    let tokens: Vec<u32> = tokens.iter().map(|token| token.token_id.unwrap()).collect();
    assert_eq!(tokens, first);
    // What was saved before is not written twice.
    let told = closed(&mut listening, SECOND);
    let wanted = SessionEvent::Closed {
        branch: SECOND,
        kept: None,
    };
    assert_eq!(told, wanted);
    assert!(saved.join("manifest.json").is_file());
    // The thread of the journals has ended with the session.
    let (_, failures, _) = listening.close();
    assert!(failures.is_empty(), "{failures:?}");
    assert_eq!(journals(&unfinished), 0);
    // The end of the session had nothing to keep.
    let names = fs::read_dir(folder.path().join("kept")).unwrap();
    assert_eq!(names.count(), 1);
}

#[test]
fn a_branch_that_cannot_be_kept_is_not_closed() {
    let loaded = loaded();
    let config = SessionConfig {
        keep_in: Some("/dev/null/kept".into()),
        ..SessionConfig::default()
    };
    let mut listening = Listening::to(&loaded, config);
    listening.drawn(vec![start(&[]), run(FIRST, 3)], FIRST, 3);
    listening.session.send(SessionCommand::Close(FIRST));
    listening.drawn(vec![run(FIRST, 2)], FIRST, 5);
    assert_eq!(listening.failures.len(), 1, "{:?}", listening.failures);
    assert!(listening.failures[0].starts_with("close the branch: "));
}

/// Asks for a branch to be kept as a trace.
fn keep(listening: &Listening, branch: BranchId, path: &Path) {
    listening.session.send(SessionCommand::Save {
        branch,
        path: path.to_owned(),
    });
}

#[test]
fn other_words_are_another_document_under_the_name_of_their_own_text() {
    let loaded = loaded();
    let folder = tempfile::tempdir().unwrap();
    let mut listening = Listening::to(&loaded, SessionConfig::default());
    listening.drawn(vec![start(&[]), run(FIRST, 4)], FIRST, 4);
    let prompt = listening.branch(FIRST).columns.num_prompt_tokens();
    let is_read = |branch: &Branch| !branch.columns.is_empty();
    let words = SessionCommand::Give {
        branch: FIRST,
        keep: prompt,
        given: Given::Text(" the reaction".to_owned()),
    };
    listening.until(vec![words], SECOND, &is_read);
    // Cut within the prompt it is less of a text, and within the reply it is the same prompt.
    let (within, after) = (BranchId(2), BranchId(3));
    listening.until(vec![fork(FIRST, prompt - 1)], within, &is_read);
    listening.drawn(vec![fork(FIRST, prompt + 2)], after, 2);
    let branches = [FIRST, SECOND, within, after];
    for branch in branches {
        keep(&listening, branch, &folder.path().join(branch.to_string()));
    }
    let (_, failures, _) = listening.close();
    assert!(failures.is_empty(), "{failures:?}");
    let [first, given, cut, forked] = branches.map(|branch| {
        let path = folder.path().join(branch.to_string());
        let report = validate(&path, &NoProgress).unwrap();
        assert!(report.is_valid(), "{:?}", report.violations);
        let trace = RoutingTrace::open(&path).unwrap();
        let samples = trace.samples().unwrap();
        (samples[0].meta.id.clone(), samples[0].meta.text.clone())
    });
    let words: Vec<&str> = given.1.split_whitespace().collect();
    assert_eq!(words.join(" "), format!("{PROMPT} the reaction"));
    assert!(PROMPT.starts_with(&cut.1) && cut.1.len() < PROMPT.len());
    for (id, text) in [&first, &given, &cut, &forked] {
        assert_eq!(*id, prompt_id(text));
    }
    assert_eq!((&first, first.0.clone()), (&forked, prompt_id(PROMPT)));
    assert!(given.0 != first.0 && cut.0 != first.0 && cut.0 != given.0);
}

#[test]
fn a_prompt_that_is_read_anew_after_other_words_has_its_own_name() {
    let loaded = loaded();
    let folder = tempfile::tempdir().unwrap();
    let mut listening = Listening::to(&loaded, SessionConfig::default());
    let other = "The court held";
    let is_read = |branch: &Branch| !branch.columns.is_empty();
    let words = SessionCommand::Give {
        branch: FIRST,
        keep: 2,
        given: Given::Text(" catalyst".to_owned()),
    };
    listening.until(vec![start(&[]), words], SECOND, &is_read);
    let edit = SessionCommand::Edit {
        branch: SECOND,
        prompt: other.to_owned(),
    };
    let third = BranchId(2);
    listening.until(vec![edit], third, &is_read);
    let path = folder.path().join("trace");
    keep(&listening, third, &path);
    let (_, failures, _) = listening.close();
    assert!(failures.is_empty(), "{failures:?}");
    assert_eq!(document(&path).sample.meta.id, prompt_id(other));
}
