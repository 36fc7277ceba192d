//! The capture that is planned, runs, or has run.

mod columns;
mod planning;
mod typed_text;

use std::{
    fs, mem,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use egui::Context;
use moescope_engine::DeviceChoice;
use moescope_pipeline::{CapturePlan, Estimate, PipelineError};

use crate::{
    choices::CaptureChoice,
    job::{Job, JobProgress},
    models::{ModelKey, Models},
};

use columns::FileColumns;
use planning::Planner;
use typed_text::keep_text;

pub(crate) use typed_text::beside;

/// A choice that was not changed for so long is planned: long enough for the next letter, short enough to be waited for.
const REST: Duration = Duration::from_millis(600);
/// The model of a plan stays in memory for so long after the view was left: long enough to look something up elsewhere.
const KEPT_FOR: Duration = Duration::from_mins(1);
/// How long a window that closes waits for its capture. A pass through the model that takes longer cannot be awaited, but
/// then there was a cut after each one ([`cut_after`](moescope_pipeline::CaptureConfig::cut_after)), so what was
/// finished before it is on the disk.
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
    /// It failed on the way; what was recorded is on the disk and can be continued.
    Broken {
        /// The trace's folder.
        path: PathBuf,
        /// What went wrong.
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
    /// The columns that the chosen files have.
    pub columns: FileColumns,
    /// What the last plan was begun for, even where it failed or was stopped.
    planned_for: Option<CaptureChoice>,
    /// A choice that is to be planned, and since when it stands as it is.
    resting: Option<(CaptureChoice, Instant)>,
    planner: Planner,
    /// The folder that the last run writes into.
    run_into: PathBuf,
    /// Since when the view has not been in front, where a model is kept for it.
    left_at: Option<Instant>,
    /// A command line that is copied once the text that it reads is written.
    copying: Job<String>,
}

/// Something that happened to a capture.
#[derive(Debug)]
pub(crate) enum CaptureEvent {
    Planned {
        device: String,
    },
    /// A command line, whose text is written.
    Copied(String),
    Ended(CaptureEnd),
    Failed(String),
}

impl Captures {
    /// Takes models from where generations do, and keeps them there.
    pub(crate) fn share(&mut self, models: Models) {
        self.planner.models = models;
    }

    /// Stops planning with another model than one that is being loaded: the two may not fit beside each other.
    pub(crate) fn give_way(&self, loading: &ModelKey, usual: DeviceChoice) {
        let planned_with = self
            .planned_for
            .as_ref()
            .and_then(|choice| ModelKey::of_capture(choice, usual).ok());
        if planned_with.as_ref() != Some(loading)
            && let Some(progress) = self.plan.progress()
        {
            progress.cancel();
        }
    }

    /// Reads the data and the model and says what the capture will cost.
    pub(crate) fn estimate(&mut self, choice: &CaptureChoice, usual: DeviceChoice, ctx: &Context) {
        self.forget_plan();
        self.planned_for = Some(choice.clone());
        let (choice, planner) = (choice.clone(), self.planner.clone());
        self.plan
            .start("planning the capture", ctx, move |progress| {
                planning::plan(choice, usual, &planner, progress.as_ref())
                    .map_err(|error| told_of_plan(&error))
            });
    }

    /// Finds out what a choice costs once it rests; a plan for another one is of no use any more.
    fn follow(&mut self, choice: &CaptureChoice, usual: DeviceChoice, ctx: &Context, now: Instant) {
        self.columns.follow(&choice.files, ctx);
        let is_planned = self.planned_for.as_ref() == Some(choice);
        if is_planned || self.run.is_running() || choice.missing(usual).is_some() {
            self.resting = None;
            return;
        }
        let since = match &self.resting {
            Some((seen, since)) if seen == choice => *since,
            _ => {
                self.forget_plan();
                self.resting = Some((choice.clone(), now));
                now
            }
        };
        let left = REST.saturating_sub(now.duration_since(since));
        if left.is_zero() {
            self.estimate(choice, usual, ctx);
        } else {
            ctx.request_repaint_after(left);
        }
    }

    /// Takes a choice that the app made as it is: nothing is planned until the user changes it or asks for it.
    pub(crate) fn rest_on(&mut self, choice: &CaptureChoice) {
        self.planned_for = Some(choice.clone());
    }

    fn forget_plan(&mut self) {
        if let Some(progress) = self.plan.progress() {
            progress.cancel();
        }
        self.plan = Job::Idle;
        self.planned_for = None;
        self.resting = None;
    }

    /// The cost of a choice, where it is known.
    pub(crate) fn cost_of(&self, choice: &CaptureChoice) -> Option<&Planned> {
        match &self.plan {
            Job::Ready(planned) if planned.choice == *choice => Some(planned),
            _ => None,
        }
    }

    /// Why the cost of a choice is not known, where finding it out has failed.
    pub(crate) fn error_of(&self, choice: &CaptureChoice) -> Option<&str> {
        let is_its_plan = self.planned_for.as_ref() == Some(choice);
        self.plan.error().filter(|_| is_its_plan)
    }

    /// Whether the cost of what was chosen last is being found out, or soon will be.
    pub(crate) fn is_planning(&self) -> bool {
        self.plan.is_running() || self.resting.is_some()
    }

    /// Runs what was planned, or plans and runs; nothing where a capture runs already.
    pub(crate) fn start(&mut self, choice: &CaptureChoice, usual: DeviceChoice, ctx: &Context) {
        if self.run.is_running() {
            return;
        }
        if let Some(progress) = self.plan.progress() {
            progress.cancel();
        }
        let known = match mem::take(&mut self.plan) {
            Job::Ready(known) if known.choice == *choice => Some(known),
            _ => None,
        };
        self.resting = None;
        self.planned_for = Some(choice.clone());
        self.run_into.clone_from(&choice.out);
        let (choice, planner) = (choice.clone(), self.planner.clone());
        self.run.start("capturing", ctx, move |progress| {
            planning::run(known, choice, usual, &planner, progress.as_ref())
                .map_err(|error| error.to_string())
        });
    }

    /// Writes the typed text that a command line reads, so that the line can be copied.
    pub(crate) fn copy(&mut self, choice: &CaptureChoice, line: String, ctx: &Context) {
        let choice = choice.clone();
        self.copying.start("writing the text", ctx, move |_| {
            keep_text(&choice).map_err(|error| error.to_string())?;
            Ok(line)
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
            let told = format!("it did not stop within {} s", CLOSING.as_secs());
            if has_trace(&self.run_into) {
                CaptureEvent::Ended(CaptureEnd::Broken {
                    path: self.run_into.clone(),
                    told: format!("{told}; what is on the disk can be continued"),
                })
            } else {
                CaptureEvent::Failed(format!("{told}; it had not begun to record"))
            }
        })
    }

    /// Takes what has come, and plans the choice that is shown once it rests.
    pub(crate) fn advance(
        &mut self,
        shown: Option<(&CaptureChoice, DeviceChoice)>,
        ctx: &Context,
        now: Instant,
    ) -> Vec<CaptureEvent> {
        let mut events = Vec::new();
        self.columns.poll();
        if self.plan.poll()
            && let Job::Ready(planned) = &self.plan
        {
            events.push(CaptureEvent::Planned {
                device: planned.device.clone(),
            });
        }
        if self.copying.poll() {
            events.extend(match mem::take(&mut self.copying) {
                Job::Ready(line) => Some(CaptureEvent::Copied(line)),
                Job::Failed { error, .. } => Some(CaptureEvent::Failed(error)),
                Job::Idle | Job::Running(_) => None,
            });
        }
        if self.run.poll() {
            events.extend(self.ended());
        }
        match shown {
            Some((choice, usual)) if events.is_empty() => self.follow(choice, usual, ctx, now),
            Some(_) => {}
            None => self.resting = None,
        }
        self.let_model_go(shown.is_some(), ctx, now);
        events
    }

    /// Lets the model of the last plan go once the view has not been in front for a while.
    fn let_model_go(&mut self, is_shown: bool, ctx: &Context, now: Instant) {
        if is_shown || !self.planner.models.keeps_one() {
            self.left_at = None;
            return;
        }
        let left_at = *self.left_at.get_or_insert(now);
        let left = KEPT_FOR.saturating_sub(now.duration_since(left_at));
        if left.is_zero() {
            self.planner.models.let_go();
        } else {
            ctx.request_repaint_after(left);
        }
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
        let is_working = self.plan.is_running() || self.run.is_running();
        let is_reading = self.columns.is_reading() || self.copying.is_running();
        !(is_working || is_reading || self.resting.is_some())
    }

    /// The progress of all that runs.
    pub(crate) fn running(&self) -> impl Iterator<Item = &Arc<JobProgress>> {
        self.plan.progress().into_iter().chain(self.run.progress())
    }
}

/// Why there is no plan.
fn told_of_plan(error: &PipelineError) -> String {
    if error.is_cancelled() {
        "this was stopped before the cost was known; Estimate begins again".to_owned()
    } else {
        error.to_string()
    }
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
    if is_in_use(&picked) && !has_trace(&picked) {
        free_in(&picked, model)
    } else {
        picked
    }
}

/// Whether a trace is in a folder, which a capture can continue.
pub(crate) fn has_trace(path: &Path) -> bool {
    path.join("manifest.json").is_file()
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
    use moescope_core::NoProgress;
    use moescope_engine::{ComputeDevice, LoadOptions};
    use moescope_pipeline::{LoadedModel, ModelFiles, ModelFolder};

    use super::*;
    use crate::app::{App, AppConfig, SettingsPlace};

    fn load() -> Result<LoadedModel, PipelineError> {
        let files = ModelFiles::open(ModelFolder::find("demo", None)?)?;
        let device = ComputeDevice::open(DeviceChoice::Cpu)?;
        files.load(device, LoadOptions::default(), &NoProgress)
    }

    #[test]
    fn plans_and_generations_have_the_same_models() {
        let config = AppConfig {
            settings: SettingsPlace::None,
            starts_empty: true,
            ..AppConfig::default()
        };
        let app = App::new(&Context::default(), config).unwrap();
        let state = app.state();
        let key = ModelKey::of_live("demo", DeviceChoice::Cpu);
        let model = state.lives.models.get_or_load(&key, load).unwrap();
        assert!(!state.captures.planner.models.keeps_one());
        state.lives.models.keep(key, model);
        assert!(state.captures.planner.models.keeps_one());
    }

    #[test]
    fn a_model_that_was_planned_with_stays_for_a_while_after_the_view_was_left() {
        let mut captures = Captures::default();
        let models = Models::default();
        captures.share(models.clone());
        let key = ModelKey::of_live("demo", DeviceChoice::Cpu);
        let model = models.get_or_load(&key, load).unwrap();
        models.keep(key, model);
        let (ctx, start) = (Context::default(), Instant::now());
        let second = Duration::from_secs(1);
        let choice = CaptureChoice::default();
        captures.rest_on(&choice);
        let mut is_kept = |is_shown: bool, now: Instant| {
            let shown = is_shown.then_some((&choice, DeviceChoice::Cpu));
            captures.advance(shown, &ctx, now);
            models.keeps_one()
        };
        assert!(is_kept(true, start));
        assert!(is_kept(false, start + second));
        assert!(is_kept(false, start + KEPT_FOR));
        // Who comes back begins the time anew.
        assert!(is_kept(true, start + KEPT_FOR + second));
        let left = start + KEPT_FOR * 2;
        assert!(is_kept(false, left));
        assert!(is_kept(false, left + second * 59));
        assert!(!is_kept(false, left + KEPT_FOR));
    }

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
