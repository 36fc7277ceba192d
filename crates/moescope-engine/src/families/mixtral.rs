//! Mixtral (arXiv 2401.04088), and SciDFM (arXiv 2409.18412), whose tensors have Mixtral's names and shapes.
//!
//! Pre-norm RMS decoder, grouped-query attention without bias, every layer a mixture of experts with a softmax over all
//! experts, top-k, weights renormalised to 1. A sliding window, where given, holds in all layers.

use super::{
    ExpertNames, Family, TensorNames,
    names::{FUSED_EXPERTS, MIXTRAL_EXPERTS},
};
use crate::{
    config::{ConfigJson, DecoderConfig, KeyMask, Standard, same_in_all_layers},
    error::EngineError,
};

pub(super) const MIXTRAL: Family = Family {
    model_types: &["mixtral", "SciDFM"],
    describe,
    names: &TensorNames {
        router: &["block_sparse_moe.gate", "mlp.gate"],
        experts: EXPERTS,
        ..TensorNames::STANDARD
    },
};

const EXPERTS: &[ExpertNames] = &[MIXTRAL_EXPERTS, FUSED_EXPERTS];

/// The keys of Mixtral and of families made after it.
pub(super) const STANDARD: Standard = Standard {
    rope_theta: 1e6,
    rms_norm_eps: 1e-5,
    expert_width: &["intermediate_size"],
    ..Standard::DEFAULT
};

fn describe(json: &ConfigJson) -> Result<DecoderConfig, EngineError> {
    let mut config = STANDARD.describe(json)?;
    if let Some(window) = json.size_opt(&["sliding_window"])? {
        config.attention.layers = same_in_all_layers(config.num_layers, KeyMask::Sliding(window))?;
    }
    Ok(config)
}
