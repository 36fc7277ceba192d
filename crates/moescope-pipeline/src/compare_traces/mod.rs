//! The standard comparison of traces: how they were made, where their routing parts, and how surely.

mod answers;
mod metric;
mod origins;

use moescope_analytics::{AnalyticsError, MeasureRequest, TraceSet, find_comparison};
use moescope_core::{Measurement, Progress};
use moescope_trace::Manifest;

pub use metric::ComparedMetric;
pub use origins::OriginDifference;

use crate::{error::PipelineError, findings::Finding};

/// What a comparison of traces found.
#[derive(Clone, Debug)]
pub struct TraceComparison {
    /// How the making of each trace differs from that of the reference.
    pub origins: Vec<OriginDifference>,
    /// In the order in which they should be read.
    pub findings: Vec<Finding>,
    /// Every table that was measured.
    pub measurements: Vec<Measurement>,
    /// What could not be compared, and why.
    pub refusals: Vec<String>,
}

/// Measures what a comparison needs and answers; `manifests` are those of the traces, in their order.
///
/// What the traces do not allow (agreement of other texts, drift of other experts) is left out and told.
///
/// # Errors
/// When a table is damaged, the request makes no sense, nothing at all can be compared, or `progress` cancels.
pub fn compare_traces(
    traces: &TraceSet,
    manifests: &[&Manifest],
    request: &MeasureRequest,
    progress: &dyn Progress,
) -> Result<TraceComparison, PipelineError> {
    const METRICS: [&str; 3] = ["routing_agreement", "router_saturation", "routing_drift"];
    request.refuse_reference_scope("the standard comparison")?;
    let mut measurements = Vec::new();
    let mut refusals = Vec::new();
    for metric in METRICS {
        match find_comparison(metric)?.compare(traces, request, progress) {
            Ok(found) => measurements.extend(found),
            Err(
                error @ (AnalyticsError::TooLittle { .. }
                | AnalyticsError::MissingInput { .. }
                | AnalyticsError::Request(_)),
            ) => refusals.push(error.to_string()),
            Err(error) => return Err(error.into()),
        }
    }
    if measurements.is_empty() {
        return Err(PipelineError::Settings(refusals.join("; ")));
    }
    let origins = origins::differences(traces, manifests);
    let findings = answers::all(traces, request, &origins, &measurements, &refusals);
    Ok(TraceComparison {
        origins,
        findings,
        measurements,
        refusals,
    })
}
