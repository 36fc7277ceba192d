//! Where replies are kept that nobody saved.

use std::path::{Path, PathBuf};

/// Where replies are kept that nobody saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Keeping {
    /// As traces, when a session ends, or when the app starts after a crash.
    pub(crate) traces: PathBuf,
    /// As journals, while they grow.
    pub(crate) unfinished: PathBuf,
}

impl Keeping {
    /// Traces beside the user's other traces, journals in the folder for the state of programs:
    /// `$XDG_STATE_HOME/moescope/unfinished`, `~/.local/state/moescope/unfinished`, or their kin on Windows.
    pub(crate) fn usual() -> Self {
        let absolute = |name: &str| {
            let path = PathBuf::from(std::env::var_os(name)?);
            path.is_absolute().then_some(path)
        };
        let base = absolute("XDG_STATE_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".local").join("state")))
            .or_else(|| absolute("LOCALAPPDATA"))
            .unwrap_or_else(std::env::temp_dir);
        Self {
            traces: crate::captures::suggested_out("live"),
            unfinished: base.join("moescope").join("unfinished"),
        }
    }

    /// Both beside a file of settings.
    pub(crate) fn beside(settings: &Path) -> Self {
        Self {
            traces: settings.with_file_name("replies"),
            unfinished: settings.with_file_name("unfinished"),
        }
    }
}
