//! The sheet of keys, on F1.

use egui::{Align2, Context, Grid, RichText, Window};

use crate::{actions, fonts, view::ViewContext, widgets::text::soft};

/// The sheet, open or not.
#[derive(Debug, Default)]
pub(crate) struct Sheet {
    is_open: bool,
}

/// What works within widgets, besides the list of actions.
const WITHIN: [(&str, &str); 15] = [
    ("Tab", "go to the next control; Shift+Tab to the one before"),
    (
        "Arrow keys",
        "move over the cells of a heat map that has the focus",
    ),
    (
        "Enter or click",
        "choose the cell; the Expert view tells of it",
    ),
    (
        "Right click, Menu, Shift+F10",
        "what can be done with a cell's expert: mask, swap, look at it",
    ),
    ("Ctrl+C", "copy the cell with its interval"),
    (
        "Arrow keys, Home, End",
        "move over the tokens of a text that has the focus",
    ),
    ("Up, Down, Enter", "choose in the palette; Escape closes it"),
    (
        "[ and ]",
        "one layer up or down: of a heat map that has the focus, else of the tokens' colours",
    ),
    ("Scroll", "zoom a heat map or a map around the pointer"),
    ("Drag", "move within what is zoomed"),
    (
        "Shift+drag",
        "choose the documents of a map by drawing around them",
    ),
    ("Double click", "show all of it again"),
    ("Delete", "close the line of Live whose name has the focus"),
    ("Drag a tab", "put a view elsewhere"),
    (
        "Drop a file or folder",
        "open a trace, choose a model, capture texts",
    ),
];

impl Sheet {
    pub(crate) fn toggle(&mut self) {
        self.is_open = !self.is_open;
    }

    pub(crate) fn ui(&mut self, ctx: &Context, context: &ViewContext<'_>) {
        if !self.is_open {
            return;
        }
        if ctx.input_mut(|input| input.consume_key(egui::Modifiers::NONE, egui::Key::Escape)) {
            self.is_open = false;
        }
        Window::new("Keys and mouse")
            .open(&mut self.is_open)
            .collapsible(false)
            .resizable(false)
            .anchor(Align2::CENTER_CENTER, [0.0, 0.0])
            .show(ctx, |ui| {
                let heading = |ui: &mut egui::Ui, text: &str| {
                    ui.label(RichText::new(text).family(fonts::bold()));
                };
                let entries: Vec<(String, String)> = actions::all(context.state)
                    .into_iter()
                    .filter_map(|action| {
                        let keys = ctx.format_shortcut(&action.shortcut?);
                        Some((keys, action.title))
                    })
                    .collect();
                ui.horizontal_top(|ui| {
                    ui.vertical(|ui| {
                        heading(ui, "Everywhere");
                        list(ui, context, "everywhere", &entries);
                    });
                    ui.add_space(18.0);
                    ui.vertical(|ui| {
                        heading(ui, "Within views");
                        let within = WITHIN.map(|(keys, does)| (keys.to_owned(), does.to_owned()));
                        list(ui, context, "within", &within);
                    });
                });
            });
    }
}

fn list(ui: &mut egui::Ui, context: &ViewContext<'_>, id: &str, entries: &[(String, String)]) {
    Grid::new(id)
        .num_columns(2)
        .spacing([14.0, 4.0])
        .show(ui, |ui| {
            for (keys, does) in entries {
                ui.label(RichText::new(keys).monospace().color(context.theme.accent));
                ui.label(soft(does, context.theme));
                ui.end_row();
            }
        });
}
