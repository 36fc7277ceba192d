//! Generations that run: the model, the session on its thread, what it told, and what is measured of it.

mod choice;
mod command;
mod comparing;
mod effect_text;
mod event;
mod keeping;
mod measuring;
mod painting;
mod sessions;
mod shown;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use moescope_analytics::{LabelLook, LabelReference};
use moescope_engine::DeviceChoice;
use moescope_pipeline::{
    Ablation, LoadedModel, TextEffect,
    session::{
        Branch, BranchId, BranchState, Recovery, Session, SessionCommand, Transcript, recover,
    },
};
use moescope_trace::TokenizerIdentity;

pub(crate) use choice::LAYER_KEYS;
pub use choice::{CellAction, ChipColor, LiveChoice, NumbersChoice, PictureChoice};
pub use command::LiveCommand;
use comparing::ComparedKey;
pub use comparing::{ComparedLines, LinePart};
pub use effect_text::TextOrigin;
pub(crate) use event::LiveEvent;
pub(crate) use keeping::Keeping;
use painting::PictureKey;
pub(crate) use shown::ShownLines;

use crate::{
    answers::Measured,
    choices::{CaptureChoice, Cell},
    job::{Job, JobProgress},
    models::{ModelKey, Models},
    traces::{TraceId, Traces},
};

/// The picture of a running reply is made anew at most this often.
const BETWEEN_PICTURES: Duration = Duration::from_millis(120);

/// A model on its device.
#[derive(Clone, Debug)]
pub struct LiveModel {
    /// What it was asked for as.
    pub name: String,
    /// Where it runs, and why.
    pub device: String,
    pub(crate) loaded: Arc<LoadedModel>,
    /// What makes its tokens.
    pub(crate) tokenizer: TokenizerIdentity,
}

/// An ablation with what it was asked of.
#[derive(Clone, Debug)]
pub struct Ablated {
    /// The expert.
    pub cell: Cell,
    /// What was chosen when it was asked: the intervention, the controls, the limit.
    pub live: LiveChoice,
    /// The model and the texts.
    pub capture: CaptureChoice,
    /// What was found.
    pub found: Arc<Ablation>,
}

/// What interventions do to a branch's text as it stands.
#[derive(Clone, Debug)]
pub struct MeasuredEffect {
    /// The branch whose text it is.
    pub branch: BranchId,
    /// Why it is that one.
    pub origin: TextOrigin,
    /// The model, as it was asked for.
    pub model: String,
    /// The text's tokens.
    pub ids: Vec<u32>,
    /// The text, where the tokenizer makes the same tokens of it.
    pub text: Option<String>,
    /// What they do.
    pub effect: TextEffect,
    /// Places of the tokens, the largest change of surprisal first.
    pub by_change: Vec<usize>,
}

/// Everything that is live.
#[derive(Debug, Default)]
pub struct Lives {
    /// The model; loaded when something is to be generated. While another is loaded, and where it cannot be, its value
    /// is the one that wrote the lines.
    pub model: Job<LiveModel>,
    /// What the session told.
    pub transcript: Option<Transcript>,
    /// The branch that is shown.
    pub shown: Option<BranchId>,
    /// The branch that is shown beside it where texts are compared.
    pub beside: Option<BranchId>,
    /// The token that is looked at.
    pub token: Option<usize>,
    /// Layers × experts of what is chosen to be shown; for a moment after another choice, of the one before it.
    pub picture: Option<Measured>,
    /// Why there is no picture.
    pub picture_error: Option<String>,
    /// Which label the last window of tokens looks like.
    pub look: Option<LabelLook>,
    /// The labels' profiles of a trace.
    pub reference: Job<Arc<LabelReference>>,
    /// What interventions do to a text.
    pub effect: Job<MeasuredEffect>,
    /// What an expert is worth.
    pub ablation: Job<Ablated>,
    /// What runs that did not end in good order had left.
    pub recovery: Job<Recovery>,
    reference_of: Option<TraceId>,
    /// The other checkpoint that the labels' trace is of, if it is of another.
    pub reference_is_of: Option<String>,
    looking: Job<Option<LabelLook>>,
    /// Models in memory, whatever runs them.
    pub(crate) models: Models,
    /// The model that is being loaded, or was last.
    asked: Option<ModelKey>,
    session: Option<Session>,
    /// How many sessions there were: the branches of each are numbered anew.
    pub(crate) sessions: u32,
    /// What the session's model was asked for as.
    session_of: String,
    /// What the next session will be told when its model is there.
    waiting: Vec<SessionCommand>,
    /// How many tokens the first branch of that session draws.
    run_when_loaded: Option<usize>,
    /// How many tokens a branch draws as soon as it is there.
    run_when_opened: Option<usize>,
    /// Lines that the session was told to close and has not closed yet.
    closing: BTreeSet<BranchId>,
    /// Where branches are kept that nobody saves.
    keeping: Option<Keeping>,
    painting: Job<(PictureKey, Measured)>,
    /// What the picture that is there is of.
    picture_of: Option<PictureKey>,
    /// What the picture that is there or being made is of, and when it was asked for.
    pictured: Option<(PictureKey, Instant)>,
    /// Whether the picture is older than the tokens, for a moment.
    is_picture_late: bool,
    comparing: Job<ComparedLines>,
    /// What the comparison that is there or being made is of, and when it was asked for.
    compared_key: Option<(ComparedKey, Instant)>,
    /// Whether the comparison is older than the tokens, for a moment.
    is_comparison_late: bool,
    /// The branch and its number of tokens when it was looked at, and when that was.
    looked: Option<((BranchId, usize), Instant)>,
}

impl Lives {
    /// Keeps branches that nobody saves, and recovers what earlier runs had not come to keep.
    pub(crate) fn keep(&mut self, keeping: Keeping, ctx: &egui::Context) {
        self.keeping = Some(keeping.clone());
        let name = "recovering interrupted replies";
        self.recovery.start(name, ctx, move |progress| {
            recover(&keeping.unfinished, &keeping.traces, progress.as_ref())
                .map_err(|error| error.to_string())
        });
    }

    /// The branch that is shown.
    #[must_use]
    pub fn branch(&self) -> Option<&Branch> {
        self.transcript.as_ref()?.branch(self.shown?)
    }

    /// The model that wrote the branch that is shown, where it is one of this process.
    #[must_use]
    pub fn line_model(&self) -> Option<&LiveModel> {
        self.branch().and_then(|_| self.model.value())
    }

    /// What an ablation reads and runs on: the model of the branch that is shown, or the chosen one where there is none.
    #[must_use]
    pub fn ablated_with(&self, capture: &CaptureChoice) -> CaptureChoice {
        let mut with = capture.clone();
        if let Some(model) = self.line_model() {
            with.model.clone_from(&model.name);
        }
        with
    }

    /// The branch that is shown beside it.
    #[must_use]
    pub fn other(&self) -> Option<&Branch> {
        self.transcript.as_ref()?.branch(self.beside?)
    }

    /// The token that is looked at: the chosen one, or the last.
    #[must_use]
    pub fn token(&self) -> Option<usize> {
        let last = self.branch()?.columns.len().checked_sub(1)?;
        Some(self.token.map_or(last, |token| token.min(last)))
    }

    /// Whether the branch that is shown draws tokens.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.branch()
            .is_some_and(|branch| branch.state == BranchState::Running)
    }

    /// Whether nothing is loaded, generated or measured.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        let is_drawing = self.transcript.iter().flat_map(Transcript::branches);
        let mut is_drawing = is_drawing.map(|branch| branch.state == BranchState::Running);
        !self.model.is_running()
            && !self.reference.is_running()
            && !self.looking.is_running()
            && !self.effect.is_running()
            && !self.ablation.is_running()
            && !self.recovery.is_running()
            && !self.painting.is_running()
            && !self.is_picture_late
            && !self.comparing.is_running()
            && !self.is_comparison_late
            && self.waiting.is_empty()
            && self.run_when_opened.is_none()
            && self.session.as_ref().is_none_or(Session::is_idle)
            && !is_drawing.any(|is_drawing| is_drawing)
    }

    /// The progress of all that runs.
    pub(crate) fn running(&self) -> Vec<&Arc<JobProgress>> {
        let jobs = [
            self.model.progress(),
            self.reference.progress(),
            self.effect.progress(),
            self.ablation.progress(),
            self.recovery.progress(),
        ];
        jobs.into_iter().flatten().collect()
    }

    /// Does what was asked for; what the choices say at this moment counts. A model is loaded on `device`.
    ///
    /// # Errors
    /// Says what is missing.
    pub(crate) fn apply(
        &mut self,
        command: LiveCommand,
        choice: &LiveChoice,
        capture: &CaptureChoice,
        device: DeviceChoice,
        ctx: &egui::Context,
    ) -> Result<(), String> {
        let model = &capture.model;
        match command {
            LiveCommand::Start => {
                let start = choice.start()?;
                self.run_when_opened = Some(choice.max_tokens);
                self.tell(SessionCommand::Start(start), model, device, ctx);
            }
            LiveCommand::Step => match self.shown {
                Some(branch) if self.branch().is_some() => {
                    self.run(branch, Some(1));
                }
                _ => {
                    let start = choice.start()?;
                    self.run_when_opened = Some(1);
                    self.tell(SessionCommand::Start(start), model, device, ctx);
                }
            },
            LiveCommand::Toggle => {
                if self.is_running() {
                    self.send(SessionCommand::Pause);
                } else if let Some(branch) = self.shown {
                    self.run(branch, Some(choice.max_tokens));
                } else {
                    self.apply(LiveCommand::Start, choice, capture, device, ctx)?;
                }
            }
            LiveCommand::Stop => {
                let branch = self.need_branch()?;
                self.send(SessionCommand::Stop(branch));
            }
            LiveCommand::Sample => {
                let branch = self.need_branch()?;
                let sampling = choice.sampling();
                self.send(SessionCommand::Sample { branch, sampling });
            }
            LiveCommand::Intervene => {
                let branch = self.need_branch()?;
                let interventions = choice.interventions()?;
                self.send(SessionCommand::Intervene {
                    branch,
                    interventions,
                });
            }
            LiveCommand::Fork { keep } => {
                let branch = self.need_branch()?;
                self.send(SessionCommand::Fork { branch, keep });
            }
            LiveCommand::Give { keep, given } => {
                let branch = self.need_branch()?;
                self.send(SessionCommand::Give {
                    branch,
                    keep,
                    given,
                });
            }
            LiveCommand::Reply => {
                let branch = self.need_branch()?;
                let message = choice.next_message.clone();
                self.run_when_opened = Some(choice.max_tokens);
                self.send(SessionCommand::Reply { branch, message });
            }
            LiveCommand::Edit => {
                let branch = self.need_branch()?;
                let prompt = choice.prompt.clone();
                self.send(SessionCommand::Edit { branch, prompt });
            }
            LiveCommand::Regenerate => {
                let branch = self.need_branch()?;
                let interventions = choice.interventions()?;
                self.beside = Some(branch);
                self.send(SessionCommand::Regenerate {
                    branch,
                    interventions,
                });
            }
            LiveCommand::Save(path) => {
                let branch = self.need_branch()?;
                self.send(SessionCommand::Save { branch, path });
            }
            LiveCommand::Close(line) => self.close_line(line)?,
            LiveCommand::ChooseBranch(branch) => {
                self.shown = Some(branch);
                self.token = None;
            }
            LiveCommand::ChooseBeside(branch) => self.beside = branch,
            LiveCommand::ChooseToken(token) => self.token = token,
            LiveCommand::ReadLabels => {
                self.reference_of = None;
                self.reference = Job::Idle;
            }
            LiveCommand::MeasureEffect => self.measure_effect(choice, ctx)?,
            LiveCommand::Ablate(cell) => self.ablate(cell, choice, capture, device, ctx)?,
        }
        Ok(())
    }

    /// Takes what has come, and makes the picture of what is shown.
    pub(crate) fn advance(
        &mut self,
        choice: &LiveChoice,
        traces: &Traces,
        ctx: &egui::Context,
    ) -> Vec<LiveEvent> {
        let mut events = Vec::new();
        if self.model.poll() {
            self.take_model(ctx, &mut events);
        }
        self.hear(ctx, &mut events);
        if self.reference.poll() {
            // What was shown was held against other labels, or none.
            (self.pictured, self.looked) = (None, None);
        }
        if self.recovery.poll()
            && let Job::Ready(recovery) = &self.recovery
        {
            events.push(LiveEvent::Recovered(recovery.clone()));
        }
        for (error, what) in [
            (
                self.effect.poll().then(|| self.effect.error()).flatten(),
                "the effect",
            ),
            (
                self.ablation
                    .poll()
                    .then(|| self.ablation.error())
                    .flatten(),
                "the ablation",
            ),
        ] {
            if let Some(error) = error.filter(|error| *error != "cancelled") {
                events.push(LiveEvent::Failed(format!(
                    "{what} could not be measured: {error}"
                )));
            }
        }
        self.forget_effect_of_closed();
        self.follow_reference(traces, ctx);
        self.look_again(ctx);
        self.paint(choice, ctx);
        events
    }

    /// Ends the session; unsaved branches are kept where that was asked for. Waits for the token that is being drawn.
    pub(crate) fn close(&mut self) {
        drop(self.session.take());
    }

    /// Tells a running session something.
    fn send(&self, command: SessionCommand) {
        if let Some(session) = &self.session {
            session.send(command);
        }
    }

    fn run(&self, branch: BranchId, tokens: Option<usize>) {
        self.send(SessionCommand::Run { branch, tokens });
    }

    fn need_branch(&self) -> Result<BranchId, String> {
        let shown = self.shown.filter(|_| self.branch().is_some());
        shown.ok_or_else(|| "nothing was generated yet; start a generation first".to_owned())
    }
}

/// The folder in which branches are kept as traces: the chosen one, or the one of captures.
pub(crate) fn kept_folder(choice: &LiveChoice, capture: &CaptureChoice) -> PathBuf {
    let out = &capture.out;
    let folder = if choice.kept_in.as_os_str().is_empty() {
        out.parent().unwrap_or(out)
    } else {
        &choice.kept_in
    };
    std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned())
}

/// Where a branch is saved in a folder: the first name that is not there.
pub(crate) fn free_path(folder: &Path, branch: BranchId) -> PathBuf {
    let numbered = |number: u32| match number {
        1 => folder.join(format!("live-{branch}")),
        number => folder.join(format!("live-{branch}-{number}")),
    };
    (1..=9999)
        .map(numbered)
        .find(|path| !path.exists())
        .unwrap_or_else(|| numbered(1))
}
