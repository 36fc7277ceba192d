//! Which lines of a session are looked at, and what takes the place of one that is closed.

use std::path::PathBuf;

use moescope_pipeline::session::{BranchId, SessionCommand};

use super::{LiveEvent, Lives};
use crate::job::Job;

/// What is looked at: a line, the one beside it, and a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ShownLines {
    /// Lines are numbered anew in each session.
    session: u32,
    line: Option<BranchId>,
    beside: Option<BranchId>,
    token: Option<usize>,
}

impl Lives {
    /// What is looked at now.
    pub(crate) fn shown_lines(&self) -> ShownLines {
        ShownLines {
            session: self.sessions,
            line: self.shown,
            beside: self.beside,
            token: self.token,
        }
    }

    /// Whether what was looked at is there: its session goes on, and the line was not closed.
    pub(crate) fn can_show(&self, lines: &ShownLines) -> bool {
        self.sessions == lines.session && lines.line.is_some_and(|line| self.has_line(line))
    }

    /// Looks at it again; where the line beside it was closed, at none.
    pub(crate) fn show_again(&mut self, lines: &ShownLines) {
        self.shown = lines.line;
        self.beside = lines.beside.filter(|line| self.has_line(*line));
        self.token = lines.token;
    }

    /// Whether there is such a line, and it was not closed.
    pub(crate) fn has_line(&self, line: BranchId) -> bool {
        let transcript = self.transcript.as_ref();
        transcript.is_some_and(|transcript| transcript.branch(line).is_some())
    }

    /// Whether a line that nobody kept is written as a trace before it is closed.
    #[must_use]
    pub(crate) fn keeps_closed(&self) -> bool {
        self.keeping.is_some()
    }

    /// Asks for a line to be closed; nothing where that was asked for already.
    ///
    /// # Errors
    /// Says that there is none.
    pub(super) fn close_line(&mut self, line: BranchId) -> Result<(), String> {
        if !self.has_line(line) {
            return Err(format!("there is no line {} to close", line.0 + 1));
        }
        if self.closing.insert(line) {
            self.send(SessionCommand::Close(line));
        }
        Ok(())
    }

    /// Looks at what is nearest to a line that is gone: the line that it was made from, or the one before it.
    pub(super) fn take_closed(&mut self, closed: BranchId, kept: Option<PathBuf>) -> LiveEvent {
        self.closing.remove(&closed);
        if self.shown == Some(closed) {
            self.shown = self.nearest(closed);
            self.token = None;
        }
        if self.beside == Some(closed) || self.beside == self.shown {
            self.beside = None;
        }
        let origin = self.transcript.as_ref().and_then(|t| t.closed(closed));
        LiveEvent::Closed {
            line: closed,
            prompt: origin.map_or_else(String::new, |origin| origin.info.prompt.clone()),
            kept,
        }
    }

    fn nearest(&self, closed: BranchId) -> Option<BranchId> {
        let transcript = self.transcript.as_ref()?;
        let above = |line: BranchId| {
            let (info, _) = transcript.origin(line)?;
            info.parent.map(|(parent, _)| parent)
        };
        let mut ancestors = std::iter::successors(above(closed), |line| above(*line));
        let lines = || transcript.branches().map(|branch| branch.info.id);
        ancestors
            .find(|line| transcript.branch(*line).is_some())
            .or_else(|| lines().rev().find(|line| *line < closed))
            .or_else(|| lines().next())
    }

    /// Forgets what was measured of a line that was closed: its tokens cannot be looked at any more.
    pub(super) fn forget_effect_of_closed(&mut self) {
        if let Job::Ready(measured) = &self.effect
            && !self.has_line(measured.branch)
        {
            self.effect = Job::Idle;
        }
    }
}
