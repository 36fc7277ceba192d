//! Which decisions are measured, and how carefully: one scope for all views.

mod label_rows;
mod typed_rows;

use egui::{DragValue, RichText, ScrollArea, Ui};
use moescope_analytics::{Control, MeasureRequest};
use moescope_core::{PhaseSelection, Weighting};
use moescope_pipeline::sizes::scaled;

use crate::{
    command::Command,
    fonts,
    state::with_unseen,
    traces::OpenTrace,
    view::ViewContext,
    widgets::{
        combo_box::combo_box,
        empty::no_trace,
        text::{counted, field_label, heading, soft},
    },
};

/// Width of the names of fields.
const LABEL: f32 = 92.0;

/// Paints the panel.
pub(super) fn ui(ui: &mut Ui, context: &ViewContext<'_>) {
    ScrollArea::vertical().show(ui, |ui| match context.trace() {
        None => no_trace(ui, context),
        Some(trace) => {
            about(ui, context, trace);
            ui.add_space(10.0);
            let mut request = context.request().clone();
            scope(ui, context, trace, &mut request);
            ui.add_space(10.0);
            let is_usual = care(ui, context, trace, &mut request);
            if is_usual {
                context.send(Command::ChooseRequest(Box::default()));
            } else if request != *context.request() {
                // A trace without what is chosen is measured by others, and does not change what is chosen.
                let chosen = &context.state.choices.request;
                let request = with_unseen(request, context.request(), chosen);
                context.send(Command::ChooseRequest(Box::new(request)));
            }
        }
    });
}

fn about(ui: &mut Ui, context: &ViewContext<'_>, trace: &OpenTrace) {
    let model = trace.data.model();
    let counts = &trace.about.counts;
    ui.add(egui::Label::new(RichText::new(&trace.name).family(fonts::bold())).wrap())
        .on_hover_text(trace.path.display().to_string());
    let number = |n: u64| scaled(n, &["", "k", "M", "G"]).trim_end().to_owned();
    let lines = [
        format!(
            "{}, top {} of {} experts, {} MoE layers",
            model.family,
            model.top_k,
            model.num_experts,
            trace.data.layers().len()
        ),
        format!(
            "{}, {}, {}",
            counted(counts.samples, number(counts.samples), "document"),
            counted(counts.tokens, number(counts.tokens), "token"),
            counted(counts.decisions, number(counts.decisions), "decision")
        ),
    ];
    for line in lines {
        ui.add(egui::Label::new(soft(line, context.theme)).wrap());
    }
    for intervention in &trace.about.interventions {
        ui.colored_label(context.theme.warning, format!("Changed: {intervention}"));
    }
}

fn scope(ui: &mut Ui, context: &ViewContext<'_>, trace: &OpenTrace, request: &mut MeasureRequest) {
    heading(ui, "Scope");
    combo(ui, "Label by", &request.by.clone(), |ui| {
        for column in trace.label_columns().filter(|column| *column != "id") {
            if ui.selectable_label(request.by == column, column).clicked() {
                column.clone_into(&mut request.by);
                request.scope.labels.clear();
                request.merge.clear();
            }
        }
    });
    label_rows::told_unseen(ui, context);
    let labels = request.merged_labels(trace.labels(&request.by));
    label_choice(ui, &labels, request);
    label_rows::groups(ui, context, trace, request);
    label_rows::only(ui, context, trace, request);
    typed_rows::layers(ui, context, trace, request);
    combo(ui, "Tokens", phase_title(request.scope.phase), |ui| {
        for phase in [
            PhaseSelection::Prefill,
            PhaseSelection::Decode,
            PhaseSelection::All,
        ] {
            ui.selectable_value(&mut request.scope.phase, phase, phase_title(phase));
        }
    });
    typed_rows::positions(ui, context, request);
    combo(
        ui,
        "Equal weight of",
        weighting_title(request.scope.weighting),
        |ui| {
            for weighting in [Weighting::Token, Weighting::Document] {
                ui.selectable_value(
                    &mut request.scope.weighting,
                    weighting,
                    weighting_title(weighting),
                );
            }
        },
    );
    ui.checkbox(
        &mut request.scope.include_special,
        "Count special tokens as well",
    );
}

fn phase_title(phase: PhaseSelection) -> &'static str {
    match phase {
        PhaseSelection::Prefill => "given text",
        PhaseSelection::Decode => "generated text",
        PhaseSelection::All => "both",
    }
}

fn weighting_title(weighting: Weighting) -> &'static str {
    match weighting {
        Weighting::Token => "tokens",
        Weighting::Document => "documents",
    }
}

/// Which labels count; none chosen means all.
fn label_choice(ui: &mut Ui, labels: &[String], request: &mut MeasureRequest) {
    let chosen = &mut request.scope.labels;
    let shown = if chosen.is_empty() {
        format!("all {}", labels.len())
    } else {
        chosen.join(", ")
    };
    combo(ui, "Labels", &shown, |ui| {
        tick_labels(ui, labels, chosen, "all");
    });
}

/// Labels to tick, after the words for none that are ticked; whether these were clicked.
fn tick_labels(ui: &mut Ui, labels: &[String], ticked: &mut Vec<String>, none: &str) -> bool {
    let is_cleared = ui.selectable_label(ticked.is_empty(), none).clicked();
    if is_cleared {
        ticked.clear();
    }
    ui.separator();
    for label in labels {
        let mut is_in = ticked.contains(label);
        if ui.checkbox(&mut is_in, label).clicked() {
            if is_in {
                ticked.push(label.clone());
            } else {
                ticked.retain(|known| known != label);
            }
            // The order of the measurement, whatever the order of the clicks.
            ticked.sort_by_key(|c| labels.iter().position(|l| l == c));
        }
    }
    is_cleared
}

/// How carefully is measured; whether the usual scope is asked for.
fn care(
    ui: &mut Ui,
    context: &ViewContext<'_>,
    trace: &OpenTrace,
    request: &mut MeasureRequest,
) -> bool {
    heading(ui, "Uncertainty");
    row(ui, "Resamples", |ui| {
        let mut resamples = request.resamples;
        let field = ui.add(DragValue::new(&mut resamples).range(0..=20_000).speed(10));
        if field.changed() {
            request.resamples = resamples;
            request.permutations = resamples;
        }
        field
    })
    .on_hover_text("Bootstrap resamples and permutations; 0 makes neither intervals nor p values");
    row(ui, "Level", |ui| {
        ui.add(
            DragValue::new(&mut request.level)
                .range(0.5..=0.999)
                .speed(0.005),
        )
    })
    .on_hover_text("Level of the intervals");
    row(ui, "Seed", |ui| ui.add(DragValue::new(&mut request.seed)));
    combo(ui, "Resample by", &request.resample_by.clone(), |ui| {
        for column in trace.label_columns().filter(|column| *column != "all") {
            ui.selectable_value(&mut request.resample_by, column.to_owned(), column);
        }
    });
    ui.label(soft("Match labels on", context.theme))
        .on_hover_text("Weight documents so that these are distributed alike under every label");
    ui.horizontal(|ui| {
        let genre = trace.label_columns().any(|column| column == "genre");
        let candidates = [
            genre.then(|| Control::Label("genre".to_owned())),
            Some(Control::Length),
        ];
        for control in candidates.into_iter().flatten() {
            let mut is_on = request.match_on.contains(&control);
            if ui.checkbox(&mut is_on, control.to_string()).clicked() {
                if is_on {
                    request.match_on.push(control);
                } else {
                    request.match_on.retain(|known| *known != control);
                }
            }
        }
    });
    ui.add_space(6.0);
    let is_usual = context.state.choices.request == MeasureRequest::default();
    !is_usual && ui.button("Usual scope").clicked()
}

fn row(ui: &mut Ui, label: &str, add: impl FnOnce(&mut Ui) -> egui::Response) -> egui::Response {
    ui.horizontal(|ui| {
        let label = field_label(ui, label, LABEL);
        add(ui).labelled_by(label.id)
    })
    .inner
}

fn combo(ui: &mut Ui, label: &str, shown: &str, add: impl FnOnce(&mut Ui)) {
    ui.horizontal(|ui| {
        field_label(ui, label, LABEL);
        let width = ui.available_width() - 8.0;
        combo_box(ui, label, shown, width, add);
    });
}
