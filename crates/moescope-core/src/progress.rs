//! How long work tells how far it is, and how it is stopped.

use thiserror::Error;

/// The work was asked to stop; what it had finished stands.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("cancelled")]
pub struct Cancelled;

/// Takes reports of progress and can cancel the work that sends them.
pub trait Progress: Send + Sync {
    /// Reports `done` of `total` steps (0 where the total is unknown) with a short message.
    ///
    /// # Errors
    /// [`Cancelled`] when the work shall stop; it then returns as soon as its state is consistent.
    fn report(&self, done: u64, total: u64, message: &str) -> Result<(), Cancelled>;
}

/// Shows nothing and never cancels.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn report(&self, _done: u64, _total: u64, _message: &str) -> Result<(), Cancelled> {
        Ok(())
    }
}
