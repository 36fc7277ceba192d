//! From a model to a session that runs it, and from one model to another.

use std::{sync::Arc, thread};

use moescope_engine::DeviceChoice;
use moescope_pipeline::session::{Session, SessionCommand, SessionConfig, Transcript};

use super::{LiveEvent, LiveModel, Lives, measuring};
use crate::{job::Job, models::ModelKey};

impl Lives {
    /// Tells a session of a model something, and loads the model before if that is needed. The lines of another model stay
    /// until it is there.
    pub(super) fn tell(
        &mut self,
        command: SessionCommand,
        model: &str,
        device: DeviceChoice,
        ctx: &egui::Context,
    ) {
        let key = ModelKey::of_live(model, device);
        // What was kept for a plan with another model is room that this one can use.
        self.models.let_go_of_others(&key);
        if self.session.is_some() && self.session_of == model {
            self.give_up_loading();
            self.send(command);
            return;
        }
        self.run_when_loaded = self.run_when_opened.take();
        if self.model.is_running() && self.asked.as_ref() == Some(&key) {
            self.waiting.push(command);
            return;
        }
        self.waiting = vec![command];
        self.asked = Some(key.clone());
        let models = self.models.clone();
        self.model.start("loading the model", ctx, move |progress| {
            measuring::load(&key, &models, progress).map_err(|error| error.to_string())
        });
    }

    /// The model that is being loaded.
    pub(crate) fn loading(&self) -> Option<&ModelKey> {
        self.asked.as_ref().filter(|_| self.model.is_running())
    }

    /// Goes on with the model of the lines while another was being loaded.
    fn give_up_loading(&mut self) {
        let Job::Running(running) = &mut self.model else {
            return;
        };
        running.progress.cancel();
        if let Some(model) = running.previous.take() {
            self.model = Job::Ready(model);
        }
        self.waiting.clear();
        self.run_when_loaded = None;
    }

    /// Leaves a session to end by itself: it may be in the middle of a long prompt. Says what becomes of its lines.
    fn forget_session(&mut self) -> Option<LiveEvent> {
        let lines = self.transcript.iter().flat_map(Transcript::branches);
        let lines = lines.count();
        let replaced = self.session.take().map(|session| {
            thread::spawn(move || drop(session));
            LiveEvent::Replaced {
                model: std::mem::take(&mut self.session_of),
                lines,
                kept_in: self.keeping.as_ref().map(|keeping| keeping.traces.clone()),
            }
        });
        (self.transcript, self.shown, self.beside, self.token) = (None, None, None, None);
        self.closing.clear();
        self.forget_picture();
        self.forget_comparison();
        (self.look, self.looked) = (None, None);
        self.effect = Job::Idle;
        // Whether the labels' trace is of another checkpoint depends on the model.
        self.reference_of = None;
        replaced.filter(|_| lines > 0)
    }

    pub(super) fn take_model(&mut self, ctx: &egui::Context, events: &mut Vec<LiveEvent>) {
        match &self.model {
            Job::Ready(model) => {
                let model = model.clone();
                events.extend(self.forget_session());
                self.open_session(&model, ctx, events);
            }
            Job::Failed { error, .. } => {
                let error = error.clone();
                self.fail_to_load(&error, events);
            }
            Job::Idle | Job::Running(_) => {}
        }
    }

    fn open_session(
        &mut self,
        model: &LiveModel,
        ctx: &egui::Context,
        events: &mut Vec<LiveEvent>,
    ) {
        events.push(LiveEvent::Loaded {
            device: model.device.clone(),
        });
        let keeping = self.keeping.as_ref();
        let config = SessionConfig {
            keep_in: keeping.map(|keeping| keeping.traces.clone()),
            journal_in: keeping.map(|keeping| keeping.unfinished.clone()),
            ..SessionConfig::default()
        };
        let wake = ctx.clone();
        let opened = Session::open(Arc::clone(&model.loaded), config, move || {
            wake.request_repaint();
        });
        match opened {
            Ok(session) => {
                for command in self.waiting.drain(..) {
                    session.send(command);
                }
                self.run_when_opened = self.run_when_loaded.take();
                self.transcript = Some(Transcript::new(model.loaded.model.spec()));
                self.session = Some(session);
                self.sessions += 1;
                self.session_of.clone_from(&model.name);
            }
            Err(error) => self.fail_to_load(&error.to_string(), events),
        }
    }

    fn fail_to_load(&mut self, error: &str, events: &mut Vec<LiveEvent>) {
        self.waiting.clear();
        self.run_when_loaded = None;
        let stays = match &self.session {
            Some(_) => format!("; the lines of {} stay", self.session_of),
            None => String::new(),
        };
        events.push(LiveEvent::Failed(format!(
            "the model could not be loaded: {error}{stays}"
        )));
    }
}
