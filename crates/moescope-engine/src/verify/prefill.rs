//! Whole texts in one pass: router logits, selections and weights of every decision, next-token logits.

use std::collections::BTreeSet;

use moescope_core::DecisionBatch;

use super::{
    DifferingSelection, EXAMPLES, Tolerances, VerifyReport, expected::Expected, least_margin,
};
use crate::{
    decoder::{KvCache, MoeModel, Span},
    error::EngineError,
    recorder::{StepExtras, TraceRecorder},
};

pub(super) fn compare(
    model: &MoeModel,
    expected: &Expected,
    length: &str,
    tolerances: Tolerances,
    report: &mut VerifyReport,
) -> Result<(), EngineError> {
    let ids = expected.ids(&format!("input_ids.{length}"))?;
    let mut cache = KvCache::new(model, &[ids.len()]);
    let mut recorder = TraceRecorder::new();
    let hidden = model.forward(
        &[Span {
            sequence: 0,
            tokens: &ids,
        }],
        &mut cache,
        &mut recorder,
    )?;
    let logits_name = format!("logits.{length}");
    let wanted = expected.floats(&logits_name)?;
    let extras = StepExtras {
        token_stats: None,
        logits: wanted.is_some().then(|| model.logits(&hidden)),
    };
    let step = recorder.end_step().read(extras)?;
    let spec = model.spec();
    let (experts, top_k) = (usize::from(spec.num_experts), usize::from(spec.top_k));
    let mut decisions = DecisionBatch::new(experts, top_k);
    step.push_decisions(0..ids.len(), 0, 0, model, &mut decisions)?;
    let mut comparison = Comparison {
        model,
        expected,
        length,
        tolerances,
        decisions: &decisions,
        layers: spec.moe_layers.len(),
        top_k,
        comparable: ids.len(),
        report,
    };
    for (moe_layer, layer) in spec.moe_layers.iter().enumerate() {
        comparison.layer(moe_layer, layer.0)?;
    }
    let rows = comparison.comparable;
    if let (Some(wanted), Some(found)) = (&wanted, &step.logits) {
        report
            .logits
            .compare_rows(&logits_name, wanted, found, ids.len(), rows)?;
    }
    Ok(())
}

/// One text, layer by layer.
struct Comparison<'a> {
    model: &'a MoeModel,
    expected: &'a Expected,
    length: &'a str,
    tolerances: Tolerances,
    decisions: &'a DecisionBatch,
    layers: usize,
    top_k: usize,
    /// Tokens from the first whose numbers no differing selection of an earlier layer has changed: attention is
    /// causal, so a token's selection changes later layers from that token on.
    comparable: usize,
    report: &'a mut VerifyReport,
}

impl Comparison<'_> {
    fn layer(&mut self, moe_layer: usize, layer: u16) -> Result<(), EngineError> {
        let (length, layers, decisions) = (self.length, self.layers, self.decisions);
        let tokens = decisions.len() / layers;
        let row = |token: usize| token * layers + moe_layer;
        let name = format!("router_logits.{length}.{layer}");
        if let Some(wanted) = self.expected.floats(&name)? {
            let found: Vec<f32> = (0..tokens)
                .flat_map(|t| decisions.logits(row(t)).into_iter().flatten().copied())
                .collect();
            self.report.router_logits.compare_rows(
                &name,
                &wanted,
                &found,
                tokens,
                self.comparable,
            )?;
        }
        let name = format!("selected.{length}.{layer}");
        let Some(selected) = self.expected.ids_opt(&name)? else {
            return Ok(());
        };
        if selected.len() != tokens * self.top_k {
            return Err(EngineError::Expected(format!(
                "{name} has {} entries, not {}",
                selected.len(),
                tokens * self.top_k
            )));
        }
        let weights = self
            .expected
            .floats(&format!("weights.{length}.{layer}"))?
            .filter(|w| w.len() == selected.len());
        self.report.downstream += (tokens - self.comparable) as u64;
        let mut first_differing = self.comparable;
        for token in 0..self.comparable {
            let part = token * self.top_k..(token + 1) * self.top_k;
            let wanted: Vec<u16> = selected[part.clone()]
                .iter()
                .map(|id| u16::try_from(*id).unwrap_or(u16::MAX))
                .collect();
            let margin = least_margin(self.model, decisions, row(token));
            let found = decisions.experts(row(token));
            let as_set = |ids: &[u16]| ids.iter().copied().collect::<BTreeSet<u16>>();
            let differs = as_set(&wanted) != as_set(found);
            self.count(margin, differs);
            if differs {
                first_differing = first_differing.min(token);
                if self.report.examples.len() < EXAMPLES {
                    self.report.examples.push(DifferingSelection {
                        at: format!("{name}, token {token}"),
                        expected: wanted,
                        found: found.to_vec(),
                        margin,
                    });
                }
            } else if let (Some(weights), Some(ours)) = (&weights, decisions.weights(row(token))) {
                let found_by_expert: Vec<f32> = wanted
                    .iter()
                    .map(|id| {
                        let slot = found.iter().position(|f| f == id);
                        ours[slot.expect("the sets are equal")]
                    })
                    .collect();
                self.report.weights.compare(
                    &format!("weights.{length}.{layer}, token {token}"),
                    &weights[part],
                    &found_by_expert,
                )?;
            }
        }
        self.comparable = first_differing;
        Ok(())
    }

    fn count(&mut self, margin: f32, differs: bool) {
        let report = &mut *self.report;
        report.selections += 1;
        let bin = report
            .by_margin
            .iter_mut()
            .find(|bin| bin.at_most.is_none_or(|most| f64::from(margin) <= most));
        let bin = bin.expect("the last bin takes every margin");
        bin.selections += 1;
        if differs {
            bin.differing += 1;
            report.differing += 1;
            report.near_ties += u64::from(self.tolerances.is_near_tie(margin));
        }
    }
}
