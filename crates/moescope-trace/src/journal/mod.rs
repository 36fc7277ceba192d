//! One document that grows, on the disk as far as it has come.
//!
//! A trace's shard appears whole or not at all, so a document that is still being generated is in none. A journal is a
//! file to which its tokens are appended meanwhile; whatever becomes of the process, [`read_journal`] gives back all
//! that was appended, ready for a [`TraceWriter`](crate::TraceWriter).
//!
//! The file is a line that says what it is, a head ([`JournalHead`]), and pieces of tokens with their decisions. Head and
//! pieces are frames with a length and a checksum, so that an unfinished or damaged one is known. The last head counts.

mod columns;
mod frame;
mod read;
mod token;

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use moescope_core::{DecisionBatch, Sample, TokenRow};
use serde::{Deserialize, Serialize};

use crate::{durable, error::TraceError, manifest::Manifest};
use frame::FrameKind;

pub use read::{JournalledSample, read_journal};

/// What every journal begins with; the number changes with the layout.
const MAGIC: &[u8; 19] = b"moescope journal 1\n";
/// What the file's name has at its end until its head is whole.
const DRAFT_ENDING: &str = ".new";

/// What a trace of the document says besides its tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JournalHead {
    /// The manifest of that trace; `keeps_logits` says whether the journal holds router logits.
    pub manifest: Manifest,
    /// The document.
    pub meta: Sample,
    /// How many of the tokens are given rather than generated.
    pub num_prompt_tokens: u32,
    /// The seed of the document's sampling.
    pub seed: u64,
}

/// Writes a journal.
///
/// Each call ends with the bytes on the disk. Nothing is removed when the value is dropped.
#[derive(Debug)]
pub struct SampleJournal {
    path: PathBuf,
    file: File,
    bytes: u64,
    tokens: u32,
    /// Layers that each token has a decision of.
    layers: usize,
    keeps_logits: bool,
}

impl SampleJournal {
    /// Begins a journal in a file that is not there yet; it appears with its head or not at all.
    ///
    /// # Errors
    /// When the file is there, or the disk refuses.
    pub fn create(path: &Path, head: &JournalHead) -> Result<Self, TraceError> {
        let failed = |error| TraceError::io("begin a journal", path, error);
        if path.exists() {
            return Err(failed(io::ErrorKind::AlreadyExists.into()));
        }
        let mut draft = path.as_os_str().to_owned();
        draft.push(DRAFT_ENDING);
        let draft = PathBuf::from(draft);
        let mut file = File::create(&draft).map_err(failed)?;
        file.write_all(MAGIC).map_err(failed)?;
        let mut journal = Self {
            path: path.to_owned(),
            file,
            bytes: MAGIC.len() as u64,
            tokens: 0,
            layers: head.manifest.recorded_layers().len(),
            keeps_logits: head.manifest.keeps_logits,
        };
        journal.change_head(head)?;
        fs::rename(&draft, path).map_err(failed)?;
        if let Some(folder) = path.parent() {
            durable::sync_folder(folder)?;
        }
        Ok(journal)
    }

    /// Replaces the head: another seed, or other interventions from here on. Layers and logits stay what they are.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn change_head(&mut self, head: &JournalHead) -> Result<(), TraceError> {
        let payload = serde_json::to_vec(head).map_err(|error| self.failed(error.into()))?;
        self.write(FrameKind::Head, payload)
    }

    /// Adds the tokens that follow, each routed at every recorded layer, with their decisions.
    ///
    /// `elapsed_secs` is what the document has taken so far.
    ///
    /// # Errors
    /// When the tokens do not follow, a decision is missing, a column is unknown that our own engine fills, or the disk
    /// refuses.
    pub fn append(
        &mut self,
        elapsed_secs: f64,
        tokens: &[TokenRow],
        decisions: &DecisionBatch,
    ) -> Result<(), TraceError> {
        let misuse = |reason| TraceError::Misuse {
            action: "append to a journal",
            reason,
            path: self.path.clone(),
        };
        let mut follows = (self.tokens..).zip(tokens);
        if !follows.all(|(position, token)| token.position == position && token.is_routed) {
            return Err(misuse("its tokens are not the routed ones that follow"));
        }
        if decisions.len() != tokens.len() * self.layers {
            return Err(misuse("a token has not one decision for each layer"));
        }
        let mut payload = token::encode(elapsed_secs, tokens)
            .map_err(|()| misuse("its tokens are too many for one piece"))?;
        columns::encode(decisions, self.keeps_logits, &mut payload)
            .ok_or_else(|| misuse("its decisions lack a column"))?;
        self.write(FrameKind::Tokens, payload)?;
        self.tokens = tokens
            .last()
            .map_or(self.tokens, |token| token.position + 1);
        Ok(())
    }

    /// Tokens that are on the disk.
    #[must_use]
    pub fn tokens(&self) -> u32 {
        self.tokens
    }

    /// The file's length.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a frame in one go, and waits until it is on the disk: a power cut is no worse than a kill.
    fn write(&mut self, kind: FrameKind, payload: Vec<u8>) -> Result<(), TraceError> {
        let frame = frame::encode(kind, payload);
        self.file
            .write_all(&frame)
            .and_then(|()| self.file.sync_data())
            .map_err(|error| self.failed(error))?;
        self.bytes += frame.len() as u64;
        Ok(())
    }

    fn failed(&self, error: io::Error) -> TraceError {
        TraceError::io("write a journal", &self.path, error)
    }
}

#[cfg(test)]
mod tests;
