//! Two lines side by side, and what differs.

use std::{sync::Arc, time::Instant};

use moescope_core::Measurement;
use moescope_pipeline::{
    PipelineError,
    session::{BranchId, LiveScope, picture, picture_difference},
};
use serde::{Deserialize, Serialize};

use super::{BETWEEN_PICTURES, Lives};
use crate::{answers::Measured, choices::CompareChoice};

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
    part: LinePart,
    /// Tokens of each when it was made, and when that was.
    tokens: [usize; 2],
    made_at: Instant,
}

impl Lives {
    /// Measures the two lines that are chosen; anew when they have other tokens, and not too often.
    pub(crate) fn compare_lines(&mut self, choice: &CompareChoice, ctx: &egui::Context) {
        self.is_comparison_late = false;
        let chosen = choice.lines.map(|line| {
            let transcript = self.transcript.as_ref()?;
            transcript.branch(line?)
        });
        let [Some(first), Some(second)] = chosen else {
            self.compared = None;
            return;
        };
        let branches = [first, second];
        let lines = branches.map(|branch| branch.info.id);
        let tokens = branches.map(|branch| branch.columns.len());
        let part = choice.part;
        if let Some(known) = &self.compared
            && (known.lines, known.part) == (lines, part)
        {
            if known.tokens == tokens {
                return;
            }
            let left = BETWEEN_PICTURES.saturating_sub(known.made_at.elapsed());
            if !left.is_zero() {
                self.is_comparison_late = true;
                ctx.request_repaint_after(left);
                return;
            }
        }
        let columns = branches.map(|branch| &branch.columns);
        let scope = part.scope();
        self.compared = Some(ComparedLines {
            lines,
            sides: columns.map(|columns| shown(picture(columns, &scope, None))),
            difference: shown(picture_difference(columns, &scope)),
            part,
            tokens,
            made_at: Instant::now(),
        });
    }
}

fn shown(made: Result<Measurement, PipelineError>) -> Result<Measured, String> {
    made.map(|measurement| Arc::new(vec![measurement]))
        .map_err(|error| error.to_string())
}
