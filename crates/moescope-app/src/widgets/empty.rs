//! What stands where there is nothing to show: why, and what to do next.

use egui::{RichText, Ui};

use super::text::soft;
use crate::{command::Command, fonts, view::ViewContext};

/// Why there is nothing, and buttons for what would change that.
pub(crate) fn empty(
    ui: &mut Ui,
    context: &ViewContext<'_>,
    title: &str,
    why: &str,
    next: &[(&str, Command)],
) {
    ui.vertical_centered(|ui| {
        ui.add_space((ui.available_height() * 0.25).min(120.0));
        ui.label(RichText::new(title).family(fonts::bold()).size(16.0));
        ui.add(egui::Label::new(soft(why, context.theme)).wrap());
        ui.add_space(6.0);
        for (label, command) in next {
            if ui.button(*label).clicked() {
                context.send(command.clone());
            }
        }
    });
}

/// No trace is open.
pub(crate) fn no_trace(ui: &mut Ui, context: &ViewContext<'_>) {
    if let Some(progress) = context
        .state
        .traces
        .opening()
        .find_map(|(_, job)| job.progress())
    {
        super::job_panel::running(ui, context, progress);
        return;
    }
    empty(
        ui,
        context,
        "No trace is open",
        "Drop a trace's folder here, or choose one",
        &[
            ("Open trace…", Command::PickTrace),
            ("Open the demo trace", Command::OpenDemo),
        ],
    );
}
