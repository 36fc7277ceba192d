//! Rotary positions: inverse frequencies and their scalings for long contexts.

use std::f64::consts::TAU;

use super::ConfigJson;
use crate::error::EngineError;

mod keys;
pub(crate) use keys::RopeKeys;

/// What a family assumes where its configuration is silent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RopeDefaults {
    pub(crate) theta: f64,
    pub(crate) partial_rotary_factor: f64,
    pub(crate) layout: RopeLayout,
}

/// Rotary position embedding of one model: angle = position · `inv_freq[i]` (arXiv 2104.09864).
#[derive(Clone, Debug, PartialEq)]
pub struct Rope {
    /// Base θ of the frequencies θ^(−2i/d).
    pub theta: f64,
    /// Rotated dimensions d of a head.
    pub rotary_dim: usize,
    /// Which dimensions of a head are rotated together.
    pub layout: RopeLayout,
    /// How the frequencies are scaled.
    pub kind: RopeKind,
}

/// Which two dimensions of a head make a rotated pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RopeLayout {
    /// i and i + d/2.
    Half,
    /// 2i and 2i + 1.
    Pairs,
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
    /// High frequencies kept, low ones divided by a factor, a linear ramp between, and a factor on all rotations
    /// (`YaRN`, arXiv 2309.00071).
    Yarn {
        /// The divisor.
        factor: f64,
        /// First and last dimension of the ramp.
        ramp: [f64; 2],
        /// Factor on cosine and sine.
        attention_factor: f64,
    },
    /// One divisor per frequency, another set beyond the trained length (`LongRoPE`, arXiv 2402.13753).
    Longrope {
        /// Divisors up to the trained length.
        short_factor: Vec<f64>,
        /// Divisors beyond it.
        long_factor: Vec<f64>,
        /// Factor on cosine and sine up to the trained length, and beyond it.
        attention_factor: [f64; 2],
        /// The trained length.
        original_max_positions: usize,
    },
}

impl Rope {
    /// Reads either generation of keys: `rope_parameters` (transformers 5), or `rope_theta` with `rope_scaling` (4).
    ///
    /// # Errors
    /// When a key is malformed or the scaling is not one that the decoder computes.
    pub(crate) fn from_json(
        json: &ConfigJson,
        head_dim: usize,
        defaults: RopeDefaults,
    ) -> Result<Self, EngineError> {
        let keys = RopeKeys::of(json)?;
        let theta = keys.number("rope_theta")?.unwrap_or(defaults.theta);
        let partial = keys
            .number("partial_rotary_factor")?
            .unwrap_or(defaults.partial_rotary_factor);
        if theta <= 0.0 || !(0.0..=1.0).contains(&partial) {
            return Err(EngineError::Config(format!(
                "config.json: rope_theta must be positive and partial_rotary_factor in 0..1, found {theta} and {partial}"
            )));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a head's width times a factor of at most one"
        )]
        let rotary_dim = (head_dim as f64 * partial) as usize;
        if !rotary_dim.is_multiple_of(2) {
            return Err(EngineError::Config(format!(
                "rotary dimensions must be even, found {rotary_dim}"
            )));
        }
        let (theta, kind) = keys.kind(theta, rotary_dim)?;
        Ok(Self {
            theta,
            rotary_dim,
            layout: defaults.layout,
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
            .map(|i| {
                let inverse = base.powf(-2.0 * i as f64 / d);
                self.kind.scale(inverse, i, length)
            })
            .collect()
    }

    /// Factor on cosine and sine for a sequence of `length` tokens.
    #[must_use]
    pub fn attention_factor(&self, length: usize) -> f64 {
        match &self.kind {
            RopeKind::Yarn {
                attention_factor, ..
            } => *attention_factor,
            RopeKind::Longrope {
                attention_factor,
                original_max_positions,
                ..
            } => attention_factor[usize::from(length > *original_max_positions)],
            _ => 1.0,
        }
    }
}

impl RopeKind {
    /// The scaled frequency of pair `i`.
    #[expect(clippy::cast_precision_loss, reason = "a dimension's number")]
    fn scale(&self, inverse: f64, i: usize, length: usize) -> f64 {
        match self {
            Self::Default | Self::Dynamic { .. } => inverse,
            Self::Linear { factor } => inverse / factor,
            Self::Llama3 {
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
            Self::Yarn { factor, ramp, .. } => {
                let share = ((i as f64 - ramp[0]) / (ramp[1] - ramp[0])).clamp(0.0, 1.0);
                inverse / factor * share + inverse * (1.0 - share)
            }
            Self::Longrope {
                short_factor,
                long_factor,
                original_max_positions,
                ..
            } => {
                let factors = if length > *original_max_positions {
                    long_factor
                } else {
                    short_factor
                };
                inverse / factors[i]
            }
        }
    }
}
