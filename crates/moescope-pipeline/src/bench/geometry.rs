//! Shapes of real models, small enough to be measured anywhere because they have fewer layers.

use std::{fs, path::Path};

use moescope_core::did_you_mean;
use moescope_engine::ConfigJson;

use crate::error::PipelineError;

/// A published model's shape with the number of layers that is measured.
struct Published {
    /// What it is called on the command line.
    name: &'static str,
    /// The model's `config.json`, all layers.
    config: &'static str,
    layers: usize,
}

macro_rules! published {
    ($name:literal, $file:literal, $layers:literal) => {
        Published {
            name: $name,
            config: include_str!(concat!("geometries/", $file)),
            layers: $layers,
        }
    };
}

/// OLMoE-1B-7B (arXiv 2409.02060), SciDFM-MoE-A5.6B (arXiv 2409.18412) and Qwen3-30B-A3B (arXiv 2505.09388).
const PUBLISHED: [Published; 3] = [
    published!("olmoe-4l", "olmoe.json", 4),
    published!("scidfm-2l", "scidfm.json", 2),
    published!("qwen3-30b-2l", "qwen3-30b.json", 2),
];

/// The shape of a model: everything but its weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Geometry {
    /// What it is called: `olmoe-4l`, or the family and the layers.
    pub name: String,
    /// The configuration, of as many layers as are measured.
    pub config: ConfigJson,
}

impl Geometry {
    /// The names that [`Self::published`] knows.
    #[must_use]
    pub fn names() -> Vec<&'static str> {
        PUBLISHED.iter().map(|published| published.name).collect()
    }

    /// A published model's shape, by name; `None` for any other name.
    ///
    /// # Panics
    /// Never: the embedded configurations are tested.
    #[must_use]
    pub fn published(name: &str) -> Option<Self> {
        let published = PUBLISHED.iter().find(|published| published.name == name)?;
        let config = ConfigJson::parse(published.config)
            .and_then(|config| config.first_layers(published.layers))
            .expect("an embedded configuration is a model's");
        Some(Self {
            name: name.to_owned(),
            config,
        })
    }

    /// The shape of any `config.json`, cut to its first `layers` layers where a number is given.
    ///
    /// # Errors
    /// When the file cannot be read, describes no model, or has fewer layers.
    pub fn like(config: &Path, layers: Option<usize>) -> Result<Self, PipelineError> {
        let text = fs::read_to_string(config)
            .map_err(|error| PipelineError::io("read the configuration", config, error))?;
        let mut json = ConfigJson::parse(&text)?;
        if let Some(layers) = layers {
            json = json.first_layers(layers)?;
        }
        let described = moescope_engine::DecoderConfig::from_json(&json)?;
        Ok(Self {
            name: format!("{}-{}l", described.family, described.num_layers),
            config: json,
        })
    }

    /// The published shape whose name is near to `typed`, as a question, or nothing.
    #[must_use]
    pub fn did_you_mean(typed: &str) -> String {
        did_you_mean(typed, &Self::names())
    }
}

#[cfg(test)]
mod tests {
    use moescope_engine::DecoderConfig;

    use super::*;

    #[test]
    fn published_shapes_are_the_published_models() {
        // Weights in all layers as the models' cards and papers state them, rounded as they are there.
        for (name, billions) in [
            ("olmoe-4l", "6.92"),
            ("scidfm-2l", "18.52"),
            ("qwen3-30b-2l", "30.53"),
        ] {
            let published = PUBLISHED.iter().find(|p| p.name == name).unwrap();
            let whole = ConfigJson::parse(published.config).unwrap();
            let tensors = whole.required_tensors().unwrap();
            let weights: u64 = tensors
                .iter()
                .map(moescope_engine::NeededTensor::weights)
                .sum();
            #[expect(clippy::cast_precision_loss, reason = "shown with two decimals")]
            let found = format!("{:.2}", weights as f64 / 1e9);
            assert_eq!(found, billions, "{name}");
            let cut = Geometry::published(name).unwrap();
            let cut = DecoderConfig::from_json(&cut.config).unwrap();
            assert_eq!(cut.num_layers, published.layers);
        }
        assert_eq!(Geometry::published("olmoe"), None);
        assert!(Geometry::did_you_mean("olmo-4l").contains("olmoe-4l"));
    }
}
