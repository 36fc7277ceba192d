//! What a session is told, and what it tells.

use std::{fmt, path::PathBuf};

use moescope_engine::{ChatMessage, Intervention, SamplingConfig};

use super::LiveColumns;
use crate::{FinishReason, PromptConfig};

/// A line of tokens in a session; numbered from 0 as they are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BranchId(pub u32);

impl fmt::Display for BranchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A first prompt.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StartConfig {
    /// The text to continue, or the user's message.
    pub prompt: String,
    /// How it becomes what the model reads.
    pub framing: PromptConfig,
    /// How tokens are drawn.
    pub sampling: SamplingConfig,
    /// Texts that end a reply.
    pub stop: Vec<String>,
    /// Changes to routing, in force from the first token on.
    pub interventions: Vec<Intervention>,
}

/// Words that are put into a sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Given {
    /// A text.
    Text(String),
    /// One entry of the vocabulary.
    Token(u32),
}

/// What a session is told. Each is done between two tokens; what makes a new branch pauses the one that grows.
#[derive(Clone, Debug, PartialEq)]
pub enum SessionCommand {
    /// Reads a prompt: a new branch.
    Start(StartConfig),
    /// Draws up to so many tokens, or, with `None`, as many as come before the reply's end or fit the context. A reply
    /// that has ended goes on, but for one that a stop text has ended.
    Run {
        /// Which branch grows.
        branch: BranchId,
        /// How many tokens at most.
        tokens: Option<usize>,
    },
    /// Interrupts what grows; [`Self::Run`] goes on.
    Pause,
    /// Ends the reply that grows, or that was paused.
    Stop(BranchId),
    /// Copies a branch up to a token, as it was then: the same sampler, the same interventions. The last token that is
    /// kept is told again, with the tokens that may come after it, which are not known within a prompt.
    Fork {
        /// What is copied.
        branch: BranchId,
        /// How many of its tokens; at least 1.
        keep: usize,
    },
    /// Copies a branch up to a token and puts words after it, all of which is then a prompt.
    Give {
        /// What is copied.
        branch: BranchId,
        /// How many of its tokens; at least 1.
        keep: usize,
        /// What comes after them.
        given: Given,
    },
    /// Goes on with a conversation: its messages, the branch's reply as it stands, and a new message become the prompt of a
    /// new branch. Tokens that both begin with are not computed again; where the template writes the reply otherwise than
    /// it was drawn, the rest is.
    Reply {
        /// Whose reply it answers.
        branch: BranchId,
        /// The user's message.
        message: String,
    },
    /// Reads another prompt, framed and drawn as a branch's: a new branch. In a conversation it takes the place of the last
    /// message. Tokens that both begin with are not computed again.
    Edit {
        /// Whose prompt it is.
        branch: BranchId,
        /// The new prompt.
        prompt: String,
    },
    /// Reads a branch's prompt again under other interventions and draws as many tokens from the same seed.
    Regenerate {
        /// Whose prompt it is.
        branch: BranchId,
        /// All changes to routing that are in force then.
        interventions: Vec<Intervention>,
    },
    /// Changes what is done to the routing of the tokens to come.
    Intervene {
        /// Where.
        branch: BranchId,
        /// All changes to routing that are in force then.
        interventions: Vec<Intervention>,
    },
    /// Changes how the tokens to come are drawn.
    Sample {
        /// Where.
        branch: BranchId,
        /// How.
        sampling: SamplingConfig,
    },
    /// Writes a branch as a trace into a new folder.
    Save {
        /// Which branch.
        branch: BranchId,
        /// The folder.
        path: PathBuf,
    },
    /// Frees a branch with its keys and values. One that nobody saved is written as a trace first, where a session keeps
    /// those; branches that were made of it stay as they are.
    Close(BranchId),
}

/// How a branch came about, and what is in force in it.
#[derive(Clone, Debug, PartialEq)]
pub struct BranchInfo {
    /// Its number.
    pub id: BranchId,
    /// The branch that it was made from, and how many of its first tokens it has.
    pub parent: Option<(BranchId, usize)>,
    /// Its prompt as text; in a conversation the last message.
    pub prompt: String,
    /// The messages that the reply follows, without the system's: the user's first and last, the model's between them.
    /// Empty where the prompt is no conversation, or was changed within.
    pub messages: Vec<ChatMessage>,
    /// Whether the prompt is a message in a conversation.
    pub is_chat: bool,
    /// The instructions before the conversation.
    pub system: Option<String>,
    /// Whether nothing was changed within: `moescope generate` with this prompt, sampling and interventions draws the same.
    pub is_plain: bool,
    /// How tokens are drawn.
    pub sampling: SamplingConfig,
    /// Interventions as the command line writes them, with the first token of each stretch computed under the same ones.
    pub interventions: Vec<(usize, Vec<String>)>,
}

/// What a branch is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BranchState {
    /// It waits.
    Paused,
    /// It draws tokens.
    Running,
    /// Its reply has ended.
    Finished(FinishReason),
}

/// What a session tells.
#[derive(Clone, Debug, PartialEq)]
pub enum SessionEvent {
    /// There is a new branch.
    Opened {
        /// How it came about.
        info: BranchInfo,
        /// Tokens that it has in common with its parent, routing included; they are not told again.
        copied: usize,
        /// The reply's text in them.
        reply: String,
    },
    /// A branch has further tokens.
    Tokens {
        /// Which.
        branch: BranchId,
        /// They and their routing.
        columns: LiveColumns,
        /// What can be added to the reply's text: whole characters, nothing of a stop text.
        text: String,
        /// Seconds that they took.
        secs: f64,
    },
    /// A branch does something else.
    State {
        /// Which.
        branch: BranchId,
        /// What.
        state: BranchState,
    },
    /// Sampling or interventions of a branch were changed.
    Changed(BranchInfo),
    /// A branch was written as a trace.
    Saved {
        /// Which.
        branch: BranchId,
        /// Where.
        path: PathBuf,
    },
    /// A branch is gone, with its keys and values.
    Closed {
        /// Which.
        branch: BranchId,
        /// Its trace, where it was written because nobody had saved it.
        kept: Option<PathBuf>,
    },
    /// A crash would lose what a branch draws from here on, until it is saved.
    Unsafe {
        /// Which; `None` for all that there are and will be.
        branch: Option<BranchId>,
        /// Why.
        error: String,
    },
    /// A command could not be done; everything is as it was before.
    Failed {
        /// What was asked for.
        command: &'static str,
        /// Why not.
        error: String,
    },
}

impl SessionCommand {
    /// What the command does, for messages.
    #[must_use]
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Start(_) => "read the prompt",
            Self::Run { .. } => "generate",
            Self::Pause => "pause",
            Self::Stop(_) => "stop",
            Self::Fork { .. } => "branch",
            Self::Give { .. } => "put in other words",
            Self::Reply { .. } => "send the message",
            Self::Edit { .. } => "edit the prompt",
            Self::Regenerate { .. } => "generate again",
            Self::Intervene { .. } => "change the routing",
            Self::Sample { .. } => "change the sampling",
            Self::Save { .. } => "save the branch",
            Self::Close(_) => "close the branch",
        }
    }
}
