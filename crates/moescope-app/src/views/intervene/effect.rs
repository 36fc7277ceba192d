//! What the chosen interventions do to a text that stands.

use egui::{Align, Layout, Response, RichText, ScrollArea, TextWrapMode, Ui, vec2};
use moescope_figures::short_number;
use moescope_pipeline::{TokenEffect, session::Branch};

use crate::{
    command::Command,
    lives::{LiveCommand, MeasuredEffect, TextOrigin},
    theme::Theme,
    view::ViewContext,
    widgets::text::soft,
};

/// Widths of the columns of numbers.
const NUMBERS: [f32; 3] = [72.0, 68.0, 62.0];
/// A token's column is at least so wide.
const LEAST_TOKEN: f32 = 72.0;
/// The list of tokens is at least so high; where there is less room, all of it is scrolled to.
const LEAST_HEIGHT: f32 = 160.0;

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
        let why = "Choose interventions and press Measure the effect: the same tokens are read with and without them";
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
    ui.add(egui::Label::new(text_told(measured, ctx.theme)).wrap());
    ui.horizontal_wrapped(|ui| {
        ui.label(soft("Assignments that changed", ctx.theme));
        for layer in &effect.layers {
            let share = 100.0 * layer.changed_assignments;
            ui.label(format!("layer {}: {share:.0} %", layer.layer));
        }
    });
    tokens(ui, ctx, measured);
}

/// On which text it was measured, and why on that one.
fn text_told(measured: &MeasuredEffect, theme: &Theme) -> RichText {
    let line = measured.branch.0 + 1;
    let number = measured.effect.tokens.len();
    let told = format!("{number} tokens of line {line} as they stand; one text, no interval");
    match measured.origin {
        TextOrigin::Shown => soft(told, theme),
        TextOrigin::Before { shown } => soft(
            format!(
                "{told}. Measured on line {line}, which no intervention wrote: line {} suits the interventions that it was written under, and would make the change look too small",
                shown.0 + 1
            ),
            theme,
        ),
        TextOrigin::Intervened => RichText::new(format!(
            "{told}. Line {line} was itself written under interventions and suits them, so the change of surprisal comes out too low; generate without interventions, and measure on that text"
        )),
    }
}

/// All tokens, those whose surprisal changed most first.
fn tokens(ui: &mut Ui, ctx: &ViewContext<'_>, measured: &MeasuredEffect) {
    let transcript = ctx.state.lives.transcript.as_ref();
    let Some(branch) = transcript.and_then(|transcript| transcript.branch(measured.branch)) else {
        return;
    };
    let row = ui.spacing().interact_size.y;
    let gaps = ui.spacing().item_spacing.x * 3.0;
    let numbers: f32 = NUMBERS.iter().sum();
    // The bar that scrolls the list stands beside it.
    let bar = ui.spacing().scroll.allocated_width();
    let token = (ui.available_width() - numbers - gaps - bar).max(LEAST_TOKEN);
    ScrollArea::horizontal()
        .id_salt("effect table")
        .show(ui, |ui| {
            headings(ui, ctx, token);
            let height = ui.available_height().max(LEAST_HEIGHT);
            ScrollArea::vertical()
                .id_salt("effect tokens")
                .max_height(height)
                .show_rows(ui, row, measured.by_change.len(), |ui, rows| {
                    for place in &measured.by_change[rows] {
                        token_row(
                            ui,
                            ctx,
                            branch,
                            *place,
                            &measured.effect.tokens[*place],
                            token,
                        );
                    }
                });
        });
}

fn headings(ui: &mut Ui, ctx: &ViewContext<'_>, token: f32) {
    let [surprisal, kl, rerouted] = NUMBERS;
    ui.horizontal(|ui| {
        for (width, title, told) in [
            (token, "Token", "Its place in the line, and its text"),
            (
                surprisal,
                "Surprisal",
                "How much its surprisal changes, in nats; the largest changes stand first",
            ),
            (
                kl,
                "KL",
                "Divergence of the predictions of the token after it, in nats",
            ),
            (
                rerouted,
                "Rerouted",
                "Layers at which another set of experts is chosen",
            ),
        ] {
            cell(ui, width, |ui| ui.label(soft(title, ctx.theme))).on_hover_text(told);
        }
    });
}

/// One token; a click on it shows it in its line.
fn token_row(
    ui: &mut Ui,
    ctx: &ViewContext<'_>,
    branch: &Branch,
    place: usize,
    effect: &TokenEffect,
    width: f32,
) {
    let text = branch.columns.tokens().get(place);
    let text = text.map_or_else(String::new, |token| token.text.escape_debug().to_string());
    let change = effect.surprisal_change.map_or("—".to_owned(), signed);
    let [surprisal, kl, rerouted] = NUMBERS;
    ui.horizontal(|ui| {
        let link = cell(ui, width, |ui| ui.link(format!("{place} “{text}”")));
        if link.clicked() {
            let show = LiveCommand::ChooseBranch(branch.info.id);
            ctx.send(Command::Live(Box::new(show)));
            let choose = LiveCommand::ChooseToken(Some(place));
            ctx.send(Command::Live(Box::new(choose)));
        }
        cell(ui, surprisal, |ui| ui.label(change));
        cell(ui, kl, |ui| ui.label(short_number(effect.kl_nats)));
        cell(ui, rerouted, |ui| {
            ui.label(effect.changed_layers.to_string())
        });
    });
}

/// One cell of a row, as wide as those above and below it.
fn cell(ui: &mut Ui, width: f32, add: impl FnOnce(&mut Ui) -> Response) -> Response {
    let size = vec2(width, ui.spacing().interact_size.y);
    let layout = Layout::left_to_right(Align::Center);
    ui.allocate_ui_with_layout(size, layout, |ui| {
        ui.set_width(width);
        ui.style_mut().wrap_mode = Some(TextWrapMode::Truncate);
        add(ui)
    })
    .inner
}

/// A change with its sign.
fn signed(change: f64) -> String {
    let sign = if change > 0.0 { "+" } else { "" };
    format!("{sign}{}", short_number(change))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_has_its_sign() {
        assert_eq!(signed(0.25), "+0.25");
        assert_eq!(signed(-0.25), "−0.25");
        assert_eq!(signed(0.0), "0");
    }
}
