//! Paths of a specification: relative to it, and for what it writes never outside its folder.

use std::path::{Component, Path, PathBuf};

use crate::error::PipelineError;

/// The path without `.`, if it is relative and does not leave its folder.
///
/// # Errors
/// When it is absolute, goes up, or is empty.
pub(super) fn inside(path: &Path) -> Result<PathBuf, PipelineError> {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(part) => plain.push(part),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                plain.clear();
                break;
            }
        }
    }
    if plain.as_os_str().is_empty() {
        return Err(PipelineError::Settings(format!(
            "a specification writes figures below the folder it is in (or the folder of --out), by relative names; \
             found {}",
            path.display()
        )));
    }
    Ok(plain)
}

/// A path as seen from a folder; both must be reachable, the last part of `path` need not exist.
///
/// # Errors
/// When a folder does not exist.
pub(super) fn relative_to(folder: &Path, path: &Path) -> Result<PathBuf, PipelineError> {
    let folder = resolved(folder)?;
    let path = if let Ok(path) = path.canonicalize() {
        path
    } else {
        let parent = path.parent().filter(|p| !p.as_os_str().is_empty());
        let parent = resolved(parent.unwrap_or(Path::new(".")))?;
        parent.join(path.file_name().unwrap_or_default())
    };
    let shared = folder
        .components()
        .zip(path.components())
        .take_while(|(a, b)| a == b)
        .count();
    let up = folder
        .components()
        .skip(shared)
        .map(|_| Component::ParentDir);
    Ok(up.chain(path.components().skip(shared)).collect())
}

fn resolved(folder: &Path) -> Result<PathBuf, PipelineError> {
    folder
        .canonicalize()
        .map_err(|source| PipelineError::io("find the folder", folder, source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_seen_from_a_folder() {
        let root = tempfile::tempdir().unwrap();
        let (specs, traces) = (root.path().join("specs"), root.path().join("traces"));
        std::fs::create_dir_all(&specs).unwrap();
        std::fs::create_dir_all(traces.join("demo")).unwrap();
        let from_specs = |path: &Path| relative_to(&specs, path).unwrap();
        assert_eq!(
            from_specs(&traces.join("demo")),
            Path::new("../traces/demo")
        );
        assert_eq!(from_specs(&specs.join("new.svg")), Path::new("new.svg"));
        assert!(relative_to(&specs, &root.path().join("no/such.svg")).is_err());
    }

    #[test]
    fn only_names_below_a_folder_are_inside() {
        assert_eq!(
            inside(Path::new("./a/b.svg")).unwrap(),
            Path::new("a/b.svg")
        );
        for path in ["/a.svg", "../a.svg", "a/../../b.svg", "a/../b.svg", ""] {
            assert!(inside(Path::new(path)).is_err(), "{path}");
        }
    }
}
