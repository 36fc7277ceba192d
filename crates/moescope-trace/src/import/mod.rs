//! Traces from what other programs recorded.
//!
//! A format is one file of this folder and one line in [`FORMATS`]; a test compares the two.
//! Each reads its files one by one, hands over documents, and notes what it cannot use, so that a user sees all of it at
//! once; nothing is left behind unless everything could be read.
//! What a source does not know stays NULL, and the manifest lists it; what was computed from something else is in
//! [`ImportProvenance::derived`].
//!
//! The readers of bytes are public, so that they can be tested with any bytes.

mod common;
mod esft;
mod olmoe_counts;
mod sglang;
mod transformers;
mod vllm;

use std::path::PathBuf;

use moescope_core::{LayerId, ModelSpec, Phase};

use common::sink::{Sink, Stop};
pub use common::{
    array::{Array, ElementType},
    batch::{Batch as TransformersBatch, Container},
    job::{ImportConfig, ImportReport, Labels, import},
    npy::parse_npy,
    provenance::{Derived, ImportProvenance},
    tensor_file::{TensorFile, parse_npz, parse_safetensors},
};
pub use esft::parse_line as parse_esft_line;
pub use olmoe_counts::Table as CountTable;
pub use sglang::parse_replies as parse_sglang_replies;
pub use vllm::parse_replies as parse_vllm_replies;

/// All formats, one line each.
pub const FORMATS: &[Format] = &[
    esft::FORMAT,
    olmoe_counts::FORMAT,
    sglang::FORMAT,
    transformers::FORMAT,
    vllm::FORMAT,
];

/// A form in which another program keeps routing.
#[derive(Debug)]
pub struct Format {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is, in a line.
    pub summary: &'static str,
    /// What the paths are.
    pub paths: &'static str,
    /// Whether a description of the model must be given.
    pub needs_model: bool,
    /// The options of the command line that are for this format.
    pub options: &'static [&'static str],
    /// What no trace of this format knows.
    pub unknown: &'static str,
    read: fn(&Request<'_>, &mut dyn Sink) -> Result<(), Stop>,
}

impl Format {
    /// The format of a name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        FORMATS.iter().find(|format| format.name == name)
    }
}

/// What the scores that a source calls logits really are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ScoreKind {
    /// Logits.
    #[default]
    Logits,
    /// Probabilities: a softmax was applied.
    Probabilities,
}

/// What a format is asked to read.
struct Request<'a> {
    paths: &'a [PathBuf],
    /// The model's description; given wherever the format needs one.
    model: Option<&'a ModelSpec>,
    scores: ScoreKind,
    phase: Option<Phase>,
    table: Option<&'a str>,
    layers: Option<&'a [LayerId]>,
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    #[test]
    fn every_file_is_a_format_and_every_format_a_file() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/import");
        let files: BTreeSet<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter_map(|name| name.strip_suffix(".rs").map(|name| name.replace('_', "-")))
            .filter(|name| name != "mod")
            .collect();
        let names: BTreeSet<String> = FORMATS
            .iter()
            .map(|format| format.name.to_owned())
            .collect();
        assert_eq!(files, names);
        assert!(FORMATS.is_sorted_by_key(|format| format.name));
    }
}
