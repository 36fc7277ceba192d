//! The words of moescope: ids, samples, the model's description, router decisions, measurements, progress.
//!
//! Every other crate speaks in these types, and two of them are the narrow waists of the project:
//! a [`DecisionBatch`] leaves the engine, a [`Measurement`] leaves the analytics.
//! This crate does no I/O and knows no tensor, no data frame and no window.
//!
//! ```
//! use moescope_core::{DecisionBatch, Gating, LayerId};
//!
//! // One token at one MoE layer with 4 experts, top-2: expert 2 leads, then 0.
//! let mut batch = DecisionBatch::new(4, 2);
//! batch.push_decision(0, LayerId(0), 0, &[2, 0], &[0.7, 0.3], &[1.0, 0.1, 1.85, -2.0], &Gating::softmax_top_k());
//! assert_eq!(batch.experts(0), &[2, 0]);
//! assert!(batch.margin.as_ref().unwrap()[0] > 0.0);
//! ```

mod contained_panic;
mod decision_batch;
mod decision_stats;
mod discipline;
mod error;
mod ids;
mod json_number;
mod label_filter;
mod label_group;
mod label_list;
mod measurement;
mod model_spec;
mod near_names;
mod positions;
mod problems;
mod progress;
mod ranges;
mod sample;
mod scope;
mod token_divergence;
mod tokens;

pub use contained_panic::contain_panic;
pub use decision_batch::DecisionBatch;
pub use decision_stats::{DecisionStats, SelectionRule};
pub use discipline::{Discipline, STANDARD_DISCIPLINES};
pub use error::CoreError;
pub use ids::{ExpertId, LayerId, Position, SampleId, TokenId};
pub use label_filter::LabelFilter;
pub use label_group::LabelGroup;
pub use label_list::LabelList;
pub use measurement::{
    Axis, AxisKind, Interval, LabelSize, LongRow, Measurement, NullComparison, Protocol,
};
pub use model_spec::{
    ExpertGroups, Gating, GroupScore, ModelSpec, ScoreFunction, WeightNormalization, WeightTarget,
};
pub use near_names::{did_you_mean, near_names};
pub use positions::PositionSelection;
pub use problems::{Problem, Problems};
pub use progress::{Cancelled, NoProgress, Progress};
pub use sample::Sample;
pub use scope::{LayerSelection, PhaseSelection, Scope, Weighting};
pub use token_divergence::TokenDivergence;
pub use tokens::{Phase, Role, TokenRow};
