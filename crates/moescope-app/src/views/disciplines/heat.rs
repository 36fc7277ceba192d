//! Layers × experts of a label, or of the difference of two, with what a permutation test sets apart.

use egui::Ui;
use moescope_core::{AxisKind, LayerId};
use moescope_figures::{ColorScale, FigureOptions};
use moescope_pipeline::FigureSource;

use super::choice_row::{Pair, first_with, metric_combo, named_combo};
use crate::{
    choices::{Cell, DisciplinesChoice},
    export::FigureOffer,
    traces::OpenTrace,
    view::ViewContext,
    widgets::{
        heatmap::{HeatmapState, Overlay, Table, TableSource},
        job_panel::answer_panel,
        text::heading,
    },
};

/// What the page keeps.
#[derive(Debug, Default)]
pub(super) struct HeatPage {
    heatmap: HeatmapState,
}

impl HeatPage {
    pub(super) fn ui(
        &mut self,
        ui: &mut Ui,
        ctx: &ViewContext<'_>,
        trace: &OpenTrace,
        choice: &mut DisciplinesChoice,
    ) {
        let pair = Pair::of(trace, ctx.request(), choice);
        ui.horizontal_wrapped(|ui| {
            metric_combo(ui, &mut choice.metric, is_of_experts);
            pair.ui(ui, choice);
            scale_combo(ui, &mut choice.scale);
            ui.checkbox(&mut choice.marks, "Mark significance")
                .on_hover_text("A diamond where a permutation test, corrected for all cells, sets a value apart from its null");
        });
        let request = pair.request(ctx.request());
        let answer = ctx.measured_soon(trace, &choice.metric, &request);
        answer_panel(ui, ctx, answer, |ui, measured| {
            let Some(index) = first_with(measured, &[AxisKind::Layer, AxisKind::Expert]) else {
                ui.label("This metric gives no table of layers and experts; choose another");
                return;
            };
            let source = TableSource {
                measured: measured.clone(),
                index,
                rows: AxisKind::Layer,
                columns: AxisKind::Expert,
                fixed: pair.fixed(),
                scale: choice.scale,
                limits: None,
                has_marks: choice.marks,
            };
            heading(ui, &pair.heading(&measured[index].title));
            self.heatmap.prepare(ui.ctx(), source);
            let overlay = Overlay {
                chosen: chosen_in(self.heatmap.table(), ctx.state.choices.cell),
                linked: None,
            };
            let output = self.heatmap.ui(ui, ctx, "Layers by experts", overlay);
            if let Some(cell) = output.chosen {
                choose(ctx, self.heatmap.table(), cell);
            }
        });
    }

    pub(super) fn is_busy(&self) -> bool {
        self.heatmap.is_busy()
    }
}

/// Whether a metric has a value for every expert of every layer, and no second expert.
pub(in crate::views) fn is_of_experts(axes: &[AxisKind]) -> bool {
    let has = |kind: AxisKind| axes.contains(&kind);
    has(AxisKind::Layer)
        && has(AxisKind::Expert)
        && !has(AxisKind::Token)
        && axes
            .iter()
            .all(|kind| matches!(kind, AxisKind::Layer | AxisKind::Expert | AxisKind::Group))
}

/// How values become colours.
pub(in crate::views) fn scale_combo(ui: &mut Ui, scale: &mut ColorScale) {
    let title = |scale: ColorScale| match scale {
        ColorScale::Auto => "automatic",
        ColorScale::Linear => "linear",
        ColorScale::Log => "logarithmic",
        ColorScale::Symmetric => "symmetric",
    };
    named_combo(ui, "Scale", title(*scale), 110.0, |ui| {
        for offered in [
            ColorScale::Auto,
            ColorScale::Linear,
            ColorScale::Log,
            ColorScale::Symmetric,
        ] {
            ui.selectable_value(scale, offered, title(offered));
        }
    });
}

/// Where an expert is in a table of layers and experts.
pub(in crate::views) fn chosen_in(table: Option<&Table>, cell: Option<Cell>) -> Option<[usize; 2]> {
    let (table, cell) = (table?, cell?);
    let place = |labels: &[String], wanted: String| labels.iter().position(|l| *l == wanted);
    Some([
        place(&table.rows, cell.layer.to_string())?,
        place(&table.columns, cell.expert.to_string())?,
    ])
}

/// Chooses the expert of a cell.
pub(in crate::views) fn choose(
    ctx: &ViewContext<'_>,
    table: Option<&Table>,
    [row, column]: [usize; 2],
) {
    let cell = table.and_then(|table| {
        Some(Cell {
            layer: LayerId(table.rows.get(row)?.parse().ok()?),
            expert: table.columns.get(column)?.parse().ok()?,
        })
    });
    if let Some(cell) = cell {
        ctx.choose_cell(cell);
    }
}

pub(super) fn figure(
    ctx: &ViewContext<'_>,
    trace: &OpenTrace,
    choice: &DisciplinesChoice,
) -> Option<FigureOffer> {
    let pair = Pair::of(trace, ctx.request(), choice);
    let request = pair.request(ctx.request());
    let answer = ctx.measured_soon(trace, &choice.metric, &request);
    let measured = answer.best()?;
    let options = FigureOptions {
        group: pair.group.clone().filter(|_| pair.minus.is_none()),
        scale: choice.scale,
        ..FigureOptions::default()
    };
    let mut offer = FigureOffer::new("layer_expert_heatmap", measured, options);
    offer.index = first_with(measured, &[AxisKind::Layer, AxisKind::Expert])?;
    let source = FigureSource::one(trace.path.clone());
    Some(offer.made_of(source, &choice.metric, answer.asked_of_best()))
}
