//! How far a download is.

use std::time::Instant;

use moescope_core::{Cancelled, Progress};

use crate::sizes;

/// Counts bytes over all files and reports them.
pub(super) struct Meter<'p> {
    progress: &'p dyn Progress,
    total: u64,
    done: u64,
    /// Bytes that came over the network now, and since when.
    arrived: u64,
    started: Instant,
    message: String,
}

impl<'p> Meter<'p> {
    /// `total` is 0 where it is not known.
    pub(super) fn new(progress: &'p dyn Progress, total: u64, message: &str) -> Self {
        Self {
            progress,
            total,
            done: 0,
            arrived: 0,
            started: Instant::now(),
            message: message.to_owned(),
        }
    }

    /// Reports the same again, to hear whether to stop.
    pub(super) fn check(&mut self) -> Result<(), Cancelled> {
        // More than the total only where the Hub told no lengths.
        self.progress
            .report(self.done.min(self.total), self.total, &self.message)
    }

    /// Reports what is waited for.
    pub(super) fn wait(&mut self, message: &str) -> Result<(), Cancelled> {
        message.clone_into(&mut self.message);
        self.check()
    }

    /// Counts bytes that were here already.
    pub(super) fn skip(&mut self, bytes: u64) {
        self.done = self.done.saturating_add(bytes);
    }

    /// Counts bytes that must come again.
    pub(super) fn lose(&mut self, bytes: u64) {
        self.done = self.done.saturating_sub(bytes);
    }

    /// Counts bytes of a file that have arrived.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate is shown with a few digits"
    )]
    pub(super) fn add(&mut self, bytes: u64, file: &str) -> Result<(), Cancelled> {
        self.done = self.done.saturating_add(bytes);
        self.arrived = self.arrived.saturating_add(bytes);
        let secs = self.started.elapsed().as_secs_f64();
        let rate = self.arrived as f64 / secs.max(1e-3);
        let left = self.total.saturating_sub(self.done) as f64 / rate.max(1.0);
        self.message = format!(
            "downloading {file}: {} of {}, {}/s, {} left",
            sizes::bytes(self.done),
            sizes::bytes(self.total.max(self.done)),
            sizes::bytes(rate as u64),
            crate::clock::duration(left)
        );
        self.check()
    }
}
