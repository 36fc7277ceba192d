//! MiniMax-M2: Mixtral's tensors with an RMS norm over whole query and key projections, rotation of part of each head,
//! and sigmoid scores with a bias for selection.

use moescope_core::ScoreFunction;

use super::{Family, TensorNames, mixtral};
use crate::{
    config::{ConfigJson, DecoderConfig, QkNorm, QkNormScope, Rope, Standard},
    error::EngineError,
};

pub(super) const MINIMAX_M2: Family = Family {
    model_types: &["minimax_m2"],
    describe,
    names: &TensorNames {
        correction_bias: "block_sparse_moe.e_score_correction_bias",
        router: mixtral::MIXTRAL.names.router,
        experts: mixtral::MIXTRAL.names.experts,
        ..TensorNames::STANDARD
    },
};

fn describe(json: &ConfigJson) -> Result<DecoderConfig, EngineError> {
    let standard = Standard {
        rope_theta: 5e6,
        rms_norm_eps: 1e-6,
        ..mixtral::STANDARD
    };
    let mut config = standard.describe(json)?;
    // Published files give the rotated width itself.
    if let Some(rotary_dim) = json.size_opt(&["rotary_dim"])? {
        #[expect(clippy::cast_precision_loss, reason = "a head's width")]
        let partial_rotary_factor = rotary_dim as f64 / config.attention.head_dim as f64;
        let standard = Standard {
            partial_rotary_factor,
            ..standard
        };
        config.attention.rope = Rope::from_json(json, config.attention.head_dim, standard.rope())?;
    }
    config.attention.qk_norm = Some(QkNorm {
        scope: QkNormScope::Projection,
        is_after_rope: false,
        eps: config.norm_eps,
    });
    config.router.gating.score_function = ScoreFunction::Sigmoid;
    config.router.gating.has_correction_bias = true;
    Ok(config)
}
