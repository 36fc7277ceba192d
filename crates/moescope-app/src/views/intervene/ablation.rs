//! Does an expert matter? Its worth on texts, beside experts of the same layer and load.

use egui::{DragValue, Grid, RichText, ScrollArea, Ui};
use moescope_core::{AxisKind, Measurement};
use moescope_pipeline::demo::HELD_OUT_TOLD;

use crate::{
    command::Command,
    fonts,
    lives::{LiveChoice, LiveCommand},
    traces::folder_name,
    view::ViewContext,
    widgets::{
        job_panel::running,
        text::{probability, soft, with_interval},
    },
};

/// From this width on the values of a label stand side by side.
const TABLE_WIDTH: f32 = 720.0;
/// What is measured.
const CHANGE: &str = "ΔNLL, nats per token";
/// What it is measured of, in the order of the table's last axis.
const VARIANTS: [&str; 3] = ["Target", "Controls", "Difference"];

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
    let capture = ctx.state.lives.ablated_with(&ctx.state.choices.capture);
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
    });
    let told = if has_held_out {
        Some((HELD_OUT_TOLD, "They are read unless you choose texts"))
    } else {
        files.is_empty().then_some((
            "Choose texts that were not used to find the expert",
            "In texts that it was found in, an expert looks more important than it is",
        ))
    };
    if let Some((told, why)) = told {
        ui.add(egui::Label::new(soft(told, ctx.theme)).wrap())
            .on_hover_text(why);
    }
    ui.horizontal(|ui| {
        let label = ui.label(soft("Texts of each label", ctx.theme));
        let drag = DragValue::new(&mut choice.ablate_limit).range(0..=100_000);
        ui.add(drag)
            .labelled_by(label.id)
            .on_hover_text("0 takes all");
    });
    ui.horizontal(|ui| {
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
    let is_wide = ui.available_width() >= TABLE_WIDTH;
    let id = format!("effects by {}", table.axes.len());
    ScrollArea::horizontal().id_salt(&id).show(ui, |ui| {
        if is_wide {
            side_by_side(ui, ctx, &id, table, &labels);
        } else {
            stacked(ui, ctx, &id, table, &labels);
        }
    });
}

/// A row per label.
fn side_by_side(
    ui: &mut Ui,
    ctx: &ViewContext<'_>,
    id: &str,
    table: &Measurement,
    labels: &[String],
) {
    Grid::new(id).num_columns(6).striped(true).show(ui, |ui| {
        ui.label(soft(CHANGE, ctx.theme));
        for title in VARIANTS.into_iter().chain(["p", "q"]) {
            ui.label(soft(title, ctx.theme));
        }
        ui.end_row();
        for (row, label) in labels.iter().enumerate() {
            ui.label(label);
            for variant in 0..VARIANTS.len() {
                ui.label(value(table, row, variant));
            }
            for place in place_among_controls(table, row) {
                ui.label(place);
            }
            ui.end_row();
        }
    });
}

/// The values of a label under each other, for a column as narrow as a small window leaves.
fn stacked(ui: &mut Ui, ctx: &ViewContext<'_>, id: &str, table: &Measurement, labels: &[String]) {
    ui.label(soft(CHANGE, ctx.theme));
    let lines = VARIANTS.len() + 1;
    let grid = Grid::new(id)
        .num_columns(2)
        .with_row_color(move |line, style| {
            (line / lines)
                .is_multiple_of(2)
                .then_some(style.visuals.faint_bg_color)
        });
    grid.show(ui, |ui| {
        for (row, label) in labels.iter().enumerate() {
            ui.label(RichText::new(label).family(fonts::bold()));
            let [p, q] = place_among_controls(table, row);
            ui.label(format!("p {p}, q {q}"));
            ui.end_row();
            for (variant, title) in VARIANTS.into_iter().enumerate() {
                ui.label(soft(title, ctx.theme));
                ui.label(value(table, row, variant));
                ui.end_row();
            }
        }
    });
}

/// A value of a label with its interval.
fn value(table: &Measurement, row: usize, variant: usize) -> String {
    let flat = VARIANTS.len() * row + variant;
    let interval = table.intervals.as_ref().and_then(|all| all[flat]);
    with_interval(table.values[flat], interval)
}

/// The target's p and q of a label.
fn place_among_controls(table: &Measurement, row: usize) -> [String; 2] {
    let nulls = table.nulls.as_ref();
    let null = nulls.and_then(|nulls| nulls[VARIANTS.len() * row]);
    let q = null.and_then(|null| null.p_corrected);
    [null.map(|null| null.p), q].map(|p| p.map_or("—".to_owned(), probability))
}
