//! Keeps what routers decided on the device, and reads it back once per step.

use burn::tensor::{Int, Tensor, TensorData, Transaction};
use moescope_core::{DecisionBatch, LayerId, SelectionRule};

use crate::{
    decoder::MoeModel,
    error::EngineError,
    probe::{Probe, RouterSite},
    routing::Routing,
};

/// A probe that holds on to every router's tensors until the step is read.
#[derive(Clone, Debug, Default)]
pub struct TraceRecorder {
    layers: Vec<(LayerId, u16, Routing)>,
}

impl TraceRecorder {
    /// A recorder that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends a step: everything seen since the last call, still on the device.
    #[must_use]
    pub fn end_step(&mut self) -> RecordedStep {
        RecordedStep {
            layers: std::mem::take(&mut self.layers),
        }
    }
}

impl Probe for TraceRecorder {
    fn observe(&mut self, site: RouterSite<'_>, routing: &Routing) {
        self.layers
            .push((site.layer, site.moe_layer, routing.clone()));
    }
}

/// The routing of one forward pass, on the device.
#[derive(Debug, Default)]
pub struct RecordedStep {
    layers: Vec<(LayerId, u16, Routing)>,
}

/// Further tensors that are wanted from the same step.
#[derive(Debug, Default)]
pub(crate) struct StepExtras {
    /// Surprisal of the token that follows and arg max, for the rows that were asked for, `[rows]` each.
    pub(crate) token_stats: Option<(Tensor<1>, Tensor<1, Int>)>,
    /// Logits to sample from, `[sequences, vocab]`.
    pub(crate) logits: Option<Tensor<2>>,
}

/// What one forward pass left on the host.
#[derive(Debug, Default)]
pub(crate) struct StepRecord {
    layers: Vec<RecordedLayer>,
    /// Surprisal of the token that follows (NaN without one) and arg max, for the rows that were asked for.
    pub(crate) token_stats: Vec<(f32, u32)>,
    pub(crate) logits: Option<Vec<f32>>,
}

#[derive(Debug)]
struct RecordedLayer {
    layer: LayerId,
    moe_layer: u16,
    router_logits: Vec<f32>,
    selected_experts: Vec<u16>,
    routing_weights: Vec<f32>,
}

impl RecordedStep {
    /// Reads everything back in one transaction: the step's only wait.
    pub(crate) fn read(self, extras: StepExtras) -> Result<StepRecord, EngineError> {
        let mut transaction = Transaction::default();
        let mut sites = Vec::with_capacity(self.layers.len());
        for (layer, moe_layer, routing) in self.layers {
            sites.push((layer, moe_layer));
            transaction = transaction
                .register(routing.router_logits)
                .register(routing.selected_experts)
                .register(routing.routing_weights);
        }
        let (has_stats, has_logits) = (extras.token_stats.is_some(), extras.logits.is_some());
        if let Some((surprisal, predicted)) = extras.token_stats {
            transaction = transaction.register(surprisal).register(predicted);
        }
        if let Some(logits) = extras.logits {
            transaction = transaction.register(logits);
        }
        if sites.is_empty() && !has_stats && !has_logits {
            return Ok(StepRecord::default());
        }
        let data = transaction
            .try_execute()
            .map_err(|error| EngineError::Execution(error.to_string()))?;
        let mut data = data.into_iter();
        let mut next = || data.next().expect("one answer per registered tensor");
        let layers = sites
            .into_iter()
            .map(|(layer, moe_layer)| {
                Ok(RecordedLayer {
                    layer,
                    moe_layer,
                    router_logits: floats(next())?,
                    selected_experts: next().iter::<i64>().map(narrow).collect(),
                    routing_weights: floats(next())?,
                })
            })
            .collect::<Result<Vec<_>, EngineError>>()?;
        let token_stats = if has_stats {
            let surprisal = floats(next())?;
            let predicted = next();
            let ids = predicted
                .iter::<i64>()
                .map(|id| u32::try_from(id).expect("an arg max over a vocabulary"));
            surprisal.into_iter().zip(ids).collect()
        } else {
            Vec::new()
        };
        let logits = if has_logits {
            Some(floats(next())?)
        } else {
            None
        };
        Ok(StepRecord {
            layers,
            token_stats,
            logits,
        })
    }
}

impl StepRecord {
    /// Adds the decisions of the step's tokens `tokens`, which are positions `first_position..` of their sequence.
    ///
    /// # Errors
    /// When a router's logits are not finite.
    pub(crate) fn push_decisions(
        &self,
        tokens: std::ops::Range<usize>,
        first_position: u32,
        sequence: usize,
        model: &MoeModel,
        into: &mut DecisionBatch,
    ) -> Result<(), EngineError> {
        let (num_experts, top_k) = (into.num_experts(), into.top_k());
        for (position, token) in (first_position..).zip(tokens) {
            for layer in &self.layers {
                let router_logits =
                    &layer.router_logits[token * num_experts..(token + 1) * num_experts];
                if let Some(value) = router_logits.iter().find(|z| !z.is_finite()) {
                    return Err(EngineError::RouterNotFinite {
                        layer: layer.layer.0,
                        position,
                        sample: sequence,
                        value: *value,
                    });
                }
                into.push_decision(
                    position,
                    layer.layer,
                    layer.moe_layer,
                    &layer.selected_experts[token * top_k..(token + 1) * top_k],
                    &layer.routing_weights[token * top_k..(token + 1) * top_k],
                    router_logits,
                    SelectionRule {
                        gating: &model.spec().gating,
                        correction_bias: model.correction_bias(layer.layer),
                    },
                );
            }
        }
        Ok(())
    }
}

fn floats(data: TensorData) -> Result<Vec<f32>, EngineError> {
    data.try_into_vec::<f32>()
        .map_err(|error| EngineError::Execution(format!("cannot read floats back: {error:?}")))
}

/// An expert's number. A router that gave NaN may select anything on a GPU; `push_decisions` finds the NaN and reports
/// it before any number is used, so an impossible one must only not stop the reading.
fn narrow(id: i64) -> u16 {
    u16::try_from(id).unwrap_or(u16::MAX)
}
