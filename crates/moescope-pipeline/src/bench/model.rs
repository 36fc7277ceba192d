//! A model under measurement.

use std::time::{Duration, Instant};

use moescope_core::{Cancelled, Progress};
use moescope_engine::{BatchRun, Checkpoint, ComputeDevice, Interventions, LoadOptions, MoeModel};

use super::{
    case::{BenchConfig, BenchPhase, Case, Recording},
    machine::{MachineLimits, forget_peak, peak_bytes},
    row::BenchRow,
    work::{Passes, Work},
};
use crate::error::PipelineError;

/// Most repetitions of a case.
const MOST_REPEATS: usize = 11;
/// Fewest repetitions whose median is told.
const FEWEST_REPEATS: usize = 3;
/// Time for one case, after which no repetitions beyond the fewest are made.
const ENOUGH: Duration = Duration::from_secs(10);

/// A loaded model that is measured, and the machine's limits.
#[derive(Debug)]
pub struct BenchModel {
    /// What to call it.
    pub name: String,
    checkpoint: Checkpoint,
    device: ComputeDevice,
    model: MoeModel,
    limits: MachineLimits,
    load_seconds: f64,
}

/// What was measured, and what was not.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BenchOutcome {
    /// One row per case.
    pub rows: Vec<BenchRow>,
    /// Cases that would have taken too long, in words.
    pub left_out: Vec<String>,
}

impl BenchModel {
    /// Measures the machine, then loads the model. Needs no tokenizer.
    ///
    /// # Errors
    /// When tensors do not fit the configuration, the device fails, or `progress` cancels.
    pub fn load(
        name: String,
        checkpoint: Checkpoint,
        device: ComputeDevice,
        options: LoadOptions,
        progress: &dyn Progress,
    ) -> Result<Self, PipelineError> {
        progress.report(0, 0, "measuring the machine's limits")?;
        let limits = MachineLimits::measure(&device, options.compute)?;
        // So that the largest memory told afterwards is the model's and not this measurement's.
        forget_peak();
        let start = Instant::now();
        let model = MoeModel::load(&checkpoint, &device, options, progress)?;
        Ok(Self {
            name,
            load_seconds: start.elapsed().as_secs_f64(),
            checkpoint,
            device,
            model,
            limits,
        })
    }

    /// Measures every case; `each` sees a row as soon as it is there.
    ///
    /// Cases that differ only in recording take turns, so that a slow moment of the machine meets them alike. A case is
    /// repeated eleven times, or for ten seconds, and at least three times; where even that would take more than half
    /// of the time that is left, the case is left out.
    ///
    /// # Errors
    /// When the settings name no case, the model fails, or `progress` cancels.
    pub fn run(
        &self,
        config: &BenchConfig,
        progress: &dyn Progress,
        each: &mut dyn FnMut(&BenchRow),
    ) -> Result<BenchOutcome, PipelineError> {
        config.check()?;
        let groups = config.groups(self.model.config().max_positions);
        if groups.is_empty() {
            return Err(PipelineError::Settings(format!(
                "the model's context of {} tokens is too short for every case that was asked for",
                self.model.config().max_positions
            )));
        }
        let work = Work::of(&self.checkpoint, &self.model, self.device.kind == "cpu")?;
        let total: usize = groups.iter().map(Vec::len).sum();
        let deadline = Instant::now() + config.limit;
        let mut outcome = BenchOutcome::default();
        // Seconds per token of the last text that was taken at once: longer texts take no less.
        let mut prefill_pace = 0.0;
        for group in groups {
            let first = group[0];
            let done = outcome.rows.len() as u64;
            let tell = || progress.report(done, total as u64, &first.describe());
            let estimate = if first.is_decode() {
                0.0
            } else {
                prefill_pace * at_least_one(first.tokens)
            };
            let measured = self.measure(&group, estimate, deadline, &tell)?;
            let Some(measured) = measured else {
                outcome.left_out.push(first.describe());
                continue;
            };
            for (case, mut seconds) in group.into_iter().zip(measured) {
                let repeats = seconds.len();
                seconds.sort_by(f64::total_cmp);
                let median = seconds[repeats / 2];
                if !case.is_decode() {
                    prefill_pace = median / at_least_one(case.tokens);
                }
                let row = self.describe(&work, case, median, repeats);
                each(&row);
                outcome.rows.push(row);
            }
        }
        Ok(outcome)
    }

    /// Seconds of each repetition of each case of a group, the cases taking turns; `None` where time does not suffice.
    fn measure(
        &self,
        group: &[Case],
        estimate: f64,
        deadline: Instant,
        tell: &dyn Fn() -> Result<(), Cancelled>,
    ) -> Result<Option<Vec<Vec<f64>>>, PipelineError> {
        let left = deadline
            .saturating_duration_since(Instant::now())
            .as_secs_f64();
        let rounds = at_least_one(FEWEST_REPEATS);
        if left <= 0.0 || estimate * at_least_one(group.len()) * (rounds + 1.0) > left / 2.0 {
            return Ok(None);
        }
        // The first round warms caches, reads mapped weights, and is not counted.
        let warm_up = Instant::now();
        for case in group {
            tell()?;
            self.once(*case)?;
        }
        let round = warm_up.elapsed().as_secs_f64();
        if round * rounds > (left - round) / 2.0 {
            return Ok(None);
        }
        let mut times = vec![Vec::with_capacity(MOST_REPEATS); group.len()];
        let enough = ENOUGH * u32::try_from(group.len()).unwrap_or(u32::MAX);
        let start = Instant::now();
        for repeat in 0..MOST_REPEATS {
            if repeat >= FEWEST_REPEATS && start.elapsed() > enough {
                break;
            }
            for (case, times) in group.iter().zip(&mut times) {
                tell()?;
                times.push(self.once(*case)?);
            }
        }
        Ok(Some(times))
    }

    fn once(&self, case: Case) -> Result<f64, PipelineError> {
        let vocab = self.model.config().vocab_size;
        let prompts: Vec<Vec<u32>> = (0..case.batch)
            .map(|sequence| tokens(sequence, case.prompt(), vocab))
            .collect();
        let numbers: Vec<u64> = (0..case.batch as u64).collect();
        let config = case.run_config();
        let mut run = BatchRun::new(
            &self.model,
            &prompts,
            &numbers,
            config,
            Interventions::default(),
        );
        let mut start = Instant::now();
        run.prefill()?;
        if case.is_decode() {
            start = Instant::now();
            while run.is_live() {
                run.decode_step()?;
            }
        }
        let records = run.finish();
        if case.recording == Recording::Logits {
            let kept: Vec<f32> = records
                .iter()
                .flat_map(|r| r.decisions.router_logits.clone().unwrap_or_default())
                .collect();
            std::hint::black_box(kept);
        }
        std::hint::black_box(&records);
        Ok(start.elapsed().as_secs_f64())
    }

    fn describe(&self, work: &Work, case: Case, seconds: f64, repeats: usize) -> BenchRow {
        let config = self.model.config();
        let is_surprisal = case.phase == BenchPhase::Surprisal;
        let tokens = case.tokens * case.batch;
        let passes = if case.is_decode() {
            Passes {
                count: case.tokens,
                tokens: case.batch,
                head_tokens: case.batch,
            }
        } else {
            Passes {
                count: 1,
                tokens,
                head_tokens: if is_surprisal { tokens } else { 0 },
            }
        };
        let bytes = work.bytes(passes);
        let gb_per_s = bytes / seconds / 1e9;
        let gflop_per_s = work.operations(passes) / seconds / 1e9;
        let limits = self.limits;
        let peak = peak_bytes();
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let ratio = |bytes: u64| bytes as f64 / work.weights_bytes.max(1) as f64;
        BenchRow {
            model: self.name.clone(),
            geometry: format!(
                "{} {}l h{} e{}k{} i{}",
                config.family,
                config.num_layers,
                config.hidden_size,
                config.router.num_experts,
                config.router.top_k,
                config.experts.intermediate_size
            ),
            device: format!("{} [{}]", self.device.name, self.model.kernels().name()),
            threads: rayon::current_num_threads(),
            weights: self
                .model
                .weight_types()
                .get("experts")
                .cloned()
                .unwrap_or_default(),
            compute: self.model.options().compute.name(),
            phase: if case.is_decode() {
                "decode"
            } else {
                "prefill"
            },
            tokens: case.tokens,
            batch: case.batch,
            recording: case.recording.name(),
            surprisal: is_surprisal,
            repeats,
            tokens_per_s: at_least_one(tokens) / seconds,
            bytes_per_token: bytes / at_least_one(passes.count * passes.tokens),
            gb_per_s,
            stream_gb_per_s: limits.stream_gb_per_s,
            bandwidth_fraction: limits.stream_gb_per_s.map(|limit| gb_per_s / limit),
            gflop_per_s,
            product_gflop_per_s: limits.product_gflop_per_s,
            product_fraction: gflop_per_s / limits.product_gflop_per_s,
            load_seconds: self.load_seconds,
            weights_bytes: work.weights_bytes,
            peak_bytes: peak,
            peak_to_weights: peak.map(ratio),
        }
    }
}

/// A count as a divisor or factor.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn at_least_one(count: usize) -> f64 {
    count.max(1) as f64
}

/// Arbitrary tokens, the same in every run.
fn tokens(sequence: usize, length: usize, vocab: usize) -> Vec<u32> {
    (0..length)
        .map(|i| u32::try_from((sequence * 7919 + i * 104_729) % vocab).unwrap_or(0))
        .collect()
}
