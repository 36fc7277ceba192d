//! What a session tells, and what the app is told of it.

use std::path::PathBuf;

use moescope_pipeline::session::{BranchId, Recovery, Session, SessionCommand, SessionEvent};

use super::Lives;

/// Events that are taken in one frame; more wait for the next.
const EVENTS_PER_FRAME: usize = 256;

/// Something that happened to a generation.
#[derive(Clone, Debug)]
pub(crate) enum LiveEvent {
    /// A model is on its device.
    Loaded { device: String },
    /// Another model's lines were taken away; those that nobody saved are written into a folder, if there is one.
    Replaced {
        model: String,
        lines: usize,
        kept_in: Option<PathBuf>,
    },
    /// Something could not be done.
    Failed(String),
    /// A branch was written.
    Saved(PathBuf),
    /// A line is gone, with the prompt that it had; where it was written because nobody had kept it, its trace.
    Closed {
        line: BranchId,
        prompt: String,
        kept: Option<PathBuf>,
    },
    /// A message is part of a conversation now.
    Sent(String),
    /// What an interrupted run had left is traces now.
    Recovered(Recovery),
}

impl Lives {
    /// Takes what the session has told since the last frame.
    pub(super) fn hear(&mut self, ctx: &egui::Context, events: &mut Vec<LiveEvent>) {
        for taken in 0..=EVENTS_PER_FRAME {
            let Some(event) = self.session.as_ref().and_then(Session::next_event) else {
                return;
            };
            if taken == EVENTS_PER_FRAME {
                ctx.request_repaint();
            }
            events.extend(self.take(event));
        }
    }

    /// Takes note of what a session told.
    pub(crate) fn take(&mut self, event: SessionEvent) -> Option<LiveEvent> {
        if let Some(transcript) = &mut self.transcript {
            transcript.apply(&event);
        }
        match event {
            SessionEvent::Opened { info, .. } => {
                self.shown = Some(info.id);
                self.token = None;
                if let Some(tokens) = self.run_when_opened.take() {
                    self.run(info.id, Some(tokens));
                }
                let is_answer = info.messages.len() > 1;
                is_answer.then_some(LiveEvent::Sent(info.prompt))
            }
            SessionEvent::Saved { path, .. } => Some(LiveEvent::Saved(path)),
            SessionEvent::Closed { branch, kept } => Some(self.take_closed(branch, kept)),
            SessionEvent::Unsafe { branch, error } => {
                let what = branch.map_or_else(
                    || "what is generated".to_owned(),
                    |branch| format!("the rest of line {}", branch.0 + 1),
                );
                Some(LiveEvent::Failed(format!(
                    "{what} will not survive a crash until it is kept as a trace: {error}"
                )))
            }
            SessionEvent::Failed { command, error } => {
                self.run_when_opened = None;
                // It does not say which line stays, so each may be closed again.
                if command == SessionCommand::Close(BranchId(0)).verb() {
                    self.closing.clear();
                }
                Some(LiveEvent::Failed(format!("cannot {command}: {error}")))
            }
            SessionEvent::Tokens { .. } | SessionEvent::State { .. } | SessionEvent::Changed(_) => {
                None
            }
        }
    }
}
