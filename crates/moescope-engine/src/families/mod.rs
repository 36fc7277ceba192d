//! Model families: each file turns a `config.json` into one [`DecoderConfig`] and names the tensors.

mod mixtral;

use crate::{
    config::{ConfigJson, DecoderConfig},
    error::EngineError,
};

/// How a family describes its models.
pub(crate) struct Family {
    /// The values of `model_type` that it answers to, its own name first.
    pub(crate) model_types: &'static [&'static str],
    /// From keys to options.
    pub(crate) describe: fn(&ConfigJson) -> Result<DecoderConfig, EngineError>,
    /// Where the weights are in a checkpoint.
    pub(crate) names: &'static TensorNames,
}

/// Names of a family's tensors. `{}` in `layer` stands for the layer's number, `{}` in `expert` for the expert's.
#[derive(Debug)]
pub(crate) struct TensorNames {
    pub(crate) embed_tokens: &'static str,
    pub(crate) norm: &'static str,
    pub(crate) lm_head: &'static str,
    pub(crate) layer: &'static str,
    pub(crate) input_layernorm: &'static str,
    pub(crate) post_attention_layernorm: &'static str,
    /// q, k, v, o.
    pub(crate) attention: [&'static str; 4],
    /// The router as published, and as transformers 5 keeps it in memory.
    pub(crate) router: [&'static str; 2],
    /// Prefix of one expert's tensors.
    pub(crate) expert: &'static str,
    /// gate, up, down of one expert.
    pub(crate) expert_matrices: [&'static str; 3],
    /// `[E, 2I, H]` gate rows first, and `[E, H, I]`, as transformers 5 keeps them in memory.
    pub(crate) fused: [&'static str; 2],
    /// Endings of tensors that checkpoints carry and no model needs.
    pub(crate) ignored_suffixes: &'static [&'static str],
}

/// All families, one line each.
const FAMILIES: &[Family] = &[mixtral::FAMILY];

/// The family that a configuration names.
///
/// # Errors
/// When `model_type` is missing or unknown; the error lists the known ones.
pub(crate) fn find(json: &ConfigJson) -> Result<&'static Family, EngineError> {
    let found = json.text_opt(&["model_type"])?.unwrap_or("(none)");
    FAMILIES
        .iter()
        .find(|family| family.model_types.contains(&found))
        .ok_or_else(|| EngineError::UnknownFamily {
            found: found.chars().take(60).collect(),
            known: model_types().join(", "),
        })
}

/// Every `model_type` that the engine runs.
#[must_use]
pub fn model_types() -> Vec<&'static str> {
    FAMILIES
        .iter()
        .flat_map(|family| family.model_types.iter().copied())
        .collect()
}
