//! Turns a routing trace into measurements that say how far they can be trusted.
//!
//! A [`Metric`] reads sums per document where sums suffice and decisions where order matters, and gives
//! `moescope_core::Measurement`s: values with intervals from a bootstrap over groups, with permutation nulls,
//! and with a protocol that names scope, unit, seed, confounds and power.
//! This crate draws nothing and changes no trace.
//!
//! ```no_run
//! use std::path::Path;
//!
//! use moescope_analytics::{MeasureRequest, TraceData, find, table};
//! use moescope_core::NoProgress;
//!
//! let data = TraceData::open(Path::new("my-trace"))?;
//! let found = find("mutual_information")?.measure(&data, &MeasureRequest::default(), &NoProgress)?;
//! println!("{}", table(&found[0]));
//! # Ok::<(), moescope_analytics::AnalyticsError>(())
//! ```

mod calibration;
mod catalogue;
mod comparison;
mod control;
mod data;
mod error;
mod expert;
mod fingerprint;
mod inference;
mod live;
mod metric;
mod metrics;
mod metrics_of_traces;
mod request;
mod stats;
mod table;
mod token;
mod traces;
mod weights;

#[cfg(test)]
mod oracle_tests;

pub use calibration::uncalibrated;
pub use catalogue::{catalogue, catalogue_of_traces, find, find_comparison, metrics_markdown};
pub use comparison::{ComparedDocument, RoutingComparison};
pub use control::Control;
pub use data::{CountSource, Document, LabelCounts, LoadMass, MemoryDocument, TraceData};
pub use error::AnalyticsError;
pub use expert::{
    Companion, Context, ExpertConfig, ExpertProfile, LabelShare, PositionShare, TokenList,
    TopToken, VocabularyValue, expert_profile,
};
pub use fingerprint::FingerprintKind;
pub use live::{ChoicesAlike, TextAssignments, text_protocol};
pub use metric::{About, Input, Metric, TraceSetMetric};
pub use metrics::{LabelLook, LabelPreference, LabelReference};
pub use moescope_trace::{ExpertsOrder, Profile};
pub use request::{MeasureRequest, ReferenceScope};
pub use stats::information::{BiasCorrection, LabelPrior};
pub use table::{LongTable, long_table, table};
pub use token::{
    Excerpt, FirstChoiceAgreement, TokenConfig, TokenContext, TokenExpert, TokenLabel,
    TokenProfile, TokenSpelling, token_profile, token_spellings,
};
pub use traces::{TraceSet, difference_of_traces};
pub use weights::{ExpertProjection, LayerWeights, WeightSource};
