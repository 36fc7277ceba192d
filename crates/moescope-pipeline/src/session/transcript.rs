//! A session as its listener sees it: every branch with its tokens, put together from events.

use std::collections::BTreeMap;

use moescope_core::ModelSpec;

use super::{BranchId, BranchInfo, BranchState, LiveColumns, SessionEvent};

/// Branches as told by events.
#[derive(Clone, Debug, PartialEq)]
pub struct Transcript {
    empty: LiveColumns,
    branches: BTreeMap<BranchId, Branch>,
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
            SessionEvent::Saved { .. }
            | SessionEvent::Unsafe { .. }
            | SessionEvent::Failed { .. } => {}
        }
    }

    /// A branch.
    #[must_use]
    pub fn branch(&self, id: BranchId) -> Option<&Branch> {
        self.branches.get(&id)
    }

    /// All branches, the oldest first.
    #[must_use]
    pub fn branches(&self) -> impl DoubleEndedIterator<Item = &Branch> {
        self.branches.values()
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
            },
        );
    }
}
