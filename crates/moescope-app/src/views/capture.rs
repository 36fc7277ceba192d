//! Texts through a model, into a trace: choose, see the cost, run, resume.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use egui::{DragValue, Grid, RichText, ScrollArea, TextEdit, Ui};
use moescope_pipeline::{
    Estimate,
    sizes::{bytes, scaled},
};

use crate::{
    captures::{CaptureEnd, Planned, beside, is_in_use},
    choices::CaptureChoice,
    command::Command,
    command_line, fonts,
    job::Job,
    shell::pick,
    view::{View, ViewAbout, ViewContext},
    widgets::text::{field_label, heading, soft},
};

const LABEL: f32 = 110.0;

/// A folder is looked at again after this time.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// The Capture view.
#[derive(Debug, Default)]
pub(crate) struct Capture {
    folder: FolderLook,
}

/// Whether a folder is in use, looked at now and then: a folder in a network can be slow.
#[derive(Debug, Default)]
struct FolderLook(Option<(PathBuf, Instant, bool)>);

impl FolderLook {
    fn is_in_use(&mut self, path: &Path) -> bool {
        let known = self
            .0
            .as_ref()
            .filter(|(known, at, _)| known == path && at.elapsed() < BETWEEN_LOOKS);
        if let Some((_, _, is_in_use)) = known {
            return *is_in_use;
        }
        let found = is_in_use(path);
        self.0 = Some((path.to_owned(), Instant::now(), found));
        found
    }
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
        ScrollArea::vertical()
            .auto_shrink([false, false])
            .show(ui, |ui| {
                let mut choice = ctx.state.choices.capture.clone();
                let is_running = !ctx.state.captures.is_idle();
                ui.add_enabled_ui(!is_running, |ui| {
                    model(ui, ctx, &mut choice);
                    texts(ui, ctx, &mut choice);
                    options(ui, &mut choice);
                    out(ui, ctx, &mut choice, &mut self.folder);
                });
                if choice != ctx.state.choices.capture {
                    ctx.send(Command::ChooseCapture(Box::new(choice.clone())));
                }
                ui.add_space(12.0);
                run(ui, ctx, &choice);
            });
    }

    fn command_line(&self, ctx: &ViewContext<'_>) -> Result<String, &'static str> {
        command_line::capture(&ctx.state.choices.capture, ctx.state.device_choice)
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
                    .desired_rows(4)
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
    }
    row(ui, "Take", |ui| {
        ui.add(
            DragValue::new(&mut choice.limit)
                .range(0..=1_000_000)
                .custom_formatter(|number, _| {
                    if number < 1.0 {
                        "all".to_owned()
                    } else {
                        format!("{number:.0}")
                    }
                })
                .suffix(" documents of each discipline"),
        )
        .on_hover_text("0 takes all")
    });
    ui.add_space(10.0);
}

fn options(ui: &mut Ui, choice: &mut CaptureChoice) {
    heading(ui, "Options");
    row(ui, "Generate", |ui| {
        ui.add(
            DragValue::new(&mut choice.generate)
                .range(0..=100_000)
                .suffix(" tokens after each text"),
        )
    });
    if choice.generate > 0 {
        row(ui, "Temperature", |ui| {
            ui.add(
                DragValue::new(&mut choice.temperature)
                    .range(0.0..=5.0)
                    .speed(0.05),
            )
            .on_hover_text("0 always takes the most likely token")
        });
        row(ui, "Seed", |ui| ui.add(DragValue::new(&mut choice.seed)));
    }
    ui.horizontal_wrapped(|ui| {
        ui.checkbox(
            &mut choice.is_chat,
            "Each text is the user's message in a chat",
        );
        ui.checkbox(&mut choice.keeps_logits, "Keep router logits");
        ui.checkbox(&mut choice.is_full_precision, "Keep all bits of numbers");
    });
    ui.add_space(10.0);
}

fn out(ui: &mut Ui, ctx: &ViewContext<'_>, choice: &mut CaptureChoice, folder: &mut FolderLook) {
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
    if !choice.out.as_os_str().is_empty() && folder.is_in_use(&choice.out) && !choice.resumes {
        ui.colored_label(
            ctx.theme.warning,
            "The folder is there already; continue it, or choose another",
        );
    }
}

fn run(ui: &mut Ui, ctx: &ViewContext<'_>, choice: &CaptureChoice) {
    let captures = &ctx.state.captures;
    if let Some(progress) = captures.running().next() {
        ui.horizontal(|ui| {
            ui.spinner();
            ui.label(RichText::new(progress.name()).family(fonts::bold()));
            ui.label(soft(progress.message(), ctx.theme));
        });
        if let Some(share) = progress.share() {
            ui.add(egui::ProgressBar::new(share).show_percentage());
        }
        if ui
            .button("Stop")
            .on_hover_text("What is recorded stays, and can be continued")
            .clicked()
        {
            ctx.send(Command::CancelCapture);
        }
        return;
    }
    let missing = missing(choice);
    ui.horizontal(|ui| {
        for (label, hint, command) in [
            (
                "Estimate",
                "Read the texts, load the model, time a small part, and say what all of it will cost",
                Command::EstimateCapture,
            ),
            (
                if choice.resumes { "Continue" } else { "Start capture" },
                "Run all texts and write the trace, which opens when it is complete",
                Command::StartCapture,
            ),
        ] {
            let button = ui
                .add_enabled(missing.is_none(), egui::Button::new(label))
                .on_hover_text(hint)
                .on_disabled_hover_text(missing.unwrap_or_default());
            if button.clicked() {
                ctx.send(command);
            }
        }
        if let Some(missing) = missing {
            ui.label(soft(missing, ctx.theme));
        }
    });
    match &captures.plan {
        Job::Ready(planned) if planned.choice == *choice => cost(ui, ctx, planned),
        Job::Failed { error, .. } => problem(ui, ctx, error),
        _ => {}
    }
    match &captures.run {
        Job::Ready(CaptureEnd::Stopped { told, .. }) => {
            ui.add(egui::Label::new(soft(told, ctx.theme)).wrap());
        }
        Job::Failed { error, .. } => problem(ui, ctx, error),
        _ => {}
    }
}

fn missing(choice: &CaptureChoice) -> Option<&'static str> {
    if choice.model.trim().is_empty() {
        Some("Choose a model")
    } else if choice.files.is_empty() && choice.text.trim().is_empty() {
        Some("Choose files, or type a text")
    } else if choice.out.as_os_str().is_empty() {
        Some("Choose a folder for the trace")
    } else {
        None
    }
}

fn problem(ui: &mut Ui, ctx: &ViewContext<'_>, error: &str) {
    ui.add(
        egui::Label::new(RichText::new(format!("Error: {error}")).color(ctx.theme.error)).wrap(),
    );
}

fn cost(ui: &mut Ui, ctx: &ViewContext<'_>, planned: &Planned) {
    ui.add_space(6.0);
    heading(ui, "What it will cost");
    let Estimate {
        samples,
        tokens,
        generated_tokens,
        decisions,
        trace_bytes,
        secs,
        prefill_tokens_per_sec,
        ..
    } = &planned.estimate;
    let number = |n: u64| scaled(n, &["", "k", "M", "G"]).trim_end().to_owned();
    let rows = [
        ("Documents", number(*samples)),
        ("Tokens", number(*tokens)),
        (
            "To generate",
            format!("at most {}", number(*generated_tokens)),
        ),
        ("Decisions", number(*decisions)),
        ("Trace", format!("about {}", bytes(*trace_bytes))),
        (
            "Time",
            format!(
                "about {secs:.1} s (a small prefill ran at {prefill_tokens_per_sec:.0} tokens/s)"
            ),
        ),
        ("Device", planned.device.clone()),
    ];
    Grid::new("cost")
        .num_columns(2)
        .spacing([14.0, 3.0])
        .show(ui, |ui| {
            for (name, value) in rows {
                ui.label(soft(name, ctx.theme));
                ui.add(egui::Label::new(value).wrap());
                ui.end_row();
            }
        });
    for note in &planned.notes {
        ui.add(
            egui::Label::new(RichText::new(format!("Note: {note}")).color(ctx.theme.warning))
                .wrap(),
        );
    }
}

fn row(ui: &mut Ui, label: &str, add: impl FnOnce(&mut Ui) -> egui::Response) {
    ui.horizontal(|ui| {
        let label = field_label(ui, label, LABEL);
        add(ui).labelled_by(label.id);
    });
}
