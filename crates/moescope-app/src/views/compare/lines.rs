//! Two lines of Live side by side: what two prompts, or two replies, choose.

use egui::Ui;
use moescope_figures::FigureOptions;
use moescope_pipeline::session::Branch;

use super::maps::{Maps, table};
use crate::{
    choices::CompareChoice,
    command::Command,
    export::FigureOffer,
    lives::{ComparedLines, LinePart, LiveCommand},
    view::ViewContext,
    views::disciplines::shared::named_combo,
    widgets::{
        heatmap::HeatmapOutput,
        text::{heading, soft},
    },
};

/// Of a line's prompt, so much is in its name.
const NAMED_CHARS: usize = 36;

/// Two lines of the session.
pub(super) struct LinePair<'a> {
    pub(super) lines: [&'a Branch; 2],
}

/// What a line is called: its number, and how its prompt begins.
pub(super) fn name(line: &Branch) -> String {
    let words: Vec<&str> = line.info.prompt.split_whitespace().collect();
    let prompt = words.join(" ");
    let mut begins: String = prompt.chars().take(NAMED_CHARS).collect();
    if begins.len() < prompt.len() {
        begins.push('…');
    }
    format!("Line {}: {begins}", line.info.id.0 + 1)
}

/// Which tokens of them are compared.
pub(super) fn part_combo(ui: &mut Ui, choice: &mut CompareChoice) {
    named_combo(ui, "Tokens", choice.part.title(), 130.0, |ui| {
        for part in LinePart::ALL {
            ui.selectable_value(&mut choice.part, part, part.title());
        }
    });
}

pub(super) fn ui(
    maps: &mut Maps,
    ui: &mut Ui,
    ctx: &ViewContext<'_>,
    pair: &LinePair<'_>,
    choice: &CompareChoice,
) {
    let Some(compared) = compared(ctx, pair) else {
        // The thread that makes it asks for a frame when it is there.
        ui.spinner();
        return;
    };
    let sources = compared.sides.each_ref().map(|side| {
        let measured = side.as_ref().ok()?;
        Some(table(measured, 0, Vec::new(), choice.scale))
    });
    maps.ui(
        ui,
        |maps, ui, side| {
            let line = pair.lines[side];
            heading(ui, &name(line));
            if let Err(why) = &compared.sides[side] {
                return nothing(ui, ctx, why);
            }
            let title = format!("Layers by experts of line {}", line.info.id.0 + 1);
            let output = maps.side(ui, ctx, &title, &sources, side);
            let output = output.unwrap_or_default();
            if output.chosen.is_some() {
                let shows = LiveCommand::ChooseBranch(line.info.id);
                ctx.send(Command::Live(Box::new(shows)));
            }
            output
        },
        |maps, ui| {
            let [first, second] = pair.lines.map(|line| line.info.id.0 + 1);
            heading(ui, &format!("Line {first} minus line {second}"));
            match &compared.difference {
                Err(why) => nothing(ui, ctx, why),
                Ok(measured) => {
                    let source = table(measured, 0, Vec::new(), choice.scale);
                    maps.difference(ui, ctx, "Difference of the lines", source)
                }
            }
        },
    );
}

pub(super) fn figure(
    ctx: &ViewContext<'_>,
    pair: &LinePair<'_>,
    choice: &CompareChoice,
) -> Option<FigureOffer> {
    let measured = compared(ctx, pair)?.difference.as_ref().ok()?;
    let [first, second] = pair.lines.map(|line| line.info.id.0 + 1);
    let options = FigureOptions {
        title: Some(format!(
            "{} (line {first} minus line {second})",
            measured.first()?.title
        )),
        scale: choice.scale,
        ..FigureOptions::default()
    };
    Some(FigureOffer::new("layer_expert_heatmap", measured, options))
}

/// What was measured of them, once it is of these two.
fn compared<'a>(ctx: &ViewContext<'a>, pair: &LinePair<'_>) -> Option<&'a ComparedLines> {
    let lines = pair.lines.map(|line| line.info.id);
    let compared = ctx.state.lives.compared();
    compared.filter(|compared| compared.lines == lines)
}

fn nothing(ui: &mut Ui, ctx: &ViewContext<'_>, why: &str) -> HeatmapOutput {
    ui.label(soft(why, ctx.theme));
    HeatmapOutput::default()
}
