//! One writer at a time.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use crate::{error::TraceError, folder::LOCK_FILE};

/// The right to write in a folder, held by one process at a time.
///
/// The operating system releases it when the process ends, however it ends.
pub(crate) struct Lock {
    path: PathBuf,
    file: Option<File>,
}

impl Lock {
    pub(crate) fn take(folder: &Path) -> Result<Self, TraceError> {
        let path = folder.join(LOCK_FILE);
        let file = File::create(&path).map_err(|e| TraceError::io("lock the trace", &path, e))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(TraceError::Locked {
                    path: folder.to_owned(),
                });
            }
            // Some network file systems have no locks; refusing to write there would help nobody.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
            Err(TryLockError::Error(error)) => {
                return Err(TraceError::io("lock the trace", &path, error));
            }
        }
        Ok(Self {
            path,
            file: Some(file),
        })
    }

    pub(crate) fn release(&mut self) {
        if self.file.take().is_some() {
            // A lock file that stays is harmless: it is the lock on it that counts.
            drop(fs::remove_file(&self.path));
        }
    }
}
