//! Where files are kept that can be made again.

use std::path::PathBuf;

/// `$XDG_CACHE_HOME/moescope`, `~/.cache/moescope`, or their kin on Windows.
pub(crate) fn cache_folder() -> Option<PathBuf> {
    let absolute = |name: &str| {
        let path = PathBuf::from(std::env::var_os(name)?);
        path.is_absolute().then_some(path)
    };
    let base = absolute("XDG_CACHE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
        .or_else(|| absolute("LOCALAPPDATA"))?;
    Some(base.join("moescope"))
}
