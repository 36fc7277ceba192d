//! What is in the folder of a trace, looked at now and then.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use egui::Context;

use crate::{
    captures::{has_trace, is_in_use},
    job::Job,
};

/// A folder is looked at again after this time.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// What is in a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FolderHolds {
    /// Nothing, or there is no such folder.
    Nothing,
    /// A trace, which can be continued.
    Trace,
    /// Something else.
    OtherThings,
}

impl FolderHolds {
    fn of(path: &Path) -> Self {
        if has_trace(path) {
            Self::Trace
        } else if is_in_use(path) {
            Self::OtherThings
        } else {
            Self::Nothing
        }
    }
}

/// A look at a folder, on a thread of its own: a folder in a network can be slow, or not answer at all.
#[derive(Debug, Default)]
pub(super) struct FolderLook {
    /// The folder that is looked at, and when the last look at it began or ended.
    last: Option<(PathBuf, Instant)>,
    found: Job<FolderHolds>,
}

impl FolderLook {
    /// What is in a folder, as it was a moment ago; `None` until the first look at it has ended.
    pub(super) fn look(&mut self, ctx: &Context, path: &Path) -> Option<FolderHolds> {
        let has_ended = self.found.poll();
        if let Some((_, at)) = self.last.as_mut().filter(|_| has_ended) {
            *at = Instant::now();
        }
        let known = self.last.as_ref().filter(|(known, _)| known == path);
        let since = known.map(|(_, at)| at.elapsed());
        if since.is_none() {
            // What was found is another folder's.
            self.found = Job::Idle;
        }
        let is_over = since.is_none_or(|since| since >= BETWEEN_LOOKS);
        if is_over && !self.found.is_running() {
            self.last = Some((path.to_owned(), Instant::now()));
            let path = path.to_owned();
            self.found.start("looking at the folder", ctx, move |_| {
                Ok(FolderHolds::of(&path))
            });
        }
        self.found.value().copied()
    }

    /// Whether a folder is being looked at.
    pub(super) fn is_busy(&self) -> bool {
        self.found.is_working()
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, thread};

    use super::*;

    /// What is found once a look has ended.
    fn look(folder: &mut FolderLook, path: &Path) -> FolderHolds {
        let ctx = Context::default();
        loop {
            if let Some(found) = folder.look(&ctx, path) {
                return found;
            }
            thread::yield_now();
        }
    }

    #[test]
    fn a_folder_is_looked_at_on_another_thread_and_another_one_anew() {
        let root = tempfile::tempdir().unwrap();
        let (full, missing) = (root.path().to_owned(), root.path().join("missing"));
        fs::write(full.join("notes.txt"), "x").unwrap();
        let mut folder = FolderLook::default();
        let ctx = Context::default();
        assert_eq!(folder.look(&ctx, &full), None, "nothing is waited for");
        assert_eq!(look(&mut folder, &full), FolderHolds::OtherThings);
        assert!(!folder.is_busy());
        // What is known of one folder is not said of another.
        assert_eq!(folder.look(&ctx, &missing), None);
        assert_eq!(look(&mut folder, &missing), FolderHolds::Nothing);
    }

    #[test]
    fn a_folder_is_looked_at_again_after_a_while_with_the_last_answer_meanwhile() {
        let root = tempfile::tempdir().unwrap();
        let ctx = Context::default();
        let mut folder = FolderLook::default();
        let (empty, trace) = (FolderHolds::Nothing, FolderHolds::Trace);
        assert_eq!(look(&mut folder, root.path()), empty);
        fs::write(root.path().join("manifest.json"), "{}").unwrap();
        assert_eq!(folder.look(&ctx, root.path()), Some(empty));
        assert!(!folder.is_busy(), "it was looked at a moment ago");
        let (_, at) = folder.last.as_mut().unwrap();
        *at = at.checked_sub(BETWEEN_LOOKS).unwrap();
        assert_eq!(folder.look(&ctx, root.path()), Some(empty));
        while folder.found.is_running() {
            folder.look(&ctx, root.path());
            thread::yield_now();
        }
        assert_eq!(folder.look(&ctx, root.path()), Some(trace));
    }
}
