//! The parts of a manifest.

use std::collections::BTreeMap;

use moescope_core::{Gating, ScoreFunction};
use serde::{Deserialize, Serialize};

/// What wrote a trace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Toolkit {
    /// The toolkit's version.
    pub version: String,
    /// The commit it was built from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}

impl Default for Toolkit {
    /// This build's version, commit unknown.
    fn default() -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            commit: None,
        }
    }
}

/// What the recorded scores mean, beyond the model's gating.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scores {
    /// In which order a decision lists its experts.
    #[serde(default)]
    pub experts_order: ExpertsOrder,
    /// The distribution that `entropy`, `topk_mass` and the profiles' probabilities are of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entropy_of: Option<String>,
    /// The scores that `margin` and `runner_up` compare.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin_of: Option<String>,
}

impl Scores {
    /// The meaning of scores derived by `moescope_core::DecisionStats` under a gating.
    #[must_use]
    pub fn of(gating: &Gating) -> Self {
        let (entropy_of, score) = match gating.score_function {
            ScoreFunction::Softmax => (
                "softmax of the router logits over all experts",
                "softmax of the router logits over all experts",
            ),
            ScoreFunction::Sigmoid => (
                "sigmoid of the router logits, divided by its sum over all experts",
                "sigmoid of the router logits",
            ),
            ScoreFunction::Identity => (
                "softmax of the router logits over all experts",
                "router logits",
            ),
        };
        let mut margin_of = score.to_owned();
        if gating.has_correction_bias {
            margin_of.push_str(", plus the correction bias");
        }
        if gating.groups.is_some() {
            margin_of.push_str(", among the groups of experts that the token may use");
        }
        Self {
            experts_order: ExpertsOrder::ByWeight,
            entropy_of: Some(entropy_of.to_owned()),
            margin_of: Some(margin_of),
        }
    }
}

/// In which order a decision lists its experts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExpertsOrder {
    /// Heaviest first, ties to the lower id.
    #[default]
    ByWeight,
    /// The source does not say; metrics that need rank refuse such a trace.
    Unspecified,
}

/// Where the weights come from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The repository's id or the folder's own name, never a path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The repository's revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// SHA-256 of `config.json`, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_sha256: Option<String>,
    /// The weight files.
    #[serde(default)]
    pub files: Vec<CheckpointFile>,
    /// The stored type of each class of tensors, e.g. `experts` → `q4_k`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub weight_types: BTreeMap<String, String>,
}

/// One weight file of a checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointFile {
    /// The file's name.
    pub name: String,
    /// Its bytes.
    pub size: u64,
    /// SHA-256 of its header (not of its weights), in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header_sha256: Option<String>,
}

/// What made tokens of text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenizerIdentity {
    /// The file that it was read from: `tokenizer.json` or `tokenizer.model`.
    pub kind: String,
    /// Its algorithm, e.g. `BPE` or `SentencePiece BPE`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<String>,
    /// SHA-256 of the file, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Entries of the vocabulary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vocab_size: Option<u32>,
    /// SHA-256 of the other files that its tokens depend on, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub other_files: BTreeMap<String, String>,
}

impl TokenizerIdentity {
    /// Whether an id means the same token in both; `None` where a checksum is not known.
    ///
    /// Files that differ in a byte count as different, though ids may mean the same.
    #[must_use]
    pub fn has_ids_of(&self, other: &Self) -> Option<bool> {
        let (own, others) = (self.sha256.as_ref()?, other.sha256.as_ref()?);
        Some(own == others && self.other_files == other.other_files)
    }
}

/// What ran the model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Engine {
    /// The engine's name: `moescope`, or the source of an import.
    pub name: String,
    /// The engine's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The device, e.g. `cpu` or an adapter's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Which kernels computed the experts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel_path: Option<String>,
}

/// How tokens were generated.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Decoding {
    /// The most tokens that were generated per document.
    pub max_new_tokens: u32,
    /// 0 is greedy.
    #[serde(default)]
    pub temperature: f64,
    /// Only this many most likely tokens were sampled from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_k: Option<u32>,
    /// Only the most likely tokens with this much mass were sampled from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// Strings that ended a generation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
}

/// One input file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// The file's own name, never its path.
    pub name: String,
    /// SHA-256 of the file, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Records read from it.
    pub rows: u64,
}

/// What became of documents longer than the limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overlong {
    /// What was done with them.
    pub policy: OverlongPolicy,
    /// The limit.
    pub max_tokens: u64,
    /// The ids of the input documents that it touched.
    #[serde(default)]
    pub touched: Vec<String>,
}

/// What is done with a document longer than the limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OverlongPolicy {
    /// The capture is refused.
    #[default]
    Error,
    /// Its end is dropped.
    Truncate,
    /// It becomes several samples of one group.
    Chunk,
    /// It is left out.
    Skip,
}

/// What the shards hold together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Documents.
    pub samples: u64,
    /// Documents by discipline; those without one are not listed.
    #[serde(default)]
    pub by_discipline: BTreeMap<String, u64>,
    /// Rows of `tokens`.
    pub tokens: u64,
    /// Rows of `routing`.
    pub decisions: u64,
}

/// One shard: the same samples in all four tables.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// The number in its files' names, ascending; shards that were merged leave gaps.
    pub index: u32,
    /// The number of its first sample.
    pub first_sample: u32,
    /// How many samples it holds.
    pub samples: u32,
    /// Its file in each table, by the table's name.
    pub tables: BTreeMap<String, ShardFile>,
}

/// One Parquet file of a trace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardFile {
    /// The file below the trace's folder, e.g. `routing/part-00000.parquet`; no other name is accepted.
    pub file: String,
    /// Its rows.
    pub rows: u64,
    /// Its length.
    pub bytes: u64,
    /// SHA-256 of the whole file, in hexadecimal.
    pub sha256: String,
}

/// When a capture ran, as RFC 3339 text from the caller's clock.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// When the trace was created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// When it was completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<String>,
}

/// How fast the last session of a capture was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Performance {
    /// Seconds that the session took.
    pub elapsed_secs: f64,
    /// Tokens that it ran through the model.
    pub tokens: u64,
    /// Their ratio; absent where no time passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_sec: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_mean_the_same_where_all_files_are_the_same() {
        let tokenizer = |sha256: Option<&str>, added: &str| TokenizerIdentity {
            kind: "tokenizer.json".to_owned(),
            sha256: sha256.map(str::to_owned),
            other_files: [("added_tokens.json".to_owned(), added.to_owned())].into(),
            ..TokenizerIdentity::default()
        };
        let own = tokenizer(Some("ab"), "1");
        assert_eq!(own.has_ids_of(&own), Some(true));
        assert_eq!(own.has_ids_of(&tokenizer(Some("cd"), "1")), Some(false));
        assert_eq!(own.has_ids_of(&tokenizer(Some("ab"), "2")), Some(false));
        assert_eq!(own.has_ids_of(&tokenizer(None, "1")), None);
    }
}
