//! Where one of two experts would be dispatched to, the other is, with the first one's weight.

use crate::routing::Routing;

/// Exchanges `a` and `b` in the selection.
pub(super) fn apply(routing: Routing, a: u16, b: u16) -> Routing {
    let ids = routing.selected_experts;
    let (is_a, is_b) = (
        ids.clone().equal_scalar(i64::from(a)),
        ids.clone().equal_scalar(i64::from(b)),
    );
    let swapped = ids
        .mask_fill(is_a, i64::from(b))
        .mask_fill(is_b, i64::from(a));
    Routing {
        selected_experts: swapped,
        ..routing
    }
}
