//! What comparisons over fixed texts share: which tokens count, under which labels, and how their tables are found.

use moescope_analytics::MeasureRequest;
use moescope_core::{AxisKind, Measurement};

use crate::capture::{CapturePlan, PlannedSample, PlannedToken};

/// Which tokens the default scope counts.
pub(crate) fn counted(planned: &PlannedSample) -> Vec<bool> {
    let is_content = |token: &PlannedToken| !token.is_special && !token.is_template;
    planned.tokens.iter().map(is_content).collect()
}

/// The request, without labels where no text has the usual one.
pub(crate) fn labelled(plan: &CapturePlan, request: &MeasureRequest) -> MeasureRequest {
    let usual = MeasureRequest::default().by;
    let is_unlabelled = || plan.samples().iter().all(|s| s.sample.discipline.is_none());
    let mut request = request.clone();
    if request.by == usual && is_unlabelled() {
        "all".clone_into(&mut request.by);
    }
    request
}

/// A metric's table over these axes.
pub(crate) fn table<'m>(
    measurements: &'m [Measurement],
    metric: &str,
    axes: &[AxisKind],
) -> Option<&'m Measurement> {
    measurements.iter().find(|measurement| {
        let kinds = measurement.axes.iter().map(|axis| axis.kind);
        measurement.metric == metric && kinds.eq(axes.iter().copied())
    })
}
