//! The lines of a session, to show one or to close it.

use egui::{Key, KeyboardShortcut, Modifiers, Role, Ui, WidgetInfo};
use moescope_pipeline::session::{Branch, BranchId};

use crate::{
    actions::is_pressed_anew, command::Command, lives::LiveCommand, view::ViewContext,
    widgets::text::soft,
};

/// All lines, the oldest first.
pub(super) fn ui(ui: &mut Ui, ctx: &ViewContext<'_>) {
    let Some(transcript) = &ctx.state.lives.transcript else {
        return;
    };
    let mut lines = transcript.branches().peekable();
    if lines.peek().is_none() {
        return;
    }
    ui.horizontal_wrapped(|ui| {
        ui.label(soft("Lines", ctx.theme));
        for branch in lines {
            line(ui, ctx, branch);
        }
    });
}

fn line(ui: &mut Ui, ctx: &ViewContext<'_>, branch: &Branch) {
    let id = branch.info.id;
    let parent = branch.info.parent;
    let from = parent.map_or_else(String::new, |(parent, kept)| {
        format!(", from line {} after {kept} tokens", parent.0 + 1)
    });
    let is_shown = ctx.state.lives.shown == Some(id);
    let label = ui
        .selectable_label(is_shown, format!("Line {}", id.0 + 1))
        .on_hover_text(format!("{}{from}", branch.info.prompt));
    if label.clicked() {
        send(ctx, LiveCommand::ChooseBranch(id));
    }
    let delete = KeyboardShortcut::new(Modifiers::NONE, Key::Delete);
    if label.has_focus() && ui.input(|input| is_pressed_anew(input, delete)) {
        send(ctx, LiveCommand::Close(id));
    }
    close_button(ui, ctx, id);
}

/// A button that closes a line; views put it beside the line's name.
pub(in crate::views) fn close_button(ui: &mut Ui, ctx: &ViewContext<'_>, line: BranchId) {
    let name = format!("Close line {}", line.0 + 1);
    let fate = if ctx.state.lives.keeps_closed() {
        "where nobody has kept it, it is written as a trace first"
    } else {
        "nothing is kept in this run by itself, so keep it as a trace first if you want it"
    };
    let button = ui
        .small_button("×")
        .on_hover_text(format!("{name} and free its memory; {fate}"));
    button.widget_info(|| WidgetInfo::labeled(Role::Button, true, &name));
    if button.clicked() {
        send(ctx, LiveCommand::Close(line));
    }
}

fn send(ctx: &ViewContext<'_>, command: LiveCommand) {
    ctx.send(Command::Live(Box::new(command)));
}
