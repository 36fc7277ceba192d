//! The folders of one test, and what lies in them.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use moescope_core::NoProgress;
use moescope_pipeline::session::{Recovery, SessionConfig, recover};

pub(crate) struct Folders {
    _folder: tempfile::TempDir,
    pub(crate) journals: PathBuf,
    pub(crate) traces: PathBuf,
}

pub(crate) fn folders() -> Folders {
    let folder = tempfile::tempdir().unwrap();
    Folders {
        journals: folder.path().join("unfinished"),
        traces: folder.path().join("traces"),
        _folder: folder,
    }
}

impl Folders {
    pub(crate) fn recover(&self) -> Recovery {
        recover(&self.journals, &self.traces, &NoProgress).unwrap()
    }

    pub(crate) fn config(&self) -> SessionConfig {
        SessionConfig {
            journal_in: Some(self.journals.clone()),
            ..SessionConfig::default()
        }
    }

    /// Everything below the journals' folder.
    pub(crate) fn left(&self) -> Vec<PathBuf> {
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

    pub(crate) fn journals(&self) -> Vec<PathBuf> {
        let mut left = self.left();
        left.retain(|path| path.extension().is_some_and(|ending| ending == "journal"));
        left.sort();
        left
    }
}

/// Waits until something is so, and fails where it does not come.
pub(crate) fn wait_for(is_true: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_true() {
        assert!(begun.elapsed() < Duration::from_mins(1), "nothing comes");
        thread::sleep(Duration::from_millis(5));
    }
}
