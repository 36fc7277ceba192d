//! `JetMoE` (arXiv 2404.07413): a mixture of attention heads besides the mixture of feed-forward experts.
//!
//! The recorded routing is that of the feed-forward experts; the attention router decides heads, not experts of the
//! layer, and is computed but not recorded.

use moescope_core::Gating;

use super::{AttentionNames, ExpertNames, Family, TensorNames};
use crate::{
    config::{
        ConfigJson, DecoderConfig, ExpertFunction, MixtureOfHeads, Projection, Rope, Standard,
        activation, inverse_root,
    },
    error::EngineError,
};

pub(super) const JETMOE: Family = Family {
    model_types: &["jetmoe"],
    describe,
    names: &TensorNames {
        attention: AttentionNames::STANDARD,
        router: &["mlp.router.layer"],
        experts: &[ExpertNames::Fused {
            gate_up: "mlp.input_linear.weight",
            down: "mlp.output_linear.weight",
        }],
        ..TensorNames::STANDARD
    },
};

/// ε of the layers' norms, which no key changes.
const LAYER_NORM_EPS: f64 = 1e-6;

fn describe(json: &ConfigJson) -> Result<DecoderConfig, EngineError> {
    let standard = Standard {
        expert_width: &["intermediate_size"],
        ties_word_embeddings: true,
        ..Standard::DEFAULT
    };
    let mut config = standard.describe(json)?;
    config.norm_eps = LAYER_NORM_EPS;
    config.experts.function = ExpertFunction::Glu(activation(json, &["activation_function"])?);
    config.has_feed_forward_bias = true;
    config.router.gating = Gating::top_k_softmax();
    let (num_experts, top_k) = (config.router.num_experts, config.router.top_k);
    let attention = &mut config.attention;
    attention.head_dim = json.size_opt(&["kv_channels"])?.unwrap_or(128);
    attention.value_dim = attention.head_dim;
    attention.scale = inverse_root(attention.head_dim);
    attention.rope = Rope::from_json(json, attention.head_dim, standard.rope())?;
    attention.heads = top_k * attention.kv_heads;
    attention.projection = Projection::MixtureOfHeads(MixtureOfHeads { num_experts, top_k });
    Ok(config)
}
