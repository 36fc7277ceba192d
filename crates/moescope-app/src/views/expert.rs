//! What one expert does: who chooses it, with what, where, and in which texts.

mod parts;

use std::sync::Arc;

use egui::{ScrollArea, Ui};
use moescope_core::LayerId;
use moescope_figures::FigureOptions;

use crate::{
    answers::{EXPERT_CONTEXTS, EXPERT_TOP, EXPERT_WINDOW, Question},
    choices::Cell,
    command::Command,
    command_line,
    export::FigureOffer,
    job::Job,
    lives::{LiveChoice, NumbersChoice},
    traces::OpenTrace,
    view::{View, ViewAbout, ViewContext},
    widgets::{
        empty::{empty, no_trace},
        job_panel::job_panel,
    },
};

/// The Expert view.
#[derive(Debug, Default)]
pub(crate) struct Expert {
    typed: Option<String>,
}

impl View for Expert {
    fn about(&self) -> ViewAbout {
        ViewAbout {
            name: "expert",
            title: "Expert",
            summary: "What one expert does",
        }
    }

    fn ui(&mut self, ui: &mut Ui, ctx: &ViewContext<'_>) {
        let Some(trace) = ctx.trace() else {
            return no_trace(ui, ctx);
        };
        self.choice_ui(ui, ctx, trace);
        let Some(cell) = ctx.state.choices.cell.filter(|cell| holds(trace, *cell)) else {
            return empty(
                ui,
                ctx,
                "No expert is chosen",
                "Click a cell of a heat map or a row of the ranking, or write LAYER:EXPERT above",
                &[("Choose the first expert", Command::ChooseCell(first(trace)))],
            );
        };
        let (question, job) = ctx.expert(trace, cell, ctx.request());
        job_panel(
            ui,
            ctx,
            job,
            || Question::Expert(question),
            |ui, profile| {
                ScrollArea::vertical()
                    .auto_shrink([false, false])
                    .show(ui, |ui| {
                        parts::summary(ui, ctx, profile);
                        parts::labels(ui, ctx, profile);
                        parts::tokens(ui, ctx, profile);
                        parts::companions(ui, ctx, profile);
                        parts::positions(ui, ctx, profile);
                        parts::vocabulary(ui, ctx, profile);
                        parts::contexts(ui, ctx, profile);
                        parts::notes(ui, ctx, profile);
                    });
            },
        );
    }

    /// What its table of labels shows.
    fn figure(&self, ctx: &ViewContext<'_>) -> Option<FigureOffer> {
        let trace = ctx.trace()?;
        let cell = ctx.state.choices.cell.filter(|cell| holds(trace, *cell))?;
        let (_, job) = ctx.expert(trace, cell, ctx.request());
        let profile = job.and_then(Job::value)?;
        let measured = Arc::new(vec![profile.label_shares.clone()]);
        let options = FigureOptions {
            title: Some(format!(
                "Share of tokens that choose expert {} of layer {}",
                cell.expert, cell.layer
            )),
            ..FigureOptions::default()
        };
        Some(FigureOffer::new("group_effects", &measured, options))
    }

    fn has_figure(&self, ctx: &ViewContext<'_>) -> bool {
        let shown = ctx.trace().zip(ctx.state.choices.cell);
        let shown = shown.filter(|(trace, cell)| holds(trace, *cell));
        shown.is_some_and(|(trace, cell)| {
            let (_, job) = ctx.expert(trace, cell, ctx.request());
            job.is_some_and(|job| job.value().is_some())
        })
    }

    fn command_line(&self, ctx: &ViewContext<'_>) -> Result<String, &'static str> {
        let trace = ctx.trace().ok_or("open a trace first")?;
        let cell = ctx.state.choices.cell.ok_or("choose an expert first")?;
        Ok(command_line::expert(
            &trace.path,
            cell,
            ctx.request(),
            [EXPERT_TOP, EXPERT_CONTEXTS, EXPERT_WINDOW],
        ))
    }
}

impl Expert {
    /// Which expert: steps, a field for LAYER:EXPERT, and the way to the test of its effect.
    fn choice_ui(&mut self, ui: &mut Ui, ctx: &ViewContext<'_>, trace: &OpenTrace) {
        let cell = ctx.state.choices.cell;
        ui.horizontal_wrapped(|ui| {
            let shown = cell.map_or_else(String::new, |cell| cell.to_string());
            let mut text = self.typed.clone().unwrap_or(shown);
            let label = ui.label("Go to");
            let field = ui
                .add(
                    egui::TextEdit::singleline(&mut text)
                        .hint_text("3:5")
                        .desired_width(56.0),
                )
                .labelled_by(label.id);
            if field.changed() {
                if let Some(cell) = parse(&text).filter(|cell| holds(trace, *cell)) {
                    ctx.send(Command::ChooseCell(Some(cell)));
                }
                self.typed = Some(text);
            } else if !field.has_focus() {
                self.typed = None;
            }
            for (name, steps) in [
                (
                    "Layer",
                    [
                        ("−", "The same expert in the layer before", -1, 0),
                        ("+", "The same expert in the next layer", 1, 0),
                    ],
                ),
                (
                    "Expert",
                    [
                        ("−", "The expert before", 0, -1),
                        ("+", "The next expert", 0, 1),
                    ],
                ),
            ] {
                ui.label(name);
                for (sign, hint, layers, experts) in steps {
                    let next = cell.and_then(|cell| step(trace, cell, layers, experts));
                    let is_there = next.is_some();
                    let button = ui
                        .add_enabled(is_there, egui::Button::new(sign).small())
                        .on_hover_text(hint);
                    button.widget_info(|| {
                        egui::WidgetInfo::labeled(egui::Role::Button, is_there, hint)
                    });
                    if button.clicked() {
                        ctx.send(Command::ChooseCell(next));
                    }
                }
            }
            let effect = ui.add_enabled(cell.is_some(), egui::Button::new("Test its effect…"));
            if effect
                .on_hover_text("Does it matter? What becomes of held-out texts without it")
                .clicked()
            {
                ctx.send(Command::ChooseLive(Box::new(LiveChoice {
                    numbers: NumbersChoice::Ablation,
                    ..ctx.state.choices.live.clone()
                })));
                ctx.send(Command::OpenView("intervene"));
            }
        });
        ui.separator();
    }
}

fn parse(text: &str) -> Option<Cell> {
    let (layer, expert) = text.trim().split_once(':')?;
    Some(Cell {
        layer: LayerId(layer.parse().ok()?),
        expert: expert.parse().ok()?,
    })
}

fn holds(trace: &OpenTrace, cell: Cell) -> bool {
    trace.data.layers().contains(&cell.layer) && cell.expert < trace.data.model().num_experts
}

fn first(trace: &OpenTrace) -> Option<Cell> {
    let layer = *trace.data.layers().first()?;
    Some(Cell { layer, expert: 0 })
}

/// The cell some layers and experts further, if there is one.
fn step(trace: &OpenTrace, cell: Cell, layers: isize, experts: i16) -> Option<Cell> {
    let all = trace.data.layers();
    let place = all.iter().position(|layer| *layer == cell.layer)?;
    let next = Cell {
        layer: *all.get(place.checked_add_signed(layers)?)?,
        expert: cell.expert.checked_add_signed(experts)?,
    };
    Some(next).filter(|next| holds(trace, *next))
}
