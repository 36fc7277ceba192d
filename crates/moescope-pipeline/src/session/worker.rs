//! The thread that holds the sequences: it takes commands between two tokens.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        atomic::Ordering,
        mpsc::{Receiver, TryRecvError},
    },
    time::Instant,
};

use moescope_engine::{Intervention, Interventions};

use super::{
    BranchId, BranchState, SessionCommand, SessionConfig, SessionEvent, Work,
    growing::{End, Growing},
    journal::Journals,
    save::save,
};
use crate::{FinishReason, error::PipelineError, model::LoadedModel};

/// The branches of a session.
pub(super) struct Worker<'m> {
    loaded: &'m LoadedModel,
    config: SessionConfig,
    tell: &'m dyn Fn(SessionEvent),
    branches: BTreeMap<BranchId, Growing<'m>>,
    next_id: u32,
    /// The branch that grows, and how many tokens it may still draw.
    running: Option<(BranchId, Option<usize>)>,
    journals: Option<Journals<'m>>,
}

impl<'m> Worker<'m> {
    pub(super) fn new(
        loaded: &'m LoadedModel,
        config: SessionConfig,
        tell: &'m dyn Fn(SessionEvent),
    ) -> Self {
        Self {
            loaded,
            config,
            tell,
            branches: BTreeMap::new(),
            next_id: 0,
            running: None,
            journals: None,
        }
    }

    /// Works until nobody sends commands any more.
    pub(super) fn run(mut self, commands: &Receiver<SessionCommand>, work: &Work) {
        self.open_journals();
        loop {
            let command = if self.running.is_some() {
                match commands.try_recv() {
                    Ok(command) => Some(command),
                    Err(TryRecvError::Empty) => None,
                    Err(TryRecvError::Disconnected) => break,
                }
            } else {
                self.journal_all();
                match commands.recv() {
                    Ok(command) => Some(command),
                    Err(_) => break,
                }
            };
            match &command {
                Some(command) => self.command(command),
                None => self.grow(),
            }
            let is_running = self.running.is_some();
            work.is_running.store(is_running, Ordering::SeqCst);
            if command.is_some() {
                work.waiting.fetch_sub(1, Ordering::SeqCst);
            }
        }
        self.keep_all();
        self.close_journals();
    }

    fn command(&mut self, command: &SessionCommand) {
        if let Err(error) = self.obey(command) {
            self.fail(command.verb(), &error);
        }
    }

    fn obey(&mut self, command: &SessionCommand) -> Result<(), PipelineError> {
        let tokenizer = &self.loaded.files.tokenizer;
        match command {
            SessionCommand::Start(config) => {
                self.pause();
                let id = BranchId(self.next_id);
                let keeps_logits = self.config.keeps_logits;
                let new = Growing::start(self.loaded, id, config, keeps_logits)?;
                self.open(new, 0);
            }
            SessionCommand::Run { branch, tokens } => {
                if self.branch(*branch)?.is_stopped() {
                    return Err(PipelineError::Settings(
                        "a stop text ended this reply; branch from a token before it to go on"
                            .to_owned(),
                    ));
                }
                if self.running.is_some_and(|(running, _)| running != *branch) {
                    self.pause();
                }
                if *tokens == Some(0) {
                    return Ok(());
                }
                self.running = Some((*branch, *tokens));
                self.set_state(*branch, BranchState::Running);
            }
            SessionCommand::Pause => self.pause(),
            SessionCommand::Stop(branch) => {
                self.branch(*branch)?;
                if self.running.is_some_and(|(running, _)| running == *branch) {
                    self.running = None;
                }
                self.finish(*branch, FinishReason::Cancelled)?;
            }
            SessionCommand::Fork { branch, keep } => {
                self.pause();
                let id = BranchId(self.next_id);
                let new = self.branch(*branch)?.fork(id, *keep, tokenizer)?;
                // The parent was not told what could follow its tokens within the prompt.
                self.open(new, keep - 1);
            }
            SessionCommand::Give {
                branch,
                keep,
                given,
            } => {
                self.pause();
                let id = BranchId(self.next_id);
                let new = self.branch(*branch)?.give(id, *keep, given, tokenizer)?;
                self.open(new, 0);
            }
            SessionCommand::Reply { branch, message } => {
                self.pause();
                let id = BranchId(self.next_id);
                let new = self.branch(*branch)?.reply(self.loaded, id, message)?;
                self.open(new, 0);
            }
            SessionCommand::Edit { branch, prompt } => {
                self.pause();
                let id = BranchId(self.next_id);
                let new = self.branch(*branch)?.edit(self.loaded, id, prompt)?;
                self.open(new, 0);
            }
            SessionCommand::Regenerate {
                branch,
                interventions,
            } => self.again(*branch, interventions)?,
            SessionCommand::Intervene {
                branch,
                interventions,
            } => {
                let spec = self.loaded.model.spec();
                let interventions = Interventions::new(interventions.clone(), spec)?;
                let branch = self.branch_mut(*branch)?;
                branch.growth.set_interventions(interventions);
                branch.note_changes();
                let info = branch.info.clone();
                (self.tell)(SessionEvent::Changed(info));
            }
            SessionCommand::Sample { branch, sampling } => {
                let branch = self.branch_mut(*branch)?;
                branch.growth.set_sampling(sampling);
                branch.note_changes();
                let info = branch.info.clone();
                (self.tell)(SessionEvent::Changed(info));
            }
            SessionCommand::Save { branch, path } => self.save(*branch, path)?,
            SessionCommand::Close(branch) => self.close(*branch)?,
        }
        Ok(())
    }

    /// Draws as many tokens as a branch has drawn once more, under these interventions.
    fn again(
        &mut self,
        branch: BranchId,
        interventions: &[Intervention],
    ) -> Result<(), PipelineError> {
        self.pause();
        let spec = self.loaded.model.spec();
        let interventions = Interventions::new(interventions.to_vec(), spec)?;
        let old = self.branch(branch)?;
        let record = old.growth.record();
        let drawn = record.tokens.len() - record.num_prompt_tokens;
        let id = BranchId(self.next_id);
        let keeps_logits = self.config.keeps_logits;
        let new = old.again(self.loaded, id, interventions, keeps_logits)?;
        self.open(new, 0);
        if drawn > 0 {
            self.running = Some((id, Some(drawn)));
            self.set_state(id, BranchState::Running);
        }
        Ok(())
    }

    /// Adds a branch and tells of it; the first `copied` tokens are known from its parent.
    fn open(&mut self, mut new: Growing<'m>, copied: usize) {
        self.next_id += 1;
        (self.tell)(SessionEvent::Opened {
            info: new.info.clone(),
            copied,
            reply: new.reply_text().to_owned(),
        });
        let columns = new.untold(&self.loaded.files.tokenizer);
        let id = new.info.id;
        if !columns.is_empty() {
            (self.tell)(SessionEvent::Tokens {
                branch: id,
                columns,
                text: String::new(),
                secs: 0.0,
            });
        }
        self.branches.insert(id, new);
        self.set_state(id, BranchState::Paused);
    }

    /// Draws one token.
    fn grow(&mut self) {
        let Some((id, left)) = self.running else {
            return;
        };
        match self.draw(id) {
            Ok(Some(end)) => {
                self.running = None;
                let reason = match end {
                    End::Token => FinishReason::EndToken,
                    End::StopText => FinishReason::StopText,
                    End::Context => FinishReason::Length,
                };
                if let Err(error) = self.finish(id, reason) {
                    self.fail("generate", &error);
                }
            }
            Ok(None) => match left {
                Some(1) => self.pause(),
                left => self.running = Some((id, left.map(|left| left - 1))),
            },
            Err(error) => {
                self.pause();
                self.fail("generate", &error);
            }
        }
    }

    fn draw(&mut self, id: BranchId) -> Result<Option<End>, PipelineError> {
        let tokenizer = &self.loaded.files.tokenizer;
        let started = Instant::now();
        let branch = self.branch_mut(id)?;
        let (text, end) = branch.draw(tokenizer)?;
        let columns = branch.untold(tokenizer);
        let secs = started.elapsed().as_secs_f64();
        branch.secs += secs;
        (self.tell)(SessionEvent::Tokens {
            branch: id,
            columns,
            text,
            secs,
        });
        if let (Some(journals), Some(branch)) = (&mut self.journals, self.branches.get(&id)) {
            journals.note(branch);
        }
        self.tell_unsafe();
        Ok(end)
    }

    fn pause(&mut self) {
        if let Some((id, _)) = self.running.take() {
            self.set_state(id, BranchState::Paused);
            // Another branch may grow before there is nothing to do.
            if let (Some(journals), Some(branch)) = (&mut self.journals, self.branches.get(&id)) {
                journals.flush(branch);
            }
        }
    }

    /// Ends a reply: nothing is held back any more.
    fn finish(&mut self, id: BranchId, reason: FinishReason) -> Result<(), PipelineError> {
        let tokenizer = &self.loaded.files.tokenizer;
        let branch = self.branch_mut(id)?;
        let text = branch.finish_text(tokenizer)?;
        let columns = branch.untold(tokenizer);
        if !text.is_empty() {
            (self.tell)(SessionEvent::Tokens {
                branch: id,
                columns,
                text,
                secs: 0.0,
            });
        }
        self.set_state(id, BranchState::Finished(reason));
        Ok(())
    }

    fn set_state(&mut self, id: BranchId, state: BranchState) {
        if let Some(branch) = self.branches.get_mut(&id) {
            branch.state = state;
            (self.tell)(SessionEvent::State { branch: id, state });
        }
    }

    fn save(&mut self, id: BranchId, path: &Path) -> Result<(), PipelineError> {
        save(
            self.loaded,
            self.branch(id)?,
            self.config.keeps_logits,
            path,
        )?;
        self.branch_mut(id)?.is_saved = true;
        if let Some(journals) = &mut self.journals {
            journals.end(id);
        }
        (self.tell)(SessionEvent::Saved {
            branch: id,
            path: path.to_owned(),
        });
        Ok(())
    }

    /// Frees a branch, and writes it first where nobody has saved it and that is wanted. Those that were made of it hold
    /// what they share with it themselves.
    fn close(&mut self, id: BranchId) -> Result<(), PipelineError> {
        let is_saved = self.branch(id)?.is_saved;
        if self.running.is_some_and(|(running, _)| running == id) {
            self.pause();
        }
        let folder = self.config.keep_in.as_ref().filter(|_| !is_saved);
        let kept = folder.map(|folder| free_name(folder, id));
        if let Some(path) = &kept {
            let branch = self.branch(id)?;
            save(self.loaded, branch, self.config.keeps_logits, path)?;
        }
        // Only now: until it is a trace, the journal is all that a crash would leave of it.
        if let Some(journals) = &mut self.journals {
            journals.end(id);
        }
        self.branches.remove(&id);
        (self.tell)(SessionEvent::Closed { branch: id, kept });
        Ok(())
    }

    /// Writes what nobody has saved, where that is wanted.
    fn keep_all(&mut self) {
        let Some(folder) = self.config.keep_in.clone() else {
            return;
        };
        let unsaved = self.branches.values().filter(|branch| !branch.is_saved);
        let unsaved: Vec<BranchId> = unsaved.map(|branch| branch.info.id).collect();
        for id in unsaved {
            if let Err(error) = self.save(id, &free_name(&folder, id)) {
                self.fail("keep the branch", &error);
            }
        }
    }

    fn open_journals(&mut self) {
        let Some(unfinished) = &self.config.journal_in else {
            return;
        };
        match Journals::open(self.loaded, self.config.keeps_logits, unfinished) {
            Ok(journals) => self.journals = Some(journals),
            Err(error) => (self.tell)(SessionEvent::Unsafe {
                branch: None,
                error: error.to_string(),
            }),
        }
    }

    /// While nothing else is to be done, everything goes to the disk.
    fn journal_all(&mut self) {
        if let Some(journals) = &mut self.journals {
            self.branches
                .values()
                .for_each(|branch| journals.flush(branch));
        }
        self.tell_unsafe();
    }

    fn tell_unsafe(&self) {
        let problems = self.journals.iter();
        for (branch, error) in problems.flat_map(|all| std::iter::from_fn(move || all.problem())) {
            (self.tell)(SessionEvent::Unsafe {
                branch: Some(branch),
                error,
            });
        }
    }

    /// Removes the journals of what nobody wanted to keep; one stays if its branch was to be kept and could not be.
    fn close_journals(&mut self) {
        let Some(mut journals) = self.journals.take() else {
            return;
        };
        let wants_all = self.config.keep_in.is_some();
        for branch in self.branches.values() {
            if branch.is_saved || !wants_all {
                journals.end(branch.info.id);
            } else {
                journals.flush(branch);
            }
        }
        journals.close();
    }

    fn branch(&self, id: BranchId) -> Result<&Growing<'m>, PipelineError> {
        self.branches.get(&id).ok_or_else(|| unknown(id))
    }

    fn branch_mut(&mut self, id: BranchId) -> Result<&mut Growing<'m>, PipelineError> {
        self.branches.get_mut(&id).ok_or_else(|| unknown(id))
    }

    fn fail(&self, command: &'static str, error: &PipelineError) {
        (self.tell)(SessionEvent::Failed {
            command,
            error: error.to_string(),
        });
    }
}

fn unknown(id: BranchId) -> PipelineError {
    PipelineError::Settings(format!("there is no branch {id} in this session"))
}

/// `branch-N`, or the first of `branch-N-2`, `branch-N-3`, … that does not exist.
fn free_name(folder: &Path, id: BranchId) -> PathBuf {
    let first = folder.join(format!("branch-{id}"));
    let others = (2..u32::MAX).map(|number| folder.join(format!("branch-{id}-{number}")));
    std::iter::once(first.clone())
        .chain(others)
        .find(|path| !path.exists())
        .unwrap_or(first)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use moescope_core::NoProgress;
    use moescope_engine::{ComputeDevice, DeviceChoice, LoadOptions};

    use super::*;
    use crate::{
        model::{ModelFiles, ModelFolder},
        session::StartConfig,
    };

    #[test]
    fn a_closed_branch_is_held_no_more_and_its_fork_is() {
        let folder = moescope_testkit::scidfm_mini();
        let folder = ModelFolder::find(folder.to_str().unwrap(), None).unwrap();
        let device = ComputeDevice::open(DeviceChoice::Cpu).unwrap();
        let files = ModelFiles::open(folder).unwrap();
        let loaded = files.load(device, LoadOptions::default(), &NoProgress);
        let loaded = loaded.unwrap();
        let told = RefCell::new(Vec::new());
        let tell = |event: SessionEvent| told.borrow_mut().push(event);
        let mut worker = Worker::new(&loaded, SessionConfig::default(), &tell);
        worker.command(&SessionCommand::Start(StartConfig {
            prompt: "The enzyme".to_owned(),
            ..StartConfig::default()
        }));
        let (first, second) = (BranchId(0), BranchId(1));
        worker.command(&SessionCommand::Fork {
            branch: first,
            keep: 1,
        });
        assert_eq!(worker.branches.len(), 2);
        worker.command(&SessionCommand::Close(first));
        // A branch owns its sequence: what is in no other goes with it.
        let held: Vec<BranchId> = worker.branches.keys().copied().collect();
        assert_eq!(held, [second]);
        let closed = SessionEvent::Closed {
            branch: first,
            kept: None,
        };
        assert_eq!(told.borrow().last(), Some(&closed));
    }
}
