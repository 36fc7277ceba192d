//! Does an expert matter? Its worth on texts, beside experts of the same layer and load.

use egui::{DragValue, Grid, Ui};
use moescope_core::{AxisKind, Interval, Measurement};
use moescope_pipeline::demo::HELD_OUT_TOLD;

use crate::{
    command::Command,
    lives::{LiveChoice, LiveCommand},
    traces::folder_name,
    view::ViewContext,
    widgets::{
        job_panel::running,
        text::{probability, soft, with_interval},
    },
};

/// Paints the question, and the answer where there is one.
pub(super) fn ui(ui: &mut Ui, ctx: &ViewContext<'_>, choice: &mut LiveChoice) {
    ask(ui, ctx, choice);
    let job = &ctx.state.lives.ablation;
    if let Some(progress) = job.progress() {
        running(ui, ctx, progress);
    }
    if let Some(error) = job.error().filter(|error| *error != "cancelled") {
        ui.colored_label(ctx.theme.error, format!("Error: {error}"));
    }
    let Some(ablated) = job.value() else {
        return;
    };
    let found = &ablated.found;
    ui.label(format!(
        "{} on {} texts, beside {} experts of the same layer and like load",
        found.target.intervention,
        found.samples,
        found.controls.len()
    ));
    for axes in [
        &[AxisKind::Variant][..],
        &[AxisKind::Group, AxisKind::Variant],
    ] {
        if let Some(table) = found.table("ablation_effect", axes) {
            effects(ui, ctx, table);
        }
    }
    if let Some(table) = found.table("ablation_effect", &[AxisKind::Variant]) {
        for note in &table.protocol.notes {
            ui.add(egui::Label::new(soft(note, ctx.theme)).wrap());
        }
    }
}

/// Which expert, on which texts, beside how many; the question first, so that a low panel shows it.
fn ask(ui: &mut Ui, ctx: &ViewContext<'_>, choice: &mut LiveChoice) {
    let capture = &ctx.state.choices.capture;
    let files = &capture.files;
    let has_held_out = capture.held_out().is_some();
    ui.horizontal_wrapped(|ui| {
        if let Some(cell) = ctx.state.choices.cell {
            let has_texts = has_held_out || !files.is_empty();
            let is_ready = has_texts && !ctx.state.lives.ablation.is_running();
            let button = egui::Button::new(format!("Does expert {cell} matter?"));
            if ui.add_enabled(is_ready, button).clicked() {
                ctx.send(Command::Live(Box::new(LiveCommand::Ablate(cell))));
            }
        } else {
            ui.label(soft("Click a cell to ask about its expert", ctx.theme));
        }
        let texts = match &files[..] {
            [] => "Choose texts…".to_owned(),
            [file] => folder_name(file),
            [first, rest @ ..] => format!("{} and {} more", folder_name(first), rest.len()),
        };
        let pick = ui.button(texts);
        if pick
            .on_hover_text("Texts that were not used to find the expert")
            .clicked()
        {
            ctx.send(Command::PickTexts);
        }
        if has_held_out {
            ui.label(soft(HELD_OUT_TOLD, ctx.theme))
                .on_hover_text("They are read unless you choose texts");
        } else if files.is_empty() {
            let told = "Choose texts that were not used to find the expert";
            ui.label(soft(told, ctx.theme));
        }
        let label = ui.label(soft("Texts of each label", ctx.theme));
        let drag = DragValue::new(&mut choice.ablate_limit).range(0..=100_000);
        ui.add(drag)
            .labelled_by(label.id)
            .on_hover_text("0 takes all");
        let label = ui.label(soft("Random experts to compare with", ctx.theme));
        let drag = DragValue::new(&mut choice.controls).range(1..=200);
        ui.add(drag).labelled_by(label.id);
    });
}

/// Change of surprisal: the target, its controls, the difference, and the target's place among them.
fn effects(ui: &mut Ui, ctx: &ViewContext<'_>, table: &Measurement) {
    let labels = match &table.axes[..] {
        [groups, _] => groups.labels.clone(),
        _ => vec!["all texts".to_owned()],
    };
    let id = format!("effects by {}", table.axes.len());
    Grid::new(id).num_columns(6).striped(true).show(ui, |ui| {
        for title in [
            "ΔNLL, nats per token",
            "Target",
            "Controls",
            "Difference",
            "p",
            "q",
        ] {
            ui.label(soft(title, ctx.theme));
        }
        ui.end_row();
        for (row, label) in labels.iter().enumerate() {
            ui.label(label);
            for variant in 0..3 {
                let flat = 3 * row + variant;
                let interval: Option<Interval> = table.intervals.as_ref().and_then(|i| i[flat]);
                ui.label(with_interval(table.values[flat], interval));
            }
            let null = table.nulls.as_ref().and_then(|nulls| nulls[3 * row]);
            ui.label(null.map_or("—".to_owned(), |null| probability(null.p)));
            let q = null.and_then(|null| null.p_corrected);
            ui.label(q.map_or("—".to_owned(), probability));
            ui.end_row();
        }
    });
}
