//! Model families: each file turns a `config.json` into one [`DecoderConfig`] and names the tensors.

mod dbrx;
mod deepseek;
mod dots1;
mod ernie4_5_moe;
mod glm4_moe;
mod gpt_oss;
mod granitemoe;
mod hunyuan_v1_moe;
mod jetmoe;
mod llama4;
mod minimax_m2;
mod mixtral;
mod names;
mod olmoe;
mod phimoe;
mod qwen_moe;

pub(crate) use names::{AttentionNames, ExpertNames, GluNames, TensorNames};

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

/// All families, one line each.
const FAMILIES: &[&Family] = &[
    &mixtral::MIXTRAL,
    &olmoe::OLMOE,
    &olmoe::FLEX_OLMO,
    &qwen_moe::QWEN2_MOE,
    &qwen_moe::QWEN3_MOE,
    &granitemoe::GRANITEMOE,
    &deepseek::DEEPSEEK_V2,
    &deepseek::DEEPSEEK_V3,
    &glm4_moe::GLM4_MOE,
    &dots1::DOTS1,
    &gpt_oss::GPT_OSS,
    &phimoe::PHIMOE,
    &ernie4_5_moe::ERNIE4_5_MOE,
    &hunyuan_v1_moe::HUNYUAN_V1_MOE,
    &minimax_m2::MINIMAX_M2,
    &dbrx::DBRX,
    &llama4::LLAMA4,
    &jetmoe::JETMOE,
];

/// Families that are known and not computed, with what the decoder lacks.
const REFUSED: &[(&[&str], &str)] = &[
    (
        &["lfm2_moe"],
        "its short convolutions between attention layers",
    ),
    (&["jamba"], "its Mamba layers"),
    (&["minimax"], "its lightning (linear) attention layers"),
    (
        &["qwen3_next", "qwen3_5_moe", "qwen3_5_moe_text"],
        "its gated delta-rule (linear attention) layers",
    ),
    (&["granitemoehybrid"], "its Mamba-2 layers"),
];

/// The family that a configuration names.
///
/// # Errors
/// When `model_type` is missing or unknown, or names a family with parts that are not computed.
pub(crate) fn find(json: &ConfigJson) -> Result<&'static Family, EngineError> {
    let found = json.text_opt(&["model_type"])?.unwrap_or("(none)");
    if let Some(family) = FAMILIES
        .iter()
        .find(|family| family.model_types.contains(&found))
    {
        return Ok(family);
    }
    if let Some((_, missing)) = REFUSED.iter().find(|(types, _)| types.contains(&found)) {
        return Err(EngineError::UnsupportedFamily {
            found: found.to_owned(),
            missing: (*missing).to_owned(),
        });
    }
    Err(EngineError::UnknownFamily {
        found: found.chars().take(60).collect(),
        known: model_types().join(", "),
    })
}

/// The configuration of the language model: the nested `text_config` of a model that also sees images.
pub(crate) fn text_config(json: &ConfigJson) -> Result<ConfigJson, EngineError> {
    Ok(json
        .object(&["text_config"])?
        .unwrap_or_else(|| json.clone()))
}

/// Every `model_type` that the engine runs.
#[must_use]
pub fn model_types() -> Vec<&'static str> {
    FAMILIES
        .iter()
        .flat_map(|family| family.model_types.iter().copied())
        .collect()
}
