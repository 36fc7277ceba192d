//! A result, or how far it is, or why there is none.

use std::sync::Arc;

use egui::{ProgressBar, RichText, Ui};

use super::text::soft;
use crate::{
    answers::Question,
    command::Command,
    fonts,
    job::{Job, JobProgress},
    view::ViewContext,
};

/// Shows a job's value with `show`; above it what goes on or went wrong, in its place where there is no value yet.
pub(crate) fn job_panel<T, R>(
    ui: &mut Ui,
    context: &ViewContext<'_>,
    job: Option<&Job<T>>,
    question: impl FnOnce() -> Question,
    show: impl FnOnce(&mut Ui, &T) -> R,
) -> Option<R> {
    let value = job.and_then(Job::value);
    match (job, value) {
        (None | Some(Job::Idle), _) => {
            ui.vertical_centered(|ui| {
                ui.add_space(40.0);
                ui.spinner();
                ui.label(soft("Waiting for other measurements", context.theme));
            });
        }
        (Some(Job::Running(work)), None) => running(ui, context, &work.progress),
        (Some(Job::Failed { error, .. }), None) => failed(ui, context, error, question()),
        (Some(Job::Running(work)), Some(_)) => {
            ui.add(ProgressBar::new(work.progress.share().unwrap_or(0.0)).desired_height(3.0));
        }
        (Some(Job::Failed { error, .. }), Some(_)) => {
            ui.colored_label(context.theme.error, format!("⚠ {error}"));
        }
        (Some(Job::Ready(_)), _) => {}
    }
    value.map(|value| show(ui, value))
}

/// How far work is, with a way to stop it.
pub(crate) fn running(ui: &mut Ui, context: &ViewContext<'_>, progress: &Arc<JobProgress>) {
    ui.vertical_centered(|ui| {
        ui.add_space((ui.available_height() * 0.25).min(120.0));
        ui.spinner();
        let name = capitalized(progress.name());
        ui.label(RichText::new(name).family(fonts::bold()));
        let width = ui.available_width().min(260.0);
        if let Some(share) = progress.share() {
            ui.add(
                ProgressBar::new(share)
                    .desired_width(width)
                    .desired_height(8.0),
            );
        }
        ui.label(soft(progress.message(), context.theme));
        if ui.button("Cancel").clicked() {
            context.send(Command::Cancel(Arc::clone(progress)));
        }
    });
}

/// Why there is no result, with a way to try again.
pub(crate) fn failed(ui: &mut Ui, context: &ViewContext<'_>, error: &str, question: Question) {
    let was_cancelled = error == "cancelled";
    ui.vertical_centered(|ui| {
        ui.add_space((ui.available_height() * 0.25).min(120.0));
        let (title, told) = if was_cancelled {
            ("Cancelled", "The measurement was stopped")
        } else {
            ("This could not be measured", error)
        };
        ui.label(RichText::new(title).family(fonts::bold()).size(16.0));
        ui.add(egui::Label::new(soft(told, context.theme)).wrap());
        ui.add_space(6.0);
        if ui.button("Try again").clicked() {
            context.send(Command::AskAgain(Box::new(question)));
        }
    });
}

fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map(|first| first.to_uppercase().chain(chars).collect())
        .unwrap_or_default()
}
