//! What can go wrong between a command and its result.

use std::{
    io,
    path::{Path, PathBuf},
};

use moescope_analytics::AnalyticsError;
use moescope_core::{Cancelled, CoreError};
use moescope_engine::EngineError;
use moescope_figures::FigureError;
use moescope_trace::TraceError;
use thiserror::Error;

use crate::{Problems, model::HubError, sizes};

/// A job that could not be done, or not be finished.
#[derive(Debug, Error)]
pub enum PipelineError {
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
    /// Records or files of the data that cannot be used, all of them at once.
    #[error("{heading}{problems}")]
    Data {
        /// What they were to be used for.
        heading: String,
        /// Where they are, and what is wrong.
        problems: Problems,
    },
    /// Settings that contradict one another, the data or the model.
    #[error("{0}")]
    Settings(String),
    /// A model that cannot be found.
    #[error("{0}")]
    Model(String),
    /// A repository that is not in the local cache, or could not be downloaded.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// A model that does not fit into the memory there is.
    #[error("not enough memory: {0}")]
    Memory(String),
    /// A disk without room for what is to be written.
    #[error(
        "{what} takes {}, and {} are free: {}",
        sizes::bytes(*needed),
        sizes::bytes(*free),
        path.display()
    )]
    Space {
        /// What is to be written, and what would help.
        what: String,
        /// Bytes that it takes.
        needed: u64,
        /// Bytes that the disk has.
        free: u64,
        /// A folder on the disk.
        path: PathBuf,
    },
    /// A router that gave something that is not a number.
    #[error(
        "the router of layer {layer} gave {value} for token {position} of sample '{id}'; the weights are broken, or the input \
         drives them out of range"
    )]
    RouterNotFinite {
        /// Layer in the model's numbering.
        layer: u16,
        /// Position in the sample.
        position: u32,
        /// The sample's id.
        id: String,
        /// The value.
        value: f32,
    },
    /// A capture that was asked to stop; what it had finished stands.
    #[error(
        "interrupted after {completed} of {total} samples; they are on the disk, continue with --resume: {}",
        path.display()
    )]
    Interrupted {
        /// Samples in the trace.
        completed: usize,
        /// Samples that were planned.
        total: usize,
        /// The trace's folder.
        path: PathBuf,
    },
    /// The work was asked to stop before it had written anything.
    #[error("cancelled")]
    Cancelled(#[from] Cancelled),
    /// The model could not be read or run.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The trace could not be written or read.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// A measurement that could not be made.
    #[error(transparent)]
    Analytics(#[from] AnalyticsError),
    /// A figure that could not be drawn.
    #[error(transparent)]
    Figure(#[from] FigureError),
    /// A value that is not what its type promises.
    #[error(transparent)]
    Core(#[from] CoreError),
}

impl PipelineError {
    /// Whether the work ended because it was asked to.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(
            self,
            Self::Interrupted { .. }
                | Self::Cancelled(_)
                | Self::Hub(HubError::Interrupted)
                | Self::Engine(EngineError::Cancelled(_))
                | Self::Trace(TraceError::Cancelled(_))
                | Self::Analytics(AnalyticsError::Cancelled(_))
        )
    }

    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io {
            action,
            source,
            path: path.to_owned(),
        }
    }
}
