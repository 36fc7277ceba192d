//! Where an import is written before it is known to be whole.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{durable, error::TraceError};

/// A hidden folder beside the trace's, which vanishes unless it becomes the trace.
pub(super) struct Workshop {
    pub(super) path: PathBuf,
    is_done: bool,
}

impl Workshop {
    pub(super) fn beside(out: &Path) -> Result<Self, TraceError> {
        let name = out.file_name().map_or_else(
            || "trace".to_owned(),
            |name| name.to_string_lossy().into_owned(),
        );
        let path = out.with_file_name(format!(".{name}.import-{}", std::process::id()));
        if fs::symlink_metadata(&path).is_ok() {
            return Err(TraceError::NotEmpty { path });
        }
        Ok(Self {
            path,
            is_done: false,
        })
    }

    pub(super) fn move_to(mut self, out: &Path) -> Result<(), TraceError> {
        // An empty folder may stand there; a full one is not removed by this.
        if let Err(error) = fs::remove_dir(out)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            return Err(TraceError::io("replace the empty folder", out, error));
        }
        durable::rename(&self.path, out)?;
        self.is_done = true;
        if let Some(parent) = out.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            // A parent that may not be read cannot be synced, and need not be.
            drop(durable::sync_folder(parent));
        }
        Ok(())
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        if !self.is_done {
            // Nothing but our own unfinished trace is in it, and nothing can be done where it cannot be removed.
            drop(fs::remove_dir_all(&self.path));
        }
    }
}
