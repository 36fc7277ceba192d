//! What traces are called where several are measured together.

use std::path::{Component, Path, PathBuf};

use crate::error::PipelineError;

/// A trace with its name in tables and figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedTrace {
    /// The folder's own name, with as many folders above it as tell it from others of that name.
    pub name: String,
    /// The folder.
    pub path: PathBuf,
}

/// Names traces by their folders, the same from wherever they are seen.
///
/// # Errors
/// When a trace is given twice.
pub fn name_traces(paths: &[PathBuf]) -> Result<Vec<NamedTrace>, PipelineError> {
    let own: Vec<String> = paths.iter().map(|path| own_name(path)).collect();
    let folders: Vec<Vec<String>> = paths.iter().map(|path| folders_of(path)).collect();
    let mut found: Vec<NamedTrace> = Vec::new();
    for (place, path) in paths.iter().enumerate() {
        let is_shared = own.iter().filter(|other| **other == own[place]).count() > 1;
        let name = if is_shared {
            told_apart(&folders, place)
        } else {
            own[place].clone()
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

/// As [`name_traces`], where a trace may be given again to compare one part of it with another: the second time it is
/// called `NAME (2)`.
///
/// # Errors
/// When two folders cannot be told apart.
pub fn name_traces_and_doubles(paths: &[PathBuf]) -> Result<Vec<NamedTrace>, PipelineError> {
    let folders: Vec<Vec<String>> = paths.iter().map(|path| folders_of(path)).collect();
    // Each trace once, and which of them every path is.
    let mut firsts: Vec<usize> = Vec::new();
    let mut trace_of: Vec<usize> = Vec::new();
    for (place, own) in folders.iter().enumerate() {
        let known = firsts.iter().position(|first| folders[*first] == *own);
        trace_of.push(known.unwrap_or(firsts.len()));
        if known.is_none() {
            firsts.push(place);
        }
    }
    let distinct: Vec<PathBuf> = firsts.iter().map(|first| paths[*first].clone()).collect();
    let named = name_traces(&distinct)?;
    let found = paths.iter().enumerate().map(|(place, path)| {
        let own = trace_of[place];
        let name = &named[own].name;
        let earlier = trace_of[..place].iter().filter(|trace| **trace == own);
        NamedTrace {
            name: match earlier.count() {
                0 => name.clone(),
                times => format!("{name} ({})", times + 1),
            },
            path: path.clone(),
        }
    });
    Ok(found.collect())
}

/// The folder's own name, or the path where it has none.
fn own_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

/// The names of a folder and those above it, from the top; a folder that is not there is taken for what its path says.
fn folders_of(path: &Path) -> Vec<String> {
    let whole = path
        .canonicalize()
        .or_else(|_| std::path::absolute(path))
        .unwrap_or_else(|_| path.to_owned());
    let names = whole.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
        _ => None,
    });
    names.collect()
}

/// The shortest end of a path that is the end of no other; the whole path where another is the same.
fn told_apart(folders: &[Vec<String>], place: usize) -> String {
    let own = &folders[place];
    let is_its_own = |end: &&[String]| {
        let mut others = folders.iter().enumerate();
        !others.any(|(other, folders)| other != place && folders.ends_with(end))
    };
    let mut ends = (0..own.len()).rev().map(|from| &own[from..]);
    ends.find(is_its_own).unwrap_or(own).join("/")
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
    fn folders_of_one_name_are_told_apart_by_those_above() {
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
        assert_eq!(
            names(&["/runs/one/trace", "/runs/two/trace"]),
            ["one/trace", "two/trace"]
        );
        assert!(name_traces(&["a".into(), "a".into()]).is_err());
    }

    #[test]
    fn a_trace_that_is_given_again_is_numbered() {
        let names = |paths: &[&str]| -> Vec<String> {
            let paths: Vec<PathBuf> = paths.iter().map(PathBuf::from).collect();
            let found = name_traces_and_doubles(&paths).unwrap();
            found.into_iter().map(|trace| trace.name).collect()
        };
        assert_eq!(names(&["runs/a", "b"]), ["a", "b"]);
        assert_eq!(names(&["runs/a", "runs/a/"]), ["a", "a (2)"]);
        assert_eq!(
            names(&["/one/a", "/two/a", "/one/a", "/one/a"]),
            ["one/a", "two/a", "one/a (2)", "one/a (3)"]
        );
        let traces = name_traces_and_doubles(&["a".into(), "a".into()]).unwrap();
        assert_eq!(place_of_reference(&traces, None).unwrap(), 1);
        assert_eq!(place_of_reference(&traces, Some("a")).unwrap(), 0);
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
