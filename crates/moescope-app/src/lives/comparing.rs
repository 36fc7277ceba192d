//! Two lines side by side, and what differs.

use std::{sync::Arc, time::Instant};

use moescope_core::Measurement;
use moescope_pipeline::{
    PipelineError,
    session::{BranchId, LiveScope, PictureSource, picture_difference},
};
use serde::{Deserialize, Serialize};

use super::{BETWEEN_PICTURES, Lives};
use crate::{answers::Measured, choices::CompareChoice, job::Job};

/// Which tokens of two lines are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinePart {
    /// The prompt and the reply as far as it goes.
    #[default]
    Text,
    /// The prompt.
    Prompt,
    /// The reply.
    Reply,
}

impl LinePart {
    /// All of them, in order.
    pub const ALL: [Self; 3] = [Self::Text, Self::Prompt, Self::Reply];

    /// Its name on the screen.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Text => "Prompt and reply",
            Self::Prompt => "Prompt",
            Self::Reply => "Reply",
        }
    }

    fn scope(self) -> LiveScope {
        match self {
            Self::Text => LiveScope::Text,
            Self::Prompt => LiveScope::Prompt,
            Self::Reply => LiveScope::Reply,
        }
    }
}

/// Two lines of a session and what differs, as they were a moment ago.
#[derive(Clone, Debug)]
pub struct ComparedLines {
    /// Which lines.
    pub lines: [BranchId; 2],
    /// Layers × experts of each, or why there are none.
    pub sides: [Result<Measured, String>; 2],
    /// The first minus the second, or why there is none.
    pub difference: Result<Measured, String>,
}

/// What a comparison was made of.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ComparedKey {
    lines: [BranchId; 2],
    part: LinePart,
    /// Tokens of each line.
    tokens: [usize; 2],
}

impl Lives {
    /// Has the two lines measured that are chosen, on another thread; anew when they have other tokens, and not too often.
    /// The last comparison stays until the next is there.
    pub(crate) fn compare_lines(&mut self, choice: &CompareChoice, ctx: &egui::Context) {
        self.comparing.poll();
        self.is_comparison_late = false;
        let chosen = choice.lines.map(|line| {
            let transcript = self.transcript.as_ref()?;
            transcript.branch(line?)
        });
        let [Some(first), Some(second)] = chosen else {
            self.forget_comparison();
            return;
        };
        let branches = [first, second];
        let key = ComparedKey {
            lines: branches.map(|branch| branch.info.id),
            part: choice.part,
            tokens: branches.map(|branch| branch.columns.len()),
        };
        if let Some((known, at)) = &self.compared_key {
            if *known == key {
                return;
            }
            let is_same_kind = (known.lines, known.part) == (key.lines, key.part);
            let left = BETWEEN_PICTURES.saturating_sub(at.elapsed());
            if is_same_kind && !left.is_zero() {
                self.is_comparison_late = true;
                ctx.request_repaint_after(left);
                return;
            }
            // The thread asks for a frame when this one is there, and then it is the next one's turn.
            if is_same_kind && self.comparing.is_running() {
                return;
            }
        }
        let sources = branches.map(|branch| PictureSource::new(&branch.columns, key.part.scope()));
        let lines = key.lines;
        self.compared_key = Some((key, Instant::now()));
        self.comparing.start("comparing the lines", ctx, move |_| {
            Ok(ComparedLines {
                lines,
                sides: sources.each_ref().map(|side| shown(side.picture(None))),
                difference: shown(picture_difference(sources.each_ref())),
            })
        });
    }

    /// The two lines that are chosen to be compared, once they have been measured.
    #[must_use]
    pub fn compared(&self) -> Option<&ComparedLines> {
        self.comparing.value()
    }

    /// Drops the comparison, and waits for none that is being made.
    pub(super) fn forget_comparison(&mut self) {
        self.compared_key = None;
        self.comparing = Job::Idle;
    }
}

fn shown(made: Result<Measurement, PipelineError>) -> Result<Measured, String> {
    made.map(|measurement| Arc::new(vec![measurement]))
        .map_err(|error| error.to_string())
}
