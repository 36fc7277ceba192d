//! A process that is killed while it generates, and one that lives.

use std::{
    env, fs,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use moescope_core::NoProgress;
use moescope_pipeline::session::{
    BranchState, JOURNAL_LAG, Recovery, Session, SessionCommand, SessionConfig, SessionEvent,
};
use moescope_trace::{RoutingTrace, validate};

use super::folders::{folders, wait_for};
use crate::support::{FIRST, Listening, PROMPT, SECOND, document, loaded, run, start};

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
            "recovery::killed::child_that_generates",
            "--ignored",
            "--nocapture",
        ])
        .env(CHILD, journals)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
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
