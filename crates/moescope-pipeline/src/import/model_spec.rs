//! A model's description from whatever the user has of it.

use std::{fs, io::Read as _, path::Path};

use moescope_core::{LayerId, LayerSelection, ModelSpec};
use moescope_engine::{ConfigJson, DecoderConfig, EngineError};
use moescope_trace::Input;
use serde::Deserialize as _;
use serde_json::Value;

use crate::{checksum, error::PipelineError};

/// Largest description that is read.
const LARGEST: u64 = 64 << 20;

/// Reads a `config.json`, a `manifest.json` of a trace, or a description in moescope's own form.
pub(super) fn read(path: &Path) -> Result<(ModelSpec, Input), PipelineError> {
    let path = if path.is_dir() {
        path.join("config.json")
    } else {
        path.to_owned()
    };
    let mut text = String::new();
    fs::File::open(&path)
        .and_then(|file| file.take(LARGEST).read_to_string(&mut text))
        .map_err(|error| PipelineError::io("read the model's description", &path, error))?;
    let refuse = |reason: String| {
        PipelineError::Settings(format!(
            "cannot use the model's description: {reason}: {}",
            path.display()
        ))
    };
    let json: Value =
        serde_json::from_str(&text).map_err(|error| refuse(format!("broken JSON: {error}")))?;
    let own = match json.get("model") {
        Some(model) if json.get("schema_version").is_some() => Some(model),
        _ => json.get("gating").map(|_| &json),
    };
    let spec = match own {
        Some(own) => ModelSpec::deserialize(own).map_err(|error| refuse(error.to_string()))?,
        None if json.get("model_type").is_some() => described(&text).map_err(|error| {
            refuse(format!(
                "{error}; docs/IMPORTS.md shows a description for models of other families"
            ))
        })?,
        None => {
            return Err(refuse(
                "it is neither a config.json (it has no model_type), nor a trace's manifest.json, nor a description \
                 with 'gating'"
                    .to_owned(),
            ));
        }
    };
    let input = Input {
        name: path
            .file_name()
            .map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
        sha256: Some(checksum::sha256_of_bytes(text.as_bytes())),
        rows: 1,
    };
    Ok((spec, input))
}

/// The layers of a selection, which need the model's description; `None` where all are meant.
pub(super) fn layers(
    selection: &LayerSelection,
    model: Option<&ModelSpec>,
) -> Result<Option<Vec<LayerId>>, PipelineError> {
    if *selection == LayerSelection::All {
        return Ok(None);
    }
    let Some(model) = model else {
        return Err(PipelineError::Settings(
            "--layers needs --model-spec".to_owned(),
        ));
    };
    let layers: Vec<LayerId> = model
        .moe_layers
        .iter()
        .copied()
        .filter(|layer| selection.contains(*layer))
        .collect();
    if layers.is_empty() {
        return Err(PipelineError::Settings(format!(
            "none of the layers {selection} has a router"
        )));
    }
    Ok(Some(layers))
}

/// The model that a `config.json` describes; no weight is needed.
fn described(config_json: &str) -> Result<ModelSpec, EngineError> {
    let json = ConfigJson::parse(config_json)?;
    Ok(DecoderConfig::from_json(&json)?.model_spec())
}
