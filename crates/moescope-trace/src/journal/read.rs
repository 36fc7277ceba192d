//! What a journal holds, up to where it is whole.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::Path,
};

use moescope_core::DecisionBatch;

use super::{
    JournalHead, MAGIC, columns,
    frame::{self, Frame, FrameKind},
    token,
};
use crate::{error::TraceError, record::SampleRecord, schema::SCHEMA_VERSION};

/// The most bytes of a head: the prompt and what a manifest says, which take many times as much in memory.
const MOST_HEAD_BYTES: usize = 64 << 20;

/// A document as far as its journal has it.
#[derive(Clone, Debug)]
pub struct JournalledSample {
    /// What a trace says besides the tokens.
    pub head: JournalHead,
    /// The document, numbered 0.
    pub record: SampleRecord,
    /// Seconds that it had taken.
    pub elapsed_secs: f64,
    /// Bytes at the end that are not whole: what was being written when the process ended, or damage.
    pub lost_bytes: u64,
}

/// Reads a journal up to where it is whole; `None` where nothing follows its head.
///
/// # Errors
/// When the file cannot be read, is no journal or one of another version, or its first tokens are not whole.
pub fn read_journal(path: &Path) -> Result<Option<JournalledSample>, TraceError> {
    let failed = |error| TraceError::io("read a journal", path, error);
    let refused = |reason: String| TraceError::Journal {
        reason,
        path: path.to_owned(),
    };
    let file = File::open(path).map_err(failed)?;
    let mut left = file.metadata().map_err(failed)?.len();
    let mut file = BufReader::new(file);
    if !has_magic(&mut file, left).map_err(failed)? {
        let reason = "it does not begin as journals of this version do";
        return Err(refused(reason.to_owned()));
    }
    left -= MAGIC.len() as u64;
    let head = match frame::read(&mut file, left).map_err(failed)? {
        Frame::Whole(FrameKind::Head, payload) => {
            left -= frame::length_of(&payload);
            parse_head(&payload).map_err(refused)?
        }
        _ => return Err(refused("its head is damaged".to_owned())),
    };
    let mut sample = begin(head);
    loop {
        let taken = match frame::read(&mut file, left).map_err(failed)? {
            Frame::End => break,
            Frame::Damaged => None,
            Frame::Whole(kind, payload) => {
                let taken = match kind {
                    FrameKind::Head => change_head(&mut sample, &payload),
                    FrameKind::Tokens => add_tokens(&mut sample, &payload),
                };
                taken.map(|()| frame::length_of(&payload))
            }
        };
        let Some(bytes) = taken else {
            break;
        };
        left -= bytes;
    }
    if left > 0 && sample.record.tokens.is_empty() {
        return Err(refused("its first tokens are not whole".to_owned()));
    }
    sample.lost_bytes = left;
    // A long prompt is written in several pieces.
    let tokens = u32::try_from(sample.record.tokens.len()).unwrap_or(u32::MAX);
    let given = &mut sample.record.num_prompt_tokens;
    *given = given.map(|given| given.min(tokens));
    Ok(Some(sample).filter(|sample| !sample.record.tokens.is_empty()))
}

fn has_magic(file: &mut impl Read, length: u64) -> io::Result<bool> {
    let mut magic = [0; MAGIC.len()];
    if length < magic.len() as u64 {
        return Ok(false);
    }
    file.read_exact(&mut magic)?;
    Ok(magic == *MAGIC)
}

/// A head that everything after it may trust.
fn parse_head(payload: &[u8]) -> Result<JournalHead, String> {
    if payload.len() > MOST_HEAD_BYTES {
        return Err(format!(
            "its head has {} bytes, more than the {MOST_HEAD_BYTES} that are read",
            payload.len()
        ));
    }
    let head: JournalHead = serde_json::from_slice(payload)
        .map_err(|error| format!("its head is not what it should be: {error}"))?;
    let version = head.manifest.schema_version;
    if version > SCHEMA_VERSION {
        return Err(format!(
            "it is for a trace of schema version {version}, this toolkit writes up to {SCHEMA_VERSION}"
        ));
    }
    match head.manifest.inconsistency() {
        Some(reason) => Err(format!("its manifest is not valid: {reason}")),
        None => Ok(head),
    }
}

fn begin(head: JournalHead) -> JournalledSample {
    let model = &head.manifest.model;
    let mut decisions =
        DecisionBatch::new(usize::from(model.num_experts), usize::from(model.top_k));
    if !head.manifest.keeps_logits {
        decisions.router_logits = None;
    }
    JournalledSample {
        record: SampleRecord {
            sample: 0,
            meta: head.meta.clone(),
            num_prompt_tokens: Some(head.num_prompt_tokens),
            seed: Some(head.seed),
            tokens: Vec::new(),
            decisions,
        },
        head,
        elapsed_secs: 0.0,
        lost_bytes: 0,
    }
}

/// Takes a later head, if it is of the same model and the same columns.
fn change_head(sample: &mut JournalledSample, payload: &[u8]) -> Option<()> {
    let (head, old) = (parse_head(payload).ok()?, &sample.head.manifest);
    let is_alike = head.manifest.model == old.model
        && head.manifest.layers == old.layers
        && head.manifest.keeps_logits == old.keeps_logits;
    is_alike.then(|| {
        sample.record.meta = head.meta.clone();
        sample.record.num_prompt_tokens = Some(head.num_prompt_tokens);
        sample.record.seed = Some(head.seed);
        sample.head = head;
    })
}

/// Adds a piece; nothing of one that is not what its head says.
fn add_tokens(sample: &mut JournalledSample, payload: &[u8]) -> Option<()> {
    let record = &mut sample.record;
    let first = u32::try_from(record.tokens.len()).ok()?;
    let (elapsed_secs, tokens, rest) = token::decode(payload, first)?;
    columns::decode(rest, &tokens, &sample.head.manifest, &mut record.decisions)?;
    record.tokens.extend(tokens);
    sample.elapsed_secs = elapsed_secs;
    Some(())
}
