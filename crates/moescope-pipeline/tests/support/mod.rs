//! What tests of sessions share: the embedded model, and a session with its listener.

use std::{path::Path, sync::Arc, time::Duration};

use moescope_core::NoProgress;
use moescope_engine::{ComputeDevice, DeviceChoice, LoadOptions, SamplingConfig};
use moescope_pipeline::{
    LoadedModel, ModelFiles, ModelFolder,
    session::{
        Branch, BranchId, BranchState, Session, SessionCommand, SessionConfig, SessionEvent,
        StartConfig, Transcript,
    },
};
use moescope_trace::{Document, RoutingTrace};

pub(crate) const PROMPT: &str = "The enzyme lowers the activation energy of";
pub(crate) const FIRST: BranchId = BranchId(0);
pub(crate) const SECOND: BranchId = BranchId(1);

pub(crate) fn loaded() -> Arc<LoadedModel> {
    let folder = moescope_testkit::scidfm_mini();
    let files = ModelFiles::open(ModelFolder::find(folder.to_str().unwrap(), None).unwrap());
    let device = ComputeDevice::open(DeviceChoice::Cpu).unwrap();
    let model = files
        .unwrap()
        .load(device, LoadOptions::default(), &NoProgress);
    Arc::new(model.unwrap())
}

pub(crate) fn sampling() -> SamplingConfig {
    SamplingConfig {
        temperature: 0.8,
        seed: 11,
        ..SamplingConfig::default()
    }
}

pub(crate) fn start(interventions: &[&str]) -> SessionCommand {
    SessionCommand::Start(StartConfig {
        prompt: PROMPT.to_owned(),
        sampling: sampling(),
        interventions: interventions.iter().map(|s| s.parse().unwrap()).collect(),
        ..StartConfig::default()
    })
}

pub(crate) fn run(branch: BranchId, tokens: usize) -> SessionCommand {
    SessionCommand::Run {
        branch,
        tokens: Some(tokens),
    }
}

/// A session with its listener.
pub(crate) struct Listening {
    pub(crate) session: Session,
    pub(crate) transcript: Transcript,
    pub(crate) failures: Vec<String>,
}

/// All tokens and decisions of the trace of a branch.
pub(crate) fn document(trace: &Path) -> Document {
    let trace = RoutingTrace::open(trace).unwrap();
    assert!(trace.manifest().complete);
    let samples = trace.samples().unwrap();
    trace.document(&samples[0].meta.id).unwrap()
}

impl Listening {
    pub(crate) fn to(loaded: &Arc<LoadedModel>, config: SessionConfig) -> Self {
        Self {
            transcript: Transcript::new(loaded.model.spec()),
            session: Session::open(Arc::clone(loaded), config, || {}).unwrap(),
            failures: Vec::new(),
        }
    }

    /// Sends commands, and listens until a branch does something.
    pub(crate) fn until(
        &mut self,
        commands: Vec<SessionCommand>,
        branch: BranchId,
        is_done: &dyn Fn(&Branch) -> bool,
    ) {
        commands
            .into_iter()
            .for_each(|command| self.session.send(command));
        while !self.transcript.branch(branch).is_some_and(is_done) {
            let event = self.session.wait(Duration::from_mins(1));
            self.hear(event.expect("the session goes on"));
        }
    }

    /// The same until a branch has drawn so many tokens and waits.
    pub(crate) fn drawn(&mut self, commands: Vec<SessionCommand>, branch: BranchId, tokens: usize) {
        self.until(commands, branch, &|branch| {
            let columns = &branch.columns;
            columns.len() - columns.num_prompt_tokens() == tokens
                && branch.state != BranchState::Running
        });
    }

    pub(crate) fn hear(&mut self, event: SessionEvent) {
        self.transcript.apply(&event);
        if let SessionEvent::Failed { command, error } = event {
            self.failures.push(format!("{command}: {error}"));
        }
    }

    /// Ends the session and hears all of it.
    pub(crate) fn close(self) -> (Transcript, Vec<String>, Vec<SessionEvent>) {
        let Self {
            session,
            mut transcript,
            mut failures,
        } = self;
        let last = session.close();
        for event in &last {
            transcript.apply(event);
            if let SessionEvent::Failed { command, error } = event {
                failures.push(format!("{command}: {error}"));
            }
        }
        (transcript, failures, last)
    }

    pub(crate) fn branch(&self, id: BranchId) -> &Branch {
        self.transcript.branch(id).unwrap()
    }
}

pub(crate) fn ids(branch: &Branch) -> Vec<u32> {
    branch
        .columns
        .tokens()
        .iter()
        .map(|token| token.id)
        .collect()
}

/// All choices of experts, token by token.
pub(crate) fn experts(branch: &Branch) -> Vec<Vec<u16>> {
    let columns = &branch.columns;
    (0..columns.len())
        .flat_map(|token| (0..columns.layers().len()).map(move |layer| (token, layer)))
        .map(|(token, layer)| columns.experts(token, layer).to_vec())
        .collect()
}
