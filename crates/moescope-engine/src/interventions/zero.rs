//! Zeroed experts are selected as ever, and add nothing.

use crate::routing::Routing;

/// Sets the weight of `experts` to 0; the weights of the others are not made larger for it.
pub(super) fn apply(routing: Routing, experts: &[u16]) -> Routing {
    let ids = routing.selected_experts;
    let weights = experts
        .iter()
        .fold(routing.routing_weights, |weights, expert| {
            let is_zeroed = ids.clone().equal_scalar(i64::from(*expert));
            weights.mask_fill(is_zeroed, 0.0)
        });
    Routing {
        selected_experts: ids,
        routing_weights: weights,
        ..routing
    }
}
