//! What the Hub says a repository holds at a revision.

use serde::Deserialize;

/// A repository at one commit.
#[derive(Debug)]
pub(super) struct Listing {
    /// The commit that the revision stands for.
    pub(super) commit: String,
    pub(super) files: Vec<HubFile>,
}

/// A file of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HubFile {
    /// Its path in the repository.
    pub(super) name: String,
    /// Its length, where the Hub says.
    pub(super) size: Option<u64>,
    /// Its SHA-256, which the Hub knows of large files.
    pub(super) sha256: Option<String>,
    /// git's id of its content.
    git_id: Option<String>,
}

impl HubFile {
    /// What its content is called in the cache: the same name as `huggingface_hub` takes from the `ETag` header.
    pub(super) fn blob(&self, commit: &str) -> String {
        self.sha256
            .clone()
            .or_else(|| self.git_id.clone())
            .unwrap_or_else(|| {
                crate::checksum::sha256_of_bytes(format!("{commit}/{}", self.name).as_bytes())
            })
    }
}

#[derive(Deserialize)]
struct RawListing {
    sha: String,
    #[serde(default)]
    siblings: Vec<RawFile>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawFile {
    rfilename: String,
    size: Option<u64>,
    blob_id: Option<String>,
    lfs: Option<RawLfs>,
}

#[derive(Deserialize)]
struct RawLfs {
    sha256: Option<String>,
    size: Option<u64>,
}

/// Reads the answer of `/api/models/ID/revision/REVISION?blobs=true`.
pub(super) fn parse(json: &[u8]) -> Result<Listing, String> {
    let raw: RawListing = serde_json::from_slice(json)
        .map_err(|error| format!("it is no description of a repository: {error}"))?;
    if !is_hex(&raw.sha, 7..=64) {
        return Err("its commit is no number in hexadecimal".to_owned());
    }
    let files = raw.siblings.into_iter().map(|file| {
        let lfs = file.lfs;
        HubFile {
            name: file.rfilename,
            size: lfs.as_ref().and_then(|lfs| lfs.size).or(file.size),
            sha256: lfs
                .and_then(|lfs| lfs.sha256)
                .map(|sum| sum.to_ascii_lowercase())
                .filter(|sum| is_hex(sum, 64..=64)),
            git_id: file.blob_id.filter(|id| is_hex(id, 40..=64)),
        }
    });
    Ok(Listing {
        commit: raw.sha,
        files: files.collect(),
    })
}

fn is_hex(text: &str, lengths: std::ops::RangeInclusive<usize>) -> bool {
    lengths.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_and_small_files_are_read() {
        let sum = "a".repeat(64);
        let json = format!(
            r#"{{"sha": "0123456789abcdef", "siblings": [
                {{"rfilename": "config.json", "size": 7, "blobId": "{id}"}},
                {{"rfilename": "model.safetensors", "size": 9, "lfs": {{"sha256": "{sum}", "size": 9}}}},
                {{"rfilename": "x", "blobId": "../../x"}}]}}"#,
            id = "b".repeat(40)
        );
        let listing = parse(json.as_bytes()).unwrap();
        assert_eq!(listing.files[0].blob("c"), "b".repeat(40));
        assert_eq!(listing.files[1].blob("c"), sum);
        assert_eq!(listing.files[1].size, Some(9));
        // A name that is no hexadecimal number would be a path; it is not used.
        assert_eq!(listing.files[2].blob("c").len(), 64);
    }

    #[test]
    fn a_commit_that_is_a_path_is_refused() {
        assert!(parse(br#"{"sha": "../../../etc", "siblings": []}"#).is_err());
        assert!(parse(b"<html>").is_err());
    }
}
