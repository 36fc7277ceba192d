//! How far two models' predictions lie apart at one token.

/// What two models say of one token of the same text: how their distributions of the next token differ, and how
/// unexpected each found the token itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TokenDivergence {
    /// Kullback–Leibler divergence of the next-token distributions after this token, reference ‖ variant, in nats; 0 or
    /// more, and 0 exactly where the logits are the same.
    pub kl_nats: f64,
    /// Whether the most likely next token is another one (of equal ones the lowest id counts).
    pub is_prediction_changed: bool,
    /// Surprisal of this token given those before it, in nats: the reference's, then the variant's; `None` for the first.
    pub surprisals: Option<(f64, f64)>,
}
