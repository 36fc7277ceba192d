//! What goes on: work, device, pace, memory.

use std::sync::Arc;

use egui::{Align, Layout, ProgressBar, Ui};
use moescope_pipeline::sizes::bytes;

use crate::{
    command::Command,
    job::{Job, JobProgress},
    view::ViewContext,
    widgets::text::soft,
};

/// What the bar shows besides the state.
pub(super) struct Status<'a> {
    pub(super) painter: Option<&'a str>,
    pub(super) tokens_per_sec: Option<f64>,
    pub(super) memory_bytes: Option<u64>,
    pub(super) frame_secs: Option<f32>,
}

/// Paints the bar.
pub(super) fn ui(ui: &mut Ui, context: &ViewContext<'_>, status: &Status<'_>) {
    let theme = context.theme;
    ui.horizontal(|ui| {
        match running(context).as_slice() {
            [] => {
                ui.label(soft("Ready", theme));
            }
            [first, others @ ..] => work(ui, context, first, others.len()),
        }
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            if let Some(bytes_held) = status.memory_bytes {
                ui.label(soft(format!("Memory {}", bytes(bytes_held)), theme))
                    .on_hover_text("Memory that this process holds");
                ui.separator();
            }
            if let Some(secs) = status.frame_secs {
                ui.label(soft(format!("Frame {:.1} ms", 1000.0 * secs), theme))
                    .on_hover_text(format!(
                        "Processor time of the last frame, painted by {}",
                        status.painter.unwrap_or("an unknown adapter")
                    ));
                ui.separator();
            }
            if let Some(pace) = status.tokens_per_sec {
                ui.label(soft(format!("{pace:.0} tokens/s"), theme))
                    .on_hover_text("The pace of the last run of a model");
                ui.separator();
            }
            let device = context.state.device.as_deref();
            ui.add(
                egui::Label::new(soft(
                    format!("Device: {}", device.unwrap_or("none used yet")),
                    theme,
                ))
                .truncate(),
            )
            .on_hover_text("Where models run; a device is chosen at the first capture");
        });
    });
}

fn work(ui: &mut Ui, context: &ViewContext<'_>, progress: &Arc<JobProgress>, others: usize) {
    ui.spinner();
    ui.label(progress.name());
    if let Some(share) = progress.share() {
        ui.add(
            ProgressBar::new(share)
                .desired_width(110.0)
                .desired_height(8.0),
        );
    }
    ui.label(soft(progress.message(), context.theme));
    if others > 0 {
        ui.label(soft(format!("and {others} more"), context.theme));
    }
    if ui.small_button("Cancel").clicked() {
        context.send(Command::Cancel(Arc::clone(progress)));
    }
}

/// Everything that goes on.
fn running(context: &ViewContext<'_>) -> Vec<Arc<JobProgress>> {
    let state = context.state;
    let opening = state.traces.opening();
    let mut all: Vec<Arc<JobProgress>> = opening
        .filter_map(|(_, job)| Job::progress(job).cloned())
        .collect();
    all.extend(state.captures.running().cloned());
    all.extend(state.answers.running());
    all.extend(state.lives.running().into_iter().cloned());
    all
}
