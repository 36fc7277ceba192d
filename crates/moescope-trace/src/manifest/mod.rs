//! `manifest.json`: where a trace comes from, what its scores mean, and which files it has.

mod check;
mod compare;
pub(crate) mod json_schema;
mod parts;
mod prepare;
mod store;

use std::collections::BTreeMap;

use moescope_core::{Gating, LayerId, ModelSpec};
use serde::{Deserialize, Serialize};

pub use compare::ManifestDifference;
pub use parts::{
    Checkpoint, CheckpointFile, Counts, Decoding, Engine, ExpertsOrder, Input, Overlong,
    OverlongPolicy, Performance, Scores, Shard, ShardFile, Times, TokenizerIdentity, Toolkit,
};
pub(crate) use prepare::prepare;
pub(crate) use store::{MANIFEST_FILE, MANIFEST_TMP};

use crate::schema::SCHEMA_VERSION;

/// The manifest of a trace; callers fill what they know, the writer fills the rest.
///
/// No field holds a user's name or an absolute path.
/// The fields that the writer sets itself, whatever the caller put there, are `schema_version`,
/// `keeps_text`, `keeps_logits`, `float_significant_bits`, `counts`, `unknown_columns`, `shards`,
/// `performance` and `complete`.
///
/// ```
/// use moescope_trace::{Engine, Manifest};
///
/// let manifest = Manifest {
///     engine: Some(Engine { name: "moescope".into(), device: Some("cpu".into()), ..Engine::default() }),
///     ..Manifest::default()
/// };
/// assert_eq!(manifest.schema_version, 1);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts, each a field of the file"
)]
pub struct Manifest {
    /// The version of the format.
    pub schema_version: u32,
    /// The data set's name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What wrote the trace.
    pub toolkit: Toolkit,
    /// The model as its routing sees it, with the meaning of its gating.
    pub model: ModelSpec,
    /// The layers that were recorded, ascending; `None` means every layer with a router.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layers: Option<Vec<LayerId>>,
    /// What the recorded scores mean.
    #[serde(default)]
    pub scores: Scores,
    /// Significant bits of the floats in `routing`: 24 as computed, 11 rounded to nearest, ties to even.
    pub float_significant_bits: u8,
    /// Where the weights come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<Checkpoint>,
    /// The type of the arithmetic: `f32` or `bf16`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compute_type: Option<String>,
    /// What made tokens of text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<TokenizerIdentity>,
    /// The chat template, where one was applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat_template: Option<String>,
    /// Whether a beginning-of-sequence token was put first, and who decided so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bos_policy: Option<String>,
    /// What ran the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<Engine>,
    /// How tokens were generated, if any were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decoding: Option<Decoding>,
    /// Seeds by what they seed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub seeds: BTreeMap<String, u64>,
    /// The interventions in force, as given on the command line.
    #[serde(default)]
    pub interventions: Vec<String>,
    /// The files that the texts came from.
    #[serde(default)]
    pub inputs: Vec<Input>,
    /// The user's own columns of `samples`, in the order of the table.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub label_columns: Vec<String>,
    /// What became of documents longer than the limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlong: Option<Overlong>,
    /// Every other setting that rows depend on, by name; a resumed capture must have the same.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, serde_json::Value>,
    /// Whether the source knew only sums: `tokens` and `routing` are then empty.
    #[serde(default)]
    pub profiles_only: bool,
    /// Whether `samples.text` and `tokens.text` are kept.
    #[serde(default)]
    pub keeps_text: bool,
    /// Whether `routing.logits` is kept.
    #[serde(default)]
    pub keeps_logits: bool,
    /// What the shards hold together.
    #[serde(default)]
    pub counts: Counts,
    /// Columns that are NULL in every row, as `table.column`.
    #[serde(default)]
    pub unknown_columns: Vec<String>,
    /// The files, in order.
    pub shards: Vec<Shard>,
    /// When the capture ran.
    #[serde(default)]
    pub times: Times,
    /// How fast the last session of the capture was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub performance: Option<Performance>,
    /// Whether the capture reached its end.
    pub complete: bool,
}

impl Default for Manifest {
    /// A manifest without a model; [`crate::TraceWriter::create`] refuses it until `model` is filled.
    fn default() -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            title: None,
            toolkit: Toolkit::default(),
            model: ModelSpec {
                family: String::new(),
                num_layers: 0,
                moe_layers: Vec::new(),
                num_experts: 0,
                top_k: 0,
                num_shared_experts: 0,
                has_shared_expert_gate: false,
                hidden_size: None,
                vocab_size: None,
                gating: Gating::softmax_top_k(),
            },
            layers: None,
            scores: Scores::default(),
            float_significant_bits: crate::rounding::ROUNDED_BITS,
            checkpoint: None,
            compute_type: None,
            tokenizer: None,
            chat_template: None,
            bos_policy: None,
            engine: None,
            decoding: None,
            seeds: BTreeMap::new(),
            interventions: Vec::new(),
            inputs: Vec::new(),
            label_columns: Vec::new(),
            overlong: None,
            settings: BTreeMap::new(),
            profiles_only: false,
            keeps_text: true,
            keeps_logits: false,
            counts: Counts::default(),
            unknown_columns: Vec::new(),
            shards: Vec::new(),
            times: Times::default(),
            performance: None,
            complete: false,
        }
    }
}

impl Manifest {
    /// The layers whose decisions were recorded, ascending.
    #[must_use]
    pub fn recorded_layers(&self) -> &[LayerId] {
        self.layers.as_deref().unwrap_or(&self.model.moe_layers)
    }

    /// The number of a layer among the model's layers with a router, if it is one.
    #[must_use]
    pub fn moe_layer(&self, layer: LayerId) -> Option<u16> {
        let index = self.model.moe_layers.binary_search(&layer).ok()?;
        u16::try_from(index).ok()
    }

    /// The number that the next shard gets; above that of every other, so that files sort in the order of the samples.
    pub(crate) fn next_shard(&self) -> u32 {
        self.shards.last().map_or(0, |shard| shard.index + 1)
    }

    /// Whether a column, as `table.column`, is NULL in every row.
    #[must_use]
    pub fn is_unknown(&self, column: &str) -> bool {
        self.unknown_columns.iter().any(|name| name == column)
    }
}
