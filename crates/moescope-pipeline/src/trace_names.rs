//! What traces are called where several are measured together.

use std::path::{Path, PathBuf};

use crate::error::PipelineError;

/// A trace with its name in tables and figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedTrace {
    /// The folder's own name, or the path as given where two folders have one name.
    pub name: String,
    /// The folder.
    pub path: PathBuf,
}

/// Names traces by their folders.
///
/// # Errors
/// When a trace is given twice.
pub fn name_traces(paths: &[PathBuf]) -> Result<Vec<NamedTrace>, PipelineError> {
    let given = |path: &Path| path.to_string_lossy().into_owned();
    let own = |path: &PathBuf| {
        let name = path.file_name();
        name.map_or_else(|| given(path), |name| name.to_string_lossy().into_owned())
    };
    let names: Vec<String> = paths.iter().map(own).collect();
    let is_shared = |name: &String| names.iter().filter(|other| *other == name).count() > 1;
    let mut found: Vec<NamedTrace> = Vec::new();
    for (path, name) in paths.iter().zip(&names) {
        let name = if is_shared(name) {
            given(path)
        } else {
            name.clone()
        };
        if found.iter().any(|known| known.name == name) {
            return Err(PipelineError::Settings(format!(
                "the trace is given twice: {}",
                path.display()
            )));
        }
        found.push(NamedTrace {
            name,
            path: path.clone(),
        });
    }
    Ok(found)
}

/// The place of the trace that the others are compared with, by its name or path; the last one where none is wanted.
///
/// # Errors
/// When no trace is called so.
pub fn place_of_reference(
    traces: &[NamedTrace],
    wanted: Option<&str>,
) -> Result<usize, PipelineError> {
    let Some(wanted) = wanted else {
        return Ok(traces.len().saturating_sub(1));
    };
    let is_it = |trace: &NamedTrace| trace.name == wanted || trace.path.as_os_str() == wanted;
    traces.iter().position(is_it).ok_or_else(|| {
        let known: Vec<&str> = traces.iter().map(|trace| trace.name.as_str()).collect();
        PipelineError::Settings(format!(
            "no trace is called '{wanted}'; the reference is one of {}",
            known.join(", ")
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_one_name_keep_their_paths() {
        let names = |paths: &[&str]| -> Vec<String> {
            let paths: Vec<PathBuf> = paths.iter().map(PathBuf::from).collect();
            let found = name_traces(&paths).unwrap();
            found.into_iter().map(|trace| trace.name).collect()
        };
        assert_eq!(names(&["runs/a", "runs/b/"]), ["a", "b"]);
        assert_eq!(
            names(&["one/trace", "two/trace", "c"]),
            ["one/trace", "two/trace", "c"]
        );
        assert!(name_traces(&["a".into(), "a".into()]).is_err());
    }

    #[test]
    fn the_last_trace_is_the_reference_unless_another_is_named() {
        let traces = name_traces(&["runs/a".into(), "runs/b".into()]).unwrap();
        assert_eq!(place_of_reference(&traces, None).unwrap(), 1);
        assert_eq!(place_of_reference(&traces, Some("a")).unwrap(), 0);
        assert_eq!(place_of_reference(&traces, Some("runs/a")).unwrap(), 0);
        let error = place_of_reference(&traces, Some("c")).unwrap_err();
        assert!(error.to_string().contains("one of a, b"), "{error}");
    }
}
