//! A capture planned and run, on a thread of its own.

use std::sync::{Arc, Mutex, PoisonError};

use moescope_core::Progress;
use moescope_engine::{ComputeDevice, DeviceChoice};
use moescope_pipeline::{
    CapturePlan, LoadedModel, ModelFiles, ModelFolder, PipelineError, left_as_stored,
};
use moescope_trace::OverlongPolicy;

use super::{
    CaptureEnd, Captured, Planned, has_trace,
    typed_text::{Draft, keep_text},
};
use crate::{
    choices::CaptureChoice,
    models::{ModelKey, Models},
};

/// What plans take turns with.
#[derive(Clone, Debug, Default)]
pub(super) struct Planner {
    /// Where the model of the last plan stays loaded while texts and options are chosen.
    pub(super) models: Models,
    turn: Arc<Mutex<()>>,
}

/// Reads texts and model and finds out the cost.
pub(super) fn plan(
    choice: CaptureChoice,
    usual: DeviceChoice,
    planner: &Planner,
    progress: &dyn Progress,
) -> Result<Planned, PipelineError> {
    let key = ModelKey::of_capture(&choice, usual)?;
    let mut config = choice.config()?;
    let draft = choice.files.is_empty().then(|| Draft::write(&choice));
    let draft = draft.transpose()?;
    if let Some(draft) = &draft {
        config.data.files = vec![draft.path()];
    }
    // One plan at a time, for two would load two models; the one before was cancelled.
    let _turn = planner.turn.lock().unwrap_or_else(PoisonError::into_inner);
    progress.report(0, 0, "reading the model's files")?;
    let files = ModelFiles::open(ModelFolder::find(&key.name, None)?)?;
    let device = ComputeDevice::open(key.device)?;
    let told = format!("{} ({}; {})", device.kind, device.name, device.reason);
    let plan = CapturePlan::new(config, &files, device.kind, progress)?;
    let mut notes = notes(&choice, &plan);
    let weights = key.options.weights;
    notes.extend(left_as_stored(&files.checkpoint, weights)?);
    let pass = plan.pass_size();
    let models = &planner.models;
    notes.extend(models.check_memory(&key, &files.checkpoint, &device, &pass)?);
    let loaded = in_memory(&key, models, files, device, progress)?;
    // What was cancelled keeps nothing: something else may need the memory.
    progress.report(0, 0, "timing a small part")?;
    models.keep(key, Arc::clone(&loaded));
    let estimate = plan.estimate(&loaded, progress)?;
    notes.extend(estimate.disk_warning());
    Ok(Planned {
        estimate,
        notes,
        choice,
        device: told,
        plan,
    })
}

/// The model, as something holds it already, or loaded.
fn in_memory(
    key: &ModelKey,
    models: &Models,
    files: ModelFiles,
    device: ComputeDevice,
    progress: &dyn Progress,
) -> Result<Arc<LoadedModel>, PipelineError> {
    models.get_or_load(key, || {
        progress.report(0, 0, "loading the model")?;
        files.load(device, key.options, progress)
    })
}

/// What the user should know of the texts.
fn notes(choice: &CaptureChoice, plan: &CapturePlan) -> Vec<String> {
    let mut notes = plan.prompt_notes().to_vec();
    if !plan.skipped.is_empty() {
        notes.push(format!(
            "{} records will be left out:{}",
            plan.skipped.total(),
            plan.skipped
        ));
    }
    if !plan.touched().is_empty() {
        let what = match choice.overlong {
            // The plan would not have come about.
            OverlongPolicy::Error => "refused",
            OverlongPolicy::Truncate => "truncated",
            OverlongPolicy::Chunk => "cut into pieces",
            OverlongPolicy::Skip => "left out",
        };
        notes.push(format!(
            "{} texts are longer than the limit and will be {what}",
            plan.touched().len()
        ));
    }
    notes
}

/// Runs what was planned, or plans and runs.
pub(super) fn run(
    known: Option<Planned>,
    choice: CaptureChoice,
    usual: DeviceChoice,
    planner: &Planner,
    progress: &dyn Progress,
) -> Result<CaptureEnd, PipelineError> {
    let prepare = || {
        let ready = match known {
            Some(known) => known,
            None => plan(choice, usual, planner, progress)?,
        };
        let loaded = model_of(&ready.choice, usual, &planner.models, progress)?;
        Ok::<_, PipelineError>((ready, loaded))
    };
    let (ready, loaded) = match prepare() {
        Err(error) if error.is_cancelled() => return Ok(CaptureEnd::NotBegun),
        prepared => prepared?,
    };
    // It goes when the capture has ended.
    planner.models.let_go();
    keep_text(&ready.choice)?;
    let was_there = has_trace(&ready.choice.out);
    match ready.plan.run(&loaded, progress) {
        Ok(outcome) => Ok(CaptureEnd::Complete(Captured {
            path: outcome.path,
            tokens: outcome.tokens,
            elapsed_secs: outcome.elapsed_secs,
        })),
        Err(error) if error.is_cancelled() => Ok(CaptureEnd::Stopped {
            path: ready.choice.out,
            told: error.to_string(),
        }),
        // A trace that was there before is another capture's, or one that is continued anyway.
        Err(error) if !was_there && has_trace(&ready.choice.out) => Ok(CaptureEnd::Broken {
            path: ready.choice.out,
            told: error.to_string(),
        }),
        Err(error) => Err(error),
    }
}

/// The model of what was planned: what the plan has kept, or if that was let go since, loaded again.
fn model_of(
    choice: &CaptureChoice,
    usual: DeviceChoice,
    models: &Models,
    progress: &dyn Progress,
) -> Result<Arc<LoadedModel>, PipelineError> {
    let key = ModelKey::of_capture(choice, usual)?;
    let files = ModelFiles::open(ModelFolder::find(&key.name, None)?)?;
    let device = ComputeDevice::open(key.device)?;
    in_memory(&key, models, files, device, progress)
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        path::{Path, PathBuf},
    };

    use moescope_core::{Cancelled, NoProgress};

    use super::*;

    const CPU: DeviceChoice = DeviceChoice::Cpu;

    fn not_again() -> Result<LoadedModel, PipelineError> {
        panic!("it is in memory already")
    }

    /// A capture of a short text into a folder.
    fn choice_in(folder: &Path) -> CaptureChoice {
        CaptureChoice {
            text: "The court found.".to_owned(),
            out: folder.join("trace"),
            ..CaptureChoice::default()
        }
    }

    #[test]
    fn a_plan_and_a_generation_share_a_model_and_a_capture_lets_it_go() {
        let folder = tempfile::tempdir().unwrap();
        let choice = choice_in(folder.path());
        let planner = Planner::default();
        let known = plan(choice.clone(), CPU, &planner, &NoProgress).unwrap();
        assert!(planner.models.keeps_one());
        // Live asks for the same model in its own words, and a plan takes what Live has.
        let live = ModelKey::of_live(&choice.model, CPU);
        let of_live = planner.models.get_or_load(&live, not_again).unwrap();
        planner.models.let_go();
        let again = model_of(&choice, CPU, &planner.models, &NoProgress).unwrap();
        assert!(Arc::ptr_eq(&of_live, &again));
        drop((of_live, again));
        // What was planned runs although its model is gone.
        let ended = run(Some(known), choice.clone(), CPU, &planner, &NoProgress).unwrap();
        assert!(matches!(ended, CaptureEnd::Complete(_)), "{ended:?}");
        assert!(!planner.models.keeps_one());
        assert!(choice.out.join("manifest.json").is_file());
    }

    /// A disk that takes nothing more once a capture has begun to record.
    struct FailingDisk(PathBuf);

    impl Progress for FailingDisk {
        fn report(&self, _done: u64, _total: u64, _message: &str) -> Result<(), Cancelled> {
            if has_trace(&self.0) {
                let entries = fs::read_dir(&self.0).unwrap();
                let paths = entries.map(|entry| entry.unwrap().path());
                for tables in paths.filter(|path| path.is_dir()) {
                    fs::remove_dir_all(tables).unwrap();
                }
            }
            Ok(())
        }
    }

    #[test]
    fn what_failed_on_the_way_can_be_continued_and_what_was_refused_cannot() {
        let folder = tempfile::tempdir().unwrap();
        let choice = choice_in(folder.path());
        let planner = Planner::default();
        let known = plan(choice.clone(), CPU, &planner, &NoProgress).unwrap();
        let disk = FailingDisk(choice.out.clone());
        let ended = run(Some(known), choice.clone(), CPU, &planner, &disk).unwrap();
        let CaptureEnd::Broken { path, .. } = ended else {
            panic!("{ended:?}");
        };
        assert_eq!(path, choice.out);
        let resumed = CaptureChoice {
            resumes: true,
            ..choice.clone()
        };
        let ended = run(None, resumed, CPU, &planner, &NoProgress).unwrap();
        assert!(matches!(ended, CaptureEnd::Complete(_)), "{ended:?}");
        // That trace is another's now: a new capture does not begin in its folder.
        let refused = run(None, choice, CPU, &planner, &NoProgress);
        assert!(refused.is_err(), "{refused:?}");
    }
}
