//! DeepSeek-V2 (arXiv 2405.04434) and DeepSeek-V3 (arXiv 2412.19437), Moonlight and Kimi-K2.
//!
//! Multi-head latent attention, the first layers dense, shared experts. V2 routes by softmax, V3 by sigmoid with a bias
//! for selection; both may limit a token to the best groups of experts.

use moescope_core::{ExpertGroups, Gating, GroupScore, ScoreFunction, WeightNormalization};

use super::{Family, TensorNames};
use crate::{
    config::{
        ConfigJson, DecoderConfig, LatentAttention, Projection, Rope, RopeKeys, RopeLayout,
        SharedExpertConfig, Standard, inverse_root,
    },
    error::EngineError,
};

pub(super) const DEEPSEEK_V2: Family = Family {
    model_types: &["deepseek_v2"],
    describe: deepseek_v2,
    names: &TensorNames::STANDARD,
};

pub(super) const DEEPSEEK_V3: Family = Family {
    model_types: &["deepseek_v3", "kimi_k2"],
    describe: deepseek_v3,
    names: &TensorNames::STANDARD,
};

fn deepseek_v2(json: &ConfigJson) -> Result<DecoderConfig, EngineError> {
    let mut config = latent(json)?;
    dense_first_and_shared(json, &mut config)?;
    let is_grouped = json.text_opt(&["topk_method"])? == Some("group_limited_greedy");
    config.router.gating = Gating {
        groups: groups(json, GroupScore::Max)?.filter(|_| is_grouped),
        normalization: WeightNormalization::None,
        scaling: scaling(json)?,
        ..Gating::softmax_top_k()
    };
    Ok(config)
}

fn deepseek_v3(json: &ConfigJson) -> Result<DecoderConfig, EngineError> {
    let mut config = latent(json)?;
    dense_first_and_shared(json, &mut config)?;
    config.router.gating = corrected_sigmoid(json, true)?;
    Ok(config)
}

/// DeepSeek-V3's router, which other families share: sigmoid scores, a bias for selection, groups, scaled weights.
pub(super) fn corrected_sigmoid(
    json: &ConfigJson,
    renormalises: bool,
) -> Result<Gating, EngineError> {
    Ok(Gating {
        score_function: ScoreFunction::Sigmoid,
        has_correction_bias: true,
        groups: groups(json, GroupScore::SumOfTopTwo)?,
        normalization: if json.flag_or(&["norm_topk_prob"], renormalises)? {
            WeightNormalization::SumOfSelected
        } else {
            WeightNormalization::None
        },
        scaling: scaling(json)?,
        ..Gating::softmax_top_k()
    })
}

/// The first layers dense, the others with shared experts.
pub(super) fn dense_first_and_shared(
    json: &ConfigJson,
    config: &mut DecoderConfig,
) -> Result<(), EngineError> {
    let dense = json.count_opt(&["first_k_dense_replace"])?.unwrap_or(0);
    config.moe_layers = (0..config.num_layers).map(|layer| layer >= dense).collect();
    config.shared_expert = json
        .count_opt(&["n_shared_experts"])?
        .filter(|count| *count > 0)
        .map(|count| SharedExpertConfig {
            count,
            intermediate_size: config.experts.intermediate_size * count,
            has_gate: false,
        });
    Ok(())
}

#[expect(clippy::cast_possible_truncation, reason = "weights are f32")]
fn scaling(json: &ConfigJson) -> Result<f32, EngineError> {
    Ok(json.number_opt(&["routed_scaling_factor"])?.unwrap_or(1.0) as f32)
}

fn groups(json: &ConfigJson, ranked_by: GroupScore) -> Result<Option<ExpertGroups>, EngineError> {
    let narrow = |count: usize| {
        u16::try_from(count).map_err(|_| {
            EngineError::Config(format!(
                "config.json: {count} groups of experts are too many"
            ))
        })
    };
    let count = narrow(json.size_opt(&["n_group"])?.unwrap_or(1))?;
    let kept = narrow(json.size_opt(&["topk_group"])?.unwrap_or(1))?;
    Ok((count > 1).then_some(ExpertGroups {
        count,
        kept,
        ranked_by,
    }))
}

fn latent(json: &ConfigJson) -> Result<DecoderConfig, EngineError> {
    let is_interleaved = json.flag_or(&["rope_interleave"], true)?;
    let standard = Standard {
        rope_layout: if is_interleaved {
            RopeLayout::Pairs
        } else {
            RopeLayout::Half
        },
        ..Standard::DEFAULT
    };
    let mut config = standard.describe(json)?;
    let nope_dim = json.size(&["qk_nope_head_dim"])?;
    let rope_dim = json.size(&["qk_rope_head_dim"])?;
    let attention = &mut config.attention;
    attention.rope = Rope::from_json(json, rope_dim, standard.rope())?;
    attention.kv_heads = attention.heads;
    attention.head_dim = nope_dim + rope_dim;
    attention.value_dim = json.size(&["v_head_dim"])?;
    attention.projection = Projection::Latent(LatentAttention {
        q_lora_rank: json.size_opt(&["q_lora_rank"])?,
        kv_lora_rank: json.size(&["kv_lora_rank"])?,
        nope_dim,
        rope_dim,
    });
    attention.scale = inverse_root(attention.head_dim) * yarn_magnitude(json)?;
    if json.flag(&["attention_bias"])? {
        return Err(EngineError::Config(
            "config.json: biases in latent attention are not supported; no published model has them"
                .to_owned(),
        ));
    }
    Ok(config)
}

/// m², m = 0.1 · `mscale_all_dim` · ln(factor) + 1, by which a scaled context raises the attention scores.
#[expect(clippy::cast_possible_truncation, reason = "scores are f32")]
fn yarn_magnitude(json: &ConfigJson) -> Result<f32, EngineError> {
    let keys = RopeKeys::of(json)?;
    let (Some(mscale), Some(factor)) = (keys.number("mscale_all_dim")?, keys.number("factor")?)
    else {
        return Ok(1.0);
    };
    if keys.name()? == "default" || factor <= 1.0 {
        return Ok(1.0);
    }
    Ok((0.1 * mscale * factor.ln() + 1.0).powi(2) as f32)
}
