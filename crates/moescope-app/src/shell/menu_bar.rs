//! The menu, the traces that are open, and the way to the palette.

use egui::{Align, ComboBox, Layout as UiLayout, MenuBar, RichText, Ui};

use super::layout::Layout;
use crate::{
    actions::{self, Action},
    command::Command,
    fonts,
    view::ViewContext,
    widgets::text::soft,
};

/// Entries of each kind that was opened lately, so that the menu fits into a small window; the palette finds all.
const MOST_RECENT: usize = 3;

/// Paints the bar.
pub(super) fn ui(ui: &mut Ui, context: &ViewContext<'_>, layout: &Layout) {
    MenuBar::new().ui(ui, |ui| {
        ui.label(RichText::new("moescope").family(fonts::bold()).size(15.0));
        ui.add_space(8.0);
        ui.menu_button("File", |ui| {
            entries(ui, context, actions::file_actions(context.state));
            for (heading, mut recent) in actions::recent_actions(context.state) {
                if !recent.is_empty() {
                    ui.separator();
                    ui.label(soft(heading, context.theme));
                    recent.truncate(MOST_RECENT);
                    entries(ui, context, recent);
                }
            }
        });
        ui.menu_button("Edit", |ui| entries(ui, context, actions::edit_actions()));
        ui.menu_button("Generation", |ui| {
            entries(ui, context, actions::live_actions(context.state));
        });
        ui.menu_button("Views", |ui| views(ui, context, layout));
        ui.menu_button("Window", |ui| {
            entries(ui, context, actions::window_actions(context.state));
        });
        ui.add_space(8.0);
        traces(ui, context);
        ui.with_layout(UiLayout::right_to_left(Align::Center), |ui| {
            let shortcut = |action: &Action| {
                action
                    .shortcut
                    .map(|keys| ui.ctx().format_shortcut(&keys))
                    .unwrap_or_default()
            };
            let all = actions::window_actions(context.state);
            let buttons: Vec<(String, Command)> = all
                .iter()
                .filter(|a| matches!(a.command, Command::TogglePalette | Command::ToggleSheet))
                .map(|a| (shortcut(a), a.command.clone()))
                .collect();
            for (keys, command) in buttons.into_iter().rev() {
                let label = match command {
                    Command::ToggleSheet => format!("Help  {keys}"),
                    _ => format!("Find a command  {keys}"),
                };
                if ui.button(soft(label, context.theme)).clicked() {
                    context.send(command);
                }
            }
        });
    });
}

fn entries(ui: &mut Ui, context: &ViewContext<'_>, actions: Vec<Action>) {
    ui.set_min_width(220.0);
    for action in actions {
        let keys = action
            .shortcut
            .map(|shortcut| ui.ctx().format_shortcut(&shortcut))
            .unwrap_or_default();
        let button = egui::Button::new(action.title).right_text(keys);
        if ui.add(button).on_hover_text(action.hint).clicked() {
            context.send(action.command);
            ui.close();
        }
    }
}

fn views(ui: &mut Ui, context: &ViewContext<'_>, layout: &Layout) {
    ui.set_min_width(220.0);
    for action in actions::view_actions() {
        let Command::OpenView(name) = action.command else {
            continue;
        };
        let keys = action
            .shortcut
            .map(|shortcut| ui.ctx().format_shortcut(&shortcut))
            .unwrap_or_default();
        let button = egui::Button::selectable(layout.holds(name), action.title).right_text(keys);
        if ui.add(button).on_hover_text(action.hint).clicked() {
            context.send(Command::OpenView(name));
            ui.close();
        }
    }
}

/// The trace that is shown, and the others that are open.
fn traces(ui: &mut Ui, context: &ViewContext<'_>) {
    let traces = &context.state.traces;
    let shown = match (traces.active(), traces.is_opening()) {
        (Some(trace), _) => trace.name.clone(),
        (None, true) => "Opening a trace…".to_owned(),
        (None, false) => "No trace is open".to_owned(),
    };
    let combo = ComboBox::from_id_salt("trace")
        .width(280.0)
        .selected_text(shown)
        .show_ui(ui, |ui| {
            for trace in traces.all() {
                let is_shown = traces.active().is_some_and(|active| active.id == trace.id);
                ui.horizontal(|ui| {
                    if ui.selectable_label(is_shown, &trace.name).clicked() {
                        context.send(Command::ChooseTrace(trace.id));
                    }
                    let close = ui.small_button("Close");
                    if close
                        .on_hover_text(format!("Close {}; its folder stays", trace.name))
                        .clicked()
                    {
                        context.send(Command::CloseTrace(trace.id));
                    }
                });
            }
            ui.separator();
            if ui.button("Open trace…").clicked() {
                context.send(Command::PickTrace);
                ui.close();
            }
        });
    combo.response.widget_info(|| {
        egui::WidgetInfo::labeled(egui::Role::ComboBox, true, "The trace that is shown")
    });
}
