//! Short messages at the edge of the window.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use moescope_pipeline::session::RecoveredBranch;

/// How long a message stays that needs nothing done.
const SHOWN_FOR: Duration = Duration::from_secs(6);
/// Of a prompt, so much is shown.
const SHOWN_CHARS: usize = 60;

/// A message for the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What it says.
    pub text: String,
    /// How much it matters.
    pub kind: NoticeKind,
    /// A trace that it offers to open.
    pub opens: Option<PathBuf>,
}

/// How much a message matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoticeKind {
    /// Something was done.
    Done,
    /// Something is there that one may want; stays until it is dismissed, or opened.
    Found,
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
            opens: None,
        }
    }

    /// Something is there that one may want to open.
    #[must_use]
    pub fn found(text: impl Into<String>, opens: Option<PathBuf>) -> Self {
        Self {
            text: text.into(),
            kind: NoticeKind::Found,
            opens,
        }
    }

    /// A reply that an interrupted run had written.
    #[must_use]
    pub fn offer_of(branch: &RecoveredBranch) -> Self {
        let RecoveredBranch {
            path,
            prompt,
            drawn,
            lost_bytes,
        } = branch;
        let mut words: String = prompt.chars().take(SHOWN_CHARS).collect();
        if words.len() < prompt.len() {
            words.push('…');
        }
        let lost = match lost_bytes {
            0 => String::new(),
            bytes => format!("; the last {bytes} bytes of its journal were not whole"),
        };
        let told = format!(
            "moescope did not end in good order. The reply to “{words}”, {drawn} tokens, is a trace now: {}{lost}",
            path.display()
        );
        Self::found(told, Some(path.clone()))
    }

    /// Something failed.
    #[must_use]
    pub fn failed(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            kind: NoticeKind::Failed,
            opens: None,
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
            NoticeKind::Failed | NoticeKind::Found => None,
            NoticeKind::Done => Some(SHOWN_FOR.saturating_sub(now.duration_since(*at))),
        };
        self.shown
            .retain(|shown| left(shown) != Some(Duration::ZERO));
        self.shown.iter().filter_map(left).min()
    }

    /// Takes away what offered to open a trace.
    pub fn take_offer(&mut self, path: &Path) {
        self.shown
            .retain(|(notice, _)| notice.opens.as_deref() != Some(path));
    }

    /// Takes one away; the others stay.
    pub fn dismiss(&mut self, notice: &Notice) {
        self.shown.retain(|(shown, _)| shown != notice);
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

    #[test]
    fn a_message_is_dismissed_alone() {
        let start = Instant::now();
        let mut notices = Notices::default();
        for told in ["no such folder", "no such model"] {
            notices.push(Notice::failed(told), start);
        }
        notices.dismiss(&Notice::failed("no such folder"));
        let left: Vec<&str> = notices.iter().map(|n| n.text.as_str()).collect();
        assert_eq!(left, ["no such model"]);
    }

    #[test]
    fn what_was_found_is_offered_until_it_is_opened() {
        let start = Instant::now();
        let mut notices = Notices::default();
        let branch = |name: &str, lost_bytes| RecoveredBranch {
            path: PathBuf::from(name),
            prompt: "The π-bond ".repeat(9),
            drawn: 7,
            lost_bytes,
        };
        notices.push(Notice::offer_of(&branch("/a", 0)), start);
        notices.push(Notice::offer_of(&branch("/b", 12)), start);
        assert_eq!(notices.expire(start + 2 * SHOWN_FOR), None);
        notices.take_offer(Path::new("/a"));
        let left: Vec<&Notice> = notices.iter().collect();
        let [notice] = left[..] else {
            panic!("{left:?}");
        };
        assert_eq!(notice.opens.as_deref(), Some(Path::new("/b")));
        assert!(notice.text.contains("The π-bond The π-bond") && notice.text.contains('…'));
        assert!(notice.text.contains("7 tokens") && notice.text.contains("12 bytes"));
    }
}
