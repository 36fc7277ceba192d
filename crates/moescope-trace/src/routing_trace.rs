//! A trace that was opened for reading.

use std::path::{Path, PathBuf};

use crate::{
    durable,
    error::TraceError,
    folder,
    manifest::{Manifest, Shard},
    schema::Table,
    table_reader::TableReader,
};

/// A trace on disk whose manifest was checked and whose files are there.
///
/// Opening reads `manifest.json` and the lengths of the files, nothing else; `moescope validate` reads it all.
/// An incomplete trace opens too: it holds the shards that are finished. While a capture writes it, small shards are merged
/// into others; what was opened before does not find them any more ([`TraceError::Gone`]) and is opened again.
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
        let mut manifest = Manifest::read(path)?;
        while let Err(error) = folder::check_shards(path, &manifest) {
            // A capture that is running may have merged shards between the two looks.
            let now = Manifest::read(path)?;
            if now.shards == manifest.shards {
                return Err(error);
            }
            manifest = now;
        }
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

    /// Compares one shard's file of a table with its checksum in the manifest; `report` hears of each piece's length in
    /// bytes.
    ///
    /// Hashing costs a fraction of decoding, and a flipped bit may decode to another number without an error.
    ///
    /// # Errors
    /// When the file cannot be read or is not the one that the manifest describes, and what `report` gives.
    pub fn check_sum(
        &self,
        shard: &Shard,
        table: Table,
        report: impl FnMut(u64) -> Result<(), TraceError>,
    ) -> Result<(), TraceError> {
        let path = self.path.join(table.shard_file(shard.index));
        durable::check_sum(&path, &shard.tables[table.name()].sha256, report)
    }

    /// Opens one shard's file of a table to read columns of row groups; [`Self::check_sum`] comes first.
    ///
    /// # Errors
    /// When the file cannot be read or its footer does not fit the table.
    pub fn table_reader(&self, shard: &Shard, table: Table) -> Result<TableReader, TraceError> {
        let path = self.path.join(table.shard_file(shard.index));
        TableReader::open(&path, table, &self.manifest)
    }
}
