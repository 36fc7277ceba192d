//! From what a user calls a model to the folder that it is in.

mod demo;
mod hub;
mod loaded;
mod memory;

use std::path::{Path, PathBuf};

use moescope_core::{NoProgress, Progress, did_you_mean};

pub use demo::{DEMO, DEMO_NAME};
pub use hub::{Download, HubError};
pub use loaded::{LoadedModel, ModelFiles};
pub use memory::{
    DeviceCapacity, Fit, MemoryNeed, MemoryReport, ModelSizes, PassSize, Placement, WeightBytes,
    WeightForm, available_memory, check_memory, check_memory_of_loaded, check_memory_of_pair, fit,
    left_as_stored, memory_need, memory_reports, resident_memory,
};

use crate::error::PipelineError;
use demo::TemporaryFolder;

/// A model's folder, and what to call it.
#[derive(Debug)]
pub struct ModelFolder {
    /// The folder with `config.json`, weights and `tokenizer.json`.
    pub path: PathBuf,
    /// The repository's id or the folder's own name; never a path.
    pub name: String,
    /// The repository's revision, where it is known.
    pub revision: Option<String>,
    /// Where the embedded model had to be unpacked into a folder of its own, that folder; removed at the end.
    temporary: Option<TemporaryFolder>,
}

impl ModelFolder {
    /// Finds a model: `demo` (the embedded one, whatever folder may have that name), a folder, or a repository id such as `mistralai/Mixtral-8x7B-v0.1` in the local
    /// Hugging Face cache.
    ///
    /// `revision` chooses a commit, branch or tag of a repository.
    ///
    /// # Errors
    /// When nothing of that name is here; the error says how to get it.
    pub fn find(model: &str, revision: Option<&str>) -> Result<Self, PipelineError> {
        Self::obtain(model, revision, Download::NotAsked, &NoProgress)
    }

    /// Finds a model as [`Self::find`] does, and downloads what the cache lacks of a repository where that is allowed.
    ///
    /// What the cache has whole is used as it is, and the Hub is not asked: `main` is then the commit that it was when
    /// it was downloaded. `HF_HUB_OFFLINE` forbids what `download` allows.
    ///
    /// # Errors
    /// As [`Self::find`]; when the Hub refuses, the network fails, the disk is full, or `progress` cancels.
    pub fn obtain(
        model: &str,
        revision: Option<&str>,
        download: Download,
        progress: &dyn Progress,
    ) -> Result<Self, PipelineError> {
        let path = Path::new(model);
        if let Some(revision) = revision
            && (path.is_dir() || model == DEMO)
        {
            return Err(PipelineError::Settings(format!(
                "only a repository has revisions such as '{revision}', and this is a folder: {model}"
            )));
        }
        // A name must not change its meaning with what lies around; a folder of that name is `./demo`.
        if model == DEMO {
            return demo::unpack();
        }
        if path.is_dir() {
            return Ok(Self::at(path));
        }
        if path.exists() {
            return Err(PipelineError::Model(format!(
                "a model is a folder with config.json, model.safetensors and tokenizer.json, and this is a file: {model}"
            )));
        }
        if hub::is_repository_id(model) {
            return Ok(hub::obtain(model, revision, download, progress)?);
        }
        Err(PipelineError::Model(format!(
            "there is no model '{model}'{}; give a folder in Hugging Face layout, 'demo' for the embedded model, or a \
             repository id such as mistralai/Mixtral-8x7B-v0.1",
            did_you_mean(model, &[DEMO])
        )))
    }

    fn at(path: &Path) -> Self {
        let named = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let name = named.file_name().map_or_else(
            || "model".to_owned(),
            |name| name.to_string_lossy().into_owned(),
        );
        Self {
            path: path.to_owned(),
            name,
            revision: None,
            temporary: None,
        }
    }

    /// Whether the model had to be unpacked into a temporary folder because no cache folder can be written.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        self.temporary.is_some()
    }
}
