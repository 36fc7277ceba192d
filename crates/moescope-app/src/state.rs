//! Everything that views can see.

mod fitted;

use std::borrow::Cow;

use moescope_analytics::MeasureRequest;
use moescope_engine::DeviceChoice;

use crate::{
    answers::Answers, captures::Captures, choices::Choices, export::Exports, lives::Lives,
    notices::Notices, recent::Recent, theme::ThemeChoice, traces::Traces,
};

pub(crate) use fitted::{fitted, unseen_labels, with_unseen};

/// The state of the app; commands change it, views look at it.
#[derive(Debug, Default)]
pub struct State {
    /// The traces that are open.
    pub traces: Traces,
    /// What the user chose.
    pub choices: Choices,
    /// What analytics said.
    pub answers: Answers,
    /// The capture that is planned, runs or has run.
    pub captures: Captures,
    /// Generations, and what is measured of them.
    pub lives: Lives,
    /// Figures that are being written.
    pub exports: Exports,
    /// What was opened lately.
    pub recent: Recent,
    /// The theme.
    pub theme: ThemeChoice,
    /// Messages.
    pub notices: Notices,
    /// Where models shall run.
    pub device_choice: DeviceChoice,
    /// The device that computes, and why; known once something was computed.
    pub device: Option<String>,
}

impl State {
    /// What is measured of the trace that is shown: as chosen, but by labels that the trace has, and without groups and
    /// filters of those that it lacks.
    #[must_use]
    pub fn request(&self) -> Cow<'_, MeasureRequest> {
        let chosen = &self.choices.request;
        let Some(trace) = self.traces.active() else {
            return Cow::Borrowed(chosen);
        };
        let request = fitted(chosen, &[trace]);
        if request == *chosen {
            Cow::Borrowed(chosen)
        } else {
            Cow::Owned(request)
        }
    }

    /// Whether nothing is being opened, measured, captured or written.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        !self.traces.is_opening()
            && self.answers.is_idle()
            && self.captures.is_idle()
            && self.lives.is_idle()
            && self.exports.is_idle()
    }
}
