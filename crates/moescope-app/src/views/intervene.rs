//! Change what experts do, and see both texts, the effect on the text as it stands, and whether the expert matters.

mod ablation;
mod effect;

use std::sync::Arc;

use egui::{DragValue, Panel, ScrollArea, Ui};
use moescope_core::{AxisKind, Measurement};
use moescope_figures::FigureOptions;

use crate::{
    command::Command,
    command_line,
    export::FigureOffer,
    lives::{Ablated, CellAction, LiveChoice, LiveCommand, MeasuredEffect, NumbersChoice},
    view::{View, ViewAbout, ViewContext},
    views::live::{
        heat_ui, picture_figure,
        shared::{Chips, close_button, nothing_yet, running},
    },
    widgets::{
        heatmap::HeatmapState,
        intervention_list::intervention_list,
        text::{heading, soft},
    },
};

const EFFECT: &str = "Effect on the text";
const ABLATION: &str = "Does it matter?";

/// The Intervene view.
#[derive(Debug, Default)]
pub(crate) struct Intervene {
    heat: HeatmapState,
    texts: [Chips; 2],
}

impl View for Intervene {
    fn about(&self) -> ViewAbout {
        ViewAbout {
            name: "intervene",
            title: "Intervene",
            summary: "Mask, force, boost or swap experts by clicking, and measure what that does",
        }
    }

    fn ui(&mut self, ui: &mut Ui, ctx: &ViewContext<'_>) {
        if running(ui, ctx) {
            return;
        }
        let mut choice = ctx.state.choices.live.clone();
        if ctx.state.lives.branch().is_none() {
            // Whether an expert matters needs no generation.
            Panel::bottom("intervene ablation")
                .resizable(true)
                .default_size(ui.available_height() * 0.5)
                .show(ui, |ui| {
                    let area = ScrollArea::vertical()
                        .id_salt("ablation")
                        .auto_shrink(false);
                    area.show(ui, |ui| {
                        heading(ui, ABLATION);
                        ablation::ui(ui, ctx, &mut choice);
                    });
                });
            if !choice.interventions.is_empty() {
                heading(ui, "Chosen interventions");
                chosen(ui, ctx, &mut choice);
                let told = "They are in force from the first token on of what is generated next";
                ui.label(soft(told, ctx.theme));
            }
            nothing_yet(ui, ctx);
            return keep(ctx, choice);
        }
        let width = ui.available_width();
        Panel::left("intervene choice")
            .resizable(true)
            .default_size((width * 0.5).max(300.0))
            .size_range(240.0..=(width * 0.75).max(241.0))
            .show(ui, |ui| {
                actions(ui, ctx, &mut choice);
                self.cells(ui, ctx, &mut choice);
            });
        Panel::bottom("intervene numbers")
            .resizable(true)
            .default_size(ui.available_height() * 0.45)
            .show(ui, |ui| {
                ui.horizontal_wrapped(|ui| {
                    for (numbers, title) in [
                        (NumbersChoice::Effect, EFFECT),
                        (NumbersChoice::Ablation, ABLATION),
                    ] {
                        ui.selectable_value(&mut choice.numbers, numbers, title);
                    }
                });
                let area = ScrollArea::vertical().id_salt("numbers").auto_shrink(false);
                area.show(ui, |ui| match choice.numbers {
                    NumbersChoice::Effect => effect::ui(ui, ctx),
                    NumbersChoice::Ablation => ablation::ui(ui, ctx, &mut choice),
                });
            });
        self.both_texts(ui, ctx, &choice);
        keep(ctx, choice);
    }

    /// What the numbers under the texts show, or the heat map where there are none.
    fn figure(&self, ctx: &ViewContext<'_>) -> Option<FigureOffer> {
        let Some(ablated) = shown_ablation(ctx) else {
            let Some(shown) = shown_effect(ctx) else {
                return picture_figure(ctx);
            };
            let measured = Arc::new(vec![shown.effect.by_layer()]);
            let options = FigureOptions::default();
            return Some(FigureOffer::new("layer_series", &measured, options));
        };
        let index = by_label(&ablated.found.measurements)?;
        let measured = Arc::new(ablated.found.measurements.clone());
        let options = FigureOptions {
            title: Some(format!(
                "{}: {}",
                measured[index].title, ablated.found.target.intervention
            )),
            ..FigureOptions::default()
        };
        Some(FigureOffer {
            index,
            ..FigureOffer::new("group_effects", &measured, options)
        })
    }

    fn has_figure(&self, ctx: &ViewContext<'_>) -> bool {
        match shown_ablation(ctx) {
            Some(ablated) => by_label(&ablated.found.measurements).is_some(),
            None => shown_effect(ctx).is_some() || picture_figure(ctx).is_some(),
        }
    }

    fn command_line(&self, ctx: &ViewContext<'_>) -> Result<String, &'static str> {
        if let Some(ablated) = shown_ablation(ctx) {
            return command_line::ablate(
                &ablated.capture,
                &ablated.live,
                ctx.state.device_choice,
                ablated.cell,
            );
        }
        let shown = ctx.state.lives.branch();
        shown.ok_or("generate something first")?;
        if let Some(measured) = shown_effect(ctx) {
            return command_line::effect(measured, ctx.state.device_choice);
        }
        // The heat map is that of Live.
        command_line::live(ctx.state)
    }

    fn is_busy(&self) -> bool {
        self.heat.is_busy()
    }
}

/// The ablation, where the view shows it.
fn shown_ablation<'a>(ctx: &ViewContext<'a>) -> Option<&'a Ablated> {
    let lives = &ctx.state.lives;
    let is_shown =
        lives.branch().is_none() || ctx.state.choices.live.numbers == NumbersChoice::Ablation;
    lives.ablation.value().filter(|_| is_shown)
}

/// The effect on a text, where the view shows it.
fn shown_effect<'a>(ctx: &ViewContext<'a>) -> Option<&'a MeasuredEffect> {
    let lives = &ctx.state.lives;
    let is_shown =
        lives.branch().is_some() && ctx.state.choices.live.numbers == NumbersChoice::Effect;
    lives.effect.value().filter(|_| is_shown)
}

/// The table of an ablation's effect on the texts of each label, if they have labels.
fn by_label(measurements: &[Measurement]) -> Option<usize> {
    let axes = [AxisKind::Group, AxisKind::Variant];
    measurements.iter().position(|measurement| {
        let kinds = measurement.axes.iter().map(|axis| axis.kind);
        measurement.metric == "ablation_effect" && kinds.eq(axes)
    })
}

/// Makes a choice that was changed the one that is in force.
fn keep(ctx: &ViewContext<'_>, choice: LiveChoice) {
    if choice != ctx.state.choices.live {
        ctx.send(Command::ChooseLive(Box::new(choice)));
    }
}

/// What a click does, and the interventions that are chosen.
fn actions(ui: &mut Ui, ctx: &ViewContext<'_>, choice: &mut LiveChoice) {
    heading(ui, "A click on a cell");
    ui.horizontal_wrapped(|ui| {
        for action in CellAction::ALL {
            ui.selectable_value(&mut choice.action, action, action.title());
        }
        match choice.action {
            CellAction::Boost => {
                let label = ui.label(soft("by", ctx.theme));
                let drag = DragValue::new(&mut choice.boost).speed(0.05);
                ui.add(drag).labelled_by(label.id);
            }
            CellAction::Swap => {
                let label = ui.label(soft("with expert", ctx.theme));
                ui.add(DragValue::new(&mut choice.swap_with))
                    .labelled_by(label.id);
            }
            CellAction::Mask | CellAction::Zero | CellAction::Force => {}
        }
    });
    chosen(ui, ctx, choice);
    ui.horizontal_wrapped(|ui| {
        let send = |command| ctx.send(Command::Live(Box::new(command)));
        let again = ui.button("Regenerate with the same seed");
        if again
            .on_hover_text("The same prompt and seed under these interventions, beside the text as it was")
            .clicked()
        {
            send(LiveCommand::Regenerate);
        }
        let onwards = ui.button("Apply to what comes");
        if onwards
            .on_hover_text("The tokens to come are routed so; the past stays as it is")
            .clicked()
        {
            send(LiveCommand::Intervene);
        }
        let has_any = !choice.interventions.is_empty();
        let measure = ui.add_enabled(has_any, egui::Button::new("Measure the effect"));
        if measure
            .on_hover_text("Teacher-forced: surprisal and divergence of predictions at every token of a text as it stands, one that no intervention wrote where there is one")
            .clicked()
        {
            send(LiveCommand::MeasureEffect);
        }
    });
}

/// The interventions that are chosen, each with a way to take it back.
fn chosen(ui: &mut Ui, ctx: &ViewContext<'_>, choice: &mut LiveChoice) {
    if choice.interventions.is_empty() {
        ui.label(soft("No intervention is chosen yet", ctx.theme));
        return;
    }
    ui.horizontal_wrapped(|ui| {
        intervention_list(ui, &mut choice.interventions);
        if ui.button("Take all back").clicked() {
            choice.interventions.clear();
        }
    });
}

impl Intervene {
    /// The heat map whose cells are clicked.
    fn cells(&mut self, ui: &mut Ui, ctx: &ViewContext<'_>, choice: &mut LiveChoice) {
        if let Some(cell) = heat_ui(ui, ctx, &mut self.heat, choice, "Experts to change") {
            choice.toggle(cell.layer, cell.expert);
            ctx.send(Command::ChooseCell(Some(cell)));
        }
    }

    /// The text as it was and as it is, one under the other.
    fn both_texts(&mut self, ui: &mut Ui, ctx: &ViewContext<'_>, choice: &LiveChoice) {
        let lives = &ctx.state.lives;
        let Some(shown) = lives.branch() else {
            return;
        };
        let [above, below] = &mut self.texts;
        let words = |branch: &moescope_pipeline::session::Branch| {
            let specs = branch
                .info
                .interventions
                .last()
                .map(|(_, specs)| specs.join(", "));
            let under = specs.filter(|specs| !specs.is_empty());
            let under = under.unwrap_or_else(|| "without interventions".to_owned());
            format!("Line {}, {under}", branch.info.id.0 + 1)
        };
        if let Some(other) = lives.other().filter(|other| other.info.id != shown.info.id) {
            let half = ui.available_height() * 0.5;
            ui.horizontal_wrapped(|ui| {
                ui.label(soft(words(other), ctx.theme));
                close_button(ui, ctx, other.info.id);
            });
            ui.allocate_ui(egui::vec2(ui.available_width(), half - 28.0), |ui| {
                above.ui(ui, ctx, other, choice, "Text before");
            });
        }
        ui.horizontal_wrapped(|ui| {
            ui.label(soft(words(shown), ctx.theme));
            close_button(ui, ctx, shown.info.id);
        });
        below.ui(ui, ctx, shown, choice, "Text now");
    }
}
