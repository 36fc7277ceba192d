//! The cost of a capture before it is run, and how far it is when it runs.

use std::sync::Arc;

use egui::{Button, Grid, Label, ProgressBar, RichText, Ui};
use moescope_pipeline::{
    Estimate,
    sizes::{bytes, scaled},
};

use super::{folder_look::FolderHolds, problem};
use crate::{
    captures::{CaptureEnd, Planned},
    choices::CaptureChoice,
    command::Command,
    fonts,
    job::{Job, JobProgress},
    view::ViewContext,
    widgets::text::{heading, soft},
};

/// Paints the buttons, what the capture will cost, and how the last one ended. `found` is what is in its folder, `typed` an
/// intervention that is not added to it.
pub(super) fn ui(
    ui: &mut Ui,
    ctx: &ViewContext<'_>,
    choice: &CaptureChoice,
    found: Option<FolderHolds>,
    typed: &str,
) {
    let captures = &ctx.state.captures;
    if let Some(progress) = captures.run.progress() {
        working(ui, ctx, progress);
        let stop = ui.button("Stop");
        if stop
            .on_hover_text("What is recorded stays, and can be continued")
            .clicked()
        {
            ctx.send(Command::CancelCapture);
        }
        return;
    }
    buttons(ui, ctx, choice, found);
    if !typed.is_empty() {
        ui.colored_label(
            ctx.theme.warning,
            format!("The intervention {typed} is typed but not added, so it is left out"),
        );
    }
    if let Some(progress) = captures.plan.progress() {
        working(ui, ctx, progress);
        if ui.button("Stop estimating").clicked() {
            ctx.send(Command::Cancel(Arc::clone(progress)));
        }
    } else if let Some(planned) = captures.cost_of(choice) {
        cost(ui, ctx, planned);
    } else if let Some(error) = captures.error_of(choice) {
        problem(ui, ctx, error);
    }
    match &captures.run {
        Job::Ready(CaptureEnd::Stopped { told, .. }) => {
            ui.add(Label::new(soft(told, ctx.theme)).wrap());
        }
        Job::Failed { error, .. } | Job::Ready(CaptureEnd::Broken { told: error, .. }) => {
            problem(ui, ctx, error);
        }
        _ => {}
    }
}

fn working(ui: &mut Ui, ctx: &ViewContext<'_>, progress: &JobProgress) {
    ui.horizontal(|ui| {
        ui.spinner();
        ui.label(RichText::new(progress.name()).family(fonts::bold()));
        ui.label(soft(progress.message(), ctx.theme));
    });
    if let Some(share) = progress.share() {
        ui.add(ProgressBar::new(share).show_percentage());
    }
}

fn buttons(ui: &mut Ui, ctx: &ViewContext<'_>, choice: &CaptureChoice, found: Option<FolderHolds>) {
    let captures = &ctx.state.captures;
    let missing = choice.missing(ctx.state.device_choice);
    let is_complete = missing.is_none();
    // What it costs was said before it began, where it goes on. In a folder without a trace it would begin.
    let can_continue = choice.resumes && found == Some(FolderHolds::Trace);
    let is_known = captures.cost_of(choice).is_some() || can_continue;
    let waits_for = missing
        .clone()
        .unwrap_or_else(|| "Its cost is said first".to_owned());
    ui.horizontal(|ui| {
        let estimate = ui
            .add_enabled(
                is_complete && !captures.is_planning(),
                Button::new("Estimate"),
            )
            .on_hover_text(
                "Read the texts, load the model, time a small part, and say what all of it will cost; that begins by itself when a choice was changed",
            )
            .on_disabled_hover_text(missing.as_deref().unwrap_or("It is being found out"));
        if estimate.clicked() {
            ctx.send(Command::EstimateCapture);
        }
        let label = if can_continue {
            "Continue"
        } else {
            "Start capture"
        };
        let start = ui
            .add_enabled(is_complete && is_known, Button::new(label))
            .on_hover_text("Run all texts and write the trace, which opens when it is complete")
            .on_disabled_hover_text(waits_for.as_str());
        if start.clicked() {
            ctx.send(Command::StartCapture);
        }
        if !(is_complete && is_known) {
            ui.label(soft(waits_for, ctx.theme));
        }
    });
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
        free_disk_bytes,
        memory,
        secs,
        prefill_tokens_per_sec,
        ..
    } = &planned.estimate;
    let number = |n: u64| scaled(n, &["", "k", "M", "G"]).trim_end().to_owned();
    let free = free_disk_bytes.map(|free| format!("; {} are free", bytes(free)));
    let free = free.unwrap_or_default();
    let mapped = match memory.mapped {
        0 => String::new(),
        mapped => format!(
            ", and {} of weights that stay in their files",
            bytes(mapped)
        ),
    };
    let rows = [
        ("Documents", number(*samples)),
        ("Tokens", number(*tokens)),
        (
            "To generate",
            format!("at most {}", number(*generated_tokens)),
        ),
        ("Decisions", number(*decisions)),
        ("Trace", format!("about {}{free}", bytes(*trace_bytes))),
        (
            "Memory",
            format!("about {}{mapped}", bytes(memory.allocated())),
        ),
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
                ui.add(Label::new(value).wrap());
                ui.end_row();
            }
        });
    for note in &planned.notes {
        let note = RichText::new(format!("Note: {note}")).color(ctx.theme.warning);
        ui.add(Label::new(note).wrap());
    }
}
