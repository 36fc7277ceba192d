//! Traces and metrics on one command line: what is a folder with a manifest is a trace.

use std::path::{Path, PathBuf};

use anyhow::bail;

/// A trace with its name in tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedTrace {
    /// The folder's own name, or the path as given where two folders have one name.
    pub(crate) name: String,
    /// The folder.
    pub(crate) path: PathBuf,
}

/// Tells traces from names of metrics.
///
/// The first argument is a trace. So is a folder with a `manifest.json`, and what looks like a path, so that opening it
/// says what is wrong.
pub(crate) fn split(
    first: &str,
    rest: &[String],
) -> anyhow::Result<(Vec<NamedTrace>, Vec<String>)> {
    let (others, metrics): (Vec<String>, Vec<String>) = rest
        .iter()
        .cloned()
        .partition(|argument| is_trace(argument));
    let mut paths = vec![first.to_owned()];
    paths.extend(others);
    Ok((named(&paths)?, metrics))
}

fn is_trace(argument: &str) -> bool {
    let path = Path::new(argument);
    argument.contains(['/', '\\', '.']) || path.join("manifest.json").is_file()
}

/// Names for traces.
fn named(paths: &[String]) -> anyhow::Result<Vec<NamedTrace>> {
    let own = |path: &String| {
        let name = Path::new(path).file_name();
        name.map_or_else(|| path.clone(), |name| name.to_string_lossy().into_owned())
    };
    let names: Vec<String> = paths.iter().map(own).collect();
    let is_shared = |name: &String| names.iter().filter(|other| *other == name).count() > 1;
    let mut found: Vec<NamedTrace> = Vec::new();
    for (path, name) in paths.iter().zip(&names) {
        let name = if is_shared(name) { path } else { name };
        if found.iter().any(|known| known.name == *name) {
            bail!("the trace is given twice: {path}");
        }
        found.push(NamedTrace {
            name: name.clone(),
            path: PathBuf::from(path),
        });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_with_a_manifest_and_paths_are_traces() {
        let rest = ["assignment_share".to_owned(), "./missing".to_owned()];
        let (traces, metrics) = split("first", &rest).unwrap();
        assert_eq!(metrics, ["assignment_share"]);
        let names: Vec<&str> = traces.iter().map(|trace| trace.name.as_str()).collect();
        assert_eq!(names, ["first", "missing"]);
        assert!(split("./missing", &rest).is_err());
    }

    #[test]
    fn folders_of_one_name_keep_their_paths() {
        let names = |paths: &[&str]| -> Vec<String> {
            let paths: Vec<String> = paths.iter().map(|p| (*p).to_owned()).collect();
            let found = named(&paths).unwrap();
            found.into_iter().map(|trace| trace.name).collect()
        };
        assert_eq!(names(&["runs/a", "runs/b/"]), ["a", "b"]);
        assert_eq!(
            names(&["one/trace", "two/trace", "c"]),
            ["one/trace", "two/trace", "c"]
        );
    }
}
