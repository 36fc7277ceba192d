//! What jobs, generations and captures told since the last frame.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use egui::Context;
use moescope_pipeline::session::{Branch, BranchId, Recovery, Transcript};

use super::App;
use crate::{
    captures::{self, CaptureEnd, CaptureEvent},
    choices::CaptureChoice,
    command::Command,
    error::AppError,
    history::Part,
    lives::LiveEvent,
    notices::Notice,
};

/// Replies of an interrupted run that are offered one by one; the others are among what was opened lately.
const OFFERS: usize = 3;

impl App {
    pub(super) fn take_results(&mut self, ctx: &Context, now: Instant) {
        let news = self.state.traces.advance();
        for path in &news.opened {
            if !self.state.traces.at(path).is_some_and(|t| t.is_demo) {
                self.state.recent.note_trace(path);
            }
            self.follow_opened();
        }
        for told in news.failed {
            self.notify(Notice::failed(told), now);
        }
        for id in news.renewed {
            if let Some(trace) = self.state.traces.get(id) {
                self.state.answers.renew_trace(trace);
                self.state.lives.forget_labels_of(id);
            }
        }
        self.state.answers.advance(&self.state.traces, ctx);
        let is_shown = self.layout.is_in_front("capture");
        let shown = is_shown.then_some((&self.state.choices.capture, self.state.device_choice));
        for event in self.state.captures.advance(shown, ctx, now) {
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
                    self.forget_compared_lines();
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
                LiveEvent::Closed { line, prompt, kept } => {
                    self.take_closed(line, &prompt, kept, now);
                }
                LiveEvent::Sent(message) => {
                    // No step: undo would put back what was sent.
                    let next = &mut self.state.choices.live.next_message;
                    if *next == message {
                        next.clear();
                        self.history.amend(|part| {
                            if let Part::Live(choice) = part {
                                choice.next_message.clear();
                            }
                        });
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

    /// Lets go of what was chosen of a line that is gone, and offers its trace.
    fn take_closed(&mut self, line: BranchId, prompt: &str, kept: Option<PathBuf>, now: Instant) {
        let choices = &mut self.state.choices;
        for side in &mut choices.compare.lines {
            if *side == Some(line) {
                *side = None;
            }
        }
        // Its prompt is no line's now, so that it would stay as if somebody had typed it.
        if choices.live.prompt == prompt
            && let Some(shown) = self.state.lives.branch()
        {
            choices.live.prompt.clone_from(&shown.info.prompt);
        }
        let number = line.0 + 1;
        let told = match &kept {
            Some(path) => format!(
                "Closed line {number}; it is a trace now: {}",
                path.display()
            ),
            None if self.state.lives.keeps_closed() => {
                format!("Closed line {number}; it had been kept as a trace before")
            }
            None => format!("Closed line {number}; nothing is kept in this run by itself"),
        };
        if let Some(path) = &kept {
            self.state.recent.note_trace(path);
        }
        let notice = Notice {
            opens: kept,
            ..Notice::done(told)
        };
        self.notify(notice, now);
    }

    /// Each session numbers its own lines, so that those of the last one would be taken for others.
    fn forget_compared_lines(&mut self) {
        self.state.choices.compare.lines = [None; 2];
        self.history.amend(|part| {
            if let Part::Compare(choice) = part {
                choice.lines = [None; 2];
            }
        });
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
            CaptureEvent::Copied(line) => self.apply(Command::Copy(line), ctx, now),
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
                self.forget_captured(&captured.path);
                self.state.traces.open(captured.path, ctx);
                self.layout.show("disciplines");
            }
            CaptureEvent::Ended(CaptureEnd::Stopped { path, told }) => {
                // What was recorded is kept, and the next start goes on with it.
                self.change_captures_into(&path, |choice| choice.resumes = true);
                self.notify(Notice::done(told), now);
            }
            CaptureEvent::Ended(CaptureEnd::Broken { path, told }) => {
                self.change_captures_into(&path, |choice| choice.resumes = true);
                self.notify(Notice::failed(told), now);
            }
            CaptureEvent::Ended(CaptureEnd::NotBegun) => {
                let told = "The capture was stopped before it had begun";
                self.notify(Notice::done(told), now);
            }
            CaptureEvent::Failed(told) => self.notify(Notice::failed(told), now),
        }
    }

    /// Stops the capture that runs, in good order; the next start offers to continue what is on the disk of it.
    pub(super) fn close_capture(&mut self) {
        match self.state.captures.close() {
            None
            | Some(
                CaptureEvent::Planned { .. }
                | CaptureEvent::Copied(_)
                | CaptureEvent::Ended(CaptureEnd::NotBegun),
            ) => {}
            Some(CaptureEvent::Ended(CaptureEnd::Complete(captured))) => {
                self.state.recent.note_trace(&captured.path);
                self.forget_captured(&captured.path);
            }
            Some(CaptureEvent::Ended(CaptureEnd::Stopped { path, .. })) => {
                self.change_captures_into(&path, |choice| choice.resumes = true);
            }
            Some(CaptureEvent::Ended(CaptureEnd::Broken { path, told })) => {
                self.change_captures_into(&path, |choice| choice.resumes = true);
                self.report_capture(told);
            }
            // There is nothing of it that could be continued, or it was to be continued already.
            Some(CaptureEvent::Failed(told)) => self.report_capture(told),
        }
    }

    /// Says at the end of the program how its capture failed.
    fn report_capture(&self, told: String) {
        self.report
            .borrow_mut()
            .get_or_insert(AppError::Capture(told));
    }

    /// The next capture has a trace of its own.
    fn forget_captured(&mut self, captured: &Path) {
        let next = captures::suggested_out(&self.state.choices.capture.model);
        self.change_captures_into(captured, |choice| {
            choice.resumes = false;
            choice.out.clone_from(&next);
        });
    }

    /// Changes the choice of a capture into a folder, also as undo knows it: what a capture leaves there is no step.
    fn change_captures_into(&mut self, out: &Path, change: impl Fn(&mut CaptureChoice)) {
        let chosen = &mut self.state.choices.capture;
        if chosen.out == out {
            change(chosen);
            self.state.captures.rest_on(chosen);
        }
        self.history.amend(|part| {
            if let Part::Capture(choice) = part
                && choice.out == out
            {
                change(choice);
            }
        });
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
