//! The line at the top of every view: what it is, its command line, its figure.

use egui::{Align, Layout, Ui};

use crate::{
    command::Command,
    notices::Notice,
    view::{View, ViewContext},
    widgets::text::soft,
};

/// Paints the line.
pub(crate) fn ui(ui: &mut Ui, context: &ViewContext<'_>, view: &dyn View) {
    let about = view.about();
    ui.horizontal(|ui| {
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            let has_figure = view.has_figure(context);
            let export = ui
                .add_enabled(has_figure, egui::Button::new("Export…"))
                .on_hover_text("Write what this view shows as SVG, PDF or PNG")
                .on_disabled_hover_text("There is no figure to export yet");
            if export.clicked() {
                context.send(Command::OpenExport(about.name));
            }
            let copy = ui
                .button("Copy as command")
                .on_hover_text("Copy the moescope line that gives the same numbers");
            if copy.clicked() {
                context.send(copy_command(view, context));
            }
            ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                ui.add(egui::Label::new(soft(about.summary, context.theme)).truncate());
            });
        });
    });
    ui.add_space(4.0);
}

/// What copies the command line of a view, or tells what it lacks.
pub(crate) fn copy_command(view: &dyn View, context: &ViewContext<'_>) -> Command {
    match view.command_line(context) {
        Ok(line) => view.copy(line),
        missing => copied(missing),
    }
}

/// What copies a command line, or tells what it lacks.
pub(crate) fn copied(line: Result<String, &'static str>) -> Command {
    match line {
        Ok(line) => Command::Copy(line),
        Err(missing) => Command::Notify(Notice::failed(format!(
            "There is no command for this yet: {missing}"
        ))),
    }
}
