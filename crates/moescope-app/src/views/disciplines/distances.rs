//! How far apart labels are in their routing.

use egui::Ui;
use moescope_core::{AxisKind, LayerId};
use moescope_figures::{CellOrder, ColorScale, FigureOptions};
use moescope_pipeline::FigureSource;

use super::{
    choice_row::{first_with, metric_combo, named_combo},
    heat::scale_combo,
};
use crate::{
    answers::{Measured, Question},
    choices::DisciplinesChoice,
    export::FigureOffer,
    job::Job,
    traces::OpenTrace,
    view::ViewContext,
    widgets::{
        heatmap::{HeatmapState, Overlay, TableSource},
        job_panel::job_panel,
        text::heading,
    },
};

const PAIR: [AxisKind; 2] = [AxisKind::Group, AxisKind::GroupB];

/// What the page keeps.
#[derive(Debug, Default)]
pub(super) struct DistancesPage {
    heatmap: HeatmapState,
}

impl DistancesPage {
    pub(super) fn ui(
        &mut self,
        ui: &mut Ui,
        ctx: &ViewContext<'_>,
        trace: &OpenTrace,
        choice: &mut DisciplinesChoice,
    ) {
        let layer = layer(ctx, trace, choice);
        ui.horizontal_wrapped(|ui| {
            metric_combo(ui, &mut choice.distance, is_of_pairs);
            let shown = layer.map_or_else(String::new, |layer| layer.to_string());
            named_combo(ui, "Layer", &shown, 70.0, |ui| {
                for offered in layers(ctx, trace) {
                    if ui
                        .selectable_label(layer == Some(offered), offered.to_string())
                        .clicked()
                    {
                        choice.distance_layer = Some(offered);
                    }
                }
            });
            scale_combo(ui, &mut choice.distance_scale);
        });
        let (question, job) = ctx.measured(trace, &choice.distance, ctx.request());
        job_panel(
            ui,
            ctx,
            job,
            || Question::Measure(question),
            |ui, measured| {
                let Some(index) = first_with(measured, &PAIR) else {
                    ui.label("This metric gives no table of pairs of labels; choose another");
                    return;
                };
                let title = &measured[index].title;
                let place = layer.map_or_else(String::new, |l| format!(", layer {l}"));
                heading(ui, &format!("{title}{place}"));
                let source = source(measured, index, layer, choice.distance_scale);
                self.heatmap.prepare(ui.ctx(), source);
                self.heatmap
                    .ui(ui, ctx, "Labels by labels", Overlay::default());
            },
        );
    }

    pub(super) fn is_busy(&self) -> bool {
        self.heatmap.is_busy()
    }
}

fn source(
    measured: &Measured,
    index: usize,
    layer: Option<LayerId>,
    scale: ColorScale,
) -> TableSource {
    let layer = layer.filter(|_| measured[index].axis(AxisKind::Layer).is_some());
    TableSource {
        measured: measured.clone(),
        index,
        rows: AxisKind::Group,
        columns: AxisKind::GroupB,
        fixed: layer
            .map(|layer| (AxisKind::Layer, layer.to_string()))
            .into_iter()
            .collect(),
        scale,
        limits: None,
        has_marks: true,
    }
}

fn is_of_pairs(axes: &[AxisKind]) -> bool {
    PAIR.iter().all(|kind| axes.contains(kind))
        && axes
            .iter()
            .all(|kind| PAIR.contains(kind) || *kind == AxisKind::Layer)
}

fn layers(ctx: &ViewContext<'_>, trace: &OpenTrace) -> Vec<LayerId> {
    let chosen = &ctx.request().scope.layers;
    let layers = trace.data.layers().iter().copied();
    layers.filter(|layer| chosen.contains(*layer)).collect()
}

/// The chosen layer if it is in the scope, else its last one.
fn layer(ctx: &ViewContext<'_>, trace: &OpenTrace, choice: &DisciplinesChoice) -> Option<LayerId> {
    let layers = layers(ctx, trace);
    choice
        .distance_layer
        .filter(|layer| layers.contains(layer))
        .or_else(|| layers.last().copied())
}

pub(super) fn figure(
    ctx: &ViewContext<'_>,
    trace: &OpenTrace,
    choice: &DisciplinesChoice,
) -> Option<FigureOffer> {
    let (_, job) = ctx.measured(trace, &choice.distance, ctx.request());
    let measured = job.and_then(Job::value)?;
    let index = first_with(measured, &PAIR)?;
    // A table of all layers together has none to choose.
    let layer = layer(ctx, trace, choice);
    let layer = layer.filter(|_| measured[index].axis(AxisKind::Layer).is_some());
    let options = FigureOptions {
        layer: layer.map(|layer| layer.0),
        scale: choice.distance_scale,
        // The order of the screen.
        order: CellOrder::Given,
        ..FigureOptions::default()
    };
    let mut offer = FigureOffer::new("group_matrix", measured, options);
    offer.index = index;
    let source = FigureSource::one(trace.path.clone());
    Some(offer.made_of(source, &choice.distance, ctx.request().clone()))
}
