//! One token: its path through all layers, the same token elsewhere, and what would have come next.

mod in_line;
mod in_trace;

use egui::{Grid, Panel, RichText, ScrollArea, Ui};
use moescope_figures::{FigureOptions, short_number};
use moescope_pipeline::session::{Branch, Given, LiveColumns};

use crate::{
    choices::Cell,
    command::Command,
    command_line,
    export::FigureOffer,
    fonts,
    lives::LiveCommand,
    traces::TraceId,
    view::{View, ViewAbout, ViewContext},
    views::live::shared::{layer_combo, nothing_yet, running},
    widgets::{
        document::document_panel,
        text::{heading, soft},
    },
};

/// The view has two columns from this width on.
const TWO_COLUMNS: f32 = 760.0;
/// Height of a document's text.
const TEXT_HEIGHT: f32 = 130.0;

/// The Token view.
#[derive(Debug, Default)]
pub(crate) struct Token {
    /// The document that is read, and its trace.
    document: Option<(TraceId, String)>,
    in_line: in_line::InLine,
}

impl View for Token {
    fn about(&self) -> ViewAbout {
        ViewAbout {
            name: "token",
            title: "Token",
            summary: "One token's path through all layers, the same token elsewhere, and what could come next",
        }
    }

    fn ui(&mut self, ui: &mut Ui, ctx: &ViewContext<'_>) {
        if running(ui, ctx) {
            return;
        }
        let lives = &ctx.state.lives;
        let (Some(branch), Some(token)) = (lives.branch(), lives.token()) else {
            return nothing_yet(ui, ctx);
        };
        title(ui, ctx, branch, token);
        self.document_ui(ui, ctx);
        ScrollArea::vertical().id_salt("token").show(ui, |ui| {
            if ui.available_width() < TWO_COLUMNS {
                path(ui, ctx, branch, token);
                ui.add_space(8.0);
                next(ui, ctx, branch, token);
                self.elsewhere(ui, ctx, branch, token);
            } else {
                ui.columns(2, |columns| {
                    path(&mut columns[0], ctx, branch, token);
                    next(&mut columns[1], ctx, branch, token);
                    self.elsewhere(&mut columns[1], ctx, branch, token);
                });
            }
        });
    }

    fn figure(&self, ctx: &ViewContext<'_>) -> Option<FigureOffer> {
        use moescope_pipeline::session::{LiveScope, picture};
        let (branch, token) = (ctx.state.lives.branch()?, ctx.state.lives.token()?);
        let measurement = picture(&branch.columns, &LiveScope::Token(token), None).ok()?;
        let measured = std::sync::Arc::new(vec![measurement]);
        let options = FigureOptions::default();
        Some(FigureOffer::new("layer_expert_heatmap", &measured, options))
    }

    fn has_figure(&self, ctx: &ViewContext<'_>) -> bool {
        ctx.state.lives.token().is_some()
    }

    fn command_line(&self, ctx: &ViewContext<'_>) -> Result<String, &'static str> {
        let path = command_line::token(ctx.state)?;
        let lives = &ctx.state.lives;
        let shown = lives.branch().zip(lives.token());
        let occurrences =
            shown.and_then(|(branch, token)| in_trace::command_line(ctx, branch, token));
        Ok(match occurrences {
            Some(occurrences) => format!("{path} && {occurrences}"),
            None => path,
        })
    }

    fn is_busy(&self) -> bool {
        self.in_line.is_busy()
    }
}

impl Token {
    /// The same token in this line and in the trace that is open.
    fn elsewhere(&mut self, ui: &mut Ui, ctx: &ViewContext<'_>, branch: &Branch, token: usize) {
        elsewhere_title(ui, ctx, branch);
        in_line::ui(ui, ctx, branch, token, &mut self.in_line);
        if let Some(document) = in_trace::ui(ui, ctx, branch, token) {
            self.document = Some(document);
            ui.ctx().request_repaint();
        }
    }

    /// The document that is read, at the bottom.
    fn document_ui(&mut self, ui: &mut Ui, ctx: &ViewContext<'_>) {
        let is_of = |id: &TraceId| ctx.trace().is_some_and(|trace| trace.id == *id);
        let shown = self.document.as_ref().filter(|(trace, _)| is_of(trace));
        let (Some((_, id)), Some(trace)) = (shown, ctx.trace()) else {
            return;
        };
        let is_closed = Panel::bottom("token document")
            .resizable(true)
            .default_size(TEXT_HEIGHT + 40.0)
            .show(ui, |ui| {
                let height = ui.available_height().max(TEXT_HEIGHT);
                document_panel(ui, ctx, trace, id, height)
            })
            .inner;
        if is_closed {
            self.document = None;
        }
    }
}

/// Which token it is, and the ones beside it.
fn title(ui: &mut Ui, ctx: &ViewContext<'_>, branch: &Branch, token: usize) {
    let all = branch.columns.tokens();
    let this = &all[token];
    let choose = |token| {
        ctx.send(Command::Live(Box::new(LiveCommand::ChooseToken(Some(
            token,
        )))));
    };
    ui.horizontal_wrapped(|ui| {
        let before = ui.add_enabled(token > 0, egui::Button::new("Token before"));
        if before.clicked() {
            choose(token - 1);
        }
        let after = ui.add_enabled(token + 1 < all.len(), egui::Button::new("Token after"));
        if after.clicked() {
            choose(token + 1);
        }
        let is_chosen = ctx.state.lives.token.is_some();
        let follow = ui.add_enabled(is_chosen, egui::Button::new("Follow the last"));
        if follow
            .on_hover_text("Always show the token that came last")
            .clicked()
        {
            ctx.send(Command::Live(Box::new(LiveCommand::ChooseToken(None))));
        }
        let fork = ui.button("Branch after this token");
        if fork
            .on_hover_text("A new line that begins like this one and is drawn on from here")
            .clicked()
        {
            let command = LiveCommand::Fork { keep: token + 1 };
            ctx.send(Command::Live(Box::new(command)));
        }
    });
    let text = RichText::new(format!("Token {token} “{}”", this.text.escape_debug()));
    ui.label(text.family(fonts::bold()).size(18.0));
    let origin = if this.phase == moescope_core::Phase::Prefill {
        "given"
    } else {
        "generated"
    };
    let surprisal = this.surprisal.map_or_else(
        || "the first token has no surprisal".to_owned(),
        |nats| format!("surprisal {} nats", short_number(f64::from(nats))),
    );
    ui.label(soft(
        format!("Vocabulary entry {}, {origin}, {surprisal}", this.id),
        ctx.theme,
    ));
}

/// Layer by layer: experts, weights, entropy, margin and the runner-up.
fn path(ui: &mut Ui, ctx: &ViewContext<'_>, branch: &Branch, token: usize) {
    heading(ui, "Path through the layers");
    let columns = &branch.columns;
    let area = ScrollArea::horizontal().id_salt("token path");
    area.show(ui, |ui| path_grid(ui, ctx, columns, token));
}

fn path_grid(ui: &mut Ui, ctx: &ViewContext<'_>, columns: &LiveColumns, token: usize) {
    Grid::new("token path")
        .num_columns(5)
        .spacing([10.0, 4.0])
        .striped(true)
        .show(ui, |ui| {
            for (title, told) in [
                ("Layer", "Its number in the model"),
                (
                    "Experts and weights",
                    "What was chosen, with what it counts for",
                ),
                ("Entropy", "Entropy of the router's scores, in nats"),
                (
                    "Margin",
                    "Score of the last chosen expert minus that of the runner-up",
                ),
                ("Runner-up", "The expert that would have been next"),
            ] {
                ui.label(soft(title, ctx.theme)).on_hover_text(told);
            }
            ui.end_row();
            for (place, layer) in columns.layers().iter().enumerate() {
                ui.label(layer.to_string());
                ui.horizontal(|ui| {
                    ui.spacing_mut().button_padding.x = 4.0;
                    ui.spacing_mut().item_spacing.x = 2.0;
                    let weights = columns.weights(token, place);
                    for (expert, weight) in columns.experts(token, place).iter().zip(weights) {
                        let cell = Cell {
                            layer: *layer,
                            expert: *expert,
                        };
                        let text = format!("{expert}: {}", short_number(f64::from(*weight)));
                        let is_chosen = ctx.state.choices.cell == Some(cell);
                        let told = format!("Look at expert {cell}");
                        if ui
                            .selectable_label(is_chosen, text)
                            .on_hover_text(told)
                            .clicked()
                        {
                            ctx.choose_cell(cell);
                        }
                    }
                });
                ui.label(short_number(f64::from(columns.entropy(token, place))));
                let margin = columns.margin(token, place);
                ui.label(margin.map_or("—".to_owned(), |m| short_number(f64::from(m))));
                let runner_up = columns.runner_up(token, place);
                ui.label(runner_up.map_or("—".to_owned(), |expert| expert.to_string()));
                ui.end_row();
            }
        });
}

/// What may come after it, with a branch for each.
fn next(ui: &mut Ui, ctx: &ViewContext<'_>, branch: &Branch, token: usize) {
    heading(ui, "What could come next");
    let all = branch.columns.tokens();
    let candidates = &all[token].next;
    if candidates.is_empty() {
        ui.label(soft(
            "Not kept within a prompt: press Branch after this token to see it",
            ctx.theme,
        ));
        return;
    }
    let came = all.get(token + 1).map(|next| next.id);
    Grid::new("token next")
        .num_columns(3)
        .striped(true)
        .show(ui, |ui| {
            for candidate in candidates {
                let text = format!("“{}”", candidate.text.escape_debug());
                let branch_with = ui.button(text.clone());
                let told = "A new line with this token instead, the rest drawn anew";
                if branch_with.on_hover_text(told).clicked() {
                    let command = LiveCommand::Give {
                        keep: token + 1,
                        given: Given::Token(candidate.id),
                    };
                    ctx.send(Command::Live(Box::new(command)));
                }
                ui.label(format!("{:.1} %", 100.0 * candidate.probability));
                ui.label(if came == Some(candidate.id) {
                    "came"
                } else {
                    ""
                });
                ui.end_row();
            }
        });
    ui.label(soft("Probabilities at temperature 1", ctx.theme));
}

/// Where other occurrences begin, and the layer at which they are compared.
fn elsewhere_title(ui: &mut Ui, ctx: &ViewContext<'_>, branch: &Branch) {
    ui.add_space(8.0);
    heading(ui, "The same token elsewhere");
    let mut choice = ctx.state.choices.live.clone();
    ui.horizontal(|ui| layer_combo(ui, "Compared at", branch.columns.layers(), &mut choice));
    if choice != ctx.state.choices.live {
        ctx.send(Command::ChooseLive(Box::new(choice)));
    }
}
