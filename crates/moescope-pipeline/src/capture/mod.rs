//! A capture: texts through a model, every router decision into a trace.
//!
//! A [`CapturePlan`] reads and tokenises everything and finds every problem before the first forward pass.
//! Its batches follow from input order and settings alone, so a resumed capture runs the same batches as an
//! uninterrupted one.

mod batches;
mod estimate;
mod identity;
mod layers;
mod overlong;
mod plan;
mod planned;
mod planner;
mod record;
mod run;

use std::{path::PathBuf, time::Duration};

use moescope_core::LayerSelection;
use moescope_engine::{Intervention, SamplingConfig};
use moescope_trace::OverlongPolicy;

pub use estimate::{
    BYTES_PER_DECISION, BYTES_PER_LOGIT, BYTES_PER_TOKEN, BYTES_PER_WEIGHT, Estimate,
    trace_bytes_per_token,
};
pub use plan::CapturePlan;
pub(crate) use plan::usual_batch_tokens;
pub use planned::{PlannedSample, PlannedToken};
pub use run::CaptureOutcome;

pub(crate) use identity::describe_model;
pub(crate) use record::{sample_record, token_row, token_text};

use crate::{data::DataConfig, prompt::PromptConfig};

/// How much time of a capture is lost when its process is killed. Each cut syncs some ten files and folders and adds a
/// kilobyte to the manifest, which is nothing in ten seconds.
const CUT_AFTER: Duration = Duration::from_secs(10);

/// What to capture, and how.
#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of its own that a user turns on or off"
)]
pub struct CaptureConfig {
    /// The texts.
    pub data: DataConfig,
    /// How a text becomes what the model reads.
    pub prompt: PromptConfig,
    /// The trace's folder.
    pub out: PathBuf,
    /// Longest document in tokens; the model's context, less what is generated, where it is not given.
    pub max_tokens: Option<usize>,
    /// What to do with longer ones.
    pub overlong: OverlongPolicy,
    /// Tokens to generate after each document.
    pub generate: usize,
    /// How they are drawn.
    pub sampling: SamplingConfig,
    /// Whether router logits are kept.
    pub keeps_logits: bool,
    /// Whether floats keep all their bits.
    pub is_full_precision: bool,
    /// Whether surprisal and arg max of every token are computed.
    pub records_surprisal: bool,
    /// The layers to record.
    pub layers: LayerSelection,
    /// Changes to routing.
    pub interventions: Vec<Intervention>,
    /// Tokens that go through the model together; by device where it is not given.
    pub batch_tokens: Option<usize>,
    /// A shard is cut once it has this many decisions: after a batch, or after finished samples of one that goes on.
    pub shard_decisions: Option<u64>,
    /// A shard is cut, too, once the last cut is this long ago, after the sample that is finished then even if others of
    /// its batch are not: what is in no shard is lost with the process. [`CapturePlan::run`] says what that is.
    pub cut_after: Duration,
    /// Whether to continue what is there.
    pub resumes: bool,
}

impl Default for CaptureConfig {
    fn default() -> Self {
        Self {
            data: DataConfig::default(),
            prompt: PromptConfig::default(),
            out: PathBuf::new(),
            max_tokens: None,
            overlong: OverlongPolicy::default(),
            generate: 0,
            sampling: SamplingConfig::default(),
            keeps_logits: false,
            is_full_precision: false,
            records_surprisal: true,
            layers: LayerSelection::All,
            interventions: Vec::new(),
            batch_tokens: None,
            shard_decisions: None,
            cut_after: CUT_AFTER,
            resumes: false,
        }
    }
}
