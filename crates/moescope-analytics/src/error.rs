//! What can go wrong when a trace is measured.

use std::path::PathBuf;

use moescope_core::{Cancelled, CoreError, did_you_mean};
use moescope_trace::TraceError;
use polars::error::PolarsError;
use thiserror::Error;

/// A measurement that could not be made.
#[derive(Debug, Error)]
pub enum AnalyticsError {
    /// A metric that the catalogue does not hold.
    #[error("there is no metric '{name}'; {suggestion}")]
    UnknownMetric {
        /// The name asked for.
        name: String,
        /// Near names, or where the list is.
        suggestion: String,
    },
    /// A metric of one trace where several are needed, or the other way round.
    #[error("{name} {what}: `{command}`")]
    OtherVerb {
        /// The metric.
        name: String,
        /// What it needs.
        what: &'static str,
        /// How it is called.
        command: String,
    },
    /// A label column that the samples do not have.
    #[error("samples have no column '{column}'{}; they have: {}", did_you_mean(column, available), available.join(", "))]
    UnknownColumn {
        /// The column asked for.
        column: String,
        /// Columns that can be used.
        available: Vec<String>,
    },
    /// A label that no document carries.
    #[error("no document has {by} '{label}'{}; there are: {}", did_you_mean(label, available), available.join(", "))]
    UnknownLabel {
        /// The label asked for.
        label: String,
        /// The label column.
        by: String,
        /// The labels that occur.
        available: Vec<String>,
    },
    /// A scope that leaves too little to measure.
    #[error("cannot measure {metric}: {found}; {help}")]
    TooLittle {
        /// The metric, or `anything`.
        metric: String,
        /// What was found.
        found: String,
        /// What would help.
        help: String,
    },
    /// A layer selection without any recorded layer of the trace.
    #[error("no MoE layer is among layers {selection}; the trace has: {available}")]
    NoLayers {
        /// The selection.
        selection: String,
        /// The recorded layers of the trace.
        available: String,
    },
    /// Something the metric needs is not in the trace.
    #[error("cannot measure {metric}: the trace does not hold {missing}; {help}")]
    MissingInput {
        /// The metric.
        metric: String,
        /// What is missing.
        missing: String,
        /// What would help.
        help: String,
    },
    /// An option that makes no sense.
    #[error("cannot measure: {0}")]
    Request(String),
    /// A table whose contents break the rules of the format.
    #[error("the {table} table is not as the format says: {reason}; run `moescope validate`: {}", path.display())]
    Malformed {
        /// The table's name.
        table: &'static str,
        /// The broken rule.
        reason: String,
        /// The file, or the trace's folder.
        path: PathBuf,
    },
    /// A Parquet file that polars cannot read, or a table that it cannot write.
    #[error("cannot {action}: {source}: {}", path.display())]
    Polars {
        /// What was attempted.
        action: &'static str,
        /// What polars said.
        source: PolarsError,
        /// The file.
        path: PathBuf,
    },
    /// A model whose weights cannot be read, or that is not the one that made the trace.
    #[error("cannot read the model's weights: {0}")]
    Weights(String),
    /// A table that could not be written to its destination.
    #[error("cannot write the measurements: {0}")]
    Write(String),
    /// A trace that cannot be opened.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// A value that is not what its type promises.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// The caller asked to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}
