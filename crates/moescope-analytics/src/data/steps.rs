//! How far a pass over a trace is, told by many threads.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use moescope_core::{Cancelled, Progress};

/// Rows of a pass that were read, of those that there are.
#[derive(Clone, Debug, Default)]
pub(super) struct Steps {
    done: Arc<AtomicU64>,
    total: u64,
    message: &'static str,
}

impl Steps {
    /// A pass over so many rows.
    pub(super) fn new(total: u64, message: &'static str) -> Self {
        Self {
            done: Arc::default(),
            total,
            message,
        }
    }

    /// Reports that more rows were read.
    ///
    /// # Errors
    /// When cancelled.
    pub(super) fn add(&self, rows: usize, progress: &dyn Progress) -> Result<(), Cancelled> {
        self.done.fetch_add(rows as u64, Ordering::Relaxed);
        self.check(progress)
    }

    /// Reports the same again, to hear of a cancel.
    ///
    /// # Errors
    /// When cancelled.
    pub(super) fn check(&self, progress: &dyn Progress) -> Result<(), Cancelled> {
        progress.report(self.done.load(Ordering::Relaxed), self.total, self.message)
    }
}
