//! Refuses sizes that contradict one another or that no machine could mean.

use moescope_core::WeightNormalization;

use super::{DecoderConfig, ExpertFunction, Projection};
use crate::error::EngineError;

/// More layers than any real model has; keeps absurd configurations from asking for absurd tables.
const MOST_LAYERS: usize = 1024;
/// More experts per layer than any real model has.
const MOST_EXPERTS: usize = 4096;
/// Beyond these orders a norm of 32-bit weights is 0, infinite, or one of the weights.
const LEAST_ORDER: f32 = 1.0 / 64.0;
/// See [`LEAST_ORDER`]; published models have 1.
const LARGEST_ORDER: f32 = 64.0;

fn error<T>(reason: impl std::fmt::Display) -> Result<T, EngineError> {
    Err(EngineError::Config(format!("config.json: {reason}")))
}

/// Refuses more layers than any model has, before a table of them is made.
pub(super) fn layers(num_layers: usize) -> Result<(), EngineError> {
    if num_layers > MOST_LAYERS {
        return error(format!(
            "num_hidden_layers {num_layers} is above {MOST_LAYERS}"
        ));
    }
    Ok(())
}

/// Refuses a description that the decoder cannot compute.
pub(super) fn check(config: &DecoderConfig) -> Result<(), EngineError> {
    layers(config.num_layers)?;
    attention(config)?;
    router(config)?;
    if let ExpertFunction::ClampedSwiglu { limit, .. } = config.experts.function
        && limit <= 0.0
    {
        return error(format!("swiglu_limit {limit} is not positive"));
    }
    let numbers = [
        ("rms_norm_eps", config.norm_eps),
        ("rms_norm_eps", config.final_norm_eps),
        (
            "embedding_multiplier",
            f64::from(config.embedding_multiplier),
        ),
        ("residual_multiplier", f64::from(config.residual_multiplier)),
        ("attention_multiplier", f64::from(config.attention.scale)),
    ];
    if let Some((name, value)) = numbers.iter().find(|(_, value)| *value < 0.0) {
        return error(format!("{name} {value} is negative"));
    }
    if config.logits_divisor <= 0.0 {
        return error(format!(
            "logits_scaling {} is not positive",
            config.logits_divisor
        ));
    }
    Ok(())
}

fn attention(config: &DecoderConfig) -> Result<(), EngineError> {
    let attention = &config.attention;
    if !attention.heads.is_multiple_of(attention.kv_heads) {
        return error(format!(
            "{} heads do not divide over {} kv heads",
            attention.heads, attention.kv_heads
        ));
    }
    let rotary_dim = attention.rope.rotary_dim;
    if attention.head_dim == 0 || rotary_dim == 0 || rotary_dim > attention.head_dim {
        return error(format!(
            "head_dim {} with {rotary_dim} rotary dimensions makes no attention",
            attention.head_dim
        ));
    }
    // The largest tables are [rows, heads · width]; a product beyond this is no model's.
    if attention.heads.saturating_mul(attention.head_dim) > 1 << 24 {
        return error(format!(
            "{} heads of width {} are too many",
            attention.heads, attention.head_dim
        ));
    }
    if let Some(limit) = attention.clip_qkv
        && limit <= 0.0
    {
        return error(format!("clip_qkv {limit} is not positive"));
    }
    if let Projection::MixtureOfHeads(mixture) = &attention.projection
        && (mixture.top_k > mixture.num_experts
            || attention.heads != mixture.top_k * attention.kv_heads)
    {
        return error(format!(
            "{} heads are not {} experts times {} kv heads",
            attention.heads, mixture.top_k, attention.kv_heads
        ));
    }
    Ok(())
}

fn router(config: &DecoderConfig) -> Result<(), EngineError> {
    let router = &config.router;
    if router.num_experts > MOST_EXPERTS {
        return error(format!(
            "{} experts are above {MOST_EXPERTS}",
            router.num_experts
        ));
    }
    if router.top_k > router.num_experts {
        return error(format!(
            "top-k {} of only {} experts",
            router.top_k, router.num_experts
        ));
    }
    if !config.moe_layers.contains(&true) {
        return error("no layer has a router, so there is nothing to observe");
    }
    if router.gating.normalization == WeightNormalization::Sparsemixer && router.top_k != 2 {
        return error(format!(
            "sparsemixer chooses two experts per token, not {}",
            router.top_k
        ));
    }
    if let Some(order) = router.gating.norm_order
        && !(LEAST_ORDER..=LARGEST_ORDER).contains(&order)
    {
        return error(format!(
            "weights cannot be normalised by a norm of order {order}; orders are {LEAST_ORDER} to {LARGEST_ORDER}"
        ));
    }
    let Some(groups) = router.gating.groups else {
        return Ok(());
    };
    let (count, kept) = (usize::from(groups.count), usize::from(groups.kept));
    if count == 0 || kept == 0 || kept > count || !router.num_experts.is_multiple_of(count) {
        return error(format!(
            "{} experts cannot be limited to {kept} of {count} groups",
            router.num_experts
        ));
    }
    if kept * (router.num_experts / count) < router.top_k {
        return error(format!(
            "{kept} groups of {} experts hold fewer than top-k {}",
            router.num_experts / count,
            router.top_k
        ));
    }
    Ok(())
}
