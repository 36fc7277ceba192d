//! What can be measured of several traces.

use moescope_analytics::{
    AnalyticsError, MeasureRequest, Metric, TraceSet, TraceSetMetric, difference_of_traces, find,
    find_comparison,
};
use moescope_core::{Measurement, Progress};

/// A metric of several traces, or one of a single trace, of which the difference from the reference is measured.
#[derive(Clone, Copy)]
pub enum ComparedMetric {
    /// A metric of several traces.
    OfTraces(&'static dyn TraceSetMetric),
    /// The value in every trace minus that in the reference.
    Difference(&'static dyn Metric),
}

impl ComparedMetric {
    /// The metric of a name.
    ///
    /// # Errors
    /// Names the nearest metrics when there is none of that name.
    pub fn find(name: &str) -> Result<Self, AnalyticsError> {
        match find_comparison(name) {
            Ok(metric) => Ok(Self::OfTraces(metric)),
            Err(_) => Ok(Self::Difference(find(name)?)),
        }
    }

    /// Compares every trace with the reference.
    ///
    /// # Errors
    /// As the metric.
    pub fn compare(
        &self,
        traces: &TraceSet,
        request: &MeasureRequest,
        progress: &dyn Progress,
    ) -> Result<Vec<Measurement>, AnalyticsError> {
        match self {
            Self::OfTraces(metric) => metric.compare(traces, request, progress),
            Self::Difference(metric) => difference_of_traces(traces, *metric, request, progress),
        }
    }
}
