//! A file that grows until it is whole: appended to, hashed as it grows, begun anew when it must be.

use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

use super::{client::Tick, error::HubError};
use crate::checksum;

/// Bytes that are hashed between two looks at whether to stop.
const PIECE: usize = 4 << 20;

/// The part of a file that has arrived.
pub(super) struct Partial {
    path: PathBuf,
    file: File,
    hasher: Sha256,
    len: u64,
}

impl Partial {
    /// Opens what is there, or begins a new file. Content beyond `size` cannot belong to the file and is dropped.
    pub(super) fn open(path: &Path, size: Option<u64>, tick: Tick<'_>) -> Result<Self, HubError> {
        let failed = |error| HubError::io("open the partial download", path, error);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(failed)?;
        let mut hasher = Sha256::new();
        let mut len = 0;
        if size.is_none_or(|size| file.metadata().is_ok_and(|found| found.len() <= size)) {
            let mut piece = vec![0; PIECE];
            loop {
                let read = file.read(&mut piece).map_err(failed)?;
                if read == 0 {
                    break;
                }
                hasher.update(&piece[..read]);
                len += read as u64;
                tick()?;
            }
        }
        let mut partial = Self {
            path: path.to_owned(),
            file,
            hasher,
            len,
        };
        if len == 0 {
            partial.restart()?;
        }
        Ok(partial)
    }

    /// Bytes that have arrived.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Drops what has arrived.
    pub(super) fn restart(&mut self) -> Result<(), HubError> {
        self.hasher = Sha256::new();
        self.len = 0;
        self.file
            .set_len(0)
            .and_then(|()| self.file.seek(SeekFrom::Start(0)))
            .map(|_| ())
            .map_err(|error| HubError::io("begin the download anew", &self.path, error))
    }

    /// Adds what comes next.
    pub(super) fn write(&mut self, piece: &[u8]) -> Result<(), HubError> {
        self.file
            .write_all(piece)
            .map_err(|error| HubError::io("write the download", &self.path, error))?;
        self.hasher.update(piece);
        self.len += piece.len() as u64;
        Ok(())
    }

    /// Puts everything on the disk and gives its SHA-256.
    pub(super) fn finish(self) -> Result<String, HubError> {
        self.file
            .sync_all()
            .map_err(|error| HubError::io("write the download", &self.path, error))?;
        Ok(checksum::hex(&self.hasher.finalize()))
    }
}
