//! Which label the routing so far looks most like: calibrated, or as distances.

use egui::{Grid, ProgressBar, ScrollArea, Ui};
use moescope_analytics::{LabelLook, LabelReference};
use moescope_figures::short_number;

use crate::{
    command::Command,
    lives::{LiveChoice, LiveCommand},
    view::ViewContext,
    views::disciplines::shared::named_combo,
    widgets::text::{heading, soft},
};

/// Paints the labels, the nearest first.
pub(super) fn ui(ui: &mut Ui, ctx: &ViewContext<'_>) {
    let lives = &ctx.state.lives;
    heading(ui, "Looks most like");
    if let Some(progress) = lives.reference.progress() {
        ui.horizontal(|ui| {
            ui.spinner();
            ui.label(soft(
                format!("{}: {}", progress.name(), progress.message()),
                ctx.theme,
            ));
        });
        return;
    }
    if let Some(error) = lives.reference.error() {
        ui.label(soft(
            format!("No labels to compare with: {error}"),
            ctx.theme,
        ));
        if ui.button("Try again").clicked() {
            ctx.send(Command::Live(Box::new(LiveCommand::ReadLabels)));
        }
        return;
    }
    let (Some(reference), Some(look)) = (lives.reference.value(), &lives.look) else {
        let why = "Open a trace of this model whose texts have labels, and generate";
        ui.label(soft(why, ctx.theme));
        return;
    };
    let told = match &lives.reference_is_of {
        Some(other) => format!(
            "Distances only: the open trace is of {other}, whose experts need not be those of this model"
        ),
        None => words(reference, look),
    };
    ui.label(soft(told, ctx.theme));
    ScrollArea::vertical()
        .id_salt("label looks")
        .show(ui, |ui| table(ui, reference, look));
}

/// How far the numbers can be trusted.
fn words(reference: &LabelReference, look: &LabelLook) -> String {
    if look.probability.is_none() {
        return format!(
            "Distances only: probabilities are calibrated for {} tokens, and there are not so many yet",
            reference.window
        );
    }
    let overall = |name: &str| {
        let table = &reference.calibration;
        let place = table.axes[0]
            .labels
            .iter()
            .position(|label| label == name)?;
        table
            .values
            .get(place)
            .copied()
            .filter(|value| value.is_finite())
    };
    let told = match (overall("right"), overall("calibration_error")) {
        (Some(right), Some(error)) => format!(
            "the first label was right in {} % of other documents' windows, calibration error {} %",
            short_number((100.0 * right).round()),
            short_number((1000.0 * error).round() / 10.0)
        ),
        _ => "how often they are right is not known".to_owned(),
    };
    format!(
        "Calibrated for the last {} content tokens; {told}",
        reference.window
    )
}

fn table(ui: &mut Ui, reference: &LabelReference, look: &LabelLook) {
    let mut order: Vec<usize> = (0..reference.labels.len()).collect();
    let by_distance =
        |a: &usize, b: &usize| look.divergence_bits[*a].total_cmp(&look.divergence_bits[*b]);
    match &look.probability {
        Some(p) => order.sort_by(|a, b| p[*b].total_cmp(&p[*a]).then(by_distance(a, b))),
        None => order.sort_by(by_distance),
    }
    Grid::new("labels")
        .num_columns(3)
        .striped(true)
        .show(ui, |ui| {
            for label in order {
                ui.label(&reference.labels[label]);
                ui.label(format!(
                    "{} bits",
                    short_number(look.divergence_bits[label])
                ));
                if let Some(probability) = look.probability.as_ref().map(|p| p[label]) {
                    #[expect(clippy::cast_possible_truncation, reason = "the length of a bar")]
                    let share = probability as f32;
                    let bar = ProgressBar::new(share)
                        .desired_width(120.0)
                        .desired_height(10.0)
                        .text(format!("{:.0} %", 100.0 * share));
                    ui.add(bar);
                }
                ui.end_row();
            }
        });
}

/// The label that replies and tokens are compared with.
pub(super) fn label_combo(ui: &mut Ui, ctx: &ViewContext<'_>, choice: &mut LiveChoice) {
    let Some(reference) = ctx.state.lives.reference.value() else {
        ui.label(soft(
            "Open a trace of this model whose texts have labels",
            ctx.theme,
        ));
        return;
    };
    let shown = ctx.state.lives.label(choice).unwrap_or_default().to_owned();
    let title = shown.clone();
    named_combo(ui, "Label to compare with", &title, 140.0, |ui| {
        for label in &reference.labels {
            if ui.selectable_label(*label == shown, label).clicked() {
                choice.label = Some(label.clone());
            }
        }
    });
}
