//! Where attention layers keep their weights.

use super::{Catalogue, LinearLayout, Place, Wanted};
use crate::{
    config::{AttentionConfig, LatentAttention, MixtureOfHeads, Projection, QkNormScope},
    decoder::TensorClass,
    error::EngineError,
    families::AttentionNames,
};

/// The places of one attention layer's weights.
pub(in crate::decoder) struct AttentionLayout {
    pub(in crate::decoder) projection: ProjectionLayout,
    pub(in crate::decoder) qk_norm: Option<[Wanted; 2]>,
    pub(in crate::decoder) sinks: Option<Wanted>,
}

/// The places of the matrices around attention.
pub(in crate::decoder) enum ProjectionLayout {
    Grouped {
        q: LinearLayout,
        k: LinearLayout,
        v: LinearLayout,
        o: LinearLayout,
    },
    Latent {
        q_down: Option<(Place, Wanted)>,
        q_up: Place,
        kv_down: Place,
        kv_norm: Wanted,
        kv_up: Place,
        o: Place,
    },
    MixtureOfHeads {
        router: Place,
        /// `[E, kv_heads · D, H]`.
        input: Wanted,
        /// `[E, H, kv_heads · D]`.
        output: Wanted,
        bias: Wanted,
        k: Place,
        v: Place,
    },
}

impl AttentionLayout {
    pub(super) fn of(
        catalogue: &mut Catalogue<'_>,
        names: &AttentionNames,
        prefix: &str,
    ) -> Result<Self, EngineError> {
        catalogue.enter(TensorClass::Attention);
        let config = catalogue.config();
        let attention = &config.attention;
        let name = |suffix: &str| format!("{prefix}{suffix}");
        let projection = match &attention.projection {
            Projection::Grouped => grouped(catalogue, names, &name)?,
            Projection::Latent(latent) => {
                latent_projection(catalogue, names, latent, attention, &name)?
            }
            Projection::MixtureOfHeads(mixture) => {
                head_mixture(catalogue, names, mixture, attention, &name)?
            }
        };
        let norm_widths = attention.qk_norm.and_then(|norm| match norm.scope {
            QkNormScope::Head => Some([attention.head_dim; 2]),
            QkNormScope::Projection => Some([
                attention.heads * attention.head_dim,
                attention.kv_heads * attention.head_dim,
            ]),
            QkNormScope::HeadUnweighted => None,
        });
        let qk_norm = match norm_widths {
            None => None,
            Some([q, k]) => Some([
                catalogue.want(&name(&format!("{}.weight", names.q_norm)), &[q])?,
                catalogue.want(&name(&format!("{}.weight", names.k_norm)), &[k])?,
            ]),
        };
        let sinks = attention
            .has_sinks
            .then(|| catalogue.want(&name(names.sinks), &[attention.heads]))
            .transpose()?;
        Ok(Self {
            projection,
            qk_norm,
            sinks,
        })
    }
}

fn grouped(
    catalogue: &mut Catalogue<'_>,
    names: &AttentionNames,
    name: &impl Fn(&str) -> String,
) -> Result<ProjectionLayout, EngineError> {
    let config = catalogue.config();
    let (attention, hidden) = (&config.attention, config.hidden_size);
    let queries = attention.heads * attention.head_dim;
    let keys = attention.kv_heads * attention.head_dim;
    let has_bias = attention.has_qkv_bias;
    let o = LinearLayout::of(
        catalogue,
        &name(names.o),
        [hidden, queries],
        attention.has_output_bias,
    )?;
    let Some(qkv) = names.qkv else {
        return Ok(ProjectionLayout::Grouped {
            q: LinearLayout::of(catalogue, &name(names.q), [queries, hidden], has_bias)?,
            k: LinearLayout::of(catalogue, &name(names.k), [keys, hidden], has_bias)?,
            v: LinearLayout::of(catalogue, &name(names.v), [keys, hidden], has_bias)?,
            o,
        });
    };
    let all = catalogue.matrix(
        &name(&format!("{qkv}.weight")),
        [queries + 2 * keys, hidden],
    )?;
    let part = |first_row: usize, rows: usize| LinearLayout {
        weight: Place {
            first_row,
            dims: [rows, hidden],
            ..all
        },
        bias: None,
    };
    Ok(ProjectionLayout::Grouped {
        q: part(0, queries),
        k: part(queries, keys),
        v: part(queries + keys, keys),
        o,
    })
}

fn latent_projection(
    catalogue: &mut Catalogue<'_>,
    names: &AttentionNames,
    latent: &LatentAttention,
    attention: &AttentionConfig,
    name: &impl Fn(&str) -> String,
) -> Result<ProjectionLayout, EngineError> {
    let hidden = catalogue.config().hidden_size;
    let queries = attention.heads * attention.head_dim;
    let weight = |suffix: &str| name(&format!("{suffix}.weight"));
    let names_of = &names.latent;
    let (q_down, q_up) = match latent.q_lora_rank {
        None => (None, catalogue.matrix(&weight(names.q), [queries, hidden])?),
        Some(rank) => (
            Some((
                catalogue.matrix(&weight(names_of.q_a), [rank, hidden])?,
                catalogue.want(&weight(names_of.q_a_norm), &[rank])?,
            )),
            catalogue.matrix(&weight(names_of.q_b), [queries, rank])?,
        ),
    };
    let rank = latent.kv_lora_rank;
    let expanded = attention.heads * (latent.nope_dim + attention.value_dim);
    let values = attention.heads * attention.value_dim;
    Ok(ProjectionLayout::Latent {
        q_down,
        q_up,
        kv_down: catalogue.matrix(&weight(names_of.kv_a), [rank + latent.rope_dim, hidden])?,
        kv_norm: catalogue.want(&weight(names_of.kv_a_norm), &[rank])?,
        kv_up: catalogue.matrix(&weight(names_of.kv_b), [expanded, rank])?,
        o: catalogue.matrix(&weight(names.o), [hidden, values])?,
    })
}

fn head_mixture(
    catalogue: &mut Catalogue<'_>,
    names: &AttentionNames,
    mixture: &MixtureOfHeads,
    attention: &AttentionConfig,
    name: &impl Fn(&str) -> String,
) -> Result<ProjectionLayout, EngineError> {
    let hidden = catalogue.config().hidden_size;
    let width = attention.kv_heads * attention.head_dim;
    let experts = mixture.num_experts;
    let names = &names.heads;
    let kv = catalogue.matrix(&name(&format!("{}.weight", names.kv)), [2 * width, hidden])?;
    let half = |first_row: usize| Place {
        first_row,
        dims: [width, hidden],
        ..kv
    };
    catalogue.enter(TensorClass::Router);
    let router = catalogue.matrix(
        &name(&format!("{}.weight", names.router)),
        [experts, hidden],
    )?;
    catalogue.enter(TensorClass::Attention);
    Ok(ProjectionLayout::MixtureOfHeads {
        router,
        input: catalogue.want(&name(names.input), &[experts, width, hidden])?,
        output: catalogue.want(&name(names.output), &[experts, hidden, width])?,
        bias: catalogue.want(&name(names.bias), &[hidden])?,
        k: half(0),
        v: half(width),
    })
}
