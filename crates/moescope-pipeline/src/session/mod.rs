//! A live generation: a worker that holds the model's sequences, told by commands and telling by events.
//!
//! A [`Session`] starts, pauses, steps, stops, continues, edits, branches and closes generations of one model, each token
//! with its routing. It never blocks whoever holds it: commands are queued, and events are taken when there are any.
//! What can be done to a sequence is the engine's (`moescope_engine::Growth`); here it gets a name, a text and a listener.

mod chosen;
mod columns;
mod given_text;
mod growing;
mod journal;
mod message;
mod picture;
mod prompt;
mod recovery;
mod save;
mod transcript;
mod worker;

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::{self, Receiver, Sender},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

pub use chosen::ChosenExperts;
pub use columns::{Candidate, LiveColumns, LiveToken};
pub use journal::JOURNAL_LAG;
pub use message::{
    BranchId, BranchInfo, BranchState, Given, SessionCommand, SessionEvent, StartConfig,
};
pub use picture::{LiveScope, PictureSource, picture, picture_difference};
pub use recovery::{RecoveredBranch, Recovery, recover};
pub use transcript::{Branch, ClosedBranch, Transcript};

use crate::{error::PipelineError, model::LoadedModel};
use worker::Worker;

/// What a session keeps.
#[derive(Clone, Debug, Default)]
pub struct SessionConfig {
    /// Whether router logits are kept for traces: `num_experts` floats a decision.
    pub keeps_logits: bool,
    /// Where every branch that was not saved is written as a trace when it is closed or the session ends, each into a new
    /// folder `branch-N` (or the next free name).
    pub keep_in: Option<PathBuf>,
    /// Where branches are journalled until they are saved, so that [`recover`] brings them back after a crash; each
    /// session has a folder of its own there. What nobody saved when the session ends in good order is not journalled
    /// any more, whether it was kept or not.
    pub journal_in: Option<PathBuf>,
}

/// What the worker still has to do.
#[derive(Debug, Default)]
struct Work {
    /// Commands that were sent and not done.
    waiting: AtomicUsize,
    /// Whether a branch grows.
    is_running: AtomicBool,
}

/// A worker thread with a model and the sequences that grow in it.
///
/// ```no_run
/// # use std::{sync::Arc, time::Duration};
/// # use moescope_pipeline::{LoadedModel, PipelineError};
/// use moescope_pipeline::session::{BranchId, Session, SessionCommand, SessionConfig, StartConfig, Transcript};
///
/// # fn look(loaded: Arc<LoadedModel>) -> Result<(), PipelineError> {
/// let mut transcript = Transcript::new(loaded.model.spec());
/// let session = Session::open(loaded, SessionConfig::default(), || {})?;
/// session.send(SessionCommand::Start(StartConfig { prompt: "The enzyme".into(), ..StartConfig::default() }));
/// session.send(SessionCommand::Run { branch: BranchId(0), tokens: Some(20) });
/// while let Some(event) = session.wait(Duration::from_secs(5)) {
///     transcript.apply(&event);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Session {
    /// `None` once it is closed.
    commands: Option<Sender<SessionCommand>>,
    events: Receiver<SessionEvent>,
    work: Arc<Work>,
    thread: Option<JoinHandle<()>>,
}

impl Session {
    /// Starts the worker; `wake` is called after every event, from its thread.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn open(
        loaded: Arc<LoadedModel>,
        config: SessionConfig,
        wake: impl Fn() + Send + 'static,
    ) -> Result<Self, PipelineError> {
        let (commands, to_do) = mpsc::channel();
        let work = Arc::new(Work::default());
        let noted = Arc::clone(&work);
        let (tell, events) = mpsc::channel();
        let run = move || {
            let tell = |event| {
                // Nobody listens any more when the session was dropped; the work is then about to end.
                let _ = tell.send(event);
                wake();
            };
            Worker::new(&loaded, config, &tell).run(&to_do, &noted);
        };
        let thread = thread::Builder::new()
            .name("moescope-session".to_owned())
            .spawn(run)
            .map_err(|error| {
                PipelineError::Settings(format!("cannot start a thread to generate on: {error}"))
            })?;
        Ok(Self {
            commands: Some(commands),
            events,
            work,
            thread: Some(thread),
        })
    }

    /// Queues a command; it is done after those before it, between two tokens.
    pub fn send(&self, command: SessionCommand) {
        if let Some(commands) = &self.commands {
            self.work.waiting.fetch_add(1, Ordering::SeqCst);
            // A worker that is gone has told why.
            let _ = commands.send(command);
        }
    }

    /// Whether every command was done and no branch grows; all that was to be told is then among the events.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        let has_ended = self.thread.as_ref().is_none_or(JoinHandle::is_finished);
        let is_done = self.work.waiting.load(Ordering::SeqCst) == 0;
        has_ended || is_done && !self.work.is_running.load(Ordering::SeqCst)
    }

    /// The next event, if there is one.
    #[must_use]
    pub fn next_event(&self) -> Option<SessionEvent> {
        self.events.try_recv().ok()
    }

    /// The next event, if it comes within a time.
    #[must_use]
    pub fn wait(&self, longest: Duration) -> Option<SessionEvent> {
        self.events.recv_timeout(longest).ok()
    }

    /// Ends the session: the command in progress is finished, what shall be kept is written. Returns the last events.
    #[must_use]
    pub fn close(mut self) -> Vec<SessionEvent> {
        self.end();
        self.events.try_iter().collect()
    }

    fn end(&mut self) {
        self.commands = None;
        if let Some(thread) = self.thread.take() {
            // A panic was reported by the hook; there is nothing to add.
            let _ = thread.join();
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.end();
    }
}
