//! A repository as a Hub shows it.

use std::{collections::BTreeMap, fmt::Write as _, fs, io, path::Path};

use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::{HubAnswer, HubRequest};

/// A repository with one branch, `main`.
#[derive(Clone, Debug)]
pub struct HubRepository {
    /// `organisation/name`.
    pub id: String,
    /// The commit that `main` is.
    pub commit: String,
    /// Files by name. Those that end in `.safetensors` have a SHA-256, as large files have on the Hub.
    pub files: BTreeMap<String, Vec<u8>>,
}

impl HubRepository {
    /// A repository without files.
    #[must_use]
    pub fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            commit: "0123456789abcdef0123456789abcdef01234567".to_owned(),
            files: BTreeMap::new(),
        }
    }

    /// With one more file.
    #[must_use]
    pub fn file(mut self, name: &str, content: impl Into<Vec<u8>>) -> Self {
        self.files.insert(name.to_owned(), content.into());
        self
    }

    /// With all files of a folder.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn folder(mut self, folder: &Path) -> io::Result<Self> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            self = self.file(&name, fs::read(entry.path())?);
        }
        Ok(self)
    }

    /// What the Hub would answer.
    #[must_use]
    pub fn answer(&self, request: &HubRequest) -> HubAnswer {
        let path = request.path.split('?').next().unwrap_or_default();
        let listing = format!("/api/models/{}/revision/", self.id);
        let content = format!("/{}/resolve/", self.id);
        if let Some(revision) = path.strip_prefix(&listing) {
            if revision != "main" && revision != self.commit {
                return HubAnswer::new(404, "").with("X-Error-Code", "RevisionNotFound");
            }
            return HubAnswer::new(200, self.listing().to_string());
        }
        if let Some(place) = path.strip_prefix(&content) {
            let file = place
                .strip_prefix(&format!("{}/", self.commit))
                .and_then(|name| self.files.get(name));
            return match file {
                Some(file) => ranged(file, request.from()),
                None => HubAnswer::new(404, "").with("X-Error-Code", "EntryNotFound"),
            };
        }
        HubAnswer::new(404, "").with("X-Error-Code", "RepoNotFound")
    }

    fn listing(&self) -> serde_json::Value {
        let siblings: Vec<_> = self
            .files
            .iter()
            .map(|(name, content)| {
                let sum = sha256(content);
                if name.ends_with(".safetensors") {
                    json!({"rfilename": name, "size": content.len(), "blobId": &sum[24..],
                           "lfs": {"sha256": sum, "size": content.len(), "pointerSize": 134}})
                } else {
                    json!({"rfilename": name, "size": content.len(), "blobId": &sum[..40]})
                }
            })
            .collect();
        json!({"id": self.id, "sha": self.commit, "gated": false, "private": false, "siblings": siblings})
    }
}

/// SHA-256 in hexadecimal.
#[must_use]
pub fn sha256(content: &[u8]) -> String {
    Sha256::digest(content)
        .iter()
        .fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").expect("writing to a string cannot fail");
            text
        })
}

/// A file from some byte on, as a server that knows ranges sends it.
#[must_use]
pub fn ranged(file: &[u8], from: usize) -> HubAnswer {
    match file.len() {
        _ if from == 0 => HubAnswer::new(200, file),
        total if from >= total => HubAnswer::new(416, ""),
        total => HubAnswer::new(206, &file[from..]).with(
            "Content-Range",
            &format!("bytes {from}-{}/{total}", total - 1),
        ),
    }
}
