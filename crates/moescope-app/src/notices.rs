//! Short messages at the edge of the window.

use std::time::{Duration, Instant};

/// How long a message stays that needs nothing done.
const SHOWN_FOR: Duration = Duration::from_secs(6);

/// A message for the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What it says.
    pub text: String,
    /// How much it matters.
    pub kind: NoticeKind,
}

/// How much a message matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoticeKind {
    /// Something was done.
    Done,
    /// Something failed; stays until it is dismissed.
    Failed,
}

impl Notice {
    /// Something was done.
    #[must_use]
    pub fn done(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            kind: NoticeKind::Done,
        }
    }

    /// Something failed.
    #[must_use]
    pub fn failed(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            kind: NoticeKind::Failed,
        }
    }
}

/// The messages that are shown, oldest first.
#[derive(Debug, Default)]
pub struct Notices {
    shown: Vec<(Notice, Instant)>,
}

impl Notices {
    /// Shows a message.
    pub fn push(&mut self, notice: Notice, now: Instant) {
        self.shown.retain(|(known, _)| *known != notice);
        self.shown.push((notice, now));
    }

    /// Takes away what was there long enough; how long until the next goes.
    pub fn expire(&mut self, now: Instant) -> Option<Duration> {
        let left = |(notice, at): &(Notice, Instant)| match notice.kind {
            NoticeKind::Failed => None,
            NoticeKind::Done => Some(SHOWN_FOR.saturating_sub(now.duration_since(*at))),
        };
        self.shown
            .retain(|shown| left(shown) != Some(Duration::ZERO));
        self.shown.iter().filter_map(left).min()
    }

    /// Takes all away.
    pub fn dismiss(&mut self) {
        self.shown.clear();
    }

    /// The messages, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Notice> {
        self.shown.iter().map(|(notice, _)| notice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_stays_and_what_was_done_goes() {
        let start = Instant::now();
        let mut notices = Notices::default();
        notices.push(Notice::done("copied"), start);
        notices.push(Notice::failed("no such folder"), start);
        assert_eq!(notices.expire(start), Some(SHOWN_FOR));
        assert_eq!(notices.expire(start + SHOWN_FOR), None);
        let left: Vec<&str> = notices.iter().map(|n| n.text.as_str()).collect();
        assert_eq!(left, ["no such folder"]);
    }
}
