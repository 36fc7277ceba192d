//! A model's files opened, and the model on its device.

use moescope_core::Progress;
use moescope_engine::{Checkpoint, ComputeDevice, LoadOptions, MoeModel, Tokenizer};
use moescope_trace::TokenizerIdentity;

use super::ModelFolder;
use crate::error::PipelineError;

/// A model whose headers and tokenizer have been read; no weight is loaded yet.
#[derive(Debug)]
pub struct ModelFiles {
    /// Where the files are, and what to call the model.
    pub folder: ModelFolder,
    /// Configuration and headers.
    pub checkpoint: Checkpoint,
    /// The model's own tokenizer.
    pub tokenizer: Tokenizer,
}

impl ModelFiles {
    /// Reads configuration, headers and tokenizer.
    ///
    /// # Errors
    /// When a file is missing or broken.
    pub fn open(folder: ModelFolder) -> Result<Self, PipelineError> {
        let checkpoint = Checkpoint::open(&folder.path)?;
        let tokenizer = Tokenizer::open(&folder.path)?;
        Ok(Self {
            folder,
            checkpoint,
            tokenizer,
        })
    }

    /// What makes tokens of texts, as a trace's manifest says it.
    #[must_use]
    pub fn tokenizer_identity(&self) -> TokenizerIdentity {
        let source = self.tokenizer.source();
        TokenizerIdentity {
            kind: source.file.clone(),
            algorithm: Some(source.algorithm.clone()),
            sha256: Some(self.tokenizer.sha256().to_owned()),
            vocab_size: u32::try_from(self.tokenizer.vocab_size()).ok(),
            other_files: source.other_files.clone(),
        }
    }

    /// Loads the weights onto a device.
    ///
    /// # Errors
    /// When tensors do not fit the configuration, the device fails, or `progress` cancels.
    pub fn load(
        self,
        device: ComputeDevice,
        options: LoadOptions,
        progress: &dyn Progress,
    ) -> Result<LoadedModel, PipelineError> {
        let model = MoeModel::load(&self.checkpoint, &device, options, progress)?;
        Ok(LoadedModel {
            files: self,
            device,
            model,
        })
    }
}

/// A model on its device, with its tokenizer.
#[derive(Debug)]
pub struct LoadedModel {
    /// Where it comes from.
    pub files: ModelFiles,
    /// Where it runs.
    pub device: ComputeDevice,
    /// The model.
    pub model: MoeModel,
}
