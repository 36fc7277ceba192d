//! Running a plan, batch by batch.

use std::{ops::Range, path::PathBuf, time::Instant};

use moescope_core::{Cancelled, Progress};
use moescope_engine::{BatchRun, EngineError, SequenceRecord, Tokenizer};
use moescope_trace::{CaptureSummary, Manifest, TraceWriter};

use super::{plan::CapturePlan, record::sample_record};
use crate::{clock, error::PipelineError, model::LoadedModel};

/// What a capture did.
#[derive(Clone, Debug, PartialEq)]
pub struct CaptureOutcome {
    /// The trace's folder.
    pub path: PathBuf,
    /// The manifest of the complete trace.
    pub manifest: Manifest,
    /// Samples that were already there.
    pub resumed_samples: u32,
    /// Tokens that went through the model now.
    pub tokens: u64,
    /// Seconds that it took, loading not included.
    pub elapsed_secs: f64,
}

impl CapturePlan {
    /// Runs all samples that the trace does not hold yet, and completes it.
    ///
    /// When `progress` cancels, or the model fails, every sample that is finished is put on the disk first.
    ///
    /// A process that is killed loses three things: samples that still grew or were in the pass that ran; samples that
    /// were finished and had one before them that was not, for a trace holds samples in their order; and those that were
    /// finished since the last cut, which is `cut_after` ago, or one pass more. Resuming runs the unfinished batch from its
    /// start, so that all of them are made again with the same draws, and leaves out what the trace holds.
    ///
    /// # Errors
    /// [`PipelineError::Interrupted`] after a cancel; when the trace's folder is in use or cannot be continued; when
    /// the disk is full; when the model fails.
    pub fn run(
        &self,
        loaded: &LoadedModel,
        progress: &dyn Progress,
    ) -> Result<CaptureOutcome, PipelineError> {
        let manifest = self.manifest(loaded);
        let writer = if self.config.resumes {
            TraceWriter::resume(&self.config.out, &manifest, self.writer.clone())?
        } else {
            TraceWriter::create(&self.config.out, manifest, self.writer.clone())?
        };
        let started = Instant::now();
        let resumed_samples = writer.completed_samples();
        if writer.is_complete() {
            return Ok(CaptureOutcome {
                path: self.config.out.clone(),
                manifest: writer.manifest().clone(),
                resumed_samples,
                tokens: 0,
                elapsed_secs: 0.0,
            });
        }
        let mut pace = Pace::new(self, resumed_samples as usize, started);
        let mut recording = Recording::new(self, writer, &loaded.files.tokenizer);
        let result = self.run_batches(loaded, &mut recording, &mut pace, progress);
        if let Err(error) = result {
            return Err(self.stop(recording.writer, error));
        }
        let elapsed_secs = started.elapsed().as_secs_f64();
        let manifest = recording.writer.finish(CaptureSummary {
            elapsed_secs,
            tokens: pace.tokens_run,
            finished_at: Some(clock::now()),
        })?;
        Ok(CaptureOutcome {
            path: self.config.out.clone(),
            manifest,
            resumed_samples,
            tokens: pace.tokens_run,
            elapsed_secs,
        })
    }

    fn run_batches(
        &self,
        loaded: &LoadedModel,
        recording: &mut Recording<'_>,
        pace: &mut Pace<'_>,
        progress: &dyn Progress,
    ) -> Result<(), PipelineError> {
        for batch in &self.batches {
            if batch.end <= recording.resumed {
                continue;
            }
            pace.report(progress)?;
            recording.next = batch.start;
            self.run_batch(loaded, batch, recording, pace, progress)?;
            pace.end_batch(batch);
        }
        pace.report(progress).map_err(PipelineError::from)
    }

    fn run_batch(
        &self,
        loaded: &LoadedModel,
        batch: &Range<usize>,
        recording: &mut Recording<'_>,
        pace: &mut Pace<'_>,
        progress: &dyn Progress,
    ) -> Result<(), PipelineError> {
        let prompts = self.prompts(batch);
        let numbers: Vec<u64> = batch.clone().map(|number| number as u64).collect();
        let located = |error| self.locate(batch, error);
        let (model, config) = (&loaded.model, self.run.clone());
        let interventions = self.interventions.clone();
        let mut run = match self.lanes(batch) {
            None => BatchRun::new(model, &prompts, &numbers, config, interventions),
            Some(lanes) => {
                BatchRun::in_lanes(model, &prompts, &numbers, config, interventions, lanes)
            }
        };
        run.prefill().map_err(located)?;
        pace.add(run.tokens_run());
        while run.is_live() {
            let stepped = pace.report(progress).map_err(PipelineError::from);
            let before = run.tokens_run();
            let stepped = stepped.and_then(|()| run.decode_step().map_err(located));
            pace.add(run.tokens_run() - before);
            // A long generation must not take finished samples with it.
            if stepped.is_err() || recording.is_due() {
                recording.append(run.take_ended())?;
                recording.end_batch()?;
            }
            stepped?;
        }
        recording.append(run.finish())?;
        recording.end_batch()
    }

    /// Gives a failure within a batch the sample's id instead of its place in the batch.
    pub(crate) fn locate(&self, batch: &Range<usize>, error: EngineError) -> PipelineError {
        match error {
            EngineError::RouterNotFinite {
                layer,
                position,
                sample,
                value,
            } if sample < batch.len() => PipelineError::RouterNotFinite {
                layer,
                position,
                id: self.samples[batch.start + sample].sample.id.clone(),
                value,
            },
            other => other.into(),
        }
    }

    /// Puts what is finished on the disk before the error is told.
    fn stop(&self, mut writer: TraceWriter, error: PipelineError) -> PipelineError {
        if matches!(error, PipelineError::Trace(_)) {
            // The writer has already failed; its manifest lists what is intact.
            return error;
        }
        if let Err(error) = writer.flush_shard() {
            return error.into();
        }
        if error.is_cancelled() {
            return PipelineError::Interrupted {
                completed: writer.completed_samples() as usize,
                total: self.samples.len(),
                path: self.config.out.clone(),
            };
        }
        error
    }
}

/// The trace as it grows: records go in, and onto the disk in time.
struct Recording<'p> {
    plan: &'p CapturePlan,
    tokenizer: &'p Tokenizer,
    writer: TraceWriter,
    /// Samples that were there before.
    resumed: usize,
    /// The sample whose record comes next.
    next: usize,
    last_cut: Instant,
}

impl<'p> Recording<'p> {
    fn new(plan: &'p CapturePlan, writer: TraceWriter, tokenizer: &'p Tokenizer) -> Self {
        Self {
            plan,
            tokenizer,
            resumed: writer.completed_samples() as usize,
            writer,
            next: 0,
            last_cut: Instant::now(),
        }
    }

    /// Appends the records of the next samples, but for those that were there before.
    fn append(&mut self, records: Vec<SequenceRecord>) -> Result<(), PipelineError> {
        let plan = self.plan;
        let seed = (plan.run.max_new_tokens > 0).then_some(plan.run.sampling.seed);
        for record in records {
            let number = self.next;
            self.next += 1;
            if number < self.resumed {
                continue;
            }
            self.writer.append(sample_record(
                u32::try_from(number).expect("checked when it was planned"),
                &plan.samples[number],
                record,
                plan.layers.as_deref(),
                seed,
                self.tokenizer,
            ))?;
        }
        Ok(())
    }

    /// Whether the last cut is so long ago that there should be another.
    fn is_due(&self) -> bool {
        self.last_cut.elapsed() >= self.plan.config.cut_after
    }

    /// Says that a shard may be cut after what was appended, and cuts it where that is due.
    fn end_batch(&mut self) -> Result<(), PipelineError> {
        self.writer.end_batch()?;
        if self.is_due() {
            self.writer.flush_shard()?;
        }
        if self.writer.completed_samples() as usize >= self.next {
            self.last_cut = Instant::now();
        }
        Ok(())
    }
}

/// How fast it goes, and how long it will take.
struct Pace<'p> {
    plan: &'p CapturePlan,
    started: Instant,
    /// Planned tokens of finished batches, earlier sessions included.
    done: u64,
    /// Tokens of the batch that is running.
    in_flight: u64,
    total: u64,
    done_before: u64,
    tokens_run: u64,
}

impl<'p> Pace<'p> {
    fn new(plan: &'p CapturePlan, completed: usize, started: Instant) -> Self {
        // A batch that was begun is run from its start again.
        let ended = plan.batches.iter().rfind(|batch| batch.end <= completed);
        let done = plan.planned_tokens(&(0..ended.map_or(0, |batch| batch.end)));
        Self {
            plan,
            started,
            done,
            in_flight: 0,
            total: plan.planned_tokens(&(0..plan.samples.len())),
            done_before: done,
            tokens_run: 0,
        }
    }

    fn add(&mut self, tokens: usize) {
        self.in_flight += tokens as u64;
        self.tokens_run += tokens as u64;
    }

    fn end_batch(&mut self, batch: &Range<usize>) {
        self.done += self.plan.planned_tokens(batch);
        self.in_flight = 0;
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a rate is shown with a few digits"
    )]
    fn report(&self, progress: &dyn Progress) -> Result<(), Cancelled> {
        let secs = self.started.elapsed().as_secs_f64();
        let done = (self.done + self.in_flight).min(self.total);
        let message = if self.tokens_run == 0 || secs <= 0.0 {
            "capturing".to_owned()
        } else {
            let now = done - self.done_before.min(done);
            let left = if now == 0 {
                String::new()
            } else {
                let secs_left = secs * (self.total - done) as f64 / now as f64;
                format!(", {} left", clock::duration(secs_left))
            };
            format!(
                "capturing, {:.0} tokens/s{left}",
                self.tokens_run as f64 / secs
            )
        };
        progress.report(done, self.total, &message)
    }
}

impl CapturePlan {
    /// Tokens of some samples with all that may be generated after them.
    pub(super) fn planned_tokens(&self, samples: &Range<usize>) -> u64 {
        self.samples[samples.clone()]
            .iter()
            .map(|sample| (sample.tokens.len() + self.config.generate) as u64)
            .sum()
    }
}
