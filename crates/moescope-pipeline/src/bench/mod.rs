//! How fast a model runs here: prefill and decode, with and without recording, against the machine's own limits.

mod machine;

use std::{collections::BTreeSet, time::Instant};

use moescope_core::Progress;
use moescope_engine::{BatchRun, Interventions, MoeModel, NeededTensor, RunConfig, TensorClass};
use serde::Serialize;

pub use machine::{peak_bytes, stream_bandwidth};

use crate::{
    error::PipelineError,
    model::{LoadedModel, PassSize},
};

/// Repetitions of each case; the median is reported.
const REPEATS: usize = 11;
/// Tokens generated per sequence in a decode case.
const DECODED: usize = 32;
/// Prompt of a decode case.
const DECODE_PROMPT: usize = 16;
/// Tokens of the longest prefill.
const LONGEST_PREFILL: usize = 512;
/// Sequences of the largest decode.
const MOST_SEQUENCES: usize = 8;

/// One measured case; one line of `--json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BenchRow {
    /// The model's geometry: family, layers, hidden, experts, top-k, expert width.
    pub geometry: String,
    /// The device's name.
    pub device: String,
    /// Storage type of the expert weights.
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
    /// Median over the repetitions, all sequences together.
    pub tokens_per_s: f64,
    /// Bytes of weights that must be read, per second.
    pub gb_per_s: f64,
    /// The same as a fraction of the bandwidth measured in this run; absent on a GPU, whose limit is not measured.
    pub bandwidth_fraction: Option<f64>,
    /// Floating-point operations of the matrix products, per second.
    pub gflop_per_s: f64,
    /// Largest memory of the process so far, where the system tells it.
    pub peak_bytes: Option<u64>,
}

#[derive(Clone, Copy)]
struct Case {
    phase: &'static str,
    tokens: usize,
    batch: usize,
    recording: &'static str,
    surprisal: bool,
}

/// The largest pass of all cases, as memory sees it.
#[must_use]
pub fn pass_size(longest: usize) -> PassSize {
    let tokens = LONGEST_PREFILL
        .min(longest)
        .max(MOST_SEQUENCES * DECODE_PROMPT);
    PassSize {
        tokens: tokens as u64,
        cached_tokens: tokens.max(MOST_SEQUENCES * (DECODE_PROMPT + DECODED + 1)) as u64,
        sequences: MOST_SEQUENCES as u64,
        records_routing: true,
    }
}

/// Measures every case; `each` sees a row as soon as it is there.
///
/// Cases that differ only in recording alternate, so that a slow moment of the machine meets them alike.
///
/// # Errors
/// When the model fails or `progress` cancels.
pub fn run(
    loaded: &LoadedModel,
    progress: &dyn Progress,
    each: &mut dyn FnMut(&BenchRow),
) -> Result<Vec<BenchRow>, PipelineError> {
    let longest = loaded.model.config().max_positions;
    let mut groups: Vec<Vec<Case>> = Vec::new();
    for tokens in [16, 128, LONGEST_PREFILL] {
        if tokens <= longest {
            groups.push(recordings(Case {
                phase: "prefill",
                tokens,
                batch: 1,
                recording: "off",
                surprisal: false,
            }));
        }
    }
    for batch in [1, MOST_SEQUENCES] {
        groups.push(recordings(Case {
            phase: "decode",
            tokens: DECODED,
            batch,
            recording: "off",
            surprisal: false,
        }));
    }
    let tokens = LONGEST_PREFILL.min(longest);
    groups.push(vec![Case {
        phase: "prefill",
        tokens,
        batch: 1,
        recording: "routing",
        surprisal: true,
    }]);

    let limit = (loaded.device.kind == "cpu").then(stream_bandwidth);
    let total: usize = groups.iter().map(Vec::len).sum();
    let mut rows = Vec::with_capacity(total);
    for group in groups {
        progress.report(rows.len() as u64, total as u64, group[0].phase)?;
        for (case, seconds) in measure(&loaded.model, &group)? {
            let row = describe(loaded, case, seconds, limit);
            each(&row);
            rows.push(row);
        }
    }
    Ok(rows)
}

fn recordings(case: Case) -> Vec<Case> {
    ["off", "routing", "logits"]
        .map(|recording| Case { recording, ..case })
        .to_vec()
}

/// Median seconds of each case of a group, the cases taking turns.
fn measure(model: &MoeModel, group: &[Case]) -> Result<Vec<(Case, f64)>, PipelineError> {
    let mut times = vec![Vec::with_capacity(REPEATS); group.len()];
    for repeat in 0..=REPEATS {
        for (case, times) in group.iter().zip(&mut times) {
            let seconds = once(model, *case)?;
            // The first round warms caches and is not counted.
            if repeat > 0 {
                times.push(seconds);
            }
        }
    }
    Ok(group
        .iter()
        .zip(times)
        .map(|(case, mut times)| {
            times.sort_by(f64::total_cmp);
            (*case, times[times.len() / 2])
        })
        .collect())
}

fn once(model: &MoeModel, case: Case) -> Result<f64, PipelineError> {
    let is_decode = case.phase == "decode";
    let length = if is_decode {
        DECODE_PROMPT
    } else {
        case.tokens
    };
    let vocab = model.config().vocab_size;
    let prompts: Vec<Vec<u32>> = (0..case.batch)
        .map(|sequence| tokens(sequence, length, vocab))
        .collect();
    let numbers: Vec<u64> = (0..case.batch as u64).collect();
    let config = RunConfig {
        records_routing: case.recording != "off",
        records_surprisal: case.surprisal,
        // One more than is fed, since the last drawn token goes nowhere.
        max_new_tokens: if is_decode { case.tokens + 1 } else { 0 },
        ..RunConfig::default()
    };
    let mut run = BatchRun::new(model, &prompts, &numbers, config, Interventions::default());
    let mut start = Instant::now();
    run.prefill()?;
    if is_decode {
        start = Instant::now();
        while run.is_live() {
            run.decode_step()?;
        }
    }
    let records = run.finish();
    if case.recording == "logits" {
        let kept: Vec<f32> = records
            .iter()
            .flat_map(|r| r.decisions.router_logits.clone().unwrap_or_default())
            .collect();
        std::hint::black_box(kept);
    }
    std::hint::black_box(&records);
    Ok(start.elapsed().as_secs_f64())
}

/// Arbitrary tokens, the same in every run.
fn tokens(sequence: usize, length: usize, vocab: usize) -> Vec<u32> {
    (0..length)
        .map(|i| u32::try_from((sequence * 7919 + i * 104_729) % vocab).unwrap_or(0))
        .collect()
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn describe(loaded: &LoadedModel, case: Case, seconds: f64, limit: Option<f64>) -> BenchRow {
    let config = loaded.model.config();
    let work = Work::of(loaded);
    let all_tokens = (case.tokens * case.batch) as f64;
    let passes = if case.phase == "decode" {
        case.tokens as f64
    } else {
        1.0
    };
    let per_pass = if case.phase == "decode" {
        case.batch
    } else {
        case.tokens * case.batch
    };
    let head_rows = if case.surprisal || case.phase == "decode" {
        all_tokens
    } else {
        0.0
    };
    let bytes = passes * (work.shared_bytes + work.expert_bytes * work.experts_touched(per_pass))
        + if head_rows > 0.0 {
            passes * work.head_bytes
        } else {
            0.0
        };
    let operations = 2.0 * (all_tokens * work.active_parameters + head_rows * work.head_parameters);
    let gb_per_s = bytes / seconds / 1e9;
    BenchRow {
        geometry: format!(
            "{} {}l h{} e{}k{} i{}",
            config.family,
            config.num_layers,
            config.hidden_size,
            config.router.num_experts,
            config.router.top_k,
            config.experts.intermediate_size
        ),
        device: format!("{} [{}]", loaded.device.name, loaded.model.kernels().name()),
        weights: work.storage,
        compute: loaded.model.options().compute.name(),
        phase: case.phase,
        tokens: case.tokens,
        batch: case.batch,
        recording: case.recording,
        surprisal: case.surprisal,
        tokens_per_s: all_tokens / seconds,
        gb_per_s,
        bandwidth_fraction: limit.map(|limit| gb_per_s / limit),
        gflop_per_s: operations / seconds / 1e9,
        peak_bytes: peak_bytes(),
    }
}

/// What a token costs by the model's geometry.
struct Work {
    storage: String,
    /// Weights of all layers that every token passes.
    shared_bytes: f64,
    /// One expert in every layer.
    expert_bytes: f64,
    head_bytes: f64,
    head_parameters: f64,
    /// Parameters that a token passes, without embedding and head.
    active_parameters: f64,
    num_experts: f64,
    top_k: f64,
}

impl Work {
    #[expect(clippy::cast_precision_loss, reason = "sizes far below 2^52")]
    fn of(loaded: &LoadedModel) -> Self {
        let config = loaded.model.config();
        let tensors = loaded
            .files
            .checkpoint
            .needed_tensors()
            .expect("the tensors were found when the model was loaded");
        let is_cpu = loaded.device.kind == "cpu";
        let kept = loaded.model.options().weights;
        let sum = |is_wanted: &dyn Fn(TensorClass) -> bool| {
            let wanted = tensors.iter().filter(|tensor| is_wanted(tensor.class));
            wanted.fold((0.0, 0.0), |(weights, bytes), tensor| {
                let width = if is_cpu {
                    tensor.cpu_bytes(kept)
                } else {
                    4 * tensor.weights()
                };
                (weights + tensor.weights() as f64, bytes + width as f64)
            })
        };
        let experts = sum(&|class| class == TensorClass::Experts);
        let head_class = if config.tie_word_embeddings {
            TensorClass::Embeddings
        } else {
            TensorClass::Head
        };
        let head = sum(&|class| class == head_class);
        let shared = sum(&|class| {
            !matches!(
                class,
                TensorClass::Experts | TensorClass::Embeddings | TensorClass::Head
            )
        });
        let types: BTreeSet<String> = tensors
            .iter()
            .filter(|tensor| tensor.class == TensorClass::Experts)
            .filter_map(NeededTensor::weight_type)
            .collect();
        let num_experts = config.router.num_experts as f64;
        Self {
            storage: types.into_iter().collect::<Vec<_>>().join("+"),
            shared_bytes: shared.1,
            expert_bytes: experts.1 / num_experts,
            head_bytes: head.1,
            head_parameters: head.0,
            active_parameters: shared.0 + experts.0 / num_experts * config.router.top_k as f64,
            num_experts,
            top_k: config.router.top_k as f64,
        }
    }

    /// Experts per layer that a pass of `tokens` tokens reads, if every expert is equally likely.
    #[expect(clippy::cast_precision_loss, reason = "a number of tokens")]
    fn experts_touched(&self, tokens: usize) -> f64 {
        self.num_experts * (1.0 - (1.0 - self.top_k / self.num_experts).powf(tokens as f64))
    }
}
