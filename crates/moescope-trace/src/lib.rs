//! Routing traces on disk: schema, writing, resuming, reading, validating.
//!
//! A trace is a folder of four Parquet tables, a manifest and a dataset card; `docs/TRACE_FORMAT.md` describes it.
//! It suffices for every analysis: the manifest carries the model, the meaning of each score, and where all came from.
//! Shards appear whole or not at all, so a killed capture can be resumed and ends with the same rows.
//! This crate computes nothing but the profiles (a document's sums), and it knows no data frame.
//!
//! ```
//! use moescope_core::{DecisionBatch, Gating, LayerId, ModelSpec, NoProgress, Phase, Sample, TokenRow};
//! use moescope_trace::{CaptureSummary, Manifest, RoutingTrace, SampleRecord, TraceWriter, WriterConfig, validate};
//!
//! # fn main() -> Result<(), moescope_trace::TraceError> {
//! # let folder = tempfile::tempdir().unwrap();
//! # let path = folder.path().join("trace");
//! let gating = Gating::softmax_top_k();
//! let model = ModelSpec {
//!     family: "mixtral".into(), num_layers: 1, moe_layers: vec![LayerId(0)], num_experts: 3, top_k: 1,
//!     num_shared_experts: 0, has_shared_expert_gate: false, hidden_size: None, vocab_size: None, gating: gating.clone(),
//! };
//! let manifest = Manifest { model, compute_type: Some("f32".into()), ..Manifest::default() };
//! let mut writer = TraceWriter::create(&path, manifest, WriterConfig::default())?;
//!
//! let token = TokenRow {
//!     position: 0, token_id: Some(17), text: Some("Hi".into()), byte_start: Some(0), byte_end: Some(2),
//!     phase: Some(Phase::Prefill), role: None, is_special: Some(false), is_template: Some(false),
//!     is_routed: true, surprisal: None, predicted_id: None,
//! };
//! let mut decisions = DecisionBatch::new(3, 1);
//! decisions.push_decision(0, LayerId(0), 0, &[2], &[1.0], &[0.1, 0.2, 0.9], &gating);
//! let meta = Sample { id: "greeting".into(), text: "Hi".into(), ..Sample::default() };
//! writer.append(SampleRecord {
//!     sample: 0, meta, num_prompt_tokens: Some(1), seed: None, tokens: vec![token], decisions,
//! })?;
//! writer.end_batch()?;
//! writer.finish(CaptureSummary::default())?;
//!
//! assert!(validate(&path, &NoProgress)?.is_valid());
//! let document = RoutingTrace::open(&path)?.document("greeting")?;
//! assert_eq!(document.decisions.experts(0), &[2]);
//! # Ok(())
//! # }
//! ```

mod cache;
mod card;
mod column_values;
mod columns;
mod document;
mod durable;
mod error;
mod folder;
pub mod import;
mod journal;
mod lock;
mod manifest;
mod merging;
mod profile;
mod record;
mod rounding;
mod routing_trace;
mod samples_reader;
pub mod schema;
mod shard_writer;
mod table_file;
mod table_reader;
mod validate;
mod writer;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;

pub use cache::TraceCache;
pub use document::{Document, SampleRow};
pub use error::TraceError;
pub use journal::{JournalHead, JournalledSample, SampleJournal, read_journal};
pub use manifest::{
    Checkpoint, CheckpointFile, Counts, Decoding, Engine, ExpertsOrder, Input, Manifest,
    ManifestDifference, Overlong, OverlongPolicy, Performance, Scores, Shard, ShardFile, Times,
    TokenizerIdentity, Toolkit,
};
pub use profile::Profile;
pub use record::{ProfileRecord, SampleRecord};
pub use rounding::round_significant;
pub use routing_trace::RoutingTrace;
pub use schema::{SCHEMA_VERSION, Table};
pub use table_reader::{Number, RowGroup, TableReader};
pub use validate::{ValidationReport, Violation, ViolationKind, validate};
pub use writer::{CaptureSummary, TraceWriter, WriterConfig};
