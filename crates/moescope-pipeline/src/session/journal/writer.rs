//! The thread that puts journals on the disk.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, Sender},
};

use moescope_trace::{SampleJournal, TraceError};

use super::{
    Entry,
    folder::{bytes_below, journal_path},
};
use crate::{error::PipelineError, session::BranchId, sizes};

/// All journals together, those that earlier runs left included, take at most this much, give or take a piece.
const MOST_BYTES: u64 = 4 << 30;
/// The disk keeps this much free.
const SPARE_BYTES: u64 = 256 << 20;

/// What the thread knows.
pub(super) struct Writer {
    folder: PathBuf,
    /// `None` where a journal could not be written; that was told, and what it had until then is still there.
    journals: BTreeMap<BranchId, Option<SampleJournal>>,
    /// Bytes that journals may still take.
    room: u64,
    tell: Sender<(BranchId, String)>,
}

impl Writer {
    pub(super) fn new(unfinished: &Path, folder: &Path, tell: Sender<(BranchId, String)>) -> Self {
        Self {
            folder: folder.to_owned(),
            journals: BTreeMap::new(),
            room: MOST_BYTES.saturating_sub(bytes_below(unfinished)),
            tell,
        }
    }

    /// Works until nobody sends entries any more.
    pub(super) fn run(mut self, entries: &Receiver<Entry>) {
        for entry in entries {
            match entry {
                Entry::Begin(branch, head) => {
                    let path = journal_path(&self.folder, branch);
                    let begun = self
                        .check_room()
                        .and_then(|()| Ok(SampleJournal::create(&path, &head)?));
                    self.note(branch, 0, begun);
                }
                Entry::Change(branch, head) => {
                    self.write(branch, |journal| journal.change_head(&head));
                }
                Entry::Tokens(branch, piece) => self.write(branch, |journal| {
                    journal.append(piece.elapsed_secs, &piece.tokens, &piece.decisions)
                }),
                Entry::End(branch) => self.end(branch),
            }
        }
    }

    fn write(
        &mut self,
        branch: BranchId,
        write: impl FnOnce(&mut SampleJournal) -> Result<(), TraceError>,
    ) {
        let Some(mut journal) = self.journals.get_mut(&branch).and_then(Option::take) else {
            return;
        };
        let before = journal.bytes();
        let written = self.check_room().and_then(|()| Ok(write(&mut journal)?));
        self.note(branch, before, written.map(|()| journal));
    }

    /// Keeps a journal that grew from so many bytes, or tells why it ends: after a gap nothing could follow.
    fn note(
        &mut self,
        branch: BranchId,
        before: u64,
        journal: Result<SampleJournal, PipelineError>,
    ) {
        let journal = match journal {
            Ok(journal) => {
                self.room = self.room.saturating_sub(journal.bytes() - before);
                Some(journal)
            }
            Err(error) => {
                // A session that is gone needs to hear nothing.
                drop(self.tell.send((branch, error.to_string())));
                None
            }
        };
        self.journals.insert(branch, journal);
    }

    fn end(&mut self, branch: BranchId) {
        self.journals.remove(&branch);
        let path = journal_path(&self.folder, branch);
        let bytes = fs::metadata(&path).map_or(0, |about| about.len());
        // Where it stays, the branch comes back a second time; nothing is lost.
        if fs::remove_file(path).is_ok() {
            self.room += bytes;
        }
    }

    fn check_room(&self) -> Result<(), PipelineError> {
        let full = |what: String| {
            PipelineError::Settings(format!(
                "{what}; make room, or keep lines as traces: {}",
                self.folder.display()
            ))
        };
        if self.room == 0 {
            let most = sizes::bytes(MOST_BYTES);
            return Err(full(format!(
                "journals of unfinished replies take {most}, which is the most"
            )));
        }
        let free = fs4::available_space(&self.folder).map_err(|error| {
            PipelineError::io("ask how much room the disk has", &self.folder, error)
        })?;
        if free < SPARE_BYTES {
            let free = sizes::bytes(free);
            return Err(full(format!(
                "the disk has {free} left, which journals of unfinished replies leave free"
            )));
        }
        Ok(())
    }
}
