//! What keeps branches safe from a crash: a journal of each, written beside the work.
//!
//! The worker hands over pieces of what its branches recorded, and a thread of its own puts them on the disk. While
//! tokens are drawn the worker never waits for it: a piece that finds no room now goes with the next. A journal ends
//! when its branch is saved; [`recover`](super::recover) finds those that did not.

pub(super) mod folder;
mod writer;

use std::{
    collections::BTreeMap,
    ops::Range,
    path::Path,
    sync::mpsc::{Receiver, SyncSender, TrySendError, channel, sync_channel},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use moescope_core::{DecisionBatch, TokenRow};
use moescope_trace::JournalHead;

use super::{BranchId, growing::Growing, save::manifest};
use crate::{capture::token_row, error::PipelineError, model::LoadedModel};
use folder::SessionFolder;
use writer::Writer;

/// While tokens are drawn, a branch's journal lags at most this far behind, and the time that one token takes.
pub const JOURNAL_LAG: Duration = Duration::from_secs(1);
/// Tokens that are handed over at a time at most: a long prompt goes in several pieces.
const PIECE_TOKENS: usize = 256;
/// Pieces that wait for the disk at most.
const WAITING: usize = 2;

/// The journals of a session's branches.
pub(super) struct Journals<'m> {
    loaded: &'m LoadedModel,
    keeps_logits: bool,
    begun: BTreeMap<BranchId, Begun>,
    to_write: SyncSender<Entry>,
    problems: Receiver<(BranchId, String)>,
    thread: JoinHandle<()>,
    folder: SessionFolder,
}

/// What was handed over of a branch.
struct Begun {
    head: JournalHead,
    tokens: usize,
    at: Instant,
}

/// Something to be written.
enum Entry {
    Begin(BranchId, Box<JournalHead>),
    Change(BranchId, Box<JournalHead>),
    Tokens(BranchId, Box<Piece>),
    End(BranchId),
}

/// Tokens that follow those before.
struct Piece {
    elapsed_secs: f64,
    tokens: Vec<TokenRow>,
    decisions: DecisionBatch,
}

impl<'m> Journals<'m> {
    /// Prepares to write into a folder of its own below `unfinished`.
    pub(super) fn open(
        loaded: &'m LoadedModel,
        keeps_logits: bool,
        unfinished: &Path,
    ) -> Result<Self, PipelineError> {
        let folder = SessionFolder::create(unfinished)?;
        let (to_write, entries) = sync_channel(WAITING);
        let (tell, problems) = channel();
        let writer = Writer::new(unfinished, folder.path(), tell);
        let thread = thread::Builder::new()
            .name("moescope-journal".to_owned())
            .spawn(move || writer.run(&entries))
            .map_err(|error| {
                PipelineError::Settings(format!("cannot start a thread for journals: {error}"))
            })?;
        Ok(Self {
            loaded,
            keeps_logits,
            begun: BTreeMap::new(),
            to_write,
            problems,
            thread,
            folder,
        })
    }

    /// Hands over what is new of a branch that grows, if some of it is old enough; never waits.
    pub(super) fn note(&mut self, branch: &Growing<'_>) {
        let is_due = self.begun.get(&branch.info.id).is_none_or(|begun| {
            let new = branch.growth.len() - begun.tokens;
            begun.at.elapsed() >= JOURNAL_LAG || new >= PIECE_TOKENS
        });
        if is_due {
            self.hand_over(branch, false);
        }
    }

    /// Hands over all that is new of a branch, and waits until the rest of it is with the thread.
    pub(super) fn flush(&mut self, branch: &Growing<'_>) {
        while !branch.is_saved && self.hand_over(branch, true) {}
    }

    /// Removes a branch's journal: it was saved.
    pub(super) fn end(&mut self, branch: BranchId) {
        if self.begun.remove(&branch).is_some() {
            // A thread that is gone has told why.
            drop(self.to_write.send(Entry::End(branch)));
        }
    }

    /// A branch whose journal could not be written further, and why; each once.
    pub(super) fn problem(&self) -> Option<(BranchId, String)> {
        self.problems.try_recv().ok()
    }

    /// Ends in good order: journals that are left stay, and nothing else does.
    pub(super) fn close(self) {
        let Self {
            to_write,
            thread,
            folder,
            ..
        } = self;
        drop(to_write);
        // A panic was reported by the hook.
        drop(thread.join());
        folder.remove_if_empty();
    }

    /// Hands over the head if it is new, and a piece; whether there is more.
    fn hand_over(&mut self, branch: &Growing<'_>, waits: bool) -> bool {
        let id = branch.info.id;
        let head = head(self.loaded, branch, self.keeps_logits);
        let begun = if let Some(begun) = self.begun.get_mut(&id) {
            if begun.head != head {
                let entry = Entry::Change(id, Box::new(head.clone()));
                if !send(&self.to_write, entry, waits) {
                    return false;
                }
                begun.head = head;
            }
            begun
        } else {
            let entry = Entry::Begin(id, Box::new(head.clone()));
            if !send(&self.to_write, entry, waits) {
                return false;
            }
            self.begun.entry(id).or_insert(Begun {
                head,
                tokens: 0,
                at: Instant::now(),
            })
        };
        let end = branch.growth.len().min(begun.tokens + PIECE_TOKENS);
        if begun.tokens < end {
            let piece = piece(self.loaded, branch, begun.tokens..end);
            if !send(&self.to_write, Entry::Tokens(id, Box::new(piece)), waits) {
                return false;
            }
            begun.tokens = end;
        }
        begun.at = Instant::now();
        end < branch.growth.len()
    }
}

/// Whether the entry is with the thread.
fn send(to_write: &SyncSender<Entry>, entry: Entry, waits: bool) -> bool {
    if waits {
        return to_write.send(entry).is_ok();
    }
    match to_write.try_send(entry) {
        Ok(()) => true,
        Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
    }
}

/// What a trace of a branch says besides its tokens, if it goes on.
fn head(loaded: &LoadedModel, branch: &Growing<'_>, keeps_logits: bool) -> JournalHead {
    let mut manifest = manifest(loaded, branch);
    manifest.keeps_logits = keeps_logits;
    let given = branch.growth.record().num_prompt_tokens;
    JournalHead {
        manifest,
        meta: branch.planned.sample.clone(),
        num_prompt_tokens: u32::try_from(given).unwrap_or(u32::MAX),
        seed: branch.last_sampling().seed,
    }
}

fn piece(loaded: &LoadedModel, branch: &Growing<'_>, tokens: Range<usize>) -> Piece {
    let record = branch.growth.record();
    let layers = loaded.model.spec().moe_layers.len();
    let decisions = record
        .decisions
        .rows(tokens.start * layers..tokens.end * layers);
    let tokenizer = &loaded.files.tokenizer;
    let rows = tokens.map(|place| token_row(&branch.planned, record, place, tokenizer));
    Piece {
        elapsed_secs: branch.secs,
        tokens: rows.collect(),
        decisions,
    }
}
