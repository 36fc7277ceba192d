//! A smaller model of the same geometry: the first layers of a larger one.

use serde_json::{Map, Value};

use super::{ConfigJson, DecoderConfig};
use crate::error::EngineError;

/// What families call the number of their layers.
const NUM_LAYERS: [&str; 2] = ["num_hidden_layers", "n_layers"];

impl ConfigJson {
    /// The configuration of the model's first `layers` layers; lists with one entry per layer are cut.
    ///
    /// # Errors
    /// When the model has fewer layers, or these layers make no model, such as those before the first router.
    ///
    /// # Panics
    /// Never: what is indexed was looked at.
    pub fn first_layers(&self, layers: usize) -> Result<Self, EngineError> {
        let found = DecoderConfig::from_json(self)?.num_layers;
        if !(1..=found).contains(&layers) {
            return Err(EngineError::Config(format!(
                "{layers} layers cannot be taken from a model of {found}; take 1 to {found}"
            )));
        }
        let mut cut = self.clone();
        shorten(&mut cut.0, found, layers);
        // Where a model that also sees images describes its text.
        if let Some(Value::Object(text)) = cut.0.get_mut("text_config") {
            shorten(text, found, layers);
        }
        let described = DecoderConfig::from_json(&cut).map_err(|error| {
            EngineError::Config(format!("the first {layers} layers make no model: {error}"))
        })?;
        assert_eq!(
            described.num_layers, layers,
            "a family's number of layers has a key that is not in the list"
        );
        Ok(cut)
    }

    /// The configuration without one of its keys.
    #[must_use]
    pub fn without(&self, key: &str) -> Self {
        let mut rest = self.clone();
        rest.0.remove(key);
        rest
    }

    /// The text of a `config.json`.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!("{:#}\n", Value::Object(self.0.clone()))
    }
}

fn shorten(keys: &mut Map<String, Value>, found: usize, layers: usize) {
    for (key, value) in keys {
        match value {
            Value::Array(entries) if entries.len() == found => entries.truncate(layers),
            value if NUM_LAYERS.contains(&key.as_str()) => *value = layers.into(),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODEL: &str = r#"{"model_type": "qwen3_moe", "hidden_size": 8, "num_hidden_layers": 3, "vocab_size": 9,
        "num_attention_heads": 2, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 4,
        "layer_types": ["full_attention", "full_attention", "full_attention"], "mlp_only_layers": [0]}"#;

    #[test]
    fn lists_of_layers_are_cut_with_the_layers() {
        let config = ConfigJson::parse(MODEL).unwrap().first_layers(2).unwrap();
        assert_eq!(config.get(&["num_hidden_layers"]), Some(&2.into()));
        let types = config.texts(&["layer_types"]).unwrap().unwrap();
        assert_eq!(types, ["full_attention"; 2]);
        let described = DecoderConfig::from_json(&config).unwrap();
        assert_eq!(described.moe_layers, [false, true]);
        assert_eq!(ConfigJson::parse(&config.to_text()).unwrap(), config);
    }

    #[test]
    fn no_layers_too_many_or_those_before_the_routers_are_refused() {
        let config = ConfigJson::parse(MODEL).unwrap();
        for (layers, words) in [
            (0, "take 1 to 3"),
            (4, "take 1 to 3"),
            (1, "no layer has a router"),
        ] {
            let error = config.first_layers(layers).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
