//! What a capture will cost, before it is run.

use std::{
    path::{self, Path},
    time::Instant,
};

use moescope_core::{ModelSpec, Progress};
use moescope_engine::{BatchRun, RunConfig};
use serde::Serialize;

use super::plan::CapturePlan;
use crate::{
    error::PipelineError,
    model::{LoadedModel, MemoryNeed, ModelSizes, Placement, WeightForm, memory_need},
    sizes,
};

/// Bytes of a trace per token besides its decisions: the other tables. Like the next four, measured on the discipline
/// prompt sets through the demo model: 48,214 tokens, 6 layers, top-2 of 8 experts.
pub const BYTES_PER_TOKEN: f64 = 17.0;
/// Bytes of a trace per decision besides its experts.
pub const BYTES_PER_DECISION: f64 = 7.0;
/// Bytes of a trace per chosen expert's weight; its id adds log2(experts) bits.
pub const BYTES_PER_WEIGHT: f64 = 1.6;
/// Bytes of a trace per router logit, where they are kept.
pub const BYTES_PER_LOGIT: f64 = 1.8;
/// Factor on the bytes of decisions whose floats keep all their bits.
const FULL_PRECISION_FACTOR: f64 = 1.85;

/// Tokens that are enough to time a prefill.
const TIMED_TOKENS: usize = 512;
/// Decode steps that are enough to time one.
const TIMED_STEPS: usize = 4;

/// What a capture will cost.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// Samples.
    pub samples: u64,
    /// Tokens of the texts.
    pub tokens: u64,
    /// Most tokens that are generated.
    pub generated_tokens: u64,
    /// Most decisions: tokens times recorded layers.
    pub decisions: u64,
    /// Batches.
    pub batches: u64,
    /// Estimated bytes of the trace.
    pub trace_bytes: u64,
    /// Bytes that are free where the trace goes; `None` where the system does not say.
    pub free_disk_bytes: Option<u64>,
    /// Memory that the model and the largest pass need.
    pub memory: MemoryNeed,
    /// Estimated seconds, from a timed prefill (and a few decode steps).
    pub secs: f64,
    /// Tokens per second of that prefill.
    pub prefill_tokens_per_sec: f64,
}

impl Estimate {
    /// What to know before the capture where the disk has less room than its trace may take.
    #[must_use]
    pub fn disk_warning(&self) -> Option<String> {
        let free = self.free_disk_bytes?;
        (free < self.trace_bytes).then(|| {
            format!(
                "the trace may take {}, and {} are free where it goes; take fewer texts, leave router logits out, or \
                 choose a folder on another disk",
                sizes::bytes(self.trace_bytes),
                sizes::bytes(free)
            )
        })
    }
}

/// Estimated bytes of a trace per token.
#[must_use]
pub fn trace_bytes_per_token(
    spec: &ModelSpec,
    layers: usize,
    keeps_logits: bool,
    is_full_precision: bool,
) -> f64 {
    let factor = if is_full_precision {
        FULL_PRECISION_FACTOR
    } else {
        1.0
    };
    let num_experts = f64::from(spec.num_experts);
    let logits = if keeps_logits {
        BYTES_PER_LOGIT * num_experts
    } else {
        0.0
    };
    let per_expert = BYTES_PER_WEIGHT + num_experts.log2() / 8.0;
    let per_decision = BYTES_PER_DECISION + per_expert * f64::from(spec.top_k) + logits;
    #[expect(clippy::cast_precision_loss, reason = "a model has few layers")]
    let layers = layers as f64;
    BYTES_PER_TOKEN + layers * per_decision * factor
}

impl CapturePlan {
    /// Says what the capture will cost; runs a small part of the first batch to time it.
    ///
    /// # Errors
    /// When the model fails or `progress` cancels.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "estimates are shown with a few digits"
    )]
    pub fn estimate(
        &self,
        loaded: &LoadedModel,
        progress: &dyn Progress,
    ) -> Result<Estimate, PipelineError> {
        progress.report(0, 0, "timing a small prefill")?;
        let spec = loaded.model.spec();
        let layers = self.layers.as_ref().map_or(spec.moe_layers.len(), Vec::len);
        let tokens = self.num_tokens();
        let generated_tokens = (self.samples.len() * self.config.generate) as u64;
        let routed = tokens + generated_tokens;
        let timing = self.time(loaded)?;
        let bytes = trace_bytes_per_token(
            spec,
            layers,
            self.config.keeps_logits,
            self.config.is_full_precision,
        );
        let waves: usize = self
            .batches
            .iter()
            .filter_map(|batch| Some(batch.len().div_ceil(self.lanes(batch)?.count)))
            .sum();
        let steps = waves as f64 * self.config.generate as f64;
        Ok(Estimate {
            samples: self.samples.len() as u64,
            tokens,
            generated_tokens,
            decisions: routed * layers as u64,
            batches: self.batches.len() as u64,
            trace_bytes: (bytes * routed as f64) as u64,
            free_disk_bytes: free_disk_bytes(&self.config.out),
            memory: self.memory(loaded)?,
            secs: tokens as f64 / timing.prefill_tokens_per_sec + steps * timing.secs_per_step,
            prefill_tokens_per_sec: timing.prefill_tokens_per_sec,
        })
    }

    /// What the model and the largest pass need on the device that it is loaded on.
    fn memory(&self, loaded: &LoadedModel) -> Result<MemoryNeed, PipelineError> {
        let placement = Placement::of(loaded.device.kind);
        let form = WeightForm::Kept(loaded.model.options().weights);
        let sizes = ModelSizes::of(&loaded.files.checkpoint)?;
        Ok(memory_need(&sizes, &self.pass_size(), placement, form))
    }

    fn time(&self, loaded: &LoadedModel) -> Result<Timing, PipelineError> {
        let mut prompts: Vec<Vec<u32>> = Vec::new();
        let mut tokens = 0;
        for sample in self
            .batches
            .first()
            .into_iter()
            .flat_map(|batch| &self.samples[batch.clone()])
        {
            let room = TIMED_TOKENS - tokens;
            if room == 0 {
                break;
            }
            let prompt: Vec<u32> = sample
                .tokens
                .iter()
                .take(room)
                .map(|token| token.id)
                .collect();
            tokens += prompt.len();
            prompts.push(prompt);
        }
        let config = RunConfig {
            max_new_tokens: self.run.max_new_tokens.min(TIMED_STEPS),
            ..self.run.clone()
        };
        // The first pass touches every weight for the first time; the second is what a long capture looks like.
        self.time_once(loaded, &prompts, &config)?;
        self.time_once(loaded, &prompts, &config)
    }

    #[expect(clippy::cast_precision_loss, reason = "small counts")]
    fn time_once(
        &self,
        loaded: &LoadedModel,
        prompts: &[Vec<u32>],
        config: &RunConfig,
    ) -> Result<Timing, PipelineError> {
        let numbers: Vec<u64> = (0..prompts.len() as u64).collect();
        let tokens: usize = prompts.iter().map(Vec::len).sum();
        let mut run = BatchRun::new(
            &loaded.model,
            prompts,
            &numbers,
            config.clone(),
            self.interventions.clone(),
        );
        let started = Instant::now();
        run.prefill()?;
        let prefill_secs = started.elapsed().as_secs_f64();
        let started = Instant::now();
        let mut steps = 0u32;
        while run.is_live() {
            run.decode_step()?;
            steps += 1;
        }
        Ok(Timing {
            prefill_tokens_per_sec: tokens as f64 / prefill_secs.max(1e-9),
            secs_per_step: started.elapsed().as_secs_f64() / f64::from(steps.max(1)),
        })
    }
}

/// How fast a small part of the capture was.
struct Timing {
    prefill_tokens_per_sec: f64,
    secs_per_step: f64,
}

/// Bytes that are free on the disk of a folder that need not be there yet.
fn free_disk_bytes(out: &Path) -> Option<u64> {
    let out = path::absolute(out).ok()?;
    let there = out.ancestors().find(|folder| folder.is_dir())?;
    fs4::available_space(there).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_that_is_larger_than_the_disk_is_told_of() {
        let folder = tempfile::tempdir().unwrap();
        let free = free_disk_bytes(&folder.path().join("not/there/yet")).unwrap();
        assert!(free > 0);
        assert_eq!(free_disk_bytes(Path::new("")), None);
        let estimate = |trace_bytes| Estimate {
            samples: 1,
            tokens: 1,
            generated_tokens: 0,
            decisions: 1,
            batches: 1,
            trace_bytes,
            free_disk_bytes: Some(1_000_000_000),
            memory: MemoryNeed::default(),
            secs: 1.0,
            prefill_tokens_per_sec: 1.0,
        };
        assert_eq!(estimate(1_000_000_000).disk_warning(), None);
        let told = estimate(3_000_000_000).disk_warning().unwrap();
        assert!(
            told.contains("3.00 GB") && told.contains("1.00 GB"),
            "{told}"
        );
    }
}
