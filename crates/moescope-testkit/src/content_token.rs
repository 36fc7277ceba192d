//! A token for traces that a test makes by hand.

use moescope_core::{Phase, TokenRow};

/// A token that every default counts: given, routed, neither special nor a template's. Its text is `x`, standing nowhere in
/// the sample's text.
#[must_use]
pub fn content_token(position: u32, token_id: u32) -> TokenRow {
    TokenRow {
        position,
        token_id: Some(token_id),
        text: Some("x".into()),
        byte_start: None,
        byte_end: None,
        phase: Some(Phase::Prefill),
        role: None,
        is_special: Some(false),
        is_template: Some(false),
        is_routed: true,
        surprisal: None,
        predicted_id: None,
    }
}
