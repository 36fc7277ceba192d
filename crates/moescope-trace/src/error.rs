//! What can go wrong with a trace on disk.

use std::{
    io,
    path::{Path, PathBuf},
};

use moescope_core::{Cancelled, Problems};
use parquet::errors::ParquetError;
use thiserror::Error;

/// A trace that could not be written, read or checked.
#[derive(Debug, Error)]
pub enum TraceError {
    /// The operating system refused a file operation.
    #[error("cannot {action}: {source}: {}", path.display())]
    Io {
        /// What was attempted, as a verb phrase.
        action: &'static str,
        /// What the operating system said.
        source: io::Error,
        /// The file or folder.
        path: PathBuf,
    },
    /// The disk is full; what the manifest lists is intact and the capture can be resumed.
    #[error(
        "cannot {action}: the disk is full; every shard in the manifest is intact, so free some space and resume: {}",
        path.display()
    )]
    DiskFull {
        /// What was attempted, as a verb phrase.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
    },
    /// A Parquet file that cannot be written or decoded.
    #[error("cannot {action}: {source}: {}", path.display())]
    Parquet {
        /// What was attempted, as a verb phrase.
        action: &'static str,
        /// What the Parquet library said.
        source: ParquetError,
        /// The file.
        path: PathBuf,
    },
    /// A folder without a manifest.
    #[error(
        "this folder is not a routing trace: it has no manifest.json; give the folder that `moescope capture` wrote: {}",
        path.display()
    )]
    NotATrace {
        /// The folder.
        path: PathBuf,
    },
    /// A new trace was to be written where something already is.
    #[error(
        "cannot write a new trace: the folder is not empty; choose another folder or resume: {}",
        path.display()
    )]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// Another process is writing this trace.
    #[error("cannot write the trace: another process holds its lock; wait until it ends: {}", path.display())]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// A manifest that is not what `docs/manifest.schema.json` describes.
    #[error("the manifest is not valid: {reason}: {}", path.display())]
    Manifest {
        /// Which field, and what is wrong with it.
        reason: String,
        /// The manifest.
        path: PathBuf,
    },
    /// A trace written by a newer version of this toolkit.
    #[error(
        "the trace has schema version {found}, this toolkit reads up to {supported}; use a newer moescope: {}",
        path.display()
    )]
    NewerSchema {
        /// The version in the manifest.
        found: u64,
        /// The newest version that this crate reads.
        supported: u32,
        /// The manifest.
        path: PathBuf,
    },
    /// A resumed capture that would not continue the rows that are there.
    #[error(
        "cannot resume: {field} was {found} and is now {wanted}; resume with the same settings or start a new trace: {}",
        path.display()
    )]
    Incompatible {
        /// The manifest's field, e.g. `model.num_experts`.
        field: String,
        /// The value in the trace.
        found: String,
        /// The value asked for.
        wanted: String,
        /// The folder.
        path: PathBuf,
    },
    /// A label column that cannot be a column of `samples`.
    #[error("'{name}' cannot be a label column: {reason}")]
    LabelColumn {
        /// The column's name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A record that does not keep the rules of a trace; nothing of it was written.
    #[error("cannot write sample {sample} ('{id}'): {reason}")]
    Record {
        /// The sample's number.
        sample: u32,
        /// The sample's id.
        id: String,
        /// The broken rule, and where.
        reason: String,
    },
    /// A writer was used in an order that would lose rows.
    #[error("cannot {action}: {reason}: {}", path.display())]
    Misuse {
        /// What was attempted.
        action: &'static str,
        /// Why it is refused.
        reason: &'static str,
        /// The folder.
        path: PathBuf,
    },
    /// A journal of a document that cannot be recovered.
    #[error("the journal cannot be read: {reason}: {}", path.display())]
    Journal {
        /// What was expected and what was found.
        reason: String,
        /// The file.
        path: PathBuf,
    },
    /// A file of the trace is missing or is not what the manifest says.
    #[error("the trace is damaged: {reason}; run `moescope validate`: {}", path.display())]
    Damaged {
        /// What was expected and what was found.
        reason: String,
        /// The file.
        path: PathBuf,
    },
    /// A file that was there when the trace was opened.
    #[error(
        "a file of the trace is gone; a capture that still writes the trace merges small files, so open the trace again; \
         if that does not help, run `moescope validate`: {}",
        path.display()
    )]
    Gone {
        /// The file.
        path: PathBuf,
    },
    /// A sample id that the trace does not hold.
    #[error("no sample '{id}' among {samples}; there are for example: {}", known.join(", "))]
    UnknownSample {
        /// The id asked for.
        id: String,
        /// How many samples there are.
        samples: u64,
        /// Ids that resemble it, else the first ones.
        known: Vec<String>,
    },
    /// Files of an import that cannot be used, all of what is wrong with them at once; nothing was written.
    #[error(
        "cannot import this as '{format}' because of {}:{problems}",
        match problems.total() { 1 => "1 problem".to_owned(), n => format!("{n} problems") }
    )]
    Import {
        /// The format's name.
        format: &'static str,
        /// Where they are, and what is wrong.
        problems: Problems,
    },
    /// Settings of an import that contradict one another.
    #[error("{0}")]
    ImportSettings(String),
    /// The caller asked to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl TraceError {
    /// An I/O error in context; a full disk gets its own variant.
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        if source.kind() == io::ErrorKind::StorageFull {
            Self::DiskFull { action, path }
        } else {
            Self::Io {
                action,
                source,
                path,
            }
        }
    }

    /// An error at opening a shard's file, which may have been merged since its name was read.
    pub(crate) fn opening(path: &Path, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::NotFound {
            Self::Gone {
                path: path.to_owned(),
            }
        } else {
            Self::io("open a shard", path, source)
        }
    }

    /// A Parquet error in context; an I/O error inside it is unpacked.
    pub(crate) fn parquet(action: &'static str, path: &Path, source: ParquetError) -> Self {
        match source {
            ParquetError::External(inner) => match inner.downcast::<io::Error>() {
                Ok(io_error) => Self::io(action, path, *io_error),
                Err(inner) => Self::Parquet {
                    action,
                    source: ParquetError::External(inner),
                    path: path.to_owned(),
                },
            },
            source => Self::Parquet {
                action,
                source,
                path: path.to_owned(),
            },
        }
    }

    pub(crate) fn damaged(path: &Path, reason: impl Into<String>) -> Self {
        Self::Damaged {
            reason: reason.into(),
            path: path.to_owned(),
        }
    }
}
