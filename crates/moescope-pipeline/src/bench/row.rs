//! What is told of one measured case.

use serde::Serialize;

/// One measured case; one line of `--json`. What belongs to the whole run is repeated in every row.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BenchRow {
    /// What the model is called.
    pub model: String,
    /// The model's geometry: family, layers, hidden, experts, top-k, expert width.
    pub geometry: String,
    /// The device's name.
    pub device: String,
    /// Threads of the CPU.
    pub threads: usize,
    /// Type that the expert weights are kept in.
    pub weights: String,
    /// Type of the arithmetic.
    pub compute: &'static str,
    /// `prefill` or `decode`.
    pub phase: &'static str,
    /// Tokens per sequence: of the prompt, or generated.
    pub tokens: usize,
    /// Sequences at a time.
    pub batch: usize,
    /// `off`, `routing` (ids, weights and all derived numbers) or `logits` (router logits as well).
    pub recording: &'static str,
    /// Whether surprisal and arg max of every token are computed, which needs the whole head.
    pub surprisal: bool,
    /// Repetitions after the warm-up; all times are their medians.
    pub repeats: usize,
    /// All sequences together.
    pub tokens_per_s: f64,
    /// Bytes of weights that must be read for one token.
    pub bytes_per_token: f64,
    /// Bytes of weights that must be read, per second.
    pub gb_per_s: f64,
    /// The bandwidth at which all cores read memory, measured in this run; absent on a GPU, where it is not measured.
    pub stream_gb_per_s: Option<f64>,
    /// `gb_per_s` as a fraction of it.
    pub bandwidth_fraction: Option<f64>,
    /// Floating-point operations of the matrix products, per second.
    pub gflop_per_s: f64,
    /// The speed of one large product in this type of arithmetic, measured in this run.
    pub product_gflop_per_s: f64,
    /// `gflop_per_s` as a fraction of it.
    pub product_fraction: f64,
    /// Seconds from headers to a model that can run. Weights that stay in the mapped file are read by the warm-up.
    pub load_seconds: f64,
    /// Bytes of all weights as they are kept.
    pub weights_bytes: u64,
    /// Largest memory of the process since it began to load, mapped weights that were read included; where the system
    /// tells it.
    pub peak_bytes: Option<u64>,
    /// The peak divided by the weights.
    pub peak_to_weights: Option<f64>,
}
