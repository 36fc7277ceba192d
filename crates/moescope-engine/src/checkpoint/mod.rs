//! A checkpoint folder in Hugging Face layout: configuration, weight files and what their headers promise.

mod float8;
mod load;
mod mmap;
mod tensors;

use std::path::{Path, PathBuf};

use moescope_core::ModelSpec;
use sha2::{Digest as _, Sha256};

pub(crate) use load::Target;
pub(crate) use tensors::StoredTensor;
pub use tensors::{TensorFiles, WeightFile, parse_shard_names};

use crate::{
    config::{ConfigJson, DecoderConfig},
    error::EngineError,
    families::{self, Family},
};

/// Largest `config.json` that is read.
const LARGEST_CONFIG: u64 = 16 << 20;

/// A checkpoint whose configuration has been read and whose weight headers have been checked; no weight is loaded yet.
pub struct Checkpoint {
    folder: PathBuf,
    config_sha256: String,
    config: DecoderConfig,
    family: &'static Family,
    files: TensorFiles,
}

impl std::fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checkpoint")
            .field("folder", &self.folder)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Checkpoint {
    /// Opens a folder with `config.json` and safetensors weights (one file, or shards with an index).
    ///
    /// # Errors
    /// When a file is missing, broken, or contradicts another; nothing is loaded and nothing is changed.
    pub fn open(folder: &Path) -> Result<Self, EngineError> {
        if !folder.is_dir() {
            return Err(EngineError::Config(format!(
                "there is no model folder here; a model is a folder with config.json, model.safetensors and \
                 tokenizer.json, or 'demo': {}",
                folder.display()
            )));
        }
        let text = read_text(&folder.join("config.json"), LARGEST_CONFIG)?;
        let json = ConfigJson::parse(&text)?;
        let family = families::find(&json)?;
        let mut config = DecoderConfig::from_json(&json)?;
        let generation = folder.join("generation_config.json");
        if generation.is_file() {
            let json = ConfigJson::parse(&read_text(&generation, LARGEST_CONFIG)?)?;
            for id in json.token_ids(&["eos_token_id"])? {
                if !config.eos_token_ids.contains(&id) {
                    config.eos_token_ids.push(id);
                }
            }
        }
        let files = TensorFiles::open(folder)?;
        Ok(Self {
            folder: folder.to_owned(),
            config_sha256: hex(&Sha256::digest(text.as_bytes())),
            config,
            family,
            files,
        })
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The model as a description.
    #[must_use]
    pub fn config(&self) -> &DecoderConfig {
        &self.config
    }

    /// SHA-256 of `config.json`, in hex.
    #[must_use]
    pub fn config_sha256(&self) -> &str {
        &self.config_sha256
    }

    /// The weight files and their headers.
    #[must_use]
    pub fn files(&self) -> &TensorFiles {
        &self.files
    }

    pub(crate) fn family(&self) -> &'static Family {
        self.family
    }

    /// What an analysis must know of this model.
    #[must_use]
    pub fn model_spec(&self) -> ModelSpec {
        self.config.model_spec()
    }
}

/// Reads a text file of bounded size.
pub(crate) fn read_text(path: &Path, largest: u64) -> Result<String, EngineError> {
    let io = |source| EngineError::io("read the file", path, source);
    let size = std::fs::metadata(path).map_err(io)?.len();
    if size > largest {
        return Err(EngineError::Config(format!(
            "{size} bytes are more than {largest}: {}",
            path.display()
        )));
    }
    std::fs::read_to_string(path).map_err(io)
}

/// Bytes as lowercase hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}
