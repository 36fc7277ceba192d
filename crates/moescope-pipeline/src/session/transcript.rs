//! A session as its listener sees it: every branch with its tokens, put together from events.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use moescope_core::ModelSpec;

use super::{BranchId, BranchInfo, BranchState, LiveColumns, SessionEvent};

/// Branches as told by events.
#[derive(Clone, Debug, PartialEq)]
pub struct Transcript {
    empty: LiveColumns,
    branches: BTreeMap<BranchId, Branch>,
    closed: BTreeMap<BranchId, ClosedBranch>,
}

/// One branch.
#[derive(Clone, Debug, PartialEq)]
pub struct Branch {
    /// How it came about.
    pub info: BranchInfo,
    /// Its tokens and their routing.
    pub columns: LiveColumns,
    /// The reply's text.
    pub reply: String,
    /// What it is doing.
    pub state: BranchState,
    /// Drawn tokens and the seconds that they took, since it was made.
    pub pace: (usize, f64),
    /// Where it was last kept as a trace, and how many of its tokens are there.
    pub kept: Option<(PathBuf, usize)>,
}

/// What is still known of a branch that was closed: a few words, for those that were made of it.
#[derive(Clone, Debug, PartialEq)]
pub struct ClosedBranch {
    /// How it came about.
    pub info: BranchInfo,
    /// How many of its tokens were its prompt.
    pub num_prompt_tokens: usize,
}

impl Branch {
    /// Drawn tokens a second; `None` before the first.
    #[must_use]
    pub fn tokens_per_sec(&self) -> Option<f64> {
        let (tokens, secs) = self.pace;
        #[expect(
            clippy::cast_precision_loss,
            reason = "a rate is shown with a few digits"
        )]
        let tokens = tokens as f64;
        (tokens > 0.0 && secs > 0.0).then(|| tokens / secs)
    }

    /// The trace that holds every token that it has now, if it was kept as one and did not grow since.
    #[must_use]
    pub fn kept_whole(&self) -> Option<&Path> {
        let (path, tokens) = self.kept.as_ref()?;
        (*tokens == self.columns.len()).then_some(path.as_path())
    }
}

impl Transcript {
    /// No branch yet.
    #[must_use]
    pub fn new(spec: &ModelSpec) -> Self {
        Self {
            empty: LiveColumns::new(
                spec.moe_layers.clone(),
                usize::from(spec.num_experts),
                usize::from(spec.top_k),
            ),
            branches: BTreeMap::new(),
            closed: BTreeMap::new(),
        }
    }

    /// Takes note of an event; those that concern no branch change nothing.
    pub fn apply(&mut self, event: &SessionEvent) {
        match event {
            SessionEvent::Opened {
                info,
                copied,
                reply,
            } => self.open(info, *copied, reply),
            SessionEvent::Tokens {
                branch,
                columns,
                text,
                secs,
            } => {
                if let Some(branch) = self.branches.get_mut(branch) {
                    branch.columns.append(columns);
                    branch.reply.push_str(text);
                    // What a fork tells again was drawn before.
                    if columns.num_prompt_tokens() == 0 && *secs > 0.0 {
                        branch.pace.0 += columns.len();
                        branch.pace.1 += secs;
                    }
                }
            }
            SessionEvent::State { branch, state } => {
                if let Some(branch) = self.branches.get_mut(branch) {
                    branch.state = *state;
                }
            }
            SessionEvent::Changed(info) => {
                if let Some(branch) = self.branches.get_mut(&info.id) {
                    branch.info = info.clone();
                }
            }
            SessionEvent::Closed { branch, .. } => self.close(*branch),
            SessionEvent::Saved { branch, path } => {
                if let Some(branch) = self.branches.get_mut(branch) {
                    branch.kept = Some((path.clone(), branch.columns.len()));
                }
            }
            SessionEvent::Unsafe { .. } | SessionEvent::Failed { .. } => {}
        }
    }

    /// A branch.
    #[must_use]
    pub fn branch(&self, id: BranchId) -> Option<&Branch> {
        self.branches.get(&id)
    }

    /// A branch that was closed.
    #[must_use]
    pub fn closed(&self, id: BranchId) -> Option<&ClosedBranch> {
        self.closed.get(&id)
    }

    /// How a branch came about and how many tokens its prompt has, be it closed or not.
    #[must_use]
    pub fn origin(&self, id: BranchId) -> Option<(&BranchInfo, usize)> {
        let open = self.branches.get(&id);
        let open = open.map(|branch| (&branch.info, branch.columns.num_prompt_tokens()));
        let closed = || self.closed.get(&id);
        open.or_else(|| closed().map(|branch| (&branch.info, branch.num_prompt_tokens)))
    }

    /// All branches that are not closed, the oldest first.
    #[must_use]
    pub fn branches(&self) -> impl DoubleEndedIterator<Item = &Branch> {
        self.branches.values()
    }

    fn close(&mut self, id: BranchId) {
        if let Some(branch) = self.branches.remove(&id) {
            let closed = ClosedBranch {
                num_prompt_tokens: branch.columns.num_prompt_tokens(),
                info: branch.info,
            };
            self.closed.insert(id, closed);
        }
    }

    fn open(&mut self, info: &BranchInfo, copied: usize, reply: &str) {
        let parent = info
            .parent
            .and_then(|(parent, _)| self.branches.get(&parent));
        let columns = parent.filter(|_| copied > 0).map_or_else(
            || self.empty.clone(),
            |parent| {
                let mut columns = parent.columns.clone();
                columns.truncate(copied);
                columns
            },
        );
        self.branches.insert(
            info.id,
            Branch {
                info: info.clone(),
                columns,
                reply: reply.to_owned(),
                state: BranchState::Paused,
                pace: (0, 0.0),
                kept: None,
            },
        );
    }
}
