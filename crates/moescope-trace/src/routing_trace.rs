//! A trace that was opened for reading.

use std::path::{Path, PathBuf};

use crate::{error::TraceError, folder, manifest::Manifest, schema::Table};

/// A trace on disk whose manifest was checked and whose files are there.
///
/// Opening reads `manifest.json` and the lengths of the files, nothing else; `moescope validate` reads it all.
/// An incomplete trace opens too: it holds the shards that are finished.
#[derive(Clone, Debug)]
pub struct RoutingTrace {
    path: PathBuf,
    manifest: Manifest,
}

impl RoutingTrace {
    /// Opens the trace in a folder.
    ///
    /// # Errors
    /// When there is no manifest, when it is newer than this crate or contradicts itself, when it names a file
    /// outside the folder, or when a file is missing or has another length.
    pub fn open(path: &Path) -> Result<Self, TraceError> {
        let manifest = Manifest::read(path)?;
        folder::check_shards(path, &manifest)?;
        Ok(Self {
            path: path.to_owned(),
            manifest,
        })
    }

    /// The trace's folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the trace says of itself.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The files of a table in the order of their rows; none in a trace without a finished shard.
    #[must_use]
    pub fn table_paths(&self, table: Table) -> Vec<PathBuf> {
        self.manifest
            .shards
            .iter()
            .map(|shard| self.path.join(table.shard_file(shard.index)))
            .collect()
    }
}
