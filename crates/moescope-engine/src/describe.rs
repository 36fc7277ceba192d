//! A model's description from its `config.json` alone, for routing that another program recorded.

use moescope_core::{LayerId, ModelSpec};

use crate::{config::ConfigJson, error::EngineError, families};

/// What an analysis must know of the model that a `config.json` describes; no weight is needed.
///
/// # Errors
/// When the text is no configuration, or its family is not known.
pub fn model_spec_of(config_json: &str) -> Result<ModelSpec, EngineError> {
    let json = ConfigJson::parse(config_json)?;
    let config = (families::find(&json)?.describe)(&json)?;
    let narrow = |size: usize, name: &str| {
        u16::try_from(size).map_err(|_| {
            EngineError::Config(format!(
                "config.json: {name} is {size}, far above any model's"
            ))
        })
    };
    let layers = narrow(config.num_layers, "num_hidden_layers")?;
    Ok(ModelSpec {
        family: config.family.clone(),
        num_layers: layers,
        moe_layers: (0..layers).map(LayerId).collect(),
        num_experts: narrow(config.router.num_experts, "the number of experts")?,
        top_k: narrow(config.router.top_k, "num_experts_per_tok")?,
        num_shared_experts: 0,
        hidden_size: u32::try_from(config.hidden_size).ok(),
        vocab_size: u32::try_from(config.vocab_size).ok(),
        gating: config.router.gating,
    })
}
