//! The quantities of a comparison: names, units, and the two sums that each is the ratio of.

use super::{
    ratios::Ratio,
    sums::{LayerSums, MarginSums, TokenSums},
};

/// What is computed from sums of one kind.
pub(super) struct Quantity<S> {
    /// The name in tables.
    pub(super) name: &'static str,
    /// A title for people.
    pub(super) title: &'static str,
    /// The unit with its denominator.
    pub(super) unit: &'static str,
    /// How it follows from its sums.
    pub(super) ratio: Ratio,
    /// Numerator and denominator.
    pub(super) sums: fn(&S) -> [f64; 2],
}

/// Quantities of decisions: by layer, and over all layers.
pub(super) const OF_DECISIONS: &[Quantity<LayerSums>] = &[
    Quantity {
        name: "changed_selections",
        title: "Selections that changed",
        unit: "share of decisions",
        ratio: Ratio::Mean,
        sums: |s| [s.changed, s.decisions],
    },
    Quantity {
        name: "changed_assignments",
        title: "Assignments that changed",
        unit: "share of assignments",
        ratio: Ratio::Mean,
        sums: |s| [s.changed_assignments, s.decisions],
    },
    Quantity {
        name: "changed_first_choices",
        title: "First choices that changed",
        unit: "share of decisions",
        ratio: Ratio::Mean,
        sums: |s| [s.first_changed, s.decisions],
    },
    Quantity {
        name: "weight_error_mean",
        title: "Mean absolute error of the weights of experts chosen by both",
        unit: "routing weight",
        ratio: Ratio::Mean,
        sums: |s| [s.absolute_error, s.shared],
    },
    Quantity {
        name: "weight_error_rms",
        title: "Root-mean-square error of the weights of experts chosen by both",
        unit: "routing weight",
        ratio: Ratio::RootMean,
        sums: |s| [s.squared_error, s.shared],
    },
    Quantity {
        name: "weight_distance",
        title: "Distance between the weights of all experts",
        unit: "½ Σ |difference|",
        ratio: Ratio::Mean,
        sums: |s| [s.distance, s.decisions],
    },
];

/// Quantities that only make sense at one layer.
pub(super) const OF_LAYERS: &[Quantity<LayerSums>] = &[
    Quantity {
        name: "next_token_kl_where_changed",
        title: "Divergence of predictions at tokens whose selection changed",
        unit: "nats per token",
        ratio: Ratio::Mean,
        sums: |s| [s.kl_of_changed, s.changed],
    },
    Quantity {
        name: "next_token_kl_where_kept",
        title: "Divergence of predictions at tokens whose selection did not change",
        unit: "nats per token",
        ratio: Ratio::Mean,
        sums: |s| [s.kl - s.kl_of_changed, s.decisions - s.changed],
    },
];

/// Quantities of decisions by their margin.
pub(super) const OF_MARGINS: &[Quantity<MarginSums>] = &[
    Quantity {
        name: "changed_selections",
        title: "Selections that changed, by margin",
        unit: "share of decisions",
        ratio: Ratio::Mean,
        sums: |s| [s.changed, s.decisions],
    },
    Quantity {
        name: "weight_error_mean",
        title: "Mean absolute error of the weights of experts chosen by both, by margin",
        unit: "routing weight",
        ratio: Ratio::Mean,
        sums: |s| [s.absolute_error, s.shared],
    },
    Quantity {
        name: "next_token_kl",
        title: "Divergence of predictions, by margin; a token counts with each of its decisions",
        unit: "nats per token",
        ratio: Ratio::Mean,
        sums: |s| [s.kl, s.decisions],
    },
];

/// Quantities of tokens: what the layers together come to.
pub(super) const OF_TOKENS: &[Quantity<TokenSums>] = &[
    Quantity {
        name: "next_token_kl",
        title: "Divergence of predictions, KL(reference ‖ variant)",
        unit: "nats per token",
        ratio: Ratio::Mean,
        sums: |s| [s.kl, s.tokens],
    },
    Quantity {
        name: "changed_predictions",
        title: "Most likely next tokens that changed",
        unit: "share of tokens",
        ratio: Ratio::Mean,
        sums: |s| [s.predictions_changed, s.tokens],
    },
    Quantity {
        name: "surprisal_change",
        title: "Change of surprisal, variant minus reference",
        unit: "nats per token",
        ratio: Ratio::Mean,
        sums: |s| [s.surprisal_change, s.surprisals],
    },
    Quantity {
        name: "rerouted_tokens",
        title: "Tokens whose selection changed at one layer at least",
        unit: "share of tokens",
        ratio: Ratio::Mean,
        sums: |s| [s.tokens - s.by_changed_layers[0].0, s.tokens],
    },
];
