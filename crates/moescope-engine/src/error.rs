//! What can go wrong between a checkpoint and a router decision.

use std::path::PathBuf;

use thiserror::Error;

/// Any failure of the engine.
#[derive(Debug, Error)]
pub enum EngineError {
    /// A file that could not be read.
    #[error("cannot {action}: {source}: {path}")]
    Io {
        /// What was attempted.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A configuration that makes no model.
    #[error("{0}")]
    Config(String),
    /// A `model_type` that no family knows.
    #[error("model_type '{found}' is not supported; supported are {known}")]
    UnknownFamily {
        /// As in `config.json`.
        found: String,
        /// All known names.
        known: String,
    },
    /// A family that is known and has parts which the decoder does not compute.
    #[error(
        "models of type '{found}' cannot run yet: the decoder does not compute {missing}; routing captured by other \
         tools can be imported with `moescope import`"
    )]
    UnsupportedFamily {
        /// As in `config.json`.
        found: String,
        /// What is missing.
        missing: String,
    },
    /// A weight file that is not what it claims to be.
    #[error("cannot read weights: {reason}: {path}")]
    Weights {
        /// What was found.
        reason: String,
        /// The file.
        path: PathBuf,
    },
    /// Tensors that the configuration promises and the files do not keep.
    #[error("{}", describe_mismatch(.missing, .extra, .misshapen))]
    Tensors {
        /// Names that the model needs and no file has.
        missing: Vec<String>,
        /// Names that the files have and the model does not know.
        extra: Vec<String>,
        /// Names with the shape found and the shape needed.
        misshapen: Vec<String>,
    },
    /// A tokenizer that is missing or broken.
    #[error("{0}")]
    Tokenizer(String),
    /// A device that is not there.
    #[error("{0}")]
    Device(String),
    /// A type of weights or arithmetic that the device does not have.
    #[error("{0}")]
    Precision(String),
    /// The device failed during a computation.
    #[error("the device failed: {0}; a smaller --batch-tokens or another --device may help")]
    Execution(String),
    /// A router gave something that is not a number.
    #[error(
        "the router of layer {layer} gave {value} for token {position} of sample {sample}; the weights or the input are broken"
    )]
    RouterNotFinite {
        /// Layer in the model's numbering.
        layer: u16,
        /// Position in the sequence.
        position: u32,
        /// Sequence within the batch.
        sample: usize,
        /// The value.
        value: f32,
    },
    /// A token outside the vocabulary.
    #[error(
        "token id {id} is outside the model's vocabulary of {vocab_size}; is this the model's own tokenizer?"
    )]
    TokenOutOfRange {
        /// The id.
        id: u32,
        /// The vocabulary's size.
        vocab_size: usize,
    },
    /// An intervention that cannot be read or does not fit the model.
    #[error("cannot use the intervention '{spec}': {reason}")]
    Intervention {
        /// As given.
        spec: String,
        /// What is wrong.
        reason: String,
    },
    /// A file of expected values that cannot be compared.
    #[error("{0}")]
    Expected(String),
    /// The work was asked to stop.
    #[error("cancelled")]
    Cancelled(#[from] moescope_core::Cancelled),
}

/// At most this many names of each kind are listed.
const LISTED: usize = 40;

fn describe_mismatch(missing: &[String], extra: &[String], misshapen: &[String]) -> String {
    let list = |title: &str, names: &[String]| -> String {
        if names.is_empty() {
            return String::new();
        }
        let shown: Vec<&str> = names.iter().take(LISTED).map(String::as_str).collect();
        let rest = names.len().saturating_sub(LISTED);
        let more = if rest > 0 {
            format!("\n  … and {rest} more")
        } else {
            String::new()
        };
        format!("\n{} {title}:\n  {}{more}", names.len(), shown.join("\n  "))
    };
    format!(
        "the checkpoint's tensors do not fit its config.json{}{}{}",
        list("missing", missing),
        list("not part of the model", extra),
        list("of another shape", misshapen)
    )
}

impl EngineError {
    /// An I/O error with what was attempted.
    pub(crate) fn io(action: &'static str, path: &std::path::Path, source: std::io::Error) -> Self {
        Self::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }
}
