//! What can go wrong between a repository's id and its files.

use std::{
    io,
    path::{Path, PathBuf},
};

use thiserror::Error;

use crate::sizes;

/// A repository that could not be found, or not be downloaded.
#[derive(Debug, Error)]
pub enum HubError {
    /// The cache does not have it, and nothing may be downloaded.
    #[error("{0}")]
    NotCached(String),
    /// A variable of the environment that cannot be used; its value is not told if it may be secret.
    #[error("{0}")]
    Settings(String),
    /// 401: the Hub wants to know who asks.
    #[error("the Hub refused access to '{id}' (401): {reason}; {TOKEN_HELP}")]
    Unauthorized {
        /// The repository.
        id: String,
        /// What follows from there being a token or none.
        reason: String,
    },
    /// The repository's conditions have not been accepted.
    #[error(
        "'{id}' is gated: its owners let only those in who have accepted their conditions; accept them at {page}, then \
         give a token of the same account ({TOKEN_HELP})"
    )]
    Gated {
        /// The repository.
        id: String,
        /// Where to accept.
        page: String,
    },
    /// 404: nothing of that name.
    #[error("{what} is not on the Hub (404){hint}: {url}")]
    NotFound {
        /// The repository, revision or file.
        what: String,
        /// What may have been meant.
        hint: String,
        /// What was asked.
        url: String,
    },
    /// Another status that is no success.
    #[error("the Hub answered {status}{message}: {url}")]
    Status {
        /// The status.
        status: u16,
        /// What the server said, if it said something.
        message: String,
        /// What was asked.
        url: String,
    },
    /// The network failed again and again.
    #[error("cannot {action}: {reason}{help}: {url}")]
    Network {
        /// What was attempted, as a verb phrase.
        action: String,
        /// What failed.
        reason: String,
        /// What would help.
        help: String,
        /// What was asked, without secrets.
        url: String,
    },
    /// An answer that is not what the Hub's interface promises.
    #[error("the Hub's answer cannot be used: {reason}: {url}")]
    Answer {
        /// What is wrong with it.
        reason: String,
        /// What was asked.
        url: String,
    },
    /// The repository has no weights that this program reads.
    #[error("'{id}' has no safetensors weights; {found}")]
    NoWeights {
        /// The repository.
        id: String,
        /// What it has instead.
        found: String,
    },
    /// A file that is not what the Hub says it is.
    #[error(
        "{file} arrived damaged: {reason}; this copy was removed and nothing else was touched, run the same command again"
    )]
    Damaged {
        /// The file's name in the repository.
        file: String,
        /// Length or checksum, promised and found.
        reason: String,
    },
    /// Too little room, known before or met on the way.
    #[error(
        "not enough room on the disk: {}{} available; make room, or set HF_HOME to a folder on another disk \
         (what has arrived stays and is continued): {}",
        needed.map_or_else(|| "it is full, ".to_owned(), |bytes| format!("the download needs {}, ", sizes::bytes(bytes))),
        free.map_or_else(|| "nothing is".to_owned(), |bytes| format!("{} are", sizes::bytes(bytes))),
        path.display()
    )]
    NoSpace {
        /// Bytes still to come, where that is known.
        needed: Option<u64>,
        /// Bytes that are free, where that is known.
        free: Option<u64>,
        /// The cache.
        path: PathBuf,
    },
    /// The cache cannot be written.
    #[error(
        "cannot {action}: {source}; the cache must be a folder that you may write to, set HF_HOME to one: {}",
        path.display()
    )]
    ReadOnly {
        /// What was attempted, as a verb phrase.
        action: &'static str,
        /// What the operating system said.
        source: io::Error,
        /// The file or folder.
        path: PathBuf,
    },
    /// The operating system refused another file operation.
    #[error("cannot {action}: {source}: {}", path.display())]
    Io {
        /// What was attempted, as a verb phrase.
        action: &'static str,
        /// What the operating system said.
        source: io::Error,
        /// The file or folder.
        path: PathBuf,
    },
    /// The download was asked to stop; what has arrived stays.
    #[error(
        "interrupted; what has arrived stays in the cache, and the same command continues the download"
    )]
    Interrupted,
}

/// How a token is given.
const TOKEN_HELP: &str =
    "set HF_TOKEN to a token from the Hub's settings page, or log in with `hf auth login`";

impl HubError {
    /// Sorts an error of the operating system by what the user can do about it.
    pub(super) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace {
                needed: None,
                free: None,
                path,
            },
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly {
                action,
                source,
                path,
            },
            _ => Self::Io {
                action,
                source,
                path,
            },
        }
    }
}

impl From<moescope_core::Cancelled> for HubError {
    fn from(_: moescope_core::Cancelled) -> Self {
        Self::Interrupted
    }
}
