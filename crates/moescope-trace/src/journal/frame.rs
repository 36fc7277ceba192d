//! A frame: what it is, its length, its content, and a checksum of all three.

use std::io::{self, Read};

use sha2::{Digest as _, Sha256};

const CHECKSUM_BYTES: usize = 32;
/// The kind and the length.
const HEADER_BYTES: usize = 1 + 8;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FrameKind {
    Head,
    Tokens,
}

/// What stands at a place of a journal.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// A whole frame.
    Whole(FrameKind, Vec<u8>),
    /// The end of the file, perhaps after the beginning of a frame that was not written to its end.
    End,
    /// Bytes that are no frame.
    Damaged,
}

impl FrameKind {
    /// Not 0, which is what some file systems leave after a power cut.
    fn byte(self) -> u8 {
        match self {
            Self::Head => b'H',
            Self::Tokens => b'T',
        }
    }

    fn of(byte: u8) -> Option<Self> {
        [Self::Head, Self::Tokens]
            .into_iter()
            .find(|kind| kind.byte() == byte)
    }
}

/// The bytes of a frame.
pub(super) fn encode(kind: FrameKind, payload: Vec<u8>) -> Vec<u8> {
    let mut frame = Vec::with_capacity(HEADER_BYTES + payload.len() + CHECKSUM_BYTES);
    frame.push(kind.byte());
    frame.extend((payload.len() as u64).to_le_bytes());
    frame.extend(payload);
    let sum = Sha256::digest(&frame);
    frame.extend_from_slice(sum.as_slice());
    frame
}

/// Reads what comes next; `left` bytes of the file are left, and no more than that is allocated.
pub(super) fn read(file: &mut impl Read, left: u64) -> io::Result<Frame> {
    let Some(most) = left.checked_sub((HEADER_BYTES + CHECKSUM_BYTES) as u64) else {
        return Ok(Frame::End);
    };
    let mut header = [0; HEADER_BYTES];
    file.read_exact(&mut header)?;
    let [kind, length @ ..] = header;
    let length = u64::from_le_bytes(length);
    let Some(kind) = FrameKind::of(kind) else {
        return Ok(Frame::Damaged);
    };
    let Some(length) = usize::try_from(length).ok().filter(|_| length <= most) else {
        return Ok(Frame::End);
    };
    let mut payload = vec![0; length];
    file.read_exact(&mut payload)?;
    let mut sum = [0; CHECKSUM_BYTES];
    file.read_exact(&mut sum)?;
    let mut hasher = Sha256::new();
    hasher.update(header);
    hasher.update(&payload);
    if hasher.finalize().as_slice() != sum {
        return Ok(Frame::Damaged);
    }
    Ok(Frame::Whole(kind, payload))
}

/// Bytes of a frame with such a content.
pub(super) fn length_of(payload: &[u8]) -> u64 {
    (HEADER_BYTES + payload.len() + CHECKSUM_BYTES) as u64
}
