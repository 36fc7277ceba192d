//! Waist 1: router decisions as columns.

use std::ops::Range;

use crate::{DecisionStats, LayerId, SelectionRule};

/// Router decisions of **one sample**, as columns of equal length.
///
/// A *decision* is one token at one MoE layer; its `top_k` experts are *assignments*.
/// Rows are sorted by position, then layer.
/// `None` means that the source of the decisions does not know the column; our engine fills every one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DecisionBatch {
    num_experts: usize,
    top_k: usize,
    /// The token's place within its sample, `[rows]`.
    pub position: Vec<u32>,
    /// The model's layer numbering, `[rows]`.
    pub layer: Vec<LayerId>,
    /// The layer's number among MoE layers, `[rows]`.
    pub moe_layer: Vec<u16>,
    /// Chosen experts, heaviest first, ties to the lower id, `[rows × top_k]`.
    pub selected_experts: Vec<u16>,
    /// The factor that each chosen expert's output was multiplied by, `[rows × top_k]`.
    pub routing_weights: Option<Vec<f32>>,
    /// Probability mass of the chosen before normalisation, `[rows]`.
    pub topk_mass: Option<Vec<f32>>,
    /// Nats, of the distribution over all experts, `[rows]`.
    pub entropy: Option<Vec<f32>>,
    /// k-th minus (k+1)-th selection score, `[rows]`; NaN where every expert is chosen.
    pub margin: Option<Vec<f32>>,
    /// The (k+1)-th expert, `[rows]`; `u16::MAX` where every expert is chosen (NULL on disk).
    pub runner_up: Option<Vec<u16>>,
    /// ln Σ exp(logits), `[rows]`.
    pub logsumexp: Option<Vec<f32>>,
    /// Router logits, `[rows × num_experts]`.
    pub router_logits: Option<Vec<f32>>,
}

impl DecisionBatch {
    /// An empty batch whose optional columns will all be filled by [`Self::push_decision`].
    #[must_use]
    pub fn new(num_experts: usize, top_k: usize) -> Self {
        Self {
            num_experts,
            top_k,
            routing_weights: Some(Vec::new()),
            topk_mass: Some(Vec::new()),
            entropy: Some(Vec::new()),
            margin: Some(Vec::new()),
            runner_up: Some(Vec::new()),
            logsumexp: Some(Vec::new()),
            router_logits: Some(Vec::new()),
            ..Self::default()
        }
    }

    /// An empty batch that knows only which experts were chosen, as most imports do.
    #[must_use]
    pub fn ids_only(num_experts: usize, top_k: usize) -> Self {
        Self {
            num_experts,
            top_k,
            ..Self::default()
        }
    }

    /// Adds one decision and derives its numbers from the logits.
    ///
    /// `experts` and `weights` are `[top_k]` in any order (they are sorted here), `router_logits` is `[num_experts]`.
    ///
    /// # Panics
    /// When the slices have other lengths, or the batch lacks the optional columns.
    #[expect(
        clippy::too_many_arguments,
        reason = "one argument per column of the row"
    )]
    pub fn push_decision<'a>(
        &mut self,
        position: u32,
        layer: LayerId,
        moe_layer: u16,
        experts: &[u16],
        weights: &[f32],
        router_logits: &[f32],
        rule: impl Into<SelectionRule<'a>>,
    ) {
        assert_eq!(experts.len(), self.top_k, "experts per decision");
        assert_eq!(weights.len(), self.top_k, "weights per decision");
        assert_eq!(router_logits.len(), self.num_experts, "logits per decision");
        let stats = DecisionStats::from_logits(router_logits, experts, rule);
        let column = "every optional column of a batch made by `new`";
        self.position.push(position);
        self.layer.push(layer);
        self.moe_layer.push(moe_layer);
        let start = self.selected_experts.len();
        self.selected_experts.extend_from_slice(experts);
        let all_weights = self.routing_weights.as_mut().expect(column);
        all_weights.extend_from_slice(weights);
        sort_by_weight(
            &mut self.selected_experts[start..],
            &mut all_weights[start..],
        );
        #[expect(clippy::cast_possible_truncation, reason = "recorded as f32")]
        let narrow = |x: f64| x as f32;
        self.topk_mass
            .as_mut()
            .expect(column)
            .push(narrow(stats.topk_mass));
        self.entropy
            .as_mut()
            .expect(column)
            .push(narrow(stats.entropy));
        self.margin
            .as_mut()
            .expect(column)
            .push(narrow(stats.margin));
        self.runner_up
            .as_mut()
            .expect(column)
            .push(stats.runner_up.unwrap_or(u16::MAX));
        self.logsumexp
            .as_mut()
            .expect(column)
            .push(narrow(stats.logsumexp));
        self.router_logits
            .as_mut()
            .expect(column)
            .extend_from_slice(router_logits);
    }

    /// Keeps the first `rows` decisions; nothing happens where there are not more.
    pub fn truncate(&mut self, rows: usize) {
        let (top_k, num_experts) = (self.top_k, self.num_experts);
        self.position.truncate(rows);
        self.layer.truncate(rows);
        self.moe_layer.truncate(rows);
        self.selected_experts.truncate(rows * top_k);
        if let Some(weights) = &mut self.routing_weights {
            weights.truncate(rows * top_k);
        }
        let columns = [
            &mut self.topk_mass,
            &mut self.entropy,
            &mut self.margin,
            &mut self.logsumexp,
        ];
        for column in columns.into_iter().flatten() {
            column.truncate(rows);
        }
        if let Some(runner_up) = &mut self.runner_up {
            runner_up.truncate(rows);
        }
        if let Some(logits) = &mut self.router_logits {
            logits.truncate(rows * num_experts);
        }
    }

    /// A copy of some decisions.
    ///
    /// # Panics
    /// When there are no such rows.
    #[must_use]
    pub fn rows(&self, rows: Range<usize>) -> Self {
        let (top_k, num_experts) = (self.top_k, self.num_experts);
        let wide = |width: usize| rows.start * width..rows.end * width;
        let floats = |column: &Option<Vec<f32>>, width: usize| {
            column.as_ref().map(|values| values[wide(width)].to_vec())
        };
        Self {
            num_experts,
            top_k,
            position: self.position[rows.clone()].to_vec(),
            layer: self.layer[rows.clone()].to_vec(),
            moe_layer: self.moe_layer[rows.clone()].to_vec(),
            selected_experts: self.selected_experts[wide(top_k)].to_vec(),
            routing_weights: floats(&self.routing_weights, top_k),
            topk_mass: floats(&self.topk_mass, 1),
            entropy: floats(&self.entropy, 1),
            margin: floats(&self.margin, 1),
            runner_up: self
                .runner_up
                .as_ref()
                .map(|all| all[rows.clone()].to_vec()),
            logsumexp: floats(&self.logsumexp, 1),
            router_logits: floats(&self.router_logits, num_experts),
        }
    }

    /// Experts per layer.
    #[must_use]
    pub fn num_experts(&self) -> usize {
        self.num_experts
    }

    /// Experts per decision.
    #[must_use]
    pub fn top_k(&self) -> usize {
        self.top_k
    }

    /// Number of decisions.
    #[must_use]
    pub fn len(&self) -> usize {
        self.position.len()
    }

    /// Whether there is no decision.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.position.is_empty()
    }

    /// The chosen experts of decision `row`, `[top_k]`.
    #[must_use]
    pub fn experts(&self, row: usize) -> &[u16] {
        &self.selected_experts[row * self.top_k..(row + 1) * self.top_k]
    }

    /// The weights of decision `row`, `[top_k]`, where they are known.
    #[must_use]
    pub fn weights(&self, row: usize) -> Option<&[f32]> {
        self.routing_weights
            .as_deref()
            .map(|w| &w[row * self.top_k..(row + 1) * self.top_k])
    }

    /// The router logits of decision `row`, `[num_experts]`, where they are known.
    #[must_use]
    pub fn logits(&self, row: usize) -> Option<&[f32]> {
        self.router_logits
            .as_deref()
            .map(|z| &z[row * self.num_experts..(row + 1) * self.num_experts])
    }
}

/// Puts the heaviest expert first, ties to the lower id. An insertion sort: the slices are short and nearly sorted.
fn sort_by_weight(experts: &mut [u16], weights: &mut [f32]) {
    for end in 1..experts.len() {
        let mut at = end;
        while at > 0 {
            let order = weights[at]
                .total_cmp(&weights[at - 1])
                .then(experts[at - 1].cmp(&experts[at]));
            if order.is_le() {
                break;
            }
            experts.swap(at, at - 1);
            weights.swap(at, at - 1);
            at -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Gating;

    #[test]
    fn experts_are_sorted_by_weight_then_id() {
        let mut batch = DecisionBatch::new(4, 3);
        batch.push_decision(
            0,
            LayerId(2),
            0,
            &[3, 1, 0],
            &[0.25, 0.5, 0.25],
            &[0.0; 4],
            &Gating::softmax_top_k(),
        );
        assert_eq!(batch.experts(0), &[1, 0, 3]);
        assert_eq!(batch.weights(0), Some(&[0.5, 0.25, 0.25][..]));
        assert_eq!(batch.runner_up.as_ref().unwrap()[0], 2);
        assert_eq!(batch.len(), 1);
    }

    #[test]
    fn a_truncated_batch_is_the_batch_of_its_first_rows() {
        let of_rows = |rows: u32| {
            let mut batch = DecisionBatch::new(4, 2);
            for position in 0..rows {
                let logits = [0.0, 1.0, 2.0, f32::from(u16::try_from(position).unwrap())];
                let gating = Gating::softmax_top_k();
                batch.push_decision(
                    position,
                    LayerId(2),
                    0,
                    &[2, 3],
                    &[0.5, 0.25],
                    &logits,
                    &gating,
                );
            }
            batch
        };
        let mut batch = of_rows(3);
        batch.truncate(2);
        assert_eq!(batch, of_rows(2));
        batch.truncate(5);
        assert_eq!(batch, of_rows(2));
        let mut ids = DecisionBatch::ids_only(4, 2);
        ids.position = vec![0, 1];
        ids.selected_experts = vec![0, 1, 2, 3];
        ids.truncate(1);
        assert_eq!((ids.len(), ids.experts(0)), (1, &[0, 1][..]));
        let copied = of_rows(3).rows(0..2);
        assert_eq!(copied, of_rows(2));
        let last = of_rows(3).rows(2..3);
        assert_eq!((last.position[0], last.experts(0)), (2, &[2, 3][..]));
        assert_eq!(last.logits(0), Some(&[0.0, 1.0, 2.0, 2.0][..]));
    }
}
