//! Traces and metrics on one command line: what is a folder with a manifest is a trace.

use std::path::{Path, PathBuf};

use moescope_pipeline::{NamedTrace, name_traces, name_traces_and_doubles};

/// Tells traces from names of metrics.
///
/// The first argument is a trace. So is a folder with a `manifest.json`, and what looks like a path, so that opening it
/// says what is wrong.
pub(crate) fn split(
    first: &str,
    rest: &[String],
) -> anyhow::Result<(Vec<NamedTrace>, Vec<String>)> {
    let (paths, metrics) = paths(first, rest);
    Ok((name_traces(&paths)?, metrics))
}

/// As [`split`], where a trace may be given again to compare one part of it with another.
pub(crate) fn split_with_doubles(
    first: &str,
    rest: &[String],
) -> anyhow::Result<(Vec<NamedTrace>, Vec<String>)> {
    let (paths, metrics) = paths(first, rest);
    Ok((name_traces_and_doubles(&paths)?, metrics))
}

fn paths(first: &str, rest: &[String]) -> (Vec<PathBuf>, Vec<String>) {
    let (others, metrics): (Vec<String>, Vec<String>) = rest
        .iter()
        .cloned()
        .partition(|argument| is_trace(argument));
    let mut paths = vec![PathBuf::from(first)];
    paths.extend(others.into_iter().map(PathBuf::from));
    (paths, metrics)
}

fn is_trace(argument: &str) -> bool {
    let path = Path::new(argument);
    argument.contains(['/', '\\', '.']) || path.join("manifest.json").is_file()
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
        let (traces, _) = split_with_doubles("./missing", &rest).unwrap();
        let names: Vec<&str> = traces.iter().map(|trace| trace.name.as_str()).collect();
        assert_eq!(names, ["missing", "missing (2)"]);
    }
}
