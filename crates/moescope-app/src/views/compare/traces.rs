//! Two open traces side by side, with intervals from pairs of documents.

use std::path::PathBuf;

use egui::Ui;
use moescope_analytics::MeasureRequest;
use moescope_core::{AxisKind, LayerSelection, Measurement};
use moescope_figures::FigureOptions;
use moescope_pipeline::FigureSource;

use super::maps::{Maps, table};
use crate::{
    answers::{CompareQuestion, Question},
    choices::CompareChoice,
    command::Command,
    command_line,
    export::FigureOffer,
    job::Job,
    state::fitted,
    traces::OpenTrace,
    view::ViewContext,
    views::disciplines::shared::{first_with, is_of_experts, metric_combo, named_combo},
    widgets::{
        heatmap::{HeatmapOutput, TableSource},
        job_panel::job_panel,
        text::heading,
    },
};

const TABLE: [AxisKind; 2] = [AxisKind::Layer, AxisKind::Expert];

/// Two open traces and what is asked of them.
pub(super) struct TracePair<'a> {
    traces: [&'a OpenTrace; 2],
    /// The label that is shown; all documents together where there is none.
    group: Option<String>,
    request: MeasureRequest,
}

/// Which numbers are compared, and of which label.
pub(super) fn choice_ui(ui: &mut Ui, ctx: &ViewContext<'_>, choice: &mut CompareChoice) {
    metric_combo(ui, &mut choice.metric, is_of_experts);
    let labels = labels(ctx, choice);
    let known = choice.group.clone().filter(|group| labels.contains(group));
    let shown = known.unwrap_or_else(|| "all documents".to_owned());
    named_combo(ui, "Label", &shown, 130.0, |ui| {
        if ui
            .selectable_label(choice.group.is_none(), "all documents")
            .clicked()
        {
            choice.group = None;
        }
        for label in labels {
            let is_chosen = choice.group.as_ref() == Some(&label);
            if ui.selectable_label(is_chosen, &label).clicked() {
                choice.group = Some(label);
            }
        }
    });
}

pub(super) fn ui(
    maps: &mut Maps,
    ui: &mut Ui,
    ctx: &ViewContext<'_>,
    pair: &TracePair<'_>,
    choice: &CompareChoice,
) {
    maps.ui(
        ui,
        |maps, ui, side| side_ui(maps, ui, ctx, pair, choice, side),
        |maps, ui| difference_ui(maps, ui, ctx, pair, choice),
    );
}

fn side_ui(
    maps: &mut Maps,
    ui: &mut Ui,
    ctx: &ViewContext<'_>,
    pair: &TracePair<'_>,
    choice: &CompareChoice,
    side: usize,
) -> HeatmapOutput {
    let trace = pair.traces[side];
    let sources = [0, 1].map(|side| side_source(ctx, pair, choice, side));
    heading(ui, &trace.name);
    let (question, job) = ctx.measured(trace, &choice.metric, &pair.request);
    job_panel(
        ui,
        ctx,
        job,
        || Question::Measure(question),
        |ui, _| {
            let name = format!("{} of {}", choice.metric, trace.name);
            let Some(output) = maps.side(ui, ctx, &name, &sources, side) else {
                ui.label(
                    "This metric gives no table of layers and experts; choose another metric or label",
                );
                return HeatmapOutput::default();
            };
            if output.chosen.is_some() {
                ctx.send(Command::ChooseTrace(trace.id));
            }
            output
        },
    )
    .unwrap_or_default()
}

fn difference_ui(
    maps: &mut Maps,
    ui: &mut Ui,
    ctx: &ViewContext<'_>,
    pair: &TracePair<'_>,
    choice: &CompareChoice,
) -> HeatmapOutput {
    let [first, second] = pair.traces;
    heading(ui, &format!("{} minus {}", first.name, second.name));
    let question = question(pair, choice);
    let job = ctx.compared(&question);
    job_panel(
        ui,
        ctx,
        job,
        || Question::Compare(question),
        |ui, measured| {
            let Some(index) = pair.table(measured) else {
                ui.label(
                    "The difference has no table of layers and experts; choose another metric or label",
                );
                return HeatmapOutput::default();
            };
            let source = TableSource {
                has_marks: true,
                ..table(measured, index, pair.fixed(), choice.scale)
            };
            maps.difference(ui, ctx, "Difference of the traces", source)
        },
    )
    .unwrap_or_default()
}

pub(super) fn figure(
    ctx: &ViewContext<'_>,
    pair: TracePair<'_>,
    choice: &CompareChoice,
) -> Option<FigureOffer> {
    let measured = ctx
        .compared(&question(&pair, choice))
        .and_then(Job::value)?;
    let options = FigureOptions {
        scale: choice.scale,
        group: pair.group.clone(),
        ..FigureOptions::default()
    };
    let mut offer = FigureOffer::new("layer_expert_heatmap", measured, options);
    offer.index = pair.table(measured)?;
    // The last of several is the one that is subtracted.
    let source = FigureSource::several(pair.traces.map(|trace| trace.path.clone()).to_vec());
    Some(offer.made_of(source, &choice.metric, pair.request))
}

pub(super) fn command_line(pair: &TracePair<'_>, choice: &CompareChoice) -> String {
    let [first, second] = pair.traces;
    command_line::compare(&first.path, &second.path, &choice.metric, &pair.request)
}

/// The labels in scope that both traces have.
fn labels(ctx: &ViewContext<'_>, choice: &CompareChoice) -> Vec<String> {
    let at = |path: &Option<PathBuf>| ctx.state.traces.at(path.as_ref()?);
    let (Some(first), Some(second)) = (at(&choice.first), at(&choice.second)) else {
        return Vec::new();
    };
    let request = fitted(ctx.request(), &[first, second]);
    let of = |trace: &OpenTrace| request.merged_labels(trace.labels(&request.by));
    let (mut first, second) = (of(first), of(second));
    let only = &request.scope.labels;
    first.retain(|label| second.contains(label) && (only.is_empty() || only.contains(label)));
    first
}

/// The two traces that are chosen, where they are open and not one.
pub(super) fn pair<'a>(ctx: &ViewContext<'a>, choice: &CompareChoice) -> Option<TracePair<'a>> {
    let at = |path: &Option<PathBuf>| ctx.state.traces.at(path.as_ref()?);
    let traces = [at(&choice.first)?, at(&choice.second)?];
    if traces[0].id == traces[1].id {
        return None;
    }
    let chosen = choice.group.clone();
    let group = chosen.filter(|group| labels(ctx, choice).contains(group));
    // What one of them lacks would be an error of both.
    let mut request = fitted(ctx.request(), &traces);
    request.contrast = None;
    if group.is_none() {
        "all".clone_into(&mut request.by);
        request.merge.clear();
        request.scope.labels.clear();
    }
    if request.scope.layers != LayerSelection::All {
        // A layer that one of them lacks would be an error of both.
        let has = |trace: &OpenTrace| {
            let mut layers = trace.data.layers().iter();
            layers.any(|layer| request.scope.layers.contains(*layer))
        };
        if !traces.iter().all(|trace| has(trace)) {
            request.scope.layers = LayerSelection::All;
        }
    }
    Some(TracePair {
        traces,
        group,
        request,
    })
}

impl TracePair<'_> {
    /// The table of layers and experts: that of labels where one is chosen, for a comparison has one of all documents
    /// before it.
    fn table(&self, measured: &[Measurement]) -> Option<usize> {
        let Some(group) = &self.group else {
            return first_with(measured, &TABLE);
        };
        measured.iter().position(|measurement| {
            let has = |kind: &AxisKind| measurement.axis(*kind).is_some();
            let labels = measurement.axis(AxisKind::Group);
            let has_group = labels.is_some_and(|(_, axis)| axis.labels.contains(group));
            has_group && TABLE.iter().all(has)
        })
    }

    /// The label to take of the table.
    fn fixed(&self) -> Vec<(AxisKind, String)> {
        let group = self.group.clone();
        group
            .map(|group| (AxisKind::Group, group))
            .into_iter()
            .collect()
    }
}

fn question(pair: &TracePair<'_>, choice: &CompareChoice) -> CompareQuestion {
    CompareQuestion {
        first: pair.traces[0].path.clone(),
        second: pair.traces[1].path.clone(),
        metric: choice.metric.clone(),
        request: pair.request.clone(),
    }
}

fn side_source(
    ctx: &ViewContext<'_>,
    pair: &TracePair<'_>,
    choice: &CompareChoice,
    side: usize,
) -> Option<TableSource> {
    let (_, job) = ctx.measured(pair.traces[side], &choice.metric, &pair.request);
    let measured = job.and_then(Job::value)?;
    let index = pair.table(measured)?;
    Some(table(measured, index, pair.fixed(), choice.scale))
}
