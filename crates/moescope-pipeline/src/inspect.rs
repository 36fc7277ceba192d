//! What a model is, from its headers alone.

use std::{collections::BTreeMap, path::Path};

use moescope_core::ModelSpec;
use moescope_engine::{ChatTemplate, Checkpoint, Tokenizer, WeightType};
use serde::Serialize;

use crate::{
    capture::trace_bytes_per_token,
    error::PipelineError,
    model::{ModelFolder, ModelSizes},
};

/// What a model is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Inspection {
    /// The repository's id or the folder's name.
    pub name: String,
    /// The repository's revision, where it is known.
    pub revision: Option<String>,
    /// Family, layers, experts, gating.
    pub model: ModelSpec,
    /// Layers without a router.
    pub dense_layers: usize,
    /// Width of an expert.
    pub expert_intermediate_size: usize,
    /// Query heads.
    pub attention_heads: usize,
    /// Key and value heads.
    pub key_value_heads: usize,
    /// Keys that a query sees, where they are limited.
    pub sliding_window: Option<usize>,
    /// Longest context in tokens.
    pub context: usize,
    /// Values in all tensors.
    pub total_parameters: u64,
    /// Values that one token is multiplied with: all but the experts that it is not sent to.
    pub active_parameters: u64,
    /// Memory of the weights by type, in bytes: `stored` as in the files, `f32`, and `q8` and `q4` as `--weights` keeps
    /// them on the CPU.
    pub memory_bytes: BTreeMap<String, u64>,
    /// The stored type of each class of tensors.
    pub weight_types: BTreeMap<String, String>,
    /// The weight files.
    pub files: Vec<FileSize>,
    /// The tokenizer, where there is one.
    pub tokenizer: Option<TokenizerKind>,
    /// Estimated bytes of a trace per token.
    pub trace_bytes_per_token: u64,
    /// Estimated bytes of a trace per token with router logits.
    pub trace_bytes_per_token_with_logits: u64,
}

/// A weight file and its length.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileSize {
    /// The file's name.
    pub name: String,
    /// Its bytes.
    pub bytes: u64,
}

/// What the tokenizer is, and how prompts are made for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TokenizerKind {
    /// The algorithm: `BPE`, `Unigram`, `WordPiece`, `WordLevel`, or `SentencePiece BPE` and `SentencePiece Unigram`.
    pub kind: String,
    /// The file that it is read from: `tokenizer.json` or `tokenizer.model`.
    pub file: String,
    /// Entries of its vocabulary, added tokens included.
    pub vocab_size: usize,
    /// SHA-256 of the file.
    pub sha256: String,
    /// What is put before a text, and who decides so.
    pub bos_policy: String,
    /// Where the chat template comes from, where there is one.
    pub chat_template: Option<String>,
}

/// Reads the headers of a model; no weight is read.
///
/// # Errors
/// When a file is missing, broken, or shorter than its header promises.
pub fn inspect(folder: &ModelFolder) -> Result<Inspection, PipelineError> {
    let checkpoint = Checkpoint::open(&folder.path)?;
    let config = checkpoint.config();
    let model = checkpoint.model_spec();
    let sizes = ModelSizes::of(&checkpoint)?;
    let total_parameters = sizes.values;
    let routed_layers = model.moe_layers.len() as u64;
    let expert = 3 * config.hidden_size as u64 * config.experts.intermediate_size as u64;
    let idle = u64::from(model.num_experts - model.top_k) * expert * routed_layers;
    let files: Vec<FileSize> = checkpoint
        .files()
        .files()
        .iter()
        .map(|file| FileSize {
            name: file.name.clone(),
            bytes: file.size,
        })
        .collect();
    let mut memory_bytes = BTreeMap::from([
        (
            "stored".to_owned(),
            files.iter().map(|file| file.bytes).sum(),
        ),
        ("f32".to_owned(), 4 * total_parameters),
    ]);
    for weights in [WeightType::Q8, WeightType::Q4] {
        memory_bytes.insert(
            weights.name().to_owned(),
            sizes.weight_bytes(weights).total(),
        );
    }
    let per_token = |keeps_logits| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a positive estimate of some kilobytes"
        )]
        let bytes = trace_bytes_per_token(&model, model.moe_layers.len(), keeps_logits, false)
            .round() as u64;
        bytes
    };
    Ok(Inspection {
        name: folder.name.clone(),
        revision: folder.revision.clone(),
        dense_layers: usize::from(model.num_layers) - model.moe_layers.len(),
        expert_intermediate_size: config.experts.intermediate_size,
        attention_heads: config.attention.heads,
        key_value_heads: config.attention.kv_heads,
        sliding_window: config.attention.longest_window(),
        context: config.max_positions,
        total_parameters,
        active_parameters: total_parameters.saturating_sub(idle),
        memory_bytes,
        weight_types: checkpoint.types_kept(WeightType::Stored)?,
        files,
        tokenizer: tokenizer_kind(&folder.path, &model.family)?,
        trace_bytes_per_token: per_token(false),
        trace_bytes_per_token_with_logits: per_token(true),
        model,
    })
}

/// What the folder's tokenizer is; `None` where it has none.
fn tokenizer_kind(folder: &Path, family: &str) -> Result<Option<TokenizerKind>, PipelineError> {
    let has_one = ["tokenizer.json", "tokenizer.model"]
        .iter()
        .any(|name| folder.join(name).exists());
    if !has_one {
        return Ok(None);
    }
    let tokenizer = Tokenizer::open(folder)?;
    let template =
        ChatTemplate::open(folder)?.or_else(|| ChatTemplate::built_in(family, &tokenizer));
    let source = tokenizer.source();
    Ok(Some(TokenizerKind {
        kind: source.algorithm.clone(),
        file: source.file.clone(),
        vocab_size: tokenizer.vocab_size(),
        sha256: source.sha256.clone(),
        bos_policy: tokenizer.bos_policy()?,
        chat_template: template.map(|template| template.origin().to_owned()),
    }))
}

#[cfg(test)]
mod tests {
    use moescope_testkit::TinyModel;

    use super::*;

    #[test]
    fn parameters_are_counted_by_hand() {
        // Hidden 16, 2 heads of 8, 1 kv head, experts 4 × 3 × 16 × 32, vocabulary 27, 2 layers.
        // Layer: q, o 2 × 256; k, v 2 × 128; router 64; experts 4 × 1536; norms 32 → 7008.
        // All: 2 × 7008 + embeddings and head 2 × 27 × 16 + norm 16 = 14896.
        // Two of four experts are idle in both layers: 2 × 2 × 1536 = 6144.
        let folder = tempfile::tempdir().unwrap();
        TinyModel::default().write(folder.path()).unwrap();
        let found =
            inspect(&ModelFolder::find(folder.path().to_str().unwrap(), None).unwrap()).unwrap();
        assert_eq!(found.total_parameters, 14_896);
        assert_eq!(found.active_parameters, 14_896 - 6_144);
        assert_eq!(found.memory_bytes["f32"], 4 * 14_896);
        assert_eq!(found.tokenizer.unwrap().kind, "WordLevel");
        assert_eq!(found.weight_types["experts"], "f32");
    }
}
