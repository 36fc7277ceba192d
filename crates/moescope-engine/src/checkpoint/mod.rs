//! A checkpoint folder in Hugging Face layout: configuration, weight files and what their headers promise.

mod mmap;
mod tensors;

use std::path::{Path, PathBuf};

use moescope_core::{LayerId, ModelSpec};
use sha2::{Digest as _, Sha256};

pub(crate) use tensors::StoredTensor;
pub use tensors::{TensorFiles, WeightFile};

use crate::{
    config::{ConfigJson, DecoderConfig},
    error::EngineError,
    families::{self, Family},
};

/// Largest `config.json` that is read.
const LARGEST_CONFIG: u64 = 16 << 20;
/// More layers than any real model has; keeps absurd configurations from asking for absurd tables.
const MOST_LAYERS: usize = 1024;
/// More experts per layer than any real model has.
const MOST_EXPERTS: usize = 4096;

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
        let mut config = (family.describe)(&json)?;
        check(&config)?;
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
    ///
    /// # Panics
    /// Never: the sizes were bounded when the checkpoint was opened.
    #[must_use]
    pub fn model_spec(&self) -> ModelSpec {
        let narrow = |size: usize| u16::try_from(size).expect("bounded by `check`");
        let wide = |size: usize| u32::try_from(size).expect("bounded by ConfigJson");
        let layers = narrow(self.config.num_layers);
        ModelSpec {
            family: self.config.family.clone(),
            num_layers: layers,
            moe_layers: (0..layers).map(LayerId).collect(),
            num_experts: narrow(self.config.router.num_experts),
            top_k: narrow(self.config.router.top_k),
            num_shared_experts: 0,
            hidden_size: Some(wide(self.config.hidden_size)),
            vocab_size: Some(wide(self.config.vocab_size)),
            gating: self.config.router.gating.clone(),
        }
    }
}

/// Refuses sizes that contradict one another or no machine could mean.
fn check(config: &DecoderConfig) -> Result<(), EngineError> {
    let error = |reason: String| Err(EngineError::Config(format!("config.json: {reason}")));
    let attention = &config.attention;
    if config.num_layers > MOST_LAYERS {
        return error(format!(
            "num_hidden_layers {} is above {MOST_LAYERS}",
            config.num_layers
        ));
    }
    if config.router.num_experts > MOST_EXPERTS {
        return error(format!(
            "{} experts are above {MOST_EXPERTS}",
            config.router.num_experts
        ));
    }
    if config.router.top_k > config.router.num_experts {
        return error(format!(
            "top-k {} of only {} experts",
            config.router.top_k, config.router.num_experts
        ));
    }
    if !attention.heads.is_multiple_of(attention.kv_heads) {
        return error(format!(
            "{} heads do not divide over {} kv heads",
            attention.heads, attention.kv_heads
        ));
    }
    if attention.head_dim == 0
        || attention.rope.rotary_dim == 0
        || attention.rope.rotary_dim > attention.head_dim
    {
        return error(format!(
            "head_dim {} with {} rotary dimensions makes no attention",
            attention.head_dim, attention.rope.rotary_dim
        ));
    }
    if config.rms_norm_eps < 0.0 {
        return error(format!("rms_norm_eps {} is negative", config.rms_norm_eps));
    }
    Ok(())
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
