//! Texts through a model, into a trace: choose, see the cost, run, resume.

mod folder_look;
mod options;
mod run;

use std::path::PathBuf;

use egui::{Panel, RichText, ScrollArea, TextEdit, Ui};

use crate::{
    captures::beside,
    choices::CaptureChoice,
    command::Command,
    command_line,
    shell::pick,
    view::{View, ViewAbout, ViewContext},
    widgets::text::{field_label, heading, soft},
};

use folder_look::{FolderHolds, FolderLook};

const LABEL: f32 = 110.0;

/// The Capture view.
#[derive(Debug, Default)]
pub(crate) struct Capture {
    folder: FolderLook,
    /// An intervention, as far as it is typed.
    spec: String,
}

impl View for Capture {
    fn about(&self) -> ViewAbout {
        ViewAbout {
            name: "capture",
            title: "Capture",
            summary: "Run texts through a model and keep every router decision",
        }
    }

    fn ui(&mut self, ui: &mut Ui, ctx: &ViewContext<'_>) {
        let mut choice = ctx.state.choices.capture.clone();
        let found = (!choice.out.as_os_str().is_empty())
            .then(|| self.folder.look(ui.ctx(), &choice.out))
            .flatten();
        // The cost stays on the screen, however many options are unfolded.
        let most = 0.6 * ui.available_height();
        Panel::bottom("capture run")
            .resizable(false)
            .show(ui, |ui| {
                ui.add_space(6.0);
                ScrollArea::vertical()
                    .auto_shrink([false, true])
                    // As high as what it holds; without this it keeps the height that it began with.
                    .min_scrolled_height(most)
                    .max_height(most)
                    .show(ui, |ui| {
                        run::ui(ui, ctx, &choice, found, self.spec.trim());
                    });
            });
        ScrollArea::vertical()
            .auto_shrink([false, false])
            .show(ui, |ui| {
                let is_running = ctx.state.captures.run.is_running();
                ui.add_enabled_ui(!is_running, |ui| {
                    model(ui, ctx, &mut choice);
                    texts(ui, ctx, &mut choice);
                    options::ui(ui, ctx, &mut choice, &mut self.spec);
                    out(ui, ctx, &mut choice, found);
                });
            });
        if choice != ctx.state.choices.capture {
            ctx.send(Command::ChooseCapture(Box::new(choice)));
        }
    }

    fn command_line(&self, ctx: &ViewContext<'_>) -> Result<String, &'static str> {
        command_line::capture(&ctx.state.choices.capture, ctx.state.device_choice)
    }

    fn copy(&self, _line: String) -> Command {
        // A typed text must be in its file before the line can be run.
        Command::CopyCapture
    }

    fn is_busy(&self) -> bool {
        self.folder.is_busy()
    }
}

fn model(ui: &mut Ui, ctx: &ViewContext<'_>, choice: &mut CaptureChoice) {
    heading(ui, "Model");
    row(ui, "Model", |ui| {
        let field = ui
            .add(TextEdit::singleline(&mut choice.model).desired_width(320.0))
            .on_hover_text(
                "demo (the embedded model), a folder with config.json, or a repository in the local Hugging Face cache",
            );
        if ui.button("Choose folder…").clicked() {
            ctx.send(Command::PickModel);
        }
        field
    });
    let recent = &ctx.state.recent.models;
    if recent.iter().any(|known| *known != choice.model) {
        ui.horizontal_wrapped(|ui| {
            ui.label(soft("Used lately:", ctx.theme));
            for known in recent.iter().filter(|known| **known != choice.model) {
                if ui.link(known).clicked() {
                    ctx.send(Command::ChooseModel(known.clone()));
                }
            }
        });
    }
    ui.add_space(10.0);
}

fn texts(ui: &mut Ui, ctx: &ViewContext<'_>, choice: &mut CaptureChoice) {
    heading(ui, "Texts");
    ui.horizontal(|ui| {
        if ui
            .button("Choose files…")
            .on_hover_text(
                "JSON lines, JSON, CSV, TSV or plain text, each also with .zst; or drop them here",
            )
            .clicked()
        {
            ctx.send(Command::PickTexts);
        }
        if !choice.files.is_empty() && ui.button("Choose none").clicked() {
            choice.files.clear();
        }
    });
    for file in &choice.files {
        ui.add(egui::Label::new(file.display().to_string()).truncate());
    }
    if choice.files.is_empty() {
        row(ui, "Or a text", |ui| {
            ui.add(
                TextEdit::multiline(&mut choice.text)
                    .hint_text("Type or paste a text")
                    .desired_rows(3)
                    .desired_width(f32::INFINITY),
            )
        });
        row(ui, "Its discipline", |ui| {
            ui.add(
                TextEdit::singleline(&mut choice.text_label)
                    .hint_text("none")
                    .desired_width(160.0),
            )
        });
        if !choice.text.trim().is_empty() && !choice.out.as_os_str().is_empty() {
            ui.label(soft(
                format!("The text is kept in {}", beside(&choice.out).display()),
                ctx.theme,
            ));
        }
    } else {
        options::columns_ui(ui, ctx, &mut choice.columns);
    }
    row(ui, "Take", |ui| {
        ui.add(
            options::number(&mut choice.limit, "all", " documents of each discipline")
                .range(0..=1_000_000),
        )
        .on_hover_text("0 takes all")
    });
    ui.add_space(10.0);
}

/// Paints where the trace goes, and what is found there already.
fn out(ui: &mut Ui, ctx: &ViewContext<'_>, choice: &mut CaptureChoice, found: Option<FolderHolds>) {
    heading(ui, "Trace");
    row(ui, "Folder", |ui| {
        let mut text = choice.out.display().to_string();
        let field = ui.add(TextEdit::singleline(&mut text).desired_width(420.0));
        if field.changed() {
            choice.out = PathBuf::from(text.trim());
        }
        if ui
            .button("Choose…")
            .on_hover_text("In a folder that holds other things the trace gets one of its own")
            .clicked()
        {
            pick::folder(ctx.commands, "Folder for the trace", Command::ChooseOut);
        }
        field
    });
    ui.checkbox(&mut choice.resumes, "Continue what is in the folder")
        .on_hover_text("An interrupted capture goes on where it stopped, and writes the same rows as one that was not");
    let is_in_use = found.is_some_and(|found| found != FolderHolds::Nothing);
    if is_in_use && !choice.resumes {
        ui.colored_label(
            ctx.theme.warning,
            "The folder is there already; continue it, or choose another",
        );
    }
}

fn problem(ui: &mut Ui, ctx: &ViewContext<'_>, error: &str) {
    ui.add(
        egui::Label::new(RichText::new(format!("Error: {error}")).color(ctx.theme.error)).wrap(),
    );
}

fn row(ui: &mut Ui, label: &str, add: impl FnOnce(&mut Ui) -> egui::Response) {
    ui.horizontal(|ui| {
        let label = field_label(ui, label, LABEL);
        add(ui).labelled_by(label.id);
    });
}
