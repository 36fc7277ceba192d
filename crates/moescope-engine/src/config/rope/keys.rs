//! The keys of a configuration that scale rotary positions.

use std::f64::consts::TAU;

use super::RopeKind;
use crate::{config::ConfigJson, error::EngineError};

/// Keys of `rope_parameters` or `rope_scaling`, and of the top level where those are silent.
pub(crate) struct RopeKeys<'a> {
    nested: Option<ConfigJson>,
    top: &'a ConfigJson,
}

impl<'a> RopeKeys<'a> {
    pub(crate) fn of(json: &'a ConfigJson) -> Result<Self, EngineError> {
        Ok(Self {
            nested: json.object(&["rope_parameters", "rope_scaling"])?,
            top: json,
        })
    }

    /// A number of the nested object, else of the top level.
    pub(crate) fn number(&self, key: &str) -> Result<Option<f64>, EngineError> {
        if let Some(nested) = &self.nested
            && let Some(value) = nested.number_opt(&[key])?
        {
            return Ok(Some(value));
        }
        self.top.number_opt(&[key])
    }

    /// `rope_type`, or `type` in older files; `default` where neither is given.
    pub(crate) fn name(&self) -> Result<String, EngineError> {
        let name = match &self.nested {
            Some(nested) => nested.text_opt(&["rope_type", "type"])?,
            None => None,
        };
        Ok(name.unwrap_or("default").to_owned())
    }

    fn positive(&self, key: &str) -> Result<f64, EngineError> {
        self.number(key)?
            .filter(|x| *x > 0.0)
            .ok_or_else(|| EngineError::Config(format!("rope scaling needs a positive {key}")))
    }

    fn positive_or(&self, key: &str, default: f64) -> Result<f64, EngineError> {
        match self.number(key)? {
            None => Ok(default),
            Some(_) => self.positive(key),
        }
    }

    fn max_positions(&self) -> Result<usize, EngineError> {
        self.top
            .size_opt(&["max_position_embeddings"])?
            .ok_or_else(|| {
                EngineError::Config("this rope scaling needs max_position_embeddings".to_owned())
            })
    }

    /// The trained length; where it is not given, the longest one.
    #[expect(clippy::cast_precision_loss, reason = "lengths are below 2^24")]
    fn original_max_positions(&self) -> Result<f64, EngineError> {
        match self.number("original_max_position_embeddings")? {
            None => Ok(self.max_positions()? as f64),
            Some(_) => self.positive("original_max_position_embeddings"),
        }
    }

    /// The base and how it is scaled.
    pub(super) fn kind(
        &self,
        theta: f64,
        rotary_dim: usize,
    ) -> Result<(f64, RopeKind), EngineError> {
        let kind = match self.name()?.as_str() {
            "default" => RopeKind::Default,
            "linear" => RopeKind::Linear {
                factor: self.positive("factor")?,
            },
            "dynamic" => match self.number("alpha")? {
                Some(_) => {
                    let alpha = self.positive("alpha")?;
                    #[expect(clippy::cast_precision_loss, reason = "a head's width")]
                    let d = rotary_dim as f64;
                    return Ok((theta * alpha.powf(d / (d - 2.0)), RopeKind::Default));
                }
                None => RopeKind::Dynamic {
                    factor: self.positive("factor")?,
                    max_positions: self.max_positions()?,
                },
            },
            "llama3" => RopeKind::Llama3 {
                factor: self.positive("factor")?,
                low_freq_factor: self.positive("low_freq_factor")?,
                high_freq_factor: self.positive("high_freq_factor")?,
                original_max_positions: self.positive("original_max_position_embeddings")?,
            },
            "yarn" => self.yarn(theta, rotary_dim)?,
            "longrope" => self.longrope(rotary_dim)?,
            other => {
                let shown: String = other.chars().take(40).collect();
                return Err(EngineError::Config(format!(
                    "rope_type '{shown}' is not supported; supported are default, linear, dynamic, llama3, yarn, \
                     longrope"
                )));
            }
        };
        Ok((theta, kind))
    }

    fn yarn(&self, theta: f64, rotary_dim: usize) -> Result<RopeKind, EngineError> {
        let factor = self.positive("factor")?;
        let original = self.original_max_positions()?;
        #[expect(clippy::cast_precision_loss, reason = "a head's width")]
        let d = rotary_dim as f64;
        // The dimension whose wavelength fits `rotations` times into the trained length.
        let dimension =
            |rotations: f64| d * (original / (rotations * TAU)).ln() / (2.0 * theta.ln());
        let mut low = dimension(self.positive_or("beta_fast", 32.0)?);
        let mut high = dimension(self.positive_or("beta_slow", 1.0)?);
        let truncates = match &self.nested {
            Some(nested) => nested.flag_or(&["truncate"], true)?,
            None => true,
        };
        if truncates {
            (low, high) = (low.floor(), high.ceil());
        }
        (low, high) = (low.max(0.0), high.min(d - 1.0));
        #[expect(clippy::float_cmp, reason = "an empty ramp would divide by zero")]
        if low == high {
            high += 0.001;
        }
        let magnitude = |m: f64| {
            if factor <= 1.0 {
                1.0
            } else {
                0.1 * m * factor.ln() + 1.0
            }
        };
        let given = |key: &str| Ok::<_, EngineError>(self.number(key)?.filter(|x| *x != 0.0));
        let attention_factor = match (
            self.number("attention_factor")?,
            given("mscale")?,
            given("mscale_all_dim")?,
        ) {
            (Some(given), ..) => given,
            (None, Some(mscale), Some(all_dim)) => magnitude(mscale) / magnitude(all_dim),
            _ => magnitude(1.0),
        };
        Ok(RopeKind::Yarn {
            factor,
            ramp: [low, high],
            attention_factor,
        })
    }

    fn longrope(&self, rotary_dim: usize) -> Result<RopeKind, EngineError> {
        let nested = self.nested.as_ref().ok_or_else(|| {
            EngineError::Config("longrope needs rope_parameters or rope_scaling".to_owned())
        })?;
        let factors = |key: &str| {
            let factors = nested.numbers(&[key])?;
            if factors.len() != rotary_dim / 2 || factors.iter().any(|x| *x <= 0.0) {
                return Err(EngineError::Config(format!(
                    "rope scaling needs {} positive numbers in {key}, found {}",
                    rotary_dim / 2,
                    factors.len()
                )));
            }
            Ok(factors)
        };
        let original = self.original_max_positions()?;
        #[expect(clippy::cast_precision_loss, reason = "lengths are below 2^24")]
        let longest = self.max_positions()? as f64;
        let factor = self.positive_or("factor", longest / original)?;
        let magnitude = if factor <= 1.0 {
            1.0
        } else {
            (1.0 + factor.ln() / original.ln()).sqrt()
        };
        let magnitude = self.number("attention_factor")?.unwrap_or(magnitude);
        let attention_factor = [
            self.positive_or("short_mscale", magnitude)?,
            self.positive_or("long_mscale", magnitude)?,
        ];
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a positive number of tokens"
        )]
        Ok(RopeKind::Longrope {
            short_factor: factors("short_factor")?,
            long_factor: factors("long_factor")?,
            attention_factor,
            original_max_positions: original as usize,
        })
    }
}
