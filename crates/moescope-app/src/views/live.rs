//! A generation as it runs: its text in chips, its routing as a heat map, and which label it looks like.

mod chips;
mod color_legend;
mod colors;
mod controls;
mod lines;
mod looks;
mod painted_rows;

use egui::{Panel, Ui};
use moescope_core::AxisKind;
use moescope_figures::FigureOptions;

use crate::{
    choices::Cell,
    command::Command,
    command_line,
    export::FigureOffer,
    lives::{LiveChoice, LiveCommand, PictureChoice},
    view::{View, ViewAbout, ViewContext},
    views::disciplines::shared::{named_combo, scale_combo},
    widgets::{
        heatmap::{HeatmapState, Overlay, TableSource},
        text::soft,
    },
};

/// What other views of generations use as well.
pub(in crate::views) mod shared {
    pub(in crate::views) use super::{
        chips::Chips, controls::layer_combo, lines::close_button, nothing_yet, running,
    };
}

/// The Live view.
#[derive(Debug, Default)]
pub(crate) struct Live {
    chips: chips::Chips,
    heat: HeatmapState,
    /// Other words for a token and what follows it, as far as they are typed.
    words: String,
}

impl View for Live {
    fn about(&self) -> ViewAbout {
        ViewAbout {
            name: "live",
            title: "Live",
            summary: "Write with a model and see its routers decide, token by token",
        }
    }

    fn ui(&mut self, ui: &mut Ui, ctx: &ViewContext<'_>) {
        let mut choice = ctx.state.choices.live.clone();
        let width = ui.available_width();
        Panel::left("live text")
            .resizable(true)
            .default_size((width * 0.52).max(320.0))
            .size_range(260.0..=(width * 0.75).max(261.0))
            .show(ui, |ui| {
                controls::ui(ui, ctx, &mut choice);
                ui.separator();
                if running(ui, ctx) {
                    return;
                }
                match ctx.state.lives.branch() {
                    Some(branch) => {
                        controls::next_message(ui, ctx, &mut choice);
                        controls::color_row(ui, ctx, &mut choice);
                        color_legend::ui(ui, ctx, branch, &choice);
                        controls::other_words(ui, ctx, &mut self.words);
                        self.chips.ui(ui, ctx, branch, &choice, "Reply");
                    }
                    None => nothing_yet(ui, ctx),
                }
            });
        self.routing(ui, ctx, &mut choice);
        if choice != ctx.state.choices.live {
            ctx.send(Command::ChooseLive(Box::new(choice)));
        }
    }

    fn figure(&self, ctx: &ViewContext<'_>) -> Option<FigureOffer> {
        picture_figure(ctx)
    }

    fn has_figure(&self, ctx: &ViewContext<'_>) -> bool {
        let state = ctx.state;
        state.lives.chosen_picture(&state.choices.live).is_some()
    }

    fn command_line(&self, ctx: &ViewContext<'_>) -> Result<String, &'static str> {
        command_line::live(ctx.state)
    }

    fn is_busy(&self) -> bool {
        self.heat.is_busy()
    }
}

impl Live {
    /// The heat map and the labels.
    fn routing(&mut self, ui: &mut Ui, ctx: &ViewContext<'_>, choice: &mut LiveChoice) {
        ui.horizontal_wrapped(|ui| {
            named_combo(ui, "Show", choice.picture.title(), 120.0, |ui| {
                for picture in PictureChoice::ALL {
                    ui.selectable_value(&mut choice.picture, picture, picture.title());
                }
            });
            match choice.picture {
                PictureChoice::Last => {
                    let label = ui.label(soft("Tokens", ctx.theme));
                    let drag = egui::DragValue::new(&mut choice.last).range(1..=4096);
                    ui.add(drag).labelled_by(label.id);
                }
                PictureChoice::MinusLabel => looks::label_combo(ui, ctx, choice),
                PictureChoice::Token | PictureChoice::Reply | PictureChoice::MinusPrompt => {}
            }
            scale_combo(ui, &mut choice.scale);
        });
        let height = (0.42 * ui.available_height()).clamp(150.0, 420.0);
        Panel::bottom("live labels")
            .resizable(true)
            .default_size(height)
            .show(ui, |ui| {
                // A panel shrinks to what it holds, and the labels come later.
                ui.take_available_height();
                looks::ui(ui, ctx);
            });
        let chosen = heat_ui(ui, ctx, &mut self.heat, choice, "Routing of the generation");
        if let Some(cell) = chosen {
            ctx.choose_cell(cell);
        }
    }
}

/// The figure of the picture of the generation.
pub(in crate::views) fn picture_figure(ctx: &ViewContext<'_>) -> Option<FigureOffer> {
    let choice = &ctx.state.choices.live;
    let measured = ctx.state.lives.chosen_picture(choice)?;
    let options = FigureOptions {
        scale: choice.scale,
        ..FigureOptions::default()
    };
    Some(FigureOffer::new("layer_expert_heatmap", measured, options))
}

/// Paints the picture of the generation, or why there is none; the expert that was chosen in it.
pub(in crate::views) fn heat_ui(
    ui: &mut Ui,
    ctx: &ViewContext<'_>,
    heat: &mut HeatmapState,
    choice: &LiveChoice,
    name: &str,
) -> Option<Cell> {
    let Some(source) = heat_source(ctx, choice) else {
        let why = ctx.state.lives.picture_error.as_deref();
        ui.centered_and_justified(|ui| {
            ui.label(soft(
                why.unwrap_or("Layers × experts appear here with the first token"),
                ctx.theme,
            ));
        });
        return None;
    };
    heat.prepare(ui.ctx(), source);
    let overlay = Overlay {
        chosen: chosen_cell(ctx),
        linked: None,
    };
    // The picture of another line, until the next is there, tells no numbers and takes no clicks.
    let is_of_shown = ctx.state.lives.is_picture_of_shown();
    let painted = ui.add_enabled_ui(is_of_shown, |ui| heat.ui(ui, ctx, name, overlay));
    let output = painted.inner;
    output.chosen.and_then(|cell| cell_at(ctx, cell))
}

/// The table of the picture that is shown.
fn heat_source(ctx: &ViewContext<'_>, choice: &LiveChoice) -> Option<TableSource> {
    Some(TableSource {
        measured: ctx.state.lives.picture.clone()?,
        index: 0,
        rows: AxisKind::Layer,
        columns: AxisKind::Expert,
        fixed: Vec::new(),
        scale: choice.scale,
        limits: None,
        has_marks: false,
    })
}

/// The row and column of the cell that all views have chosen.
fn chosen_cell(ctx: &ViewContext<'_>) -> Option<[usize; 2]> {
    let cell = ctx.state.choices.cell?;
    let columns = &ctx.state.lives.branch()?.columns;
    let row = columns
        .layers()
        .iter()
        .position(|layer| *layer == cell.layer)?;
    let column = usize::from(cell.expert);
    (column < columns.num_experts()).then_some([row, column])
}

/// The expert of a row and column.
fn cell_at(ctx: &ViewContext<'_>, [row, column]: [usize; 2]) -> Option<Cell> {
    let columns = &ctx.state.lives.branch()?.columns;
    Some(Cell {
        layer: *columns.layers().get(row)?,
        expert: u16::try_from(column).ok()?,
    })
}

/// Shows that the model is being loaded, if it is and there is nothing else to show.
pub(in crate::views) fn running(ui: &mut Ui, ctx: &ViewContext<'_>) -> bool {
    let lives = &ctx.state.lives;
    let loading = lives.model.progress().filter(|_| lives.branch().is_none());
    if let Some(progress) = loading {
        crate::widgets::job_panel::running(ui, ctx, progress);
    }
    loading.is_some()
}

/// Nothing was generated.
pub(in crate::views) fn nothing_yet(ui: &mut Ui, ctx: &ViewContext<'_>) {
    crate::widgets::empty::empty(
        ui,
        ctx,
        "Nothing was generated yet",
        "Type a prompt and press Start, or Space outside the text",
        &[
            (
                "Start with this prompt",
                Command::Live(Box::new(LiveCommand::Start)),
            ),
            ("Open model…", Command::PickModel),
        ],
    );
}
