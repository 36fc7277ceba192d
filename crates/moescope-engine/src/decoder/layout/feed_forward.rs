//! Where dense layers, routers and experts keep their weights.

use super::{Catalogue, LinearLayout, Place, Wanted};
use crate::{
    decoder::TensorClass,
    error::EngineError,
    families::{ExpertNames, GluNames, TensorNames},
};

/// Values of a block of four-bit floats.
const MXFP4_BLOCK: usize = 32;

/// The places of what follows attention.
pub(in crate::decoder) enum FeedForwardLayout {
    Dense(GluLayout),
    Sparse(Box<SparseLayout>),
}

/// The places of gate, up and down.
pub(in crate::decoder) struct GluLayout {
    pub(in crate::decoder) gate: Place,
    pub(in crate::decoder) up: Place,
    pub(in crate::decoder) down: Place,
}

/// The places of a router and its experts.
pub(in crate::decoder) struct SparseLayout {
    pub(in crate::decoder) router: LinearLayout,
    pub(in crate::decoder) correction_bias: Option<Wanted>,
    pub(in crate::decoder) experts: ExpertLayout,
    pub(in crate::decoder) shared: Option<GluLayout>,
    pub(in crate::decoder) shared_gate: Option<Place>,
    pub(in crate::decoder) bias: Option<Wanted>,
}

/// The places of a layer's routed experts.
pub(in crate::decoder) enum ExpertLayout {
    /// gate, up, down of every expert.
    Separate(Vec<[Place; 3]>),
    /// `[E, 2I, H]`, gate rows first, and `[E, H, I]`.
    Fused { gate_up: Wanted, down: Wanted },
    /// `[E, H, 2I]` and `[E, I, H]`.
    Transposed {
        gate_up: Wanted,
        down: Wanted,
        is_interleaved: bool,
        biases: Option<[Wanted; 2]>,
    },
    /// gate, up and (untransposed) down, `[E · I, H]` each.
    Flat([Wanted; 3]),
    /// Blocks and scales of gate and up, row by row in turn, and of down.
    Mxfp4 {
        gate_up: [Wanted; 2],
        down: [Wanted; 2],
        biases: Option<[Wanted; 2]>,
    },
}

impl GluLayout {
    pub(super) fn of(
        catalogue: &mut Catalogue<'_>,
        names: &GluNames,
        prefix: &str,
        width: usize,
    ) -> Result<Self, EngineError> {
        let hidden = catalogue.config().hidden_size;
        let name = |suffix: &str| format!("{prefix}{suffix}.weight");
        match names {
            GluNames::Separate([gate, up, down]) => Ok(Self {
                gate: catalogue.matrix(&name(gate), [width, hidden])?,
                up: catalogue.matrix(&name(up), [width, hidden])?,
                down: catalogue.matrix(&name(down), [hidden, width])?,
            }),
            GluNames::Fused([gate_up, down]) => {
                let both = catalogue.matrix(&name(gate_up), [2 * width, hidden])?;
                let half = |first_row: usize| Place {
                    first_row,
                    dims: [width, hidden],
                    ..both
                };
                Ok(Self {
                    gate: half(0),
                    up: half(width),
                    down: catalogue.matrix(&name(down), [hidden, width])?,
                })
            }
        }
    }
}

impl SparseLayout {
    pub(super) fn of(
        catalogue: &mut Catalogue<'_>,
        names: &TensorNames,
        prefix: &str,
    ) -> Result<Self, EngineError> {
        catalogue.enter(TensorClass::Router);
        let config = catalogue.config();
        let (router, hidden) = (&config.router, config.hidden_size);
        let name = |suffix: &str| format!("{prefix}{suffix}");
        let router_name = names
            .router
            .iter()
            .map(|router| name(router))
            .find(|router| catalogue.has(&format!("{router}.weight")))
            .unwrap_or_else(|| name(names.router[0]));
        let router = LinearLayout::of(
            catalogue,
            &router_name,
            [router.num_experts, hidden],
            router.has_bias,
        )?;
        let correction_bias = if config.router.gating.has_correction_bias {
            Some(correction_bias(catalogue, &name(names.correction_bias))?)
        } else {
            None
        };
        catalogue.enter(TensorClass::Experts);
        let experts = experts(catalogue, names.experts, prefix)?;
        let (mut shared, mut shared_gate) = (None, None);
        if let Some(expert) = config.shared_expert {
            let width = expert.intermediate_size;
            catalogue.enter(TensorClass::SharedExperts);
            shared = Some(GluLayout::of(catalogue, &names.shared, prefix, width)?);
            if expert.has_gate {
                let gate = name(&format!("{}.weight", names.shared_gate));
                catalogue.enter(TensorClass::Router);
                shared_gate = Some(catalogue.matrix(&gate, [1, hidden])?);
            }
        }
        catalogue.enter(TensorClass::Experts);
        let bias = config
            .has_feed_forward_bias
            .then(|| catalogue.want(&name(names.feed_forward_bias), &[hidden]))
            .transpose()?;
        Ok(Self {
            router,
            correction_bias,
            experts,
            shared,
            shared_gate,
            bias,
        })
    }
}

/// `[E]`, or `[1, E]` as some families store it.
fn correction_bias(catalogue: &mut Catalogue<'_>, name: &str) -> Result<Wanted, EngineError> {
    let experts = catalogue.config().router.num_experts;
    if catalogue.shape(name) == Some(&[1, experts]) {
        catalogue.want(name, &[1, experts])
    } else {
        catalogue.want(name, &[experts])
    }
}

/// The first layout whose first tensor is there; where none is, the published one of the weights' type.
fn experts(
    catalogue: &mut Catalogue<'_>,
    layouts: &[ExpertNames],
    prefix: &str,
) -> Result<ExpertLayout, EngineError> {
    let is_here = |names: &&ExpertNames| {
        let first = match names {
            ExpertNames::Separate { prefix, matrices } => {
                format!("{}{}", prefix.replace("{}", "0"), matrices[0])
            }
            ExpertNames::Fused { gate_up, .. } | ExpertNames::Transposed { gate_up, .. } => {
                (*gate_up).to_owned()
            }
            ExpertNames::Flat([gate, ..]) => (*gate).to_owned(),
            ExpertNames::Mxfp4 { gate_up, .. } => format!("{gate_up}_blocks"),
        };
        catalogue.has(&format!("{prefix}{first}"))
    };
    let is_usual =
        |names: &&ExpertNames| catalogue.is_mxfp4() || !matches!(names, ExpertNames::Mxfp4 { .. });
    let usual = layouts.iter().find(is_usual).unwrap_or(&layouts[0]);
    let names = layouts.iter().find(is_here).unwrap_or(usual);
    let config = catalogue.config();
    let (hidden, inner) = (config.hidden_size, config.experts.intermediate_size);
    let (experts, has_bias) = (config.router.num_experts, config.experts.has_bias);
    let name = |suffix: &str| format!("{prefix}{suffix}");
    match names {
        ExpertNames::Separate {
            prefix: expert,
            matrices,
        } => {
            let mut all = Vec::new();
            for number in 0..experts {
                let expert = expert.replace("{}", &number.to_string());
                let [gate, up, down] = matrices.map(|matrix| name(&format!("{expert}{matrix}")));
                all.push([
                    catalogue.matrix(&gate, [inner, hidden])?,
                    catalogue.matrix(&up, [inner, hidden])?,
                    catalogue.matrix(&down, [hidden, inner])?,
                ]);
            }
            Ok(ExpertLayout::Separate(all))
        }
        ExpertNames::Fused { gate_up, down } => Ok(ExpertLayout::Fused {
            gate_up: catalogue.want(&name(gate_up), &[experts, 2 * inner, hidden])?,
            down: catalogue.want(&name(down), &[experts, hidden, inner])?,
        }),
        ExpertNames::Transposed {
            gate_up,
            down,
            is_interleaved,
        } => {
            let biases = biases(catalogue, has_bias, &name(gate_up), &name(down))?;
            let gate_up = catalogue.want(&name(gate_up), &[experts, hidden, 2 * inner])?;
            let down = catalogue.want(&name(down), &[experts, inner, hidden])?;
            catalogue.rearrange(gate_up, hidden);
            catalogue.rearrange(down, inner);
            Ok(ExpertLayout::Transposed {
                gate_up,
                down,
                is_interleaved: *is_interleaved,
                biases,
            })
        }
        ExpertNames::Flat(names) => {
            let mut want = |suffix: &str| catalogue.want(&name(suffix), &[experts * inner, hidden]);
            let all = [want(names[0])?, want(names[1])?, want(names[2])?];
            catalogue.rearrange(all[2], inner);
            Ok(ExpertLayout::Flat(all))
        }
        ExpertNames::Mxfp4 { gate_up, down } => Ok(ExpertLayout::Mxfp4 {
            gate_up: mxfp4(catalogue, &name(gate_up), [experts, 2 * inner, hidden])?,
            down: mxfp4(catalogue, &name(down), [experts, hidden, inner])?,
            biases: biases(catalogue, has_bias, &name(gate_up), &name(down))?,
        }),
    }
}

/// Blocks and scales of `[E, rows, columns]`.
fn mxfp4(
    catalogue: &mut Catalogue<'_>,
    name: &str,
    [experts, rows, columns]: [usize; 3],
) -> Result<[Wanted; 2], EngineError> {
    let blocks = columns / MXFP4_BLOCK;
    if blocks * MXFP4_BLOCK != columns {
        return Err(EngineError::Config(format!(
            "config.json: MXFP4 weights need a width that {MXFP4_BLOCK} divides, found {columns} for {name}"
        )));
    }
    let packed = catalogue.want_packed(
        &format!("{name}_blocks"),
        &[experts, rows, blocks, MXFP4_BLOCK / 2],
    )?;
    let scales = catalogue.want_packed(&format!("{name}_scales"), &[experts, rows, blocks])?;
    catalogue.set_row_width(packed, Some(columns));
    catalogue.set_row_width(scales, None);
    Ok([packed, scales])
}

fn biases(
    catalogue: &mut Catalogue<'_>,
    has_bias: bool,
    gate_up: &str,
    down: &str,
) -> Result<Option<[Wanted; 2]>, EngineError> {
    if !has_bias {
        return Ok(None);
    }
    let config = catalogue.config();
    let (experts, inner) = (config.router.num_experts, config.experts.intermediate_size);
    let biases = [
        catalogue.want(&format!("{gate_up}_bias"), &[experts, 2 * inner])?,
        catalogue.want(&format!("{down}_bias"), &[experts, config.hidden_size])?,
    ];
    for bias in biases {
        catalogue.set_row_width(bias, None);
    }
    Ok(Some(biases))
}
