//! What interventions do to one text that stands: token by token, teacher-forced.

use moescope_analytics::text_protocol;
use moescope_core::{Axis, AxisKind, LayerId, Measurement, Progress};
use moescope_engine::{Computation, Intervention, Interventions, ReferencePass};
use serde::Serialize;

use crate::{error::PipelineError, model::LoadedModel};

/// What interventions do to a text. Both computations read the same tokens, so this is their effect on the text as it
/// stands, not on what would have been written instead.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TextEffect {
    /// The interventions, as the command line writes them.
    pub interventions: Vec<String>,
    /// By position.
    pub tokens: Vec<TokenEffect>,
    /// By MoE layer, in order.
    pub layers: Vec<LayerEffect>,
    /// Mean change of surprisal over all tokens but the first, in nats per token; `None` for a text of one token.
    pub mean_surprisal_change: Option<f64>,
    /// Mean divergence of the predictions over all tokens, in nats per token.
    pub mean_kl: f64,
}

/// What interventions do at one token.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct TokenEffect {
    /// Surprisal with the interventions minus that without, in nats; `None` for the first token.
    pub surprisal_change: Option<f64>,
    /// KL(without ‖ with) of the distributions of the token after this one, in nats.
    pub kl_nats: f64,
    /// Whether another token is the most likely one to come next.
    pub is_prediction_changed: bool,
    /// Layers at which another set of experts is chosen for it.
    pub changed_layers: u16,
}

/// What interventions do at one layer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LayerEffect {
    /// The layer in the model's numbering.
    pub layer: LayerId,
    /// Mean of 1 − |A ∩ B| / k over all tokens.
    pub changed_assignments: f64,
}

impl TextEffect {
    /// Positions of the tokens, the largest change of surprisal first, whichever its sign; the first token, whose change
    /// is not defined, comes last.
    #[must_use]
    pub fn by_change(&self) -> Vec<usize> {
        let size = |position: &usize| {
            let change = self.tokens[*position].surprisal_change;
            change.map_or(f64::NEG_INFINITY, f64::abs)
        };
        let mut positions: Vec<usize> = (0..self.tokens.len()).collect();
        positions.sort_by(|a, b| size(b).total_cmp(&size(a)));
        positions
    }

    /// The share of assignments that change at each layer, as a table that can be drawn.
    ///
    /// Shares from 0 to 1, `[layers]`, without an interval: one text is one group.
    #[must_use]
    pub fn by_layer(&self) -> Measurement {
        let layers = self.layers.iter();
        let names = layers.clone().map(|of| of.layer.to_string()).collect();
        let interventions = self.interventions.join(", ");
        Measurement {
            metric: "changed_assignments".to_owned(),
            title: format!("Assignments that change under {interventions}"),
            unit: "share of assignments".to_owned(),
            axes: vec![Axis::new(AxisKind::Layer, names)],
            values: layers.map(|of| of.changed_assignments).collect(),
            intervals: None,
            nulls: None,
            reference: Some(0.0),
            protocol: text_protocol(
                format!("one text as it stands, without and with {interventions}"),
                self.tokens.len() as u64,
            ),
        }
    }
}

/// Runs a text's tokens without and with interventions.
///
/// There is no interval: one text is one group. `ablate` measures many, beside other experts.
///
/// # Errors
/// When there is no token, an intervention does not fit the model, the model fails, or `progress` cancels.
pub fn text_effect(
    loaded: &LoadedModel,
    tokens: &[u32],
    interventions: &[Intervention],
    progress: &dyn Progress,
) -> Result<TextEffect, PipelineError> {
    if tokens.is_empty() {
        return Err(PipelineError::Settings(
            "there is no text to measure on".to_owned(),
        ));
    }
    let spec = loaded.model.spec();
    let changed = Interventions::new(interventions.to_vec(), spec)?;
    let unchanged = Interventions::default();
    let computation = |interventions| Computation {
        model: &loaded.model,
        interventions,
    };
    let sequences = [tokens.to_vec()];
    progress.report(0, 2, "without the interventions")?;
    let reference = ReferencePass::run(computation(&unchanged), &sequences)?;
    progress.report(1, 2, "with the interventions")?;
    let mut paired = reference.compare(computation(&changed))?;
    let paired = paired
        .pop()
        .ok_or_else(|| PipelineError::Settings("the model gave nothing for the text".to_owned()))?;
    let layers = spec.moe_layers.len();
    let mut changed_layers = vec![0_u16; tokens.len()];
    let mut lost = vec![0.0; layers];
    #[expect(
        clippy::cast_precision_loss,
        reason = "a few experts, and tokens of one text"
    )]
    let (top_k, number) = (f64::from(spec.top_k), tokens.len() as f64);
    for row in 0..paired.reference.len() {
        let (a, b) = (paired.reference.experts(row), paired.variant.experts(row));
        let gone = a.iter().filter(|expert| !b.contains(expert)).count();
        if gone > 0 {
            changed_layers[paired.reference.position[row] as usize] += 1;
            #[expect(clippy::cast_precision_loss, reason = "a few experts")]
            let share = gone as f64 / top_k;
            lost[usize::from(paired.reference.moe_layer[row])] += share;
        }
    }
    let of_tokens = paired.divergences.iter().zip(changed_layers);
    let effects: Vec<TokenEffect> = of_tokens
        .map(|(divergence, changed_layers)| TokenEffect {
            surprisal_change: divergence.surprisals.map(|(without, with)| with - without),
            kl_nats: divergence.kl_nats,
            is_prediction_changed: divergence.is_prediction_changed,
            changed_layers,
        })
        .collect();
    let known: Vec<f64> = effects.iter().filter_map(|e| e.surprisal_change).collect();
    #[expect(clippy::cast_precision_loss, reason = "tokens of one text")]
    let mean = (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64);
    Ok(TextEffect {
        interventions: changed.specs(),
        layers: spec
            .moe_layers
            .iter()
            .zip(lost)
            .map(|(layer, lost)| LayerEffect {
                layer: *layer,
                changed_assignments: lost / number,
            })
            .collect(),
        mean_surprisal_change: mean,
        mean_kl: effects.iter().map(|e| e.kl_nats).sum::<f64>() / number,
        tokens: effects,
    })
}
