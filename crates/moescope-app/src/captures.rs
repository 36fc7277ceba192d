//! The capture that is planned, runs, or has run.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use moescope_core::Progress as _;
use moescope_engine::{ComputeDevice, DeviceChoice, LoadOptions, SamplingConfig};
use moescope_pipeline::{
    CaptureConfig, CapturePlan, ChatConfig, DataConfig, Estimate, LoadedModel, ModelFiles,
    ModelFolder, PipelineError, PromptConfig, check_memory,
};

use crate::{
    choices::CaptureChoice,
    job::{Job, JobProgress},
};

/// How long a window that closes waits for its capture. A batch that takes longer cannot be awaited, but then there was
/// a cut after each one ([`CaptureConfig::cut_after`]), so what was done before it is on the disk.
const CLOSING: Duration = Duration::from_secs(20);
/// Between two looks at a capture that is stopping.
const BETWEEN_POLLS: Duration = Duration::from_millis(5);

/// A capture that could start at once.
#[derive(Debug)]
pub struct Planned {
    /// What it will cost.
    pub estimate: Estimate,
    /// What the user should know before.
    pub notes: Vec<String>,
    /// What was planned; another choice needs another plan.
    pub choice: CaptureChoice,
    /// Where it will run, and why.
    pub device: String,
    plan: CapturePlan,
    loaded: LoadedModel,
}

/// What a capture left.
#[derive(Clone, Debug)]
pub struct Captured {
    /// The trace's folder.
    pub path: PathBuf,
    /// Tokens that went through the model.
    pub tokens: u64,
    /// Seconds that it took.
    pub elapsed_secs: f64,
}

/// How a run of a capture ended.
#[derive(Clone, Debug)]
pub enum CaptureEnd {
    /// The trace is complete.
    Complete(Captured),
    /// It was stopped; what was recorded is on the disk.
    Stopped {
        /// The trace's folder.
        path: PathBuf,
        /// What was said.
        told: String,
    },
    /// It was stopped before it had begun to record.
    NotBegun,
}

/// The plan and the run.
#[derive(Debug, Default)]
pub struct Captures {
    /// What would be captured, and its cost.
    pub plan: Job<Planned>,
    /// The capture that runs or has run.
    pub run: Job<CaptureEnd>,
}

/// Something that happened to a capture.
#[derive(Debug)]
pub(crate) enum CaptureEvent {
    Planned { device: String },
    Ended(CaptureEnd),
    Failed(String),
}

impl Captures {
    /// Reads the data and the model and says what the capture will cost.
    pub(crate) fn estimate(
        &mut self,
        choice: &CaptureChoice,
        device: DeviceChoice,
        ctx: &egui::Context,
    ) {
        let choice = choice.clone();
        self.plan = Job::Idle;
        self.plan
            .start("planning the capture", ctx, move |progress| {
                plan(choice, device, progress).map_err(|error| error.to_string())
            });
    }

    /// Runs what was planned, or plans and runs.
    pub(crate) fn start(
        &mut self,
        choice: &CaptureChoice,
        device: DeviceChoice,
        ctx: &egui::Context,
    ) {
        let planned = match std::mem::take(&mut self.plan) {
            Job::Ready(planned) if planned.choice == *choice => Some(planned),
            _ => None,
        };
        let choice = choice.clone();
        self.run.start("capturing", ctx, move |progress| {
            run(planned, choice, device, progress).map_err(|error| error.to_string())
        });
    }

    /// Asks a capture to stop in good order; what it recorded stays.
    pub(crate) fn cancel(&self) {
        for progress in self.running() {
            progress.cancel();
        }
    }

    /// Stops a capture that runs and waits until it has, but not for ever; how it ended.
    pub(crate) fn close(&mut self) -> Option<CaptureEvent> {
        self.cancel();
        let begun = Instant::now();
        while self.run.is_running() && begun.elapsed() < CLOSING {
            if self.run.poll() {
                return self.ended();
            }
            thread::sleep(BETWEEN_POLLS);
        }
        self.run.is_running().then(|| {
            CaptureEvent::Failed(format!(
                "it did not stop within {} s; what is on the disk can be continued",
                CLOSING.as_secs()
            ))
        })
    }

    /// Takes what has come.
    pub(crate) fn advance(&mut self) -> Vec<CaptureEvent> {
        let mut events = Vec::new();
        if self.plan.poll()
            && let Job::Ready(planned) = &self.plan
        {
            events.push(CaptureEvent::Planned {
                device: planned.device.clone(),
            });
        }
        if self.run.poll() {
            events.extend(self.ended());
        }
        events
    }

    /// How the last run ended.
    fn ended(&self) -> Option<CaptureEvent> {
        match &self.run {
            Job::Ready(end) => Some(CaptureEvent::Ended(end.clone())),
            Job::Failed { error, .. } => Some(CaptureEvent::Failed(error.clone())),
            Job::Idle | Job::Running(_) => None,
        }
    }

    /// Whether nothing is planned or captured.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        !self.plan.is_running() && !self.run.is_running()
    }

    /// The progress of all that runs.
    pub(crate) fn running(&self) -> impl Iterator<Item = &Arc<JobProgress>> {
        self.plan.progress().into_iter().chain(self.run.progress())
    }
}

fn plan(
    choice: CaptureChoice,
    device: DeviceChoice,
    progress: &Arc<JobProgress>,
) -> Result<Planned, PipelineError> {
    let progress = progress.as_ref();
    let files = ModelFiles::open(ModelFolder::find(&choice.model, None)?)?;
    let device = ComputeDevice::open(device)?;
    let plan = CapturePlan::new(config(&choice)?, &files, device.kind, progress)?;
    let mut notes = plan.prompt_notes().to_vec();
    if !plan.touched().is_empty() {
        notes.push(format!(
            "{} texts are longer than the model's context and were cut",
            plan.touched().len()
        ));
    }
    let options = LoadOptions::default();
    notes.extend(check_memory(
        &files.checkpoint,
        &device,
        options.weights,
        &plan.pass_size(),
    )?);
    let told = format!("{} ({}; {})", device.kind, device.name, device.reason);
    progress.report(0, 0, "loading the model")?;
    let loaded = files.load(device, options, progress)?;
    let estimate = plan.estimate(&loaded, progress)?;
    Ok(Planned {
        estimate,
        notes,
        choice,
        device: told,
        plan,
        loaded,
    })
}

fn run(
    planned: Option<Planned>,
    choice: CaptureChoice,
    device: DeviceChoice,
    progress: &Arc<JobProgress>,
) -> Result<CaptureEnd, PipelineError> {
    let planned = match planned.map_or_else(|| plan(choice, device, progress), Ok) {
        Err(error) if error.is_cancelled() => return Ok(CaptureEnd::NotBegun),
        planned => planned?,
    };
    match planned.plan.run(&planned.loaded, progress.as_ref()) {
        Ok(outcome) => Ok(CaptureEnd::Complete(Captured {
            path: outcome.path,
            tokens: outcome.tokens,
            elapsed_secs: outcome.elapsed_secs,
        })),
        Err(error) if error.is_cancelled() => Ok(CaptureEnd::Stopped {
            path: planned.choice.out,
            told: error.to_string(),
        }),
        Err(error) => Err(error),
    }
}

fn config(choice: &CaptureChoice) -> Result<CaptureConfig, PipelineError> {
    if choice.out.as_os_str().is_empty() {
        return Err(PipelineError::Settings(
            "the capture needs a folder for its trace".to_owned(),
        ));
    }
    Ok(CaptureConfig {
        data: DataConfig {
            files: texts(choice)?,
            limit: (choice.limit > 0).then_some(choice.limit),
            ..DataConfig::default()
        },
        prompt: PromptConfig {
            chat: choice.is_chat.then(ChatConfig::default),
            ..PromptConfig::default()
        },
        out: choice.out.clone(),
        generate: choice.generate,
        sampling: SamplingConfig {
            temperature: choice.temperature,
            seed: choice.seed,
            ..SamplingConfig::default()
        },
        keeps_logits: choice.keeps_logits,
        is_full_precision: choice.is_full_precision,
        resumes: choice.resumes,
        ..CaptureConfig::default()
    })
}

/// The files with the texts; a typed text is written beside the trace, so that the capture can be repeated.
fn texts(choice: &CaptureChoice) -> Result<Vec<PathBuf>, PipelineError> {
    if !choice.files.is_empty() {
        return Ok(choice.files.clone());
    }
    if choice.text.trim().is_empty() {
        return Err(PipelineError::Settings(
            "there is nothing to capture; choose files, or type a text".to_owned(),
        ));
    }
    let path = beside(&choice.out);
    let mut record = serde_json::json!({ "id": "text", "text": choice.text });
    if !choice.text_label.trim().is_empty() {
        record["discipline"] = choice.text_label.trim().into();
    }
    let written = path
        .parent()
        .map_or(Ok(()), fs::create_dir_all)
        .and_then(|()| fs::write(&path, format!("{record}\n")));
    written.map_err(|source| PipelineError::Io {
        action: "write the text",
        source,
        path: path.clone(),
    })?;
    Ok(vec![path])
}

/// Where a typed text is kept: `NAME.texts.jsonl` beside the folder NAME.
pub(crate) fn beside(out: &Path) -> PathBuf {
    let mut name = out.as_os_str().to_owned();
    name.push(".texts.jsonl");
    PathBuf::from(name)
}

/// A folder in the user's home that is not there yet.
pub(crate) fn suggested_out(model: &str) -> PathBuf {
    let home = ["HOME", "USERPROFILE"]
        .into_iter()
        .find_map(std::env::var_os)
        .map_or_else(std::env::temp_dir, PathBuf::from);
    free_in(&home.join("moescope-traces"), model)
}

/// Where a trace goes when a folder was picked: there, if nothing is in it or a trace is that can be continued; else into
/// a folder within it that is not there yet.
pub(crate) fn place_in(picked: PathBuf, model: &str) -> PathBuf {
    if is_in_use(&picked) && !picked.join("manifest.json").is_file() {
        free_in(&picked, model)
    } else {
        picked
    }
}

/// Whether something is there already.
pub(crate) fn is_in_use(path: &Path) -> bool {
    match fs::read_dir(path) {
        Ok(mut entries) => entries.next().is_some(),
        Err(_) => path.exists(),
    }
}

/// A folder for a model's trace that is not there yet.
fn free_in(folder: &Path, model: &str) -> PathBuf {
    let name = crate::traces::folder_name(Path::new(model));
    let numbered = |number: u32| folder.join(format!("{name}-{number}"));
    (1..=9999)
        .map(numbered)
        .find(|path| !path.exists())
        .unwrap_or_else(|| numbered(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picked_folder_is_used_where_it_is_empty_or_a_trace() {
        let folder = tempfile::tempdir().unwrap();
        let picked = folder.path().join("picked");
        let check = |expected: &Path| {
            assert_eq!(place_in(picked.clone(), "models/tiny"), expected);
        };
        check(&picked);
        fs::create_dir(&picked).unwrap();
        check(&picked);
        fs::create_dir(picked.join("tiny-1")).unwrap();
        check(&picked.join("tiny-2"));
        fs::write(picked.join("manifest.json"), "{}").unwrap();
        check(&picked);
    }
}
