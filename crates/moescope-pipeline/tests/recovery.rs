//! A process that is killed while it generates loses at most its last moments, and what comes back is exact.
#![cfg(unix)]

mod support;

use std::{
    env, fs,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use moescope_core::{Cancelled, NoProgress, Progress};
use moescope_engine::SamplingConfig;
use moescope_pipeline::session::{
    BranchId, BranchState, JOURNAL_LAG, RecoveredBranch, Recovery, Session, SessionCommand,
    SessionConfig, SessionEvent, StartConfig, recover,
};
use moescope_trace::{RoutingTrace, read_journal, validate};
use support::{FIRST, Listening, PROMPT, SECOND, document, loaded, run, sampling, start};

/// Where the child journals; only the parent sets it.
const CHILD: &str = "MOESCOPE_TEST_JOURNALS";
/// Reading the clock, the disk and the machine's other work.
const GRACE: Duration = Duration::from_millis(900);

/// A generation that goes on until its process is killed, and says after each token how many there are.
#[test]
#[ignore = "another test runs it as a process of its own"]
fn child_that_generates() {
    let Some(folder) = env::var_os(CHILD) else {
        return;
    };
    let config = SessionConfig {
        journal_in: Some(folder.into()),
        ..SessionConfig::default()
    };
    // The session's thread sleeps after each event, so that a small model is as slow as a large one.
    let session = Session::open(loaded(), config, || {
        thread::sleep(Duration::from_millis(15));
    });
    let session = session.unwrap();
    session.send(start(&[]));
    session.send(run(FIRST, 5));
    // A command comes between two tokens, so the fork waits for the five.
    let mut drawn = 0;
    while let Some(event) = session.wait(Duration::from_mins(1)) {
        match event {
            SessionEvent::Tokens { columns, .. } if columns.num_prompt_tokens() == 0 => {
                drawn += columns.len();
            }
            SessionEvent::State {
                state: BranchState::Paused,
                ..
            } if drawn == 5 => break,
            _ => {}
        }
    }
    session.send(SessionCommand::Fork {
        branch: FIRST,
        keep: 9,
    });
    session.send(SessionCommand::Intervene {
        branch: SECOND,
        interventions: vec!["mask:all:2".parse().unwrap()],
    });
    let on = SessionCommand::Run {
        branch: SECOND,
        tokens: None,
    };
    session.send(on.clone());
    let mut tokens = 0;
    // Should nobody come to kill it, it ends by itself.
    let begun = Instant::now();
    while let Some(event) = session.wait(Duration::from_mins(1)) {
        if begun.elapsed() > Duration::from_mins(2) {
            return;
        }
        match event {
            SessionEvent::Opened { info, copied, .. } if info.id == SECOND => tokens = copied,
            SessionEvent::Tokens {
                branch, columns, ..
            } if branch == SECOND => {
                tokens += columns.len();
                println!("tokens {tokens}");
                std::io::stdout().flush().unwrap();
            }
            SessionEvent::State {
                state: BranchState::Finished(_),
                ..
            } => session.send(on.clone()),
            _ => {}
        }
    }
}

/// Starts the child, follows it for a while and kills it; how many tokens it had, a journal's lag before its end.
fn killed(journals: &Path, after: Duration) -> usize {
    let mut child = spawn(journals);
    let mut heard: Vec<(Instant, usize)> = Vec::new();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut begun = None;
    for line in lines {
        let line = line.unwrap();
        // The test harness's own words may stand before it on the line.
        let Some((_, number)) = line.split_once("tokens ") else {
            continue;
        };
        let now = Instant::now();
        heard.push((now, number.parse().unwrap()));
        let begun = *begun.get_or_insert(now);
        if now.duration_since(begun) > after {
            break;
        }
    }
    child.kill().unwrap();
    let end = Instant::now();
    child.wait().unwrap();
    let (_, last) = heard.last().expect("the child generates");
    assert!(*last > 20, "{last} tokens are too few for this test");
    let safe = heard
        .iter()
        .rfind(|(at, _)| end.duration_since(*at) > JOURNAL_LAG + GRACE);
    safe.map_or(0, |(_, tokens)| *tokens)
}

fn spawn(journals: &Path) -> Child {
    Command::new(env::current_exe().unwrap())
        .args([
            "--exact",
            "child_that_generates",
            "--ignored",
            "--nocapture",
        ])
        .env(CHILD, journals)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

struct Folders {
    _folder: tempfile::TempDir,
    journals: PathBuf,
    traces: PathBuf,
}

fn folders() -> Folders {
    let folder = tempfile::tempdir().unwrap();
    Folders {
        journals: folder.path().join("unfinished"),
        traces: folder.path().join("traces"),
        _folder: folder,
    }
}

impl Folders {
    fn recover(&self) -> Recovery {
        recover(&self.journals, &self.traces, &NoProgress).unwrap()
    }

    fn config(&self) -> SessionConfig {
        SessionConfig {
            journal_in: Some(self.journals.clone()),
            ..SessionConfig::default()
        }
    }

    /// Everything below the journals' folder.
    fn left(&self) -> Vec<PathBuf> {
        fn below(folder: &Path, found: &mut Vec<PathBuf>) {
            for entry in fs::read_dir(folder).into_iter().flatten() {
                let path = entry.unwrap().path();
                below(&path, found);
                found.push(path);
            }
        }
        let mut found = Vec::new();
        below(&self.journals, &mut found);
        found
    }

    fn journals(&self) -> Vec<PathBuf> {
        let mut left = self.left();
        left.retain(|path| path.extension().is_some_and(|ending| ending == "journal"));
        left.sort();
        left
    }
}

#[test]
fn a_killed_generation_comes_back_as_the_beginning_of_one_that_was_not() {
    let folders = folders();
    // Moments within and between pieces; the exact ones do not matter.
    for millis in [1300, 2050, 3400] {
        let safe = killed(&folders.journals, Duration::from_millis(millis));
        assert_eq!(folders.journals().len(), 2);
        let recovery = folders.recover();
        assert!(recovery.problems.is_empty(), "{:?}", recovery.problems);
        let [first, second] = &recovery.branches[..] else {
            panic!("{recovery:?}");
        };
        assert_eq!(folders.left(), [] as [PathBuf; 0]);
        compare_with_whole(&first.path, &second.path, safe);
        assert_eq!((first.drawn, first.prompt.as_str()), (5, PROMPT));
        for branch in [first, second] {
            let report = validate(&branch.path, &NoProgress).unwrap();
            assert!(report.is_valid(), "{:?}", report.violations);
            let manifest = RoutingTrace::open(&branch.path).unwrap().manifest().clone();
            assert_eq!(manifest.settings["session"]["recovered"], true);
            // Where nothing that was drawn had reached the disk, nothing is said of drawing.
            let drawn = manifest.decoding.map(|decoding| decoding.max_new_tokens);
            assert_eq!(drawn.unwrap_or(0) as usize, branch.drawn);
        }
        fs::remove_dir_all(&folders.traces).unwrap();
    }
}

/// The same commands again, undisturbed: what was recovered is their beginning.
fn compare_with_whole(first: &Path, second: &Path, safe: usize) {
    let folder = tempfile::tempdir().unwrap();
    let recovered = document(second);
    let tokens = recovered.tokens.len();
    assert!(tokens >= safe, "{tokens} of at least {safe} tokens");
    let mut listening = Listening::to(&loaded(), SessionConfig::default());
    listening.drawn(vec![start(&[]), run(FIRST, 5)], FIRST, 5);
    let fork = SessionCommand::Fork {
        branch: FIRST,
        keep: 9,
    };
    let change = SessionCommand::Intervene {
        branch: SECOND,
        interventions: vec!["mask:all:2".parse().unwrap()],
    };
    let mut commands = vec![fork, change];
    let mut now = 9;
    // A reply that ends goes on, as it does in the child.
    while now < tokens + 3 {
        commands.push(run(SECOND, tokens + 3 - now));
        listening.until(commands, SECOND, &|branch| {
            branch.columns.len() > now && branch.state != BranchState::Running
        });
        now = listening.branch(SECOND).columns.len();
        commands = Vec::new();
    }
    for (branch, recovered) in [(FIRST, first), (SECOND, second)] {
        let path = folder.path().join(format!("whole-{branch}"));
        listening.session.send(SessionCommand::Save {
            branch,
            path: path.clone(),
        });
        while !path.join("README.md").exists() || !listening.session.is_idle() {
            thread::sleep(Duration::from_millis(5));
        }
        let (whole, part) = (document(&path), document(recovered));
        let tokens = part.tokens.len();
        assert_eq!(part.tokens, whole.tokens[..tokens]);
        let rows = 0..part.decisions.len();
        assert_eq!(part.decisions, whole.decisions.rows(rows));
        let manifests = [recovered, &path].map(|path| {
            let trace = RoutingTrace::open(path).unwrap();
            trace.manifest().clone()
        });
        assert_eq!(manifests[0].interventions, manifests[1].interventions);
        if manifests[0].decoding.is_some() {
            assert_eq!(manifests[0].seeds, manifests[1].seeds);
        }
        assert_eq!(manifests[0].checkpoint, manifests[1].checkpoint);
    }
}

#[test]
fn a_living_session_keeps_its_journals_to_itself() {
    let folders = folders();
    let mut listening = Listening::to(&loaded(), folders.config());
    listening.drawn(vec![start(&[]), run(FIRST, 4)], FIRST, 4);
    wait_for(|| folders.journals().len() == 1);
    assert_eq!(folders.recover(), Recovery::default());
    let mut other = Listening::to(&loaded(), folders.config());
    other.drawn(vec![start(&[]), run(FIRST, 3)], FIRST, 3);
    wait_for(|| folders.journals().len() == 2);
    // Another process holds a folder of its own.
    let mut child = spawn(&folders.journals);
    // The first of its two journals has tokens when the second is there.
    wait_for(|| folders.journals().len() >= 4);
    assert_eq!(folders.recover(), Recovery::default());
    child.kill().unwrap();
    child.wait().unwrap();
    let recovery = folders.recover();
    assert!(!recovery.branches.is_empty() && recovery.problems.is_empty());
    assert_eq!(folders.journals().len(), 2);
    // Those that ended in good order leave nothing.
    drop(listening);
    drop(other);
    assert_eq!(folders.left(), [] as [PathBuf; 0]);
}

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

fn wait_for(is_true: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_true() {
        assert!(begun.elapsed() < Duration::from_mins(1), "nothing comes");
        thread::sleep(Duration::from_millis(5));
    }
}
