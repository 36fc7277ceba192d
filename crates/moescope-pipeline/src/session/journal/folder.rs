//! The folder of one session's journals, held by a lock as long as the session lives.
//!
//! The operating system releases the lock when the process ends, however it ends. So a folder whose lock can be had
//! belongs to nobody any more, and one whose lock is held is another's work in progress.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    process,
    time::{SystemTime, UNIX_EPOCH},
};

use crate::error::PipelineError;

const LOCK_FILE: &str = ".lock";
/// What the names of journals end with.
const ENDING: &str = "journal";

/// A folder with its lock.
#[derive(Debug)]
pub(in crate::session) struct SessionFolder {
    path: PathBuf,
    /// Held, not read.
    _lock: File,
}

impl SessionFolder {
    /// Makes a folder that no other session has.
    pub(super) fn create(unfinished: &Path) -> Result<Self, PipelineError> {
        let failed = |error| PipelineError::io("make a folder for journals", unfinished, error);
        fs::create_dir_all(unfinished).map_err(failed)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let secs = now.map_or(0, |elapsed| elapsed.as_secs());
        for number in 0..u32::MAX {
            let name = format!("session-{secs}-{}-{number}", process::id());
            let path = unfinished.join(name);
            match fs::create_dir(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(failed(error)),
            }
            let lock_path = path.join(LOCK_FILE);
            // Whoever looks for what is left may take the new folder for one that is, until it is locked.
            let lock = match File::create(&lock_path) {
                Ok(lock) => lock,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(failed(error)),
            };
            match lock.try_lock() {
                Ok(()) if lock_path.exists() => return Ok(Self { path, _lock: lock }),
                Ok(()) | Err(TryLockError::WouldBlock) => {}
                // Without locks nobody could tell these journals from those of a session that is gone.
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
        }
        Err(failed(io::ErrorKind::AlreadyExists.into()))
    }

    /// Takes over a folder that nobody holds any more.
    pub(in crate::session) fn take_over(path: &Path) -> Result<Option<Self>, PipelineError> {
        let failed = |error| PipelineError::io("look at journals", path, error);
        let lock_path = path.join(LOCK_FILE);
        let lock = match File::options().write(true).open(&lock_path) {
            Ok(lock) => lock,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Empty, it is one that is being made or was being removed.
                if fs::remove_dir(path).is_ok() || !path.exists() {
                    return Ok(None);
                }
                // Journals without a lock belong to nobody: the lock was lost on the way, as hidden files are.
                match File::create_new(&lock_path) {
                    Ok(lock) => lock,
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(None),
                    Err(error) => return Err(failed(error)),
                }
            }
            Err(error) => return Err(failed(error)),
        };
        match lock.try_lock() {
            // Whoever held it until now may have removed it.
            Ok(()) if lock_path.exists() => Ok(Some(Self {
                path: path.to_owned(),
                _lock: lock,
            })),
            Ok(()) | Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    pub(in crate::session) fn path(&self) -> &Path {
        &self.path
    }

    /// The journals in it, by name; drafts that never became one are removed.
    pub(in crate::session) fn journals(&self) -> Result<Vec<PathBuf>, PipelineError> {
        let failed = |error| PipelineError::io("look at journals", &self.path, error);
        let mut journals = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.extension().is_some_and(|ending| ending == ENDING) {
                journals.push(path);
            } else if path.extension().is_some_and(|ending| ending == "new") {
                drop(fs::remove_file(path));
            }
        }
        journals.sort();
        Ok(journals)
    }

    /// Removes the folder, unless there are journals in it.
    pub(in crate::session) fn remove_if_empty(self) {
        if self.journals().is_ok_and(|journals| journals.is_empty()) {
            // Still under the lock, so that nobody begins to use it meanwhile. What cannot be removed is empty.
            drop(fs::remove_file(self.path.join(LOCK_FILE)));
            drop(fs::remove_dir(&self.path));
        }
    }
}

/// The journal of a branch.
pub(super) fn journal_path(folder: &Path, branch: super::BranchId) -> PathBuf {
    folder.join(format!("branch-{branch}.{ENDING}"))
}

/// Bytes of all files in a folder and the folders below it; what cannot be looked at counts nothing.
pub(super) fn bytes_below(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(about) if about.is_dir() => bytes_below(&entry.path()),
            Ok(about) => about.len(),
            Err(_) => 0,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_taken_over_only_when_nobody_holds_it() {
        let unfinished = tempfile::tempdir().unwrap();
        let first = SessionFolder::create(unfinished.path()).unwrap();
        let second = SessionFolder::create(unfinished.path()).unwrap();
        assert_ne!(first.path(), second.path());
        let path = first.path().to_owned();
        fs::write(path.join("branch-0.journal"), "x").unwrap();
        fs::write(path.join("branch-1.journal.new"), "x").unwrap();
        assert!(SessionFolder::take_over(&path).unwrap().is_none());
        drop(first);
        let taken = SessionFolder::take_over(&path).unwrap().unwrap();
        assert!(SessionFolder::take_over(&path).unwrap().is_none());
        assert_eq!(taken.journals().unwrap(), [path.join("branch-0.journal")]);
        taken.remove_if_empty();
        assert!(
            path.join("branch-0.journal").is_file() && !path.join("branch-1.journal.new").exists()
        );
        fs::remove_file(path.join("branch-0.journal")).unwrap();
        let taken = SessionFolder::take_over(&path).unwrap().unwrap();
        taken.remove_if_empty();
        assert!(!path.exists());
        // A copy without hidden files is taken over as well.
        let copied = unfinished.path().join("copied");
        fs::create_dir(&copied).unwrap();
        fs::write(copied.join("branch-0.journal"), "").unwrap();
        let taken = SessionFolder::take_over(&copied).unwrap().unwrap();
        assert_eq!(taken.journals().unwrap().len(), 1);
        fs::remove_dir_all(&copied).unwrap();
        assert_eq!(bytes_below(unfinished.path()), 0);
    }
}
