//! Models in the local Hugging Face cache; nothing is ever downloaded.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::ModelFolder;
use crate::{error::PipelineError, names};

/// Whether a name has the form `organisation/name`.
pub(super) fn is_repository_id(model: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty()
            && part != "."
            && part != ".."
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
    };
    matches!(model.split_once('/'), Some((organisation, name)) if is_part(organisation) && is_part(name))
}

/// The snapshot of a repository that has been downloaded.
pub(super) fn find(id: &str, revision: Option<&str>) -> Result<ModelFolder, PipelineError> {
    let cache = cache_folder();
    find_in(cache.as_deref(), id, revision)
}

fn find_in(
    cache: Option<&Path>,
    id: &str,
    revision: Option<&str>,
) -> Result<ModelFolder, PipelineError> {
    let how = format!(
        "this version downloads nothing: get it with `huggingface-cli download {id}`, or give a folder"
    );
    let Some(cache) = cache else {
        return Err(PipelineError::Model(format!(
            "cannot look for the repository '{id}': neither HF_HUB_CACHE, HF_HOME nor HOME is set; {how}"
        )));
    };
    let repository = cache.join(format!("models--{}", id.replace('/', "--")));
    if !repository.is_dir() {
        let known = repositories(cache);
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        return Err(PipelineError::Model(format!(
            "the repository '{id}' is not in the local Hugging Face cache{}; {how}: {}",
            names::did_you_mean(id, &known),
            cache.display()
        )));
    }
    let commit = commit(&repository, revision.unwrap_or("main")).ok_or_else(|| {
        PipelineError::Model(format!(
            "the repository '{id}' is in the local cache, but not its revision '{}'; found {}; {how}: {}",
            revision.unwrap_or("main"),
            list_or_none(&snapshots(&repository)),
            repository.display()
        ))
    })?;
    Ok(ModelFolder {
        path: repository.join("snapshots").join(&commit),
        name: id.to_owned(),
        revision: Some(commit),
        temporary: None,
    })
}

/// The commit that a branch, tag or (shortened) commit stands for, if its snapshot is here.
fn commit(repository: &Path, revision: &str) -> Option<String> {
    let is_safe = revision
        .split('/')
        .all(|part| !part.is_empty() && part != "." && part != ".." && !part.contains('\\'));
    if !is_safe {
        return None;
    }
    let snapshots = snapshots(repository);
    let referred = fs::read_to_string(repository.join("refs").join(revision)).ok();
    let wanted = referred.as_deref().map_or(revision, str::trim);
    let mut matching = snapshots.iter().filter(|commit| commit.starts_with(wanted));
    match (matching.next(), matching.next()) {
        (Some(commit), None) => Some(commit.clone()),
        // Without a note of which commit is `main`, a single snapshot is what was meant.
        (None, None) if referred.is_none() && revision == "main" && snapshots.len() == 1 => {
            snapshots.into_iter().next()
        }
        _ => None,
    }
}

fn snapshots(repository: &Path) -> Vec<String> {
    folders(&repository.join("snapshots"))
}

fn repositories(cache: &Path) -> Vec<String> {
    folders(cache)
        .iter()
        .filter_map(|name| Some(name.strip_prefix("models--")?.replacen("--", "/", 1)))
        .collect()
}

fn folders(path: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(path)
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            entry
                .path()
                .is_dir()
                .then(|| entry.file_name().into_string().ok())?
        })
        .collect();
    names.sort();
    names
}

fn list_or_none(names: &[String]) -> String {
    if names.is_empty() {
        "no snapshot".to_owned()
    } else {
        names.join(", ")
    }
}

/// `HF_HUB_CACHE`, else `HF_HOME/hub`, else `~/.cache/huggingface/hub`.
fn cache_folder() -> Option<PathBuf> {
    let folder = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    folder("HF_HUB_CACHE")
        .or_else(|| folder("HF_HOME").map(|home| home.join("hub")))
        .or_else(|| folder("XDG_CACHE_HOME").map(|cache| cache.join("huggingface/hub")))
        .or_else(|| folder("HOME").map(|home| home.join(".cache/huggingface/hub")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repository_ids_have_two_plain_parts() {
        assert!(is_repository_id("mistralai/Mixtral-8x7B-v0.1"));
        for other in [
            "mixtral", "a/b/c", "./model", "../model", "a/", "/a", "a/..", "C:\\a/b",
        ] {
            assert!(!is_repository_id(other), "{other}");
        }
    }

    #[test]
    fn the_snapshot_of_a_revision_is_found() {
        let cache = tempfile::tempdir().unwrap();
        let repository = cache.path().join("models--ada--tiny-moe");
        for commit in ["abc123", "abd456"] {
            fs::create_dir_all(repository.join("snapshots").join(commit)).unwrap();
        }
        fs::create_dir_all(repository.join("refs/pr")).unwrap();
        fs::write(repository.join("refs/main"), "abd456\n").unwrap();
        fs::write(repository.join("refs/pr/7"), "abc123").unwrap();
        let found = |revision| {
            find_in(Some(cache.path()), "ada/tiny-moe", revision)
                .ok()
                .and_then(|folder| folder.revision)
        };
        assert_eq!(found(None).as_deref(), Some("abd456"));
        assert_eq!(found(Some("pr/7")).as_deref(), Some("abc123"));
        assert_eq!(found(Some("abc")).as_deref(), Some("abc123"));
        assert_eq!(found(Some("ab")), None, "two commits begin like this");
        assert_eq!(found(Some("../../x")), None);
        assert_eq!(found(Some("v2")), None);
    }

    #[test]
    fn a_missing_repository_is_told_with_the_way_to_get_it() {
        let cache = tempfile::tempdir().unwrap();
        fs::create_dir_all(cache.path().join("models--ada--tiny-moe")).unwrap();
        let error = find_in(Some(cache.path()), "ada/tiny-mo", None)
            .unwrap_err()
            .to_string();
        assert!(error.contains("did you mean 'ada/tiny-moe'"), "{error}");
        assert!(
            error.contains("huggingface-cli download ada/tiny-mo"),
            "{error}"
        );
    }
}
