//! The decisions of one document, in order.

use moescope_core::PhaseSelection;

/// What a metric needs of each decision, and which decisions it counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DecisionNeeds {
    /// The experts' weights.
    pub(crate) weights: bool,
    /// The routing entropy.
    pub(crate) entropy: bool,
    /// The phases that count.
    pub(crate) phase: PhaseSelection,
    /// Whether special and template tokens count.
    pub(crate) include_special: bool,
}

/// The decisions of one document, sorted by position, then layer; counted and uncounted ones.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DocumentDecisions<'a> {
    /// Index into the trace's documents.
    pub(crate) document: usize,
    /// The token's position, `[rows]`.
    pub(crate) position: &'a [u32],
    /// Index into the trace's layers, `[rows]`.
    pub(crate) layers: &'a [u16],
    /// Whether the token is in scope, `[rows]`.
    pub(crate) counted: &'a [bool],
    /// Experts per decision.
    pub(crate) top_k: usize,
    /// The chosen experts, each below the number of experts, `[rows × top_k]`.
    pub(crate) all_experts: &'a [u16],
    /// Their weights, empty unless asked for, `[rows × top_k]`.
    pub(crate) all_weights: &'a [f32],
    /// Nats, empty unless asked for, `[rows]`.
    pub(crate) entropy: &'a [f32],
}

impl<'a> DocumentDecisions<'a> {
    /// The rows of tokens in scope.
    pub(crate) fn counted_rows(&self) -> impl Iterator<Item = usize> + 'a {
        let counted = self.counted;
        (0..counted.len()).filter(move |row| counted[*row])
    }

    /// The layer of a row, as an index into the trace's layers.
    pub(crate) fn layer(&self, row: usize) -> usize {
        usize::from(self.layers[row])
    }

    /// The experts of a row, `[top_k]`.
    pub(crate) fn experts(&self, row: usize) -> &'a [u16] {
        &self.all_experts[row * self.top_k..(row + 1) * self.top_k]
    }

    /// The weights of a row, `[top_k]`.
    pub(crate) fn weights(&self, row: usize) -> &'a [f32] {
        &self.all_weights[row * self.top_k..(row + 1) * self.top_k]
    }
}
