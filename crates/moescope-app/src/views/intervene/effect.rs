//! What the chosen interventions do to a text that stands.

use egui::{Grid, Ui};
use moescope_figures::short_number;

use crate::{command::Command, lives::LiveCommand, view::ViewContext, widgets::text::soft};

/// So many tokens that suffer most are listed.
const MOST_TOKENS: usize = 8;

/// Paints the effect, or what is missing for one.
pub(super) fn ui(ui: &mut Ui, ctx: &ViewContext<'_>) {
    let job = &ctx.state.lives.effect;
    if job.is_running() {
        ui.horizontal(|ui| {
            ui.spinner();
            ui.label(soft("Reading the text twice", ctx.theme));
        });
    }
    let Some(measured) = job.value() else {
        let why = "Choose interventions and press Measure on this text: the same tokens are read with and without them";
        ui.add(egui::Label::new(soft(why, ctx.theme)).wrap());
        return;
    };
    let effect = &measured.effect;
    let change = effect.mean_surprisal_change.map_or_else(
        || "not defined for one token".to_owned(),
        |nats| format!("{} nats per token", short_number(nats)),
    );
    ui.label(format!(
        "{}: surprisal changes by {change}, predictions diverge by {} nats per token",
        effect.interventions.join(", "),
        short_number(effect.mean_kl)
    ));
    ui.label(soft(
        format!(
            "{} tokens of line {} as they stand; one text, no interval",
            effect.tokens.len(),
            measured.branch.0 + 1
        ),
        ctx.theme,
    ));
    ui.horizontal_wrapped(|ui| {
        ui.label(soft("Assignments that changed", ctx.theme));
        for layer in &effect.layers {
            let share = 100.0 * layer.changed_assignments;
            ui.label(format!("layer {}: {share:.0} %", layer.layer));
        }
    });
    worst(ui, ctx, measured);
}

/// The tokens whose surprisal grew most.
fn worst(ui: &mut Ui, ctx: &ViewContext<'_>, measured: &crate::lives::MeasuredEffect) {
    let Some(transcript) = &ctx.state.lives.transcript else {
        return;
    };
    let Some(branch) = transcript.branch(measured.branch) else {
        return;
    };
    let tokens = measured.effect.tokens.iter().enumerate();
    let mut changes: Vec<(usize, f64)> = tokens
        .filter_map(|(place, token)| Some((place, token.surprisal_change?)))
        .collect();
    changes.sort_by(|a, b| b.1.total_cmp(&a.1));
    Grid::new("effect tokens")
        .num_columns(4)
        .striped(true)
        .show(ui, |ui| {
            for (title, told) in [
                ("Token", "Its place in the line"),
                ("Surprisal", "How much its surprisal changes"),
                ("KL", "Divergence of the predictions of the token after it"),
                (
                    "Rerouted",
                    "Layers at which another set of experts is chosen",
                ),
            ] {
                ui.label(soft(title, ctx.theme)).on_hover_text(told);
            }
            ui.end_row();
            for (place, change) in changes.iter().take(MOST_TOKENS) {
                let Some(token) = branch.columns.tokens().get(*place) else {
                    continue;
                };
                let of_token = &measured.effect.tokens[*place];
                if ui
                    .link(format!("{place} “{}”", token.text.escape_debug()))
                    .clicked()
                {
                    let show = LiveCommand::ChooseBranch(measured.branch);
                    ctx.send(Command::Live(Box::new(show)));
                    let choose = LiveCommand::ChooseToken(Some(*place));
                    ctx.send(Command::Live(Box::new(choose)));
                }
                ui.label(format!("{} nats", short_number(*change)));
                ui.label(format!("{} nats", short_number(of_token.kl_nats)));
                ui.label(of_token.changed_layers.to_string());
                ui.end_row();
            }
        });
}
