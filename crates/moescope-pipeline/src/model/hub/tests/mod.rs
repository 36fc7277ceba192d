//! Downloads from a server on this machine that plays what a real network does.

mod content;
mod refusals;
mod transfer;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use moescope_core::{Cancelled, NoProgress, Progress};
use moescope_testkit::{HubAnswer, HubRepository, HubRequest, HubServer, ranged, sha256};
use tempfile::TempDir;

use super::{
    Download, HubError, obtain_with,
    settings::{HubSettings, Patience, bearer, endpoint},
};
use crate::model::ModelFolder;

const ID: &str = "ada/tiny-moe";
const TOKEN: &str = "hf_verysecret";

/// A cache of a test's own, and a Hub to fill it from.
struct Setting {
    folder: TempDir,
    settings: HubSettings,
}

impl Setting {
    fn new(server: &HubServer) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = HubSettings {
            cache: Some(folder.path().join("hub")),
            endpoint: endpoint(&server.endpoint()),
            token: Ok(None),
            offline: None,
            patience: Patience {
                silence: Duration::from_secs(5),
                attempts: 3,
                pause: Duration::from_millis(1),
            },
        };
        Self { folder, settings }
    }

    fn with_token(mut self) -> Self {
        self.settings.token = bearer(TOKEN, "HF_TOKEN").map(Some);
        self
    }

    fn get(&self) -> Result<ModelFolder, HubError> {
        self.get_as(None, Download::Allowed, &NoProgress)
    }

    fn get_as(
        &self,
        revision: Option<&str>,
        download: Download,
        progress: &dyn Progress,
    ) -> Result<ModelFolder, HubError> {
        obtain_with(&self.settings, ID, revision, download, progress)
    }

    fn refused(&self) -> String {
        self.get().unwrap_err().to_string()
    }

    fn repository(&self) -> PathBuf {
        self.folder.path().join("hub/models--ada--tiny-moe")
    }

    /// Where the content of a large file grows, with some of it there already.
    fn begin(&self, content: &[u8], begun: &[u8]) -> PathBuf {
        let blobs = self.repository().join("blobs");
        fs::create_dir_all(&blobs).unwrap();
        let partial = blobs.join(format!("{}.incomplete", sha256(content)));
        fs::write(&partial, begun).unwrap();
        partial
    }
}

fn weights() -> Vec<u8> {
    (0..100_000u32).flat_map(u32::to_le_bytes).collect()
}

fn repository() -> HubRepository {
    HubRepository::new(ID)
        .file("config.json", r#"{"model_type": "mixtral"}"#)
        .file("tokenizer.json", "{}")
        .file("model.safetensors", weights())
        .file("pytorch_model.bin", "the same weights once more")
        .file("original/config.json", "{}")
        .file("README.md", "words")
}

fn content(folder: &ModelFolder) -> BTreeMap<String, Vec<u8>> {
    fs::read_dir(&folder.path)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read(entry.path()).unwrap())
        })
        .collect()
}

/// Answers the weights with `answer`, which also gets how often they were asked for, and the rest as usual.
fn weights_answer(
    answer: impl Fn(&HubRequest, usize) -> HubAnswer + Send + Sync + 'static,
) -> HubServer {
    let (repository, times) = (repository(), AtomicUsize::new(0));
    HubServer::start(move |request| {
        if request.path.ends_with("/model.safetensors") {
            answer(request, times.fetch_add(1, Ordering::SeqCst))
        } else {
            repository.answer(request)
        }
    })
}
