//! What views ask of a generation.

use std::path::PathBuf;

use moescope_pipeline::session::{BranchId, Given};

use crate::choices::Cell;

/// A change of a generation that someone asks for. Prompt, sampling and interventions are what is chosen then.
#[derive(Clone, Debug, PartialEq)]
pub enum LiveCommand {
    /// Reads the prompt and draws tokens.
    Start,
    /// Draws one token.
    Step,
    /// Pauses, or goes on.
    Toggle,
    /// Ends the reply.
    Stop,
    /// Draws on as is chosen now.
    Sample,
    /// Routes on as is chosen now.
    Intervene,
    /// A branch from a token on.
    Fork {
        /// Tokens that it keeps.
        keep: usize,
    },
    /// A branch with other words from a token on.
    Give {
        /// Tokens that it keeps.
        keep: usize,
        /// What comes after them.
        given: Given,
    },
    /// The next message of the conversation, as it is typed now, and the reply to it.
    Reply,
    /// A branch with the prompt as it is typed now.
    Edit,
    /// The same prompt and seed again, under the interventions that are chosen now.
    Regenerate,
    /// Writes the branch that is shown as a trace.
    Save(PathBuf),
    /// Frees a branch; where nobody has kept it, it is written as a trace before.
    Close(BranchId),
    /// Shows a branch.
    ChooseBranch(BranchId),
    /// Shows a branch beside it, or none.
    ChooseBeside(Option<BranchId>),
    /// Looks at a token, or at whichever is the last.
    ChooseToken(Option<usize>),
    /// Measures the interventions that are chosen now on the text that is shown, or on the one before it that no
    /// intervention wrote.
    MeasureEffect,
    /// Reads the labels of the trace that is shown once more, after that failed.
    ReadLabels,
    /// Measures what an expert is worth on the texts that are chosen for captures.
    Ablate(Cell),
}
