//! Which experts a label's documents use more than an indifferent router would.

use crate::stats::number::as_f64;

/// How much more than an indifferent router a label's documents use each expert, in bits.
///
/// For expert e of a layer with E experts it is log2(E q(e)), with q(e) = (n(e) + ½) / (N + E / 2), where n(e) are the
/// label's assignments to it and N those to all experts of the layer. It is 0 where an expert gets 1/E of the assignments,
/// 1 where it gets twice that, and at most log2 E. Half a count keeps it finite where an expert was never chosen; at a
/// layer where the label has no assignment at all it is not defined.
/// There is no interval: it is a label's profile held against one token.
#[derive(Clone, Copy, Debug)]
pub struct LabelPreference<'a> {
    /// ln q, `[layers][labels × experts]`; −∞ where the label has no assignment.
    logs: &'a [Vec<f64>],
    label: usize,
    num_experts: usize,
    /// ln E.
    log_experts: f64,
}

impl<'a> LabelPreference<'a> {
    pub(super) fn new(logs: &'a [Vec<f64>], label: usize, num_experts: usize) -> Self {
        Self {
            logs,
            label,
            num_experts,
            log_experts: as_f64(num_experts).ln(),
        }
    }

    /// The preference for an expert at a layer, given by its place among the reference's; `None` where the label has no
    /// assignment.
    ///
    /// # Panics
    /// When there is no such layer or expert.
    #[must_use]
    pub fn bits(&self, layer: usize, expert: usize) -> Option<f64> {
        let log = self.at_layer(&self.logs[layer])[expert];
        log.is_finite().then(|| self.over_even(log))
    }

    /// The mean preference for a token's experts, `[layers × top_k]` in the order of the reference's layers: how much its
    /// routing agrees with the label.
    ///
    /// Every assignment counts alike. Layers where the label has no assignment do not count; `None` where none counts.
    ///
    /// # Panics
    /// When there is not the same number of experts for every layer, or an expert that the layers do not have.
    #[must_use]
    pub fn mean_bits(&self, experts: &[u16]) -> Option<f64> {
        let layers = self.logs.len().max(1);
        assert!(
            experts.len().is_multiple_of(layers),
            "as many experts at every layer"
        );
        let top_k = (experts.len() / layers).max(1);
        let (mut sum, mut assignments) = (0.0, 0);
        for (logs, chosen) in self.logs.iter().zip(experts.chunks_exact(top_k)) {
            let logs = self.at_layer(logs);
            for log in chosen.iter().map(|expert| logs[usize::from(*expert)]) {
                if log.is_finite() {
                    sum += log;
                    assignments += 1;
                }
            }
        }
        (assignments > 0).then(|| self.over_even(sum / as_f64(assignments)))
    }

    /// The label's part of a layer's logarithms, `[experts]`.
    fn at_layer<'l>(&self, logs: &'l [f64]) -> &'l [f64] {
        &logs[self.label * self.num_experts..(self.label + 1) * self.num_experts]
    }

    /// What ln q is over the ln 1/E of an indifferent router, in bits.
    fn over_even(&self, log: f64) -> f64 {
        (log + self.log_experts) / std::f64::consts::LN_2
    }
}

#[cfg(test)]
mod tests {
    use super::super::windows::log_shares;
    use super::*;

    /// Two labels at two layers of four experts. With N = 14 the smoothed shares of the first label at the first layer are
    /// (8, 4, 2, 2) / 16, so E q = (2, 1, ½, ½). At the second layer only the second label has assignments.
    fn logs() -> Vec<Vec<f64>> {
        let counts = [7.5, 3.5, 1.5, 1.5];
        let turned = [1.5, 1.5, 3.5, 7.5];
        let first = [counts, turned].concat();
        let second = [[0.0; 4], counts].concat();
        [first, second].map(|sums| log_shares(&sums, 4)).to_vec()
    }

    fn close(found: Option<f64>, expected: f64) {
        let found = found.unwrap();
        assert!((found - expected).abs() < 1e-12, "{found}");
    }

    #[test]
    fn an_expert_of_twice_its_even_share_is_preferred_by_a_bit() {
        let logs = logs();
        let first = LabelPreference::new(&logs, 0, 4);
        for (expert, bits) in [1.0, 0.0, -1.0, -1.0].into_iter().enumerate() {
            close(first.bits(0, expert), bits);
            assert!(first.bits(1, expert).is_none(), "no assignment there");
        }
        close(LabelPreference::new(&logs, 1, 4).bits(0, 3), 1.0);
    }

    #[test]
    fn a_token_agrees_by_the_mean_over_its_assignments() {
        let logs = logs();
        let second = LabelPreference::new(&logs, 1, 4);
        // Layer 0: −1 and 1; layer 1: 1 and 0.
        close(second.mean_bits(&[0, 3, 0, 1]), 0.25);
        // The first label says nothing of the second layer: 1 and 0 are left.
        let first = LabelPreference::new(&logs, 0, 4);
        close(first.mean_bits(&[0, 1, 2, 3]), 0.5);
    }

    #[test]
    fn an_expert_that_was_never_chosen_is_finite_and_a_label_without_assignments_is_not_defined() {
        // (0 + ½) / (6 + 1) of two experts: E q = 1/7.
        let logs = [log_shares(&[6.0, 0.0, 0.0, 0.0], 2)];
        let seen = LabelPreference::new(&logs, 0, 2);
        close(seen.bits(0, 1), (1.0_f64 / 7.0).log2());
        let absent = LabelPreference::new(&logs, 1, 2);
        assert!(absent.mean_bits(&[0]).is_none());
        assert!(seen.mean_bits(&[]).is_none());
    }

    #[test]
    #[should_panic(expected = "out of bounds")]
    fn an_expert_of_another_model_is_no_expert_of_the_next_label() {
        let logs = logs();
        let _ = LabelPreference::new(&logs, 0, 4).bits(0, 4);
    }
}
