//! The decisions of one sequence of a saved batch.

use moescope_core::DecisionBatch;

use super::{super::ScoreKind, batch::Batch, derive::Rule, routed::sort_by_weight, stack::Stack};

/// Decisions of one sequence as they grow.
pub(super) struct Decisions<'b> {
    batch: &'b Batch<'b>,
    rule: Rule,
    has_weights: bool,
    rows: DecisionBatch,
    experts: Vec<u16>,
    weights: Vec<f32>,
    scores: Vec<f32>,
}

impl<'b> Decisions<'b> {
    pub(super) fn new(batch: &'b Batch<'b>) -> Self {
        let experts = usize::from(batch.model.num_experts);
        let top_k = usize::from(batch.model.top_k);
        let mut rows = if batch.logits.is_some() {
            DecisionBatch::new(experts, top_k)
        } else {
            DecisionBatch::ids_only(experts, top_k)
        };
        if batch.weights.is_some() {
            rows.routing_weights = Some(Vec::new());
        }
        Self {
            batch,
            rule: Rule::new(&batch.model.gating),
            has_weights: batch.has_weights(),
            rows,
            experts: Vec::with_capacity(experts),
            weights: Vec::with_capacity(top_k),
            scores: Vec::with_capacity(experts),
        }
    }

    pub(super) fn push(&mut self, layer: usize, row: usize, position: u32) -> Result<(), String> {
        let batch = self.batch;
        self.scores.clear();
        if let Some(logits) = &batch.logits {
            self.scores.extend(logits.floats(layer, row));
            if let Some(expert) = self.scores.iter().position(|z| !z.is_finite()) {
                return Err(format!(
                    "the score of expert {expert} is {}",
                    self.scores[expert]
                ));
            }
            if batch.scores == ScoreKind::Probabilities {
                // The logits up to a constant, which no share, margin or entropy depends on.
                self.scores.iter_mut().for_each(|p| *p = p.ln());
            }
        }
        match &batch.selected {
            Some(selected) => self.take_selected(selected, layer, row)?,
            None => self.rule.select(
                &self.scores,
                usize::from(batch.model.top_k),
                &mut self.experts,
            ),
        }
        self.weights.clear();
        match &batch.weights {
            Some(weights) => self.weights.extend(weights.floats(layer, row)),
            None if self.has_weights => {
                self.rule
                    .weigh(&self.scores, &self.experts, &mut self.weights);
            }
            // Only their order is used: the most likely first.
            None => self.weights.extend(
                self.experts
                    .iter()
                    .filter_map(|e| self.scores.get(usize::from(*e))),
            ),
        }
        if self.has_weights
            && let Some(weight) = self.weights.iter().find(|w| !w.is_finite() || **w < 0.0)
        {
            return Err(format!("a weight is {weight}"));
        }
        let layer_id = batch.model.moe_layers[layer];
        let moe_layer = u16::try_from(layer).expect("layers are numbered in u16");
        if batch.logits.is_some() {
            self.rows.push_decision(
                position,
                layer_id,
                moe_layer,
                &self.experts,
                &self.weights,
                &self.scores,
                &batch.model.gating,
            );
            return Ok(());
        }
        if batch.weights.is_some() {
            sort_by_weight(&mut self.experts, &mut self.weights);
            self.rows
                .routing_weights
                .get_or_insert_default()
                .extend(&self.weights);
        }
        self.rows.position.push(position);
        self.rows.layer.push(layer_id);
        self.rows.moe_layer.push(moe_layer);
        self.rows.selected_experts.extend(&self.experts);
        Ok(())
    }

    fn take_selected(&mut self, selected: &Stack, layer: usize, row: usize) -> Result<(), String> {
        self.experts.clear();
        for expert in selected.integers(layer, row) {
            let known = u16::try_from(expert)
                .ok()
                .filter(|e| *e < self.batch.model.num_experts)
                .ok_or_else(|| {
                    format!(
                        "expert {expert} does not exist; there are {}",
                        self.batch.model.num_experts
                    )
                })?;
            if self.experts.contains(&known) {
                return Err(format!("expert {expert} is chosen twice"));
            }
            self.experts.push(known);
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> DecisionBatch {
        if !self.has_weights {
            self.rows.routing_weights = None;
        }
        if self.batch.scores == ScoreKind::Probabilities {
            self.rows.logsumexp = None;
            self.rows.router_logits = None;
        }
        self.rows
    }
}
