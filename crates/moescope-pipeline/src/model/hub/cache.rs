//! The local Hugging Face cache: which repositories and commits it has, and where their parts lie.
//!
//! The layout is the one of Python's `huggingface_hub`, so that either finds what the other downloaded:
//!
//! ```text
//! models--ORGANISATION--NAME/
//!   blobs/ID              content: named by SHA-256 (large files) or git's blob id
//!   refs/main             the commit that a branch or tag stood for
//!   snapshots/COMMIT/     the repository's file names, as links to blobs
//! .locks/models--ORGANISATION--NAME/ID.lock
//! ```

use std::{
    collections::BTreeSet,
    fs, io,
    io::Read as _,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::needed::{self, INDEX, SINGLE};

/// Largest shard index that is read; the engine's own bound.
pub(super) const LARGEST_INDEX: u64 = 64 << 20;

/// A repository's folder in the cache; it need not exist.
#[derive(Clone, Debug)]
pub(super) struct RepositoryFolder {
    /// `…/models--ORGANISATION--NAME`.
    pub(super) path: PathBuf,
    locks: PathBuf,
}

impl RepositoryFolder {
    pub(super) fn new(cache: &Path, id: &str) -> Self {
        let name = format!("models--{}", id.replace('/', "--"));
        Self {
            path: cache.join(&name),
            locks: cache.join(".locks").join(name),
        }
    }

    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.path.join("snapshots").join(commit)
    }

    pub(super) fn blob(&self, id: &str) -> PathBuf {
        self.path.join("blobs").join(id)
    }

    /// Where a blob's content grows until it is whole.
    pub(super) fn partial(&self, id: &str) -> PathBuf {
        self.path.join("blobs").join(format!("{id}.incomplete"))
    }

    pub(super) fn lock(&self, id: &str) -> PathBuf {
        self.locks.join(format!("{id}.lock"))
    }

    pub(super) fn reference(&self, revision: &str) -> PathBuf {
        self.path.join("refs").join(revision)
    }

    pub(super) fn snapshots(&self) -> Vec<String> {
        folders(&self.path.join("snapshots"))
    }

    /// The commit that a branch, tag or (shortened) commit stands for, if its snapshot is here.
    pub(super) fn commit(&self, revision: &str) -> Option<String> {
        if !is_safe_revision(revision) {
            return None;
        }
        let snapshots = self.snapshots();
        let referred = read_short(&self.reference(revision));
        let wanted = referred.as_deref().map_or(revision, str::trim);
        let mut matching = snapshots
            .iter()
            .filter(|commit| !wanted.is_empty() && commit.starts_with(wanted));
        match (matching.next(), matching.next()) {
            (Some(commit), None) => Some(commit.clone()),
            // Without a note of which commit is `main`, a single snapshot is what was meant.
            (None, None) if referred.is_none() && revision == "main" && snapshots.len() == 1 => {
                snapshots.into_iter().next()
            }
            _ => None,
        }
    }
}

/// Whether a revision, as part of a path, stays where it belongs.
pub(super) fn is_safe_revision(revision: &str) -> bool {
    revision.split('/').all(|part| {
        !part.is_empty() && part != "." && part != ".." && !part.contains(['\\', ':', '\0'])
    })
}

/// What a snapshot lacks to be a model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Gaps {
    /// Configuration and weight files that are not there.
    pub(super) files: Vec<String>,
    /// Whether there is no tokenizer of any kind; some repositories have none.
    pub(super) no_tokenizer: bool,
}

/// Compares a snapshot with what a model needs.
pub(super) fn gaps(snapshot: &Path) -> Gaps {
    let is_there = |name: &str| snapshot.join(name).is_file();
    let mut wanted = vec!["config.json".to_owned()];
    if is_there(INDEX) {
        // An index that cannot be read is the engine's to refuse, with its reason.
        wanted.extend(
            read_bounded(&snapshot.join(INDEX), LARGEST_INDEX)
                .ok()
                .and_then(|text| shards(&text).ok())
                .unwrap_or_default(),
        );
    } else {
        wanted.push(SINGLE.to_owned());
    }
    Gaps {
        files: wanted.into_iter().filter(|name| !is_there(name)).collect(),
        no_tokenizer: !needed::TOKENIZERS.into_iter().any(is_there),
    }
}

/// The shards that an index names, each a plain file name.
pub(super) fn shards(index: &[u8]) -> Result<BTreeSet<String>, String> {
    let json: Value =
        serde_json::from_slice(index).map_err(|error| format!("{INDEX} is not JSON: {error}"))?;
    let map = json
        .get("weight_map")
        .and_then(Value::as_object)
        .ok_or_else(|| format!("{INDEX} has no weight_map"))?;
    let names: BTreeSet<String> = map
        .values()
        .map(|name| match name.as_str() {
            Some(name) if needed::is_plain_name(name) => Ok(name.to_owned()),
            _ => Err(format!("{INDEX} names {name}, which is no plain file name")),
        })
        .collect::<Result<_, _>>()?;
    if names.is_empty() {
        return Err(format!("{INDEX} names no file"));
    }
    Ok(names)
}

/// Reads a file of bounded size.
pub(super) fn read_bounded(path: &Path, largest: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    fs::File::open(path)?
        .take(largest + 1)
        .read_to_end(&mut content)?;
    if content.len() as u64 > largest {
        return Err(io::Error::other(format!("more than {largest} bytes")));
    }
    Ok(content)
}

fn read_short(path: &Path) -> Option<String> {
    String::from_utf8(read_bounded(path, 4096).ok()?).ok()
}

/// The ids of all repositories in the cache.
pub(super) fn repositories(cache: &Path) -> Vec<String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_snapshot_of_a_revision_is_found() {
        let cache = tempfile::tempdir().unwrap();
        let repository = RepositoryFolder::new(cache.path(), "ada/tiny-moe");
        for commit in ["abc123", "abd456"] {
            fs::create_dir_all(repository.snapshot(commit)).unwrap();
        }
        fs::create_dir_all(repository.path.join("refs/pr")).unwrap();
        fs::write(repository.path.join("refs/main"), "abd456\n").unwrap();
        fs::write(repository.path.join("refs/pr/7"), "abc123").unwrap();
        let found = |revision| repository.commit(revision);
        assert_eq!(found("main").as_deref(), Some("abd456"));
        assert_eq!(found("pr/7").as_deref(), Some("abc123"));
        assert_eq!(found("abc").as_deref(), Some("abc123"));
        assert_eq!(found("ab"), None, "two commits begin like this");
        assert_eq!(found("../../x"), None);
        assert_eq!(found("v2"), None);
    }

    #[test]
    fn a_snapshot_without_a_shard_is_told_from_a_whole_one() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        assert_eq!(
            gaps(folder.path()).files,
            ["config.json", "model.safetensors"]
        );
        write("config.json", "{}");
        write(
            INDEX,
            r#"{"weight_map": {"a": "m-1.safetensors", "b": "m-2.safetensors"}}"#,
        );
        write("m-1.safetensors", "");
        assert_eq!(gaps(folder.path()).files, ["m-2.safetensors"]);
        write("m-2.safetensors", "");
        let whole = gaps(folder.path());
        assert!(whole.files.is_empty() && whole.no_tokenizer);
        write("tokenizer.json", "{}");
        assert_eq!(gaps(folder.path()), Gaps::default());
    }

    #[test]
    fn an_index_cannot_name_a_file_elsewhere() {
        for name in ["../x.safetensors", "a/b.safetensors", "C:x", "", ".."] {
            let index = serde_json::json!({"weight_map": {"a": name}}).to_string();
            assert!(shards(index.as_bytes()).is_err(), "{name}");
        }
    }
}
