//! What jobs, generations and captures told since the last frame.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use egui::Context;
use moescope_pipeline::session::{Branch, Recovery, Transcript};

use super::App;
use crate::{
    captures::{self, CaptureEnd, CaptureEvent},
    error::AppError,
    lives::LiveEvent,
    notices::Notice,
};

/// Replies of an interrupted run that are offered one by one; the others are among what was opened lately.
const OFFERS: usize = 3;

impl App {
    pub(super) fn take_results(&mut self, ctx: &Context, now: Instant) {
        let (opened, failed) = self.state.traces.advance();
        for path in &opened {
            if !self.state.traces.at(path).is_some_and(|t| t.is_demo) {
                self.state.recent.note_trace(path);
            }
            self.follow_opened();
        }
        for told in failed {
            self.notify(Notice::failed(told), now);
        }
        self.state.answers.advance(&self.state.traces, ctx);
        for event in self.state.captures.advance() {
            self.take_capture_event(event, ctx, now);
        }
        let choice = &self.state.choices.live;
        for event in self.state.lives.advance(choice, &self.state.traces, ctx) {
            match event {
                LiveEvent::Loaded { device } => self.state.device = Some(device),
                LiveEvent::Replaced {
                    model,
                    lines,
                    kept_in,
                } => {
                    let told = told_replaced(&model, lines, kept_in.as_deref());
                    self.notify(Notice::found(told, None), now);
                }
                LiveEvent::Failed(told) => self.notify(Notice::failed(told), now),
                LiveEvent::Saved(path) => {
                    let told = format!("Kept as a trace: {}", path.display());
                    let notice = Notice {
                        opens: Some(path),
                        ..Notice::done(told)
                    };
                    self.notify(notice, now);
                }
                LiveEvent::Sent(message) => {
                    if self.state.choices.live.next_message == message {
                        self.choose("sent", now, |choices| choices.live.next_message.clear());
                    }
                    self.load_message();
                }
                LiveEvent::Recovered(recovery) => self.tell_recovered(recovery, now),
            }
        }
        let choice = &self.state.choices.compare;
        self.state.lives.compare_lines(choice, ctx);
        if let Some(pace) = self.state.lives.branch().and_then(Branch::tokens_per_sec) {
            self.shell.tokens_per_sec = Some(pace);
        }
        match self.state.exports.advance() {
            None => {}
            Some(Ok(paths)) => {
                let names: Vec<String> = paths.iter().map(|p| p.display().to_string()).collect();
                self.notify(Notice::done(format!("Wrote {}", names.join(", "))), now);
            }
            Some(Err(told)) => self.notify(Notice::failed(told), now),
        }
    }

    /// Puts the message of the line that is shown where it can be edited. What was typed there and is no line's stays.
    pub(super) fn load_message(&mut self) {
        let lives = &self.state.lives;
        let prompt = &mut self.state.choices.live.prompt;
        let mut known = lives.transcript.iter().flat_map(Transcript::branches);
        if let Some(shown) = lives.branch()
            && known.any(|line| line.info.prompt == *prompt)
        {
            prompt.clone_from(&shown.info.prompt);
        }
    }

    /// Offers to open what an interrupted run had written.
    fn tell_recovered(&mut self, recovery: Recovery, now: Instant) {
        let Recovery { branches, problems } = recovery;
        for branch in branches.iter().rev() {
            self.state.recent.note_trace(&branch.path);
        }
        for branch in branches.iter().take(OFFERS) {
            self.notify(Notice::offer_of(branch), now);
        }
        if let [_, .., last] = branches.get(OFFERS - 1..).unwrap_or_default() {
            let folder = last.path.parent().unwrap_or(&last.path);
            let more = branches.len() - OFFERS;
            let told = format!(
                "{more} more of its replies are traces in {}",
                folder.display()
            );
            self.notify(Notice::found(told, None), now);
        }
        for problem in problems {
            self.notify(Notice::failed(problem), now);
        }
    }

    /// Fills what a comparison lacks with traces that are open.
    fn follow_opened(&mut self) {
        let paths: Vec<PathBuf> = self
            .state
            .traces
            .all()
            .iter()
            .map(|trace| trace.path.clone())
            .collect();
        let compare = &mut self.state.choices.compare;
        if let [.., first, second] = paths.as_slice()
            && (compare.first.is_none() || compare.second.is_none())
        {
            compare.first = Some(second.clone());
            compare.second = Some(first.clone());
        }
    }

    fn take_capture_event(&mut self, event: CaptureEvent, ctx: &Context, now: Instant) {
        match event {
            CaptureEvent::Planned { device } => self.state.device = Some(device),
            CaptureEvent::Ended(CaptureEnd::Complete(captured)) => {
                #[expect(clippy::cast_precision_loss, reason = "shown with a few digits")]
                let pace = captured.tokens as f64 / captured.elapsed_secs.max(1e-9);
                self.notify(
                    Notice::done(format!(
                        "Captured {} tokens at {pace:.0} tokens/s; the trace is open",
                        captured.tokens
                    )),
                    now,
                );
                self.shell.tokens_per_sec = Some(pace);
                self.forget_captured();
                self.state.traces.open(captured.path, ctx);
                self.layout.show("disciplines");
            }
            CaptureEvent::Ended(CaptureEnd::Stopped { told, .. }) => {
                // What was recorded is kept, and the next start goes on with it.
                self.state.choices.capture.resumes = true;
                self.notify(Notice::done(told), now);
            }
            CaptureEvent::Ended(CaptureEnd::NotBegun) => {
                let told = "The capture was stopped before it had begun";
                self.notify(Notice::done(told), now);
            }
            CaptureEvent::Failed(told) => self.notify(Notice::failed(told), now),
        }
    }

    /// Stops the capture that runs, in good order; the next start offers to continue it.
    pub(super) fn close_capture(&mut self) {
        match self.state.captures.close() {
            None
            | Some(CaptureEvent::Planned { .. } | CaptureEvent::Ended(CaptureEnd::NotBegun)) => {}
            Some(CaptureEvent::Ended(CaptureEnd::Complete(captured))) => {
                self.state.recent.note_trace(&captured.path);
                self.forget_captured();
            }
            Some(CaptureEvent::Ended(CaptureEnd::Stopped { .. })) => {
                self.state.choices.capture.resumes = true;
            }
            Some(CaptureEvent::Failed(told)) => {
                self.state.choices.capture.resumes = true;
                self.report
                    .borrow_mut()
                    .get_or_insert(AppError::Capture(told));
            }
        }
    }

    /// The next capture has a trace of its own.
    fn forget_captured(&mut self) {
        let capture = &mut self.state.choices.capture;
        capture.resumes = false;
        capture.out = captures::suggested_out(&capture.model);
    }
}

/// What became of the lines of a model that another has taken the place of.
fn told_replaced(model: &str, lines: usize, kept_in: Option<&Path>) -> String {
    let others = match kept_in {
        Some(folder) => format!("are written as traces into {}", folder.display()),
        None => "are gone, for nothing is kept in this run".to_owned(),
    };
    format!("Lines of {model}: {lines}. Those that nobody kept {others}")
}
