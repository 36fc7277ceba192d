//! Two traces side by side, and what differs.

use std::path::PathBuf;

use egui::Ui;
use moescope_analytics::MeasureRequest;
use moescope_core::{AxisKind, LayerSelection, Measurement};
use moescope_figures::FigureOptions;
use moescope_pipeline::TraceSource;

use super::disciplines::shared::{
    choose, chosen_in, first_with, is_of_experts, metric_combo, named_combo, scale_combo,
};
use crate::{
    answers::{CompareQuestion, Question},
    choices::CompareChoice,
    command::Command,
    command_line,
    export::FigureOffer,
    job::Job,
    traces::OpenTrace,
    view::{View, ViewAbout, ViewContext},
    widgets::{
        empty::empty,
        heatmap::{HeatmapOutput, HeatmapState, Overlay, TableSource, shared_limits},
        job_panel::job_panel,
        text::{heading, soft},
    },
};

const TABLE: [AxisKind; 2] = [AxisKind::Layer, AxisKind::Expert];

/// The Compare view.
#[derive(Debug, Default)]
pub(crate) struct Compare {
    sides: [HeatmapState; 2],
    difference: HeatmapState,
    /// The scale of both sides, and what it was made for.
    limits: Option<([TableSource; 2], Option<[f64; 2]>)>,
    /// The cell under the pointer in any of the maps.
    pointed: Option<[usize; 2]>,
}

/// Two open traces and what is asked of them.
struct Pair<'a> {
    traces: [&'a OpenTrace; 2],
    /// The label that is shown; all documents together where there is none.
    group: Option<String>,
    request: MeasureRequest,
}

impl View for Compare {
    fn about(&self) -> ViewAbout {
        ViewAbout {
            name: "compare",
            title: "Compare",
            summary: "Two traces side by side on one scale, and their difference",
        }
    }

    fn ui(&mut self, ui: &mut Ui, ctx: &ViewContext<'_>) {
        let mut choice = ctx.state.choices.compare.clone();
        choice_ui(ui, ctx, &mut choice);
        if choice != ctx.state.choices.compare {
            ctx.send(Command::ChooseCompare(Box::new(choice.clone())));
        }
        ui.separator();
        let Some(pair) = pair(ctx, &choice) else {
            return too_few(ui, ctx);
        };
        let height = ui.available_height();
        let mut pointed = None;
        ui.horizontal_top(|ui| {
            let width = (ui.available_width() - ui.spacing().item_spacing.x) / 2.0;
            for side in 0..2 {
                ui.allocate_ui(egui::vec2(width, height * 0.5), |ui| {
                    ui.vertical(|ui| {
                        let output = self.side_ui(ui, ctx, &pair, &choice, side);
                        pointed = pointed.or(output.hovered);
                    });
                });
            }
        });
        let output = self.difference_ui(ui, ctx, &pair, &choice);
        self.pointed = pointed.or(output.hovered);
    }

    fn figure(&self, ctx: &ViewContext<'_>) -> Option<FigureOffer> {
        let choice = &ctx.state.choices.compare;
        let pair = pair(ctx, choice)?;
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
        let source = TraceSource::several(pair.traces.map(|trace| trace.path.clone()).to_vec());
        Some(offer.made_of(source, &choice.metric, pair.request))
    }

    fn command_line(&self, ctx: &ViewContext<'_>) -> Result<String, &'static str> {
        let choice = &ctx.state.choices.compare;
        let pair = pair(ctx, choice).ok_or("choose two open traces first")?;
        let [first, second] = pair.traces;
        Ok(command_line::compare(
            &first.path,
            &second.path,
            &choice.metric,
            &pair.request,
        ))
    }

    fn is_busy(&self) -> bool {
        self.sides.iter().any(HeatmapState::is_busy) || self.difference.is_busy()
    }
}

impl Compare {
    fn side_ui(
        &mut self,
        ui: &mut Ui,
        ctx: &ViewContext<'_>,
        pair: &Pair<'_>,
        choice: &CompareChoice,
        side: usize,
    ) -> HeatmapOutput {
        let trace = pair.traces[side];
        let sources = [0, 1].map(|side| side_source(ctx, pair, choice, side));
        let limits = self.limits_of(&sources);
        heading(ui, &trace.name);
        let (question, job) = ctx.measured(trace, &choice.metric, &pair.request);
        let heatmap = &mut self.sides[side];
        let overlay = Overlay {
            chosen: chosen_in(heatmap.table(), ctx.state.choices.cell),
            linked: self.pointed,
        };
        job_panel(
            ui,
            ctx,
            job,
            || Question::Measure(question),
            |ui, _| {
                let [first, second] = sources;
                let Some(mut source) = (if side == 0 { first } else { second }) else {
                    ui.label(
                        "This metric gives no table of layers and experts; choose another metric or label",
                    );
                    return HeatmapOutput::default();
                };
                source.limits = limits;
                heatmap.prepare(ui.ctx(), source);
                let name = format!("{} of {}", choice.metric, trace.name);
                let output = heatmap.ui(ui, ctx, &name, overlay);
                if let Some(cell) = output.chosen {
                    ctx.send(Command::ChooseTrace(trace.id));
                    choose(ctx, heatmap.table(), cell);
                }
                output
            },
        )
        .unwrap_or_default()
    }

    /// The scale that both sides share, once both are there.
    fn limits_of(&mut self, sources: &[Option<TableSource>; 2]) -> Option<[f64; 2]> {
        let [Some(first), Some(second)] = sources else {
            return None;
        };
        let both = [first.clone(), second.clone()];
        if self.limits.as_ref().is_none_or(|(known, _)| *known != both) {
            let limits = shared_limits(&[first, second]);
            self.limits = Some((both, limits));
        }
        self.limits.as_ref().and_then(|(_, limits)| *limits)
    }

    fn difference_ui(
        &mut self,
        ui: &mut Ui,
        ctx: &ViewContext<'_>,
        pair: &Pair<'_>,
        choice: &CompareChoice,
    ) -> HeatmapOutput {
        let [first, second] = pair.traces;
        heading(ui, &format!("{} minus {}", first.name, second.name));
        let question = question(pair, choice);
        let job = ctx.compared(&question);
        let pointed = self.pointed;
        let heatmap = &mut self.difference;
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
                    measured: measured.clone(),
                    index,
                    rows: AxisKind::Layer,
                    columns: AxisKind::Expert,
                    fixed: pair.fixed(),
                    scale: choice.scale,
                    limits: None,
                    has_marks: true,
                };
                heatmap.prepare(ui.ctx(), source);
                let overlay = Overlay {
                    chosen: chosen_in(heatmap.table(), ctx.state.choices.cell),
                    linked: pointed,
                };
                let output = heatmap.ui(ui, ctx, "Difference of the traces", overlay);
                if let Some(cell) = output.chosen {
                    choose(ctx, heatmap.table(), cell);
                }
                output
            },
        )
        .unwrap_or_default()
    }
}

fn choice_ui(ui: &mut Ui, ctx: &ViewContext<'_>, choice: &mut CompareChoice) {
    let traces = ctx.state.traces.all();
    let name_of = |path: &Option<PathBuf>| {
        let trace = path.as_ref().and_then(|path| ctx.state.traces.at(path));
        trace.map_or_else(|| "choose a trace".to_owned(), |trace| trace.name.clone())
    };
    ui.horizontal_wrapped(|ui| {
        for (label, side) in [
            ("Trace", &mut choice.first),
            ("compared with", &mut choice.second),
        ] {
            let shown = name_of(side);
            named_combo(ui, label, &shown, 170.0, |ui| {
                for trace in traces {
                    let is_chosen = side.as_ref() == Some(&trace.path);
                    if ui.selectable_label(is_chosen, &trace.name).clicked() {
                        *side = Some(trace.path.clone());
                    }
                }
            });
        }
        if ui
            .button("Swap")
            .on_hover_text("Exchange the two traces")
            .clicked()
        {
            std::mem::swap(&mut choice.first, &mut choice.second);
        }
    });
    ui.horizontal_wrapped(|ui| {
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
        scale_combo(ui, &mut choice.scale);
    });
}

/// The labels in scope that both traces have.
fn labels(ctx: &ViewContext<'_>, choice: &CompareChoice) -> Vec<String> {
    let of = |path: &Option<PathBuf>| {
        let trace = path.as_ref().and_then(|path| ctx.state.traces.at(path))?;
        Some(trace.labels(&ctx.request().by).to_vec())
    };
    let (Some(mut first), Some(second)) = (of(&choice.first), of(&choice.second)) else {
        return Vec::new();
    };
    let only = &ctx.request().scope.labels;
    first.retain(|label| second.contains(label) && (only.is_empty() || only.contains(label)));
    first
}

fn too_few(ui: &mut Ui, ctx: &ViewContext<'_>) {
    let why = match ctx.state.traces.all().len() {
        0 => "Open two traces: of two checkpoints, two models, or with and without an intervention",
        1 => "One trace is open; open another to compare it with",
        _ => "Choose two different traces above",
    };
    empty(
        ui,
        ctx,
        "There are no two traces to compare",
        why,
        &[
            ("Open trace…", Command::PickTrace),
            ("Capture another", Command::OpenView("capture")),
        ],
    );
    let both = ctx.state.traces.all().iter().map(|t| t.name.as_str());
    let names: Vec<&str> = both.collect();
    if !names.is_empty() {
        ui.vertical_centered(|ui| {
            ui.label(soft(format!("Open now: {}", names.join(", ")), ctx.theme));
        });
    }
}

fn pair<'a>(ctx: &ViewContext<'a>, choice: &CompareChoice) -> Option<Pair<'a>> {
    let at = |path: &Option<PathBuf>| ctx.state.traces.at(path.as_ref()?);
    let traces = [at(&choice.first)?, at(&choice.second)?];
    if traces[0].id == traces[1].id {
        return None;
    }
    let chosen = choice.group.clone();
    let group = chosen.filter(|group| labels(ctx, choice).contains(group));
    let mut request = ctx.request().clone();
    request.contrast = None;
    if group.is_none() {
        "all".clone_into(&mut request.by);
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
    Some(Pair {
        traces,
        group,
        request,
    })
}

impl Pair<'_> {
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

fn question(pair: &Pair<'_>, choice: &CompareChoice) -> CompareQuestion {
    CompareQuestion {
        first: pair.traces[0].path.clone(),
        second: pair.traces[1].path.clone(),
        metric: choice.metric.clone(),
        request: pair.request.clone(),
    }
}

fn side_source(
    ctx: &ViewContext<'_>,
    pair: &Pair<'_>,
    choice: &CompareChoice,
    side: usize,
) -> Option<TableSource> {
    let (_, job) = ctx.measured(pair.traces[side], &choice.metric, &pair.request);
    let measured = job.and_then(Job::value)?;
    Some(TableSource {
        measured: measured.clone(),
        index: pair.table(measured)?,
        rows: AxisKind::Layer,
        columns: AxisKind::Expert,
        fixed: pair.fixed(),
        scale: choice.scale,
        limits: None,
        has_marks: false,
    })
}
