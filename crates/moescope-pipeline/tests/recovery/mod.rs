//! A process that is killed while it generates loses at most its last moments, and what comes back is exact.
#![cfg(unix)]

mod folders;
mod killed;

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use folders::{Folders, folders, wait_for};
use moescope_core::{Cancelled, NoProgress, Progress};
use moescope_engine::SamplingConfig;
use moescope_pipeline::session::{
    BranchId, RecoveredBranch, Recovery, SessionCommand, SessionConfig, SessionEvent, StartConfig,
    recover,
};
use moescope_trace::read_journal;

use crate::support::{FIRST, Listening, PROMPT, loaded, run, sampling, start};

#[test]
fn a_saved_branch_has_no_journal_until_it_grows_again() {
    let folders = folders();
    let mut listening = Listening::to(&loaded(), folders.config());
    listening.drawn(vec![start(&[]), run(FIRST, 4)], FIRST, 4);
    wait_for(|| folders.journals().len() == 1);
    let path = folders.traces.join("saved");
    listening.session.send(SessionCommand::Save {
        branch: FIRST,
        path,
    });
    wait_for(|| folders.journals().is_empty());
    listening.drawn(vec![run(FIRST, 2)], FIRST, 6);
    wait_for(|| folders.journals().len() == 1);
    let kept = SessionConfig {
        keep_in: Some(folders.traces.clone()),
        ..folders.config()
    };
    drop(listening);
    assert_eq!(folders.left(), [] as [PathBuf; 0]);
    // Kept at the end, a branch is a trace and has no journal either.
    let mut listening = Listening::to(&loaded(), kept);
    listening.drawn(vec![start(&[]), run(FIRST, 4)], FIRST, 4);
    drop(listening);
    assert_eq!(folders.left(), [] as [PathBuf; 0]);
    assert!(folders.traces.join("branch-0/manifest.json").is_file());
}

#[test]
fn what_could_not_be_kept_at_the_end_is_recovered_later() {
    let folders = folders();
    fs::write(&folders.traces, "a file where a folder should be").unwrap();
    let config = SessionConfig {
        keep_in: Some(folders.traces.clone()),
        ..folders.config()
    };
    let mut listening = Listening::to(&loaded(), config);
    listening.drawn(vec![start(&[]), run(FIRST, 4)], FIRST, 4);
    let (_, failures, _) = listening.close();
    assert!(failures[0].starts_with("keep the branch: "), "{failures:?}");
    assert_eq!(folders.journals().len(), 1);
    // As long as nothing can be written there, it waits.
    let recovery = folders.recover();
    assert!(recovery.branches.is_empty());
    assert!(
        recovery.problems[0].contains("not recovered yet"),
        "{recovery:?}"
    );
    assert_eq!(folders.journals().len(), 1);
    fs::remove_file(&folders.traces).unwrap();
    let recovery = folders.recover();
    let branch = RecoveredBranch {
        path: folders.traces.join("recovered-1"),
        prompt: PROMPT.to_owned(),
        drawn: 4,
        lost_bytes: 0,
    };
    assert_eq!(recovery.branches, [branch]);
}

/// A journal as a session that was killed leaves it.
fn orphan(folders: &Folders) -> PathBuf {
    let aside = folders.traces.with_extension("aside");
    let mut listening = Listening::to(&loaded(), folders.config());
    listening.drawn(vec![start(&[]), run(FIRST, 4)], FIRST, 4);
    wait_for(|| folders.journals().len() == 1);
    let journal = folders.journals().remove(0);
    let given = listening.branch(FIRST).columns.num_prompt_tokens();
    wait_for(|| {
        let found = read_journal(&journal).unwrap();
        found.is_some_and(|sample| sample.record.tokens.len() == given + 4)
    });
    fs::copy(&journal, &aside).unwrap();
    drop(listening);
    let folder = journal.parent().unwrap();
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join(".lock"), "").unwrap();
    fs::rename(aside, &journal).unwrap();
    journal
}

#[test]
fn a_damaged_journal_is_put_aside_with_words_and_a_torn_one_gives_what_is_whole() {
    let folders = folders();
    let journal = orphan(&folders);
    let whole = fs::read(&journal).unwrap();
    let set = |bytes: &[u8]| {
        fs::create_dir_all(journal.parent().unwrap()).unwrap();
        fs::write(journal.with_file_name(".lock"), "").unwrap();
        fs::write(&journal, bytes).unwrap();
    };
    set(&whole[..whole.len() - 9]);
    let recovery = folders.recover();
    assert!(recovery.problems.is_empty(), "{recovery:?}");
    assert!(recovery.branches[0].lost_bytes > 0);
    assert!(recovery.branches[0].drawn < 4);
    let mut damaged = whole.clone();
    damaged[40] ^= 1;
    set(&damaged);
    let recovery = folders.recover();
    assert!(recovery.branches.is_empty());
    let [told] = &recovery.problems[..] else {
        panic!("{recovery:?}");
    };
    assert!(told.contains("its head is damaged"), "{told}");
    let aside: Vec<PathBuf> = folders.journals();
    assert!(told.contains(aside[0].to_str().unwrap()), "{told}");
    // It is told once.
    assert_eq!(folders.recover(), Recovery::default());
    assert_eq!(folders.journals(), aside);
}

#[test]
fn without_room_for_journals_the_generation_goes_on_and_says_so() {
    let folders = folders();
    fs::write(&folders.journals, "a file where a folder should be").unwrap();
    let mut listening = Listening::to(&loaded(), folders.config());
    listening.session.send(start(&[]));
    listening.session.send(run(FIRST, 4));
    let mut told = None;
    while told.is_none() {
        let event = listening.session.wait(Duration::from_mins(1)).unwrap();
        if let SessionEvent::Unsafe { branch, error } = &event {
            told = Some((*branch, error.clone()));
        }
        listening.hear(event);
    }
    let (branch, error) = told.unwrap();
    assert_eq!(branch, None);
    assert!(error.contains("folder for journals"), "{error}");
    listening.drawn(Vec::new(), FIRST, 4);
}

#[test]
fn recovery_stops_when_it_is_asked_to_and_goes_on_later() {
    struct No;
    impl Progress for No {
        fn report(&self, _: u64, _: u64, _: &str) -> Result<(), Cancelled> {
            Err(Cancelled)
        }
    }
    let folders = folders();
    orphan(&folders);
    let stopped = recover(&folders.journals, &folders.traces, &No);
    assert!(stopped.is_err_and(|error| error.is_cancelled()));
    assert_eq!(folders.recover().branches.len(), 1);
    // Nothing is there of sessions that there never were.
    fs::remove_dir_all(&folders.journals).unwrap();
    assert_eq!(folders.recover(), Recovery::default());
}

#[test]
fn a_long_prompt_and_many_branches_are_journalled_in_pieces() {
    let folders = folders();
    let mut listening = Listening::to(&loaded(), folders.config());
    let prompt = "the enzyme lowers the energy of a reaction ".repeat(45);
    let long = SessionCommand::Start(StartConfig {
        prompt,
        sampling: SamplingConfig {
            seed: 3,
            ..sampling()
        },
        ..StartConfig::default()
    });
    listening.drawn(vec![long, run(FIRST, 3)], FIRST, 3);
    let tokens = listening.branch(FIRST).columns.len();
    assert!(tokens > 256, "{tokens} tokens fit one piece");
    let fork = |keep| SessionCommand::Fork {
        branch: FIRST,
        keep,
    };
    listening.drawn(vec![fork(tokens - 1), fork(tokens - 2)], BranchId(2), 1);
    wait_for(|| folders.journals().len() == 3);
    let copy = folders.journals.with_extension("copy");
    copy_below(&folders.journals, &copy);
    let found = wait_until_whole(&copy, &folders, &[3, 2, 1]);
    assert_eq!(found.len(), 3);
}

/// Recovers copies of the journals of a session that lives until they have as many drawn tokens.
fn wait_until_whole(copy: &Path, folders: &Folders, drawn: &[usize]) -> Vec<RecoveredBranch> {
    let begun = Instant::now();
    loop {
        let recovery = recover(copy, &folders.traces, &NoProgress).unwrap();
        let found: Vec<usize> = recovery.branches.iter().map(|b| b.drawn).collect();
        if found == drawn {
            return recovery.branches;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{recovery:?}");
        thread::sleep(Duration::from_millis(50));
        fs::remove_dir_all(&folders.traces).ok();
        fs::remove_dir_all(copy).ok();
        copy_below(&folders.journals, copy);
    }
}

fn copy_below(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_below(&path, &target);
        } else {
            fs::copy(&path, target).unwrap();
        }
    }
}
