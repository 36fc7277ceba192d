//! Every metric that compares traces, one file each; a test compares this list with the folder.

mod expert_matching;
mod router_saturation;
mod routing_agreement;
mod routing_drift;

use crate::TraceSetMetric;

/// Every metric that compares traces.
pub(crate) static METRICS_OF_TRACES: &[&dyn TraceSetMetric] = &[
    // The same tokens in both.
    &router_saturation::RouterSaturation,
    &routing_agreement::RoutingAgreement,
    // Their distributions.
    &routing_drift::RoutingDrift,
    // Experts without common numbers.
    &expert_matching::ExpertMatching,
];
