//! Rotary positions: inverse frequencies and their scalings for long contexts.

use std::f64::consts::TAU;

use super::ConfigJson;
use crate::error::EngineError;

/// Rotary position embedding of one model: angle = position · `inv_freq[i]` (arXiv 2104.09864).
#[derive(Clone, Debug, PartialEq)]
pub struct Rope {
    /// Base θ of the frequencies θ^(−2i/d).
    pub theta: f64,
    /// Rotated dimensions d of a head.
    pub rotary_dim: usize,
    /// How the frequencies are scaled.
    pub kind: RopeKind,
}

/// The scalings that `rope_type` names.
#[derive(Clone, Debug, PartialEq)]
pub enum RopeKind {
    /// No scaling.
    Default,
    /// All frequencies divided by a factor (arXiv 2306.15595).
    Linear {
        /// The divisor.
        factor: f64,
    },
    /// θ grows with the sequence beyond the trained length (NTK-aware, dynamic).
    Dynamic {
        /// Strength of the growth.
        factor: f64,
        /// The trained length M.
        max_positions: usize,
    },
    /// Long wavelengths divided by a factor, short ones kept, a smooth ramp between (Llama 3.1).
    Llama3 {
        /// The divisor of the lowest frequencies.
        factor: f64,
        /// Wavelengths above `original / low` are divided.
        low_freq_factor: f64,
        /// Wavelengths below `original / high` are kept.
        high_freq_factor: f64,
        /// The trained length.
        original_max_positions: f64,
    },
}

impl Rope {
    /// Reads either generation of keys: `rope_parameters` (transformers 5), or `rope_theta` with `rope_scaling` (4).
    ///
    /// # Errors
    /// When a key is malformed or the scaling is not one that the decoder computes.
    pub fn from_json(
        json: &ConfigJson,
        head_dim: usize,
        default_theta: f64,
    ) -> Result<Self, EngineError> {
        let nested = json.object(&["rope_parameters", "rope_scaling"])?;
        let number = |keys: &[&str]| -> Result<Option<f64>, EngineError> {
            if let Some(nested) = &nested
                && let Some(value) = nested.number_opt(keys)?
            {
                return Ok(Some(value));
            }
            json.number_opt(keys)
        };
        let positive = |name: &str| -> Result<f64, EngineError> {
            number(&[name])?
                .filter(|x| *x > 0.0)
                .ok_or_else(|| EngineError::Config(format!("rope scaling needs a positive {name}")))
        };
        let theta = number(&["rope_theta"])?.unwrap_or(default_theta);
        let partial = number(&["partial_rotary_factor"])?.unwrap_or(1.0);
        if theta <= 0.0 || !(0.0..=1.0).contains(&partial) {
            return Err(EngineError::Config(format!(
                "config.json: rope_theta must be positive and partial_rotary_factor in 0..1, found {theta} and {partial}"
            )));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a head's width times a factor below one"
        )]
        let rotary_dim = (head_dim as f64 * partial) as usize;
        if !rotary_dim.is_multiple_of(2) {
            return Err(EngineError::Config(format!(
                "rotary dimensions must be even, found {rotary_dim}"
            )));
        }
        let name = match &nested {
            Some(nested) => nested
                .text_opt(&["rope_type", "type"])?
                .unwrap_or("default")
                .to_owned(),
            None => "default".to_owned(),
        };
        let max_positions = json.size_opt(&["max_position_embeddings"])?;
        let kind = match name.as_str() {
            "default" => RopeKind::Default,
            "linear" => RopeKind::Linear {
                factor: positive("factor")?,
            },
            "dynamic" => RopeKind::Dynamic {
                factor: positive("factor")?,
                max_positions: max_positions.ok_or_else(|| {
                    EngineError::Config(
                        "dynamic rope scaling needs max_position_embeddings".to_owned(),
                    )
                })?,
            },
            "llama3" => RopeKind::Llama3 {
                factor: positive("factor")?,
                low_freq_factor: positive("low_freq_factor")?,
                high_freq_factor: positive("high_freq_factor")?,
                original_max_positions: positive("original_max_position_embeddings")?,
            },
            other => {
                return Err(EngineError::Config(format!(
                    "rope_type '{other}' is not supported; supported are default, linear, dynamic, llama3"
                )));
            }
        };
        Ok(Self {
            theta,
            rotary_dim,
            kind,
        })
    }

    /// Inverse frequencies `[rotary_dim / 2]` for a sequence of `length` tokens.
    #[expect(
        clippy::cast_precision_loss,
        reason = "lengths and widths are far below 2^52"
    )]
    #[must_use]
    pub fn inverse_frequencies(&self, length: usize) -> Vec<f64> {
        let d = self.rotary_dim as f64;
        let base = match self.kind {
            RopeKind::Dynamic {
                factor,
                max_positions,
            } => {
                let longest = length.max(max_positions) as f64 / max_positions as f64;
                self.theta * (factor * longest - (factor - 1.0)).powf(d / (d - 2.0))
            }
            _ => self.theta,
        };
        (0..self.rotary_dim / 2)
            .map(|i| base.powf(-2.0 * i as f64 / d))
            .map(|inverse| match self.kind {
                RopeKind::Default | RopeKind::Dynamic { .. } => inverse,
                RopeKind::Linear { factor } => inverse / factor,
                RopeKind::Llama3 {
                    factor,
                    low_freq_factor,
                    high_freq_factor,
                    original_max_positions,
                } => {
                    let wavelength = TAU / inverse;
                    if wavelength > original_max_positions / low_freq_factor {
                        inverse / factor
                    } else if wavelength < original_max_positions / high_freq_factor {
                        inverse
                    } else {
                        let smooth = (original_max_positions / wavelength - low_freq_factor)
                            / (high_freq_factor - low_freq_factor);
                        (1.0 - smooth) * inverse / factor + smooth * inverse
                    }
                }
            })
            .collect()
    }
}
