//! What every metric is: a description, and a function from a trace to measurements.

use moescope_core::{AxisKind, Measurement, Progress};

use crate::{AnalyticsError, MeasureRequest, TraceData, TraceSet};

/// One quantity that can be measured on a trace.
pub trait Metric: Sync {
    /// What it is: the entry of `docs/METRICS.md`.
    fn about(&self) -> About;

    /// Measures it.
    ///
    /// # Errors
    /// When the trace lacks what the metric needs, the request makes no sense, a table is malformed, or the work is cancelled.
    fn measure(
        &self,
        data: &TraceData,
        request: &MeasureRequest,
        progress: &dyn Progress,
    ) -> Result<Vec<Measurement>, AnalyticsError>;
}

/// One quantity that compares several traces with a reference among them.
pub trait TraceSetMetric: Sync {
    /// What it is: the entry of `docs/METRICS.md`.
    fn about(&self) -> About;

    /// Compares every trace of the set with its reference.
    ///
    /// # Errors
    /// When the traces cannot be compared in this way, lack what the metric needs, the request makes no sense, a table is
    /// malformed, or the work is cancelled.
    fn compare(
        &self,
        traces: &TraceSet,
        request: &MeasureRequest,
        progress: &dyn Progress,
    ) -> Result<Vec<Measurement>, AnalyticsError>;
}

/// The description of a metric.
#[derive(Clone, Debug, PartialEq)]
pub struct About {
    /// The name on the command line and in tables; also the name of its file.
    pub name: &'static str,
    /// A title for people.
    pub title: &'static str,
    /// The definition.
    pub formula: &'static str,
    /// The unit with its denominator.
    pub unit: &'static str,
    /// Smallest and largest values, and what an indifferent router gives.
    pub range: &'static str,
    /// What happens at the edges: empty labels, few groups, missing columns.
    pub edge_cases: &'static str,
    /// How intervals and p values are made.
    pub uncertainty: &'static str,
    /// Where the definition comes from.
    pub citation: &'static str,
    /// What it reads.
    pub inputs: &'static [Input],
    /// The axes of its values.
    pub axes: &'static [AxisKind],
}

/// What a metric reads: a table of the trace, or the model's weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// Sums per document and layer: quick, and all that counts-only imports have.
    Profiles,
    /// Every decision in order.
    Routing,
    /// Token ids.
    Tokens,
    /// The model's weights, which no trace holds.
    Weights,
}

impl Input {
    /// The table's name, or `weights`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Profiles => "profiles",
            Self::Routing => "routing",
            Self::Tokens => "tokens",
            Self::Weights => "weights",
        }
    }
}
