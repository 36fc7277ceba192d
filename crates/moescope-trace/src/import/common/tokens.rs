//! Rows of `tokens` of which little is known.

use moescope_core::{Phase, TokenRow};

/// A token with nothing but its place; `phase` is that of the pass that routed it, `None` where no routing is known.
pub(crate) fn bare_token(position: u32, phase: Option<Phase>) -> TokenRow {
    TokenRow {
        position,
        token_id: None,
        text: None,
        byte_start: None,
        byte_end: None,
        phase,
        role: None,
        is_special: None,
        is_template: None,
        is_routed: phase.is_some(),
        surprisal: None,
        predicted_id: None,
    }
}
