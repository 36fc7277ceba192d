//! What one document adds to every table: sums over its counted tokens.

use moescope_core::{DecisionBatch, TokenDivergence};

use super::{
    ComparedDocument,
    bins::{CHANGED_BINS, MARGIN_BINS, changed_bin, margin_bin},
};

/// Sums over the decisions of one document at one layer.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct LayerSums {
    /// Decisions.
    pub(super) decisions: f64,
    /// Decisions that chose another set of experts.
    pub(super) changed: f64,
    /// Sum of 1 − |A ∩ B| / k.
    pub(super) changed_assignments: f64,
    /// Decisions whose heaviest expert is another one.
    pub(super) first_changed: f64,
    /// Experts that both chose.
    pub(super) shared: f64,
    /// Sum of |w − w′| over experts that both chose.
    pub(super) absolute_error: f64,
    /// Sum of (w − w′)² over experts that both chose.
    pub(super) squared_error: f64,
    /// Sum of ½ Σ |w − w′| over all experts.
    pub(super) distance: f64,
    /// Sum of KL over the tokens, and over those whose selection changed here.
    pub(super) kl: f64,
    pub(super) kl_of_changed: f64,
    /// The same by the reference's margin.
    pub(super) by_margin: [MarginSums; MARGIN_BINS],
}

/// Sums over the decisions of one range of margins.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct MarginSums {
    /// Decisions.
    pub(super) decisions: f64,
    /// Decisions that chose another set of experts.
    pub(super) changed: f64,
    /// Experts that both chose.
    pub(super) shared: f64,
    /// Sum of |w − w′| over experts that both chose.
    pub(super) absolute_error: f64,
    /// Sum of KL over the decisions' tokens.
    pub(super) kl: f64,
}

/// Sums over the tokens of one document.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct TokenSums {
    /// Tokens.
    pub(super) tokens: f64,
    /// Sum of KL in nats.
    pub(super) kl: f64,
    /// Tokens after which another token is the most likely one.
    pub(super) predictions_changed: f64,
    /// Tokens with a surprisal, and the sum of variant − reference.
    pub(super) surprisals: f64,
    pub(super) surprisal_change: f64,
    /// Tokens, and sum of KL, by the number of layers whose selection changed.
    pub(super) by_changed_layers: [(f64, f64); CHANGED_BINS],
}

/// Everything one document adds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct DocumentSums {
    /// By layer, in the order of the model's MoE layers.
    pub(super) layers: Vec<LayerSums>,
    /// Over its tokens.
    pub(super) tokens: TokenSums,
}

impl DocumentSums {
    /// Sums a document's counted tokens.
    ///
    /// # Panics
    /// When the two batches hold other decisions, or weights or margins are missing.
    pub(super) fn of(document: &ComparedDocument<'_>, layers: usize) -> Self {
        let (reference, variant) = (document.reference, document.variant);
        assert_eq!(reference.position, variant.position, "the same tokens");
        assert_eq!(reference.layer, variant.layer, "the same layers");
        let mut sums = Self {
            layers: vec![LayerSums::default(); layers],
            tokens: TokenSums::default(),
        };
        let mut changed_layers = vec![0_usize; document.divergences.len()];
        for row in 0..reference.len() {
            let position = reference.position[row] as usize;
            if !document.counted[position] {
                continue;
            }
            let layer = &mut sums.layers[usize::from(reference.moe_layer[row])];
            let kl = document.divergences[position].kl_nats;
            let is_changed = layer.add(reference, variant, row, kl);
            layer.kl += kl;
            if is_changed {
                layer.kl_of_changed += kl;
                changed_layers[position] += 1;
            }
        }
        for (position, divergence) in document.divergences.iter().enumerate() {
            if document.counted[position] {
                sums.tokens.add(divergence, changed_layers[position]);
            }
        }
        sums
    }
}

impl LayerSums {
    /// Adds one decision, whose token's predictions diverge by `kl`; says whether it chose another set of experts.
    fn add(
        &mut self,
        reference: &DecisionBatch,
        variant: &DecisionBatch,
        row: usize,
        kl: f64,
    ) -> bool {
        let (a, b) = (reference.experts(row), variant.experts(row));
        let known = "batches of our own engine hold weights and margins";
        let (v, w) = (
            reference.weights(row).expect(known),
            variant.weights(row).expect(known),
        );
        let margin = reference.margin.as_ref().expect(known)[row];
        let mut shared = 0.0;
        let mut difference = 0.0;
        let mut absolute_error = 0.0;
        for (slot, expert) in a.iter().enumerate() {
            let weight = f64::from(v[slot]);
            if let Some(other) = b.iter().position(|e| e == expert) {
                let error = weight - f64::from(w[other]);
                shared += 1.0;
                difference += error.abs();
                absolute_error += error.abs();
                self.squared_error += error * error;
            } else {
                difference += weight.abs();
            }
        }
        for (slot, expert) in b.iter().enumerate() {
            if !a.contains(expert) {
                difference += f64::from(w[slot]).abs();
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "a few experts per token")]
        let top_k = a.len() as f64;
        let is_changed = shared < top_k;
        self.decisions += 1.0;
        self.changed += f64::from(u8::from(is_changed));
        self.changed_assignments += 1.0 - shared / top_k;
        self.first_changed += f64::from(u8::from(a.first() != b.first()));
        self.shared += shared;
        self.absolute_error += absolute_error;
        self.distance += 0.5 * difference;
        if let Some(bin) = margin_bin(margin) {
            let sums = &mut self.by_margin[bin];
            sums.decisions += 1.0;
            sums.changed += f64::from(u8::from(is_changed));
            sums.shared += shared;
            sums.absolute_error += absolute_error;
            sums.kl += kl;
        }
        is_changed
    }
}

impl TokenSums {
    fn add(&mut self, divergence: &TokenDivergence, changed_layers: usize) {
        self.tokens += 1.0;
        self.kl += divergence.kl_nats;
        self.predictions_changed += f64::from(u8::from(divergence.is_prediction_changed));
        if let Some((reference, variant)) = divergence.surprisals {
            self.surprisals += 1.0;
            self.surprisal_change += variant - reference;
        }
        let bin = &mut self.by_changed_layers[changed_bin(changed_layers)];
        bin.0 += 1.0;
        bin.1 += divergence.kl_nats;
    }
}

#[cfg(test)]
mod tests {
    use moescope_core::{Gating, LayerId};

    use super::*;

    /// One decision per `(experts, weights, logits)`, one layer, positions from 0.
    fn batch(rows: &[([u16; 2], [f32; 2], [f32; 4])]) -> DecisionBatch {
        let mut batch = DecisionBatch::new(4, 2);
        for (position, (experts, weights, logits)) in (0..).zip(rows) {
            batch.push_decision(
                position,
                LayerId(3),
                0,
                experts,
                weights,
                logits,
                &Gating::top_k_softmax(),
            );
        }
        batch
    }

    fn divergence(kl_nats: f64, surprisals: Option<(f64, f64)>) -> TokenDivergence {
        TokenDivergence {
            kl_nats,
            is_prediction_changed: kl_nats > 0.1,
            surprisals,
        }
    }

    #[test]
    fn sums_are_those_computed_by_hand() {
        // Token 0 does not count. Token 1 keeps its set and swaps the order: weights 0.75 → 0.25 and 0.25 → 0.75.
        // Token 2 keeps expert 0 (0.5 → 0.625) and gives up 1 (0.5) for 3 (0.375).
        let z = [1.0, 0.5, 0.0, -1.0];
        let reference = batch(&[
            ([0, 1], [0.5, 0.5], z),
            ([0, 1], [0.75, 0.25], z),
            ([0, 1], [0.5, 0.5], z),
        ]);
        let variant = batch(&[
            ([2, 3], [0.5, 0.5], z),
            ([1, 0], [0.75, 0.25], z),
            ([0, 3], [0.625, 0.375], z),
        ]);
        let divergences = [
            divergence(9.0, None),
            divergence(0.25, Some((2.0, 2.5))),
            divergence(0.0625, Some((3.0, 2.75))),
        ];
        let found = DocumentSums::of(
            &ComparedDocument {
                counted: &[false, true, true],
                reference: &reference,
                variant: &variant,
                divergences: &divergences,
            },
            1,
        );
        let layer = &found.layers[0];
        let margin = reference.margin.as_ref().unwrap()[1];
        let mut by_margin = [MarginSums::default(); MARGIN_BINS];
        by_margin[margin_bin(margin).unwrap()] = MarginSums {
            decisions: 2.0,
            changed: 1.0,
            shared: 3.0,
            absolute_error: 1.125,
            kl: 0.3125,
        };
        let expected = LayerSums {
            decisions: 2.0,
            changed: 1.0,
            // (1 − 2/2) + (1 − 1/2).
            changed_assignments: 0.5,
            first_changed: 1.0,
            // 2 + 1.
            shared: 3.0,
            // 0.5 + 0.5 + 0.125.
            absolute_error: 1.125,
            // 0.25 + 0.25 + 0.015625.
            squared_error: 0.515_625,
            // ½ (0.5 + 0.5) + ½ (0.125 + 0.5 + 0.375).
            distance: 1.0,
            kl: 0.3125,
            kl_of_changed: 0.0625,
            by_margin,
        };
        assert_eq!(*layer, expected);
        let mut by_changed_layers = [(0.0, 0.0); CHANGED_BINS];
        by_changed_layers[0] = (1.0, 0.25);
        by_changed_layers[1] = (1.0, 0.0625);
        let expected = TokenSums {
            tokens: 2.0,
            kl: 0.3125,
            predictions_changed: 1.0,
            surprisals: 2.0,
            // 0.5 − 0.25.
            surprisal_change: 0.25,
            by_changed_layers,
        };
        assert_eq!(found.tokens, expected);
    }

    #[test]
    fn a_model_compared_with_itself_changes_nothing() {
        let one = batch(&[([0, 1], [0.75, 0.25], [2.0, 1.0, 0.0, -1.0])]);
        let found = DocumentSums::of(
            &ComparedDocument {
                counted: &[true],
                reference: &one,
                variant: &one,
                divergences: &[divergence(0.0, None)],
            },
            1,
        );
        let layer = &found.layers[0];
        let zeros = [
            layer.changed,
            layer.changed_assignments,
            layer.first_changed,
            layer.absolute_error,
            layer.distance,
        ];
        assert!(zeros.iter().all(|sum| *sum == 0.0), "{layer:?}");
        assert_eq!((layer.decisions, layer.shared), (1.0, 2.0));
        assert_eq!(found.tokens.by_changed_layers[0], (1.0, 0.0));
    }
}
