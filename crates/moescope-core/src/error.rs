//! What can go wrong when text becomes one of this crate's types.

use thiserror::Error;

/// A value that is not what its type promises.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum CoreError {
    /// A discipline label that is empty, too long, or holds control characters.
    #[error("'{found}' is not a discipline label: {reason}; use a short word such as 'physics'")]
    Discipline {
        /// The label as given.
        found: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A layer list that cannot be read.
    #[error("cannot read the layer list '{found}' at '{part}'; write layers like '0,5-8' or 'all'")]
    LayerSelection {
        /// The list as given.
        found: String,
        /// The part that is not a number or a range.
        part: String,
    },
    /// A list of positions that cannot be read.
    #[error(
        "cannot read the positions '{found}' at '{part}'; write positions like '0,5-8', '16-' or 'all'"
    )]
    PositionSelection {
        /// The list as given.
        found: String,
        /// The part that is not a number or a range.
        part: String,
    },
    /// A phase that is none of `prefill`, `decode`, `all`.
    #[error("'{0}' is not a phase; use prefill, decode or all")]
    Phase(String),
    /// Labels that count without the column that they are of, or a column without labels.
    #[error(
        "cannot read the filter '{0}'; write a column and its labels like genre=abstract,review"
    )]
    LabelFilter(String),
    /// Labels to be taken together without a name, or a name without labels.
    #[error(
        "cannot read the group of labels '{0}'; write a name and its labels like science=chemistry,physics"
    )]
    LabelGroup(String),
    /// A measurement whose parts do not fit together.
    #[error("measurement '{metric}' is inconsistent: {reason}")]
    Measurement {
        /// The metric's name.
        metric: String,
        /// Which parts disagree.
        reason: String,
    },
}
