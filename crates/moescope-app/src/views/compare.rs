//! Two traces or two lines of Live side by side, and what differs.

mod lines;
mod maps;
mod traces;

use egui::Ui;
use moescope_pipeline::session::{BranchId, Transcript};

use super::{
    disciplines::shared::{named_combo, scale_combo},
    live::shared::close_button,
};
use crate::{
    choices::CompareChoice,
    command::Command,
    command_line,
    export::FigureOffer,
    view::{View, ViewAbout, ViewContext},
    widgets::{empty::empty, text::soft},
};

/// The Compare view.
#[derive(Debug, Default)]
pub(crate) struct Compare {
    maps: maps::Maps,
}

/// What is compared.
enum Compared<'a> {
    Traces(Box<traces::TracePair<'a>>),
    Lines(lines::LinePair<'a>),
    /// A trace and a line.
    Unlike,
    /// One side or both are not chosen, or are the same.
    TooFew,
}

impl<'a> Compared<'a> {
    fn of(ctx: &ViewContext<'a>, choice: &CompareChoice) -> Self {
        let transcript = ctx.state.lives.transcript.as_ref();
        let line = |id: Option<BranchId>| transcript?.branch(id?);
        match choice.lines.map(line) {
            [Some(first), Some(second)] if first.info.id != second.info.id => {
                Self::Lines(lines::LinePair {
                    lines: [first, second],
                })
            }
            [Some(_), Some(_)] => Self::TooFew,
            [None, None] => match traces::pair(ctx, choice) {
                Some(pair) => Self::Traces(Box::new(pair)),
                None => Self::TooFew,
            },
            [Some(_), None] | [None, Some(_)] => Self::Unlike,
        }
    }
}

impl View for Compare {
    fn about(&self) -> ViewAbout {
        ViewAbout {
            name: "compare",
            title: "Compare",
            summary: "Two traces or two prompts side by side on one scale, and their difference",
        }
    }

    fn ui(&mut self, ui: &mut Ui, ctx: &ViewContext<'_>) {
        let mut choice = ctx.state.choices.compare.clone();
        sides_ui(ui, ctx, &mut choice);
        let compared = Compared::of(ctx, &choice);
        ui.horizontal_wrapped(|ui| {
            match compared {
                Compared::Lines(_) => lines::part_combo(ui, &mut choice),
                Compared::Traces(_) | Compared::TooFew => traces::choice_ui(ui, ctx, &mut choice),
                Compared::Unlike => return,
            }
            scale_combo(ui, &mut choice.scale);
        });
        if choice != ctx.state.choices.compare {
            ctx.send(Command::ChooseCompare(Box::new(choice.clone())));
        }
        ui.separator();
        match Compared::of(ctx, &choice) {
            Compared::Traces(pair) => traces::ui(&mut self.maps, ui, ctx, &pair, &choice),
            Compared::Lines(pair) => lines::ui(&mut self.maps, ui, ctx, &pair, &choice),
            Compared::Unlike => unlike(ui, ctx),
            Compared::TooFew => too_few(ui, ctx, &choice),
        }
    }

    fn figure(&self, ctx: &ViewContext<'_>) -> Option<FigureOffer> {
        let choice = &ctx.state.choices.compare;
        match Compared::of(ctx, choice) {
            Compared::Traces(pair) => traces::figure(ctx, *pair, choice),
            Compared::Lines(pair) => lines::figure(ctx, &pair, choice),
            Compared::Unlike | Compared::TooFew => None,
        }
    }

    fn command_line(&self, ctx: &ViewContext<'_>) -> Result<String, &'static str> {
        let choice = &ctx.state.choices.compare;
        match Compared::of(ctx, choice) {
            Compared::Traces(pair) => Ok(traces::command_line(&pair, choice)),
            Compared::Lines(pair) => command_line::compare_lines(pair.lines, choice.part),
            Compared::Unlike => Err("choose two traces, for a line has no documents to pair"),
            Compared::TooFew => Err("choose two open traces first"),
        }
    }

    fn is_busy(&self) -> bool {
        self.maps.is_busy()
    }
}

/// What stands on each side: a trace that is open, or a line of Live.
fn sides_ui(ui: &mut Ui, ctx: &ViewContext<'_>, choice: &mut CompareChoice) {
    ui.horizontal_wrapped(|ui| {
        for (side, label) in ["Trace or line", "compared with"].into_iter().enumerate() {
            let shown = side_name(ctx, choice, side);
            named_combo(ui, label, &shown, 190.0, |ui| {
                for trace in ctx.state.traces.all() {
                    let is_chosen =
                        choice.lines[side].is_none() && choice.folder(side) == Some(&trace.path);
                    if ui.selectable_label(is_chosen, &trace.name).clicked() {
                        choice.lines[side] = None;
                        *choice.folder_mut(side) = Some(trace.path.clone());
                    }
                }
                let transcript = ctx.state.lives.transcript.iter();
                for line in transcript.flat_map(Transcript::branches) {
                    let id = line.info.id;
                    let is_chosen = choice.lines[side] == Some(id);
                    ui.horizontal(|ui| {
                        if ui.selectable_label(is_chosen, lines::name(line)).clicked() {
                            choice.lines[side] = Some(id);
                        }
                        close_button(ui, ctx, id);
                    });
                }
            });
        }
        if ui
            .button("Swap")
            .on_hover_text("Exchange the two sides")
            .clicked()
        {
            std::mem::swap(&mut choice.first, &mut choice.second);
            choice.lines.swap(0, 1);
        }
    });
}

/// What stands on a side now.
fn side_name(ctx: &ViewContext<'_>, choice: &CompareChoice, side: usize) -> String {
    let transcript = ctx.state.lives.transcript.as_ref();
    let line = choice.lines[side].and_then(|id| transcript?.branch(id));
    let trace = || {
        let path = choice.folder(side)?;
        ctx.state.traces.at(path)
    };
    line.map(lines::name)
        .or_else(|| trace().map(|trace| trace.name.clone()))
        .unwrap_or_else(|| "choose one".to_owned())
}

/// A trace and a line were chosen.
fn unlike(ui: &mut Ui, ctx: &ViewContext<'_>) {
    empty(
        ui,
        ctx,
        "A line and a trace cannot be compared",
        "A line is one text and has no documents to pair with a trace's: choose two lines, or keep the line as a trace and open it",
        &[("Keep it as a trace in Live", Command::OpenView("live"))],
    );
}

fn too_few(ui: &mut Ui, ctx: &ViewContext<'_>, choice: &CompareChoice) {
    let why = match ctx.state.traces.all().len() {
        0 => {
            "Open two traces (of two checkpoints, two models, or with and without an intervention), or write two lines in Live"
        }
        1 => "One trace is open; open another to compare it with, or choose two lines of Live",
        _ => "Choose two different traces or lines above",
    };
    let mut next = vec![
        ("Open trace…", Command::PickTrace),
        ("Capture another", Command::OpenView("capture")),
    ];
    let transcript = ctx.state.lives.transcript.iter();
    let mut latest = transcript.flat_map(Transcript::branches).rev();
    if let (Some(second), Some(first)) = (latest.next(), latest.next()) {
        let lines = CompareChoice {
            lines: [first, second].map(|line| Some(line.info.id)),
            ..choice.clone()
        };
        let command = Command::ChooseCompare(Box::new(lines));
        next.push(("Compare the last two lines of Live", command));
    }
    empty(ui, ctx, "There are no two sides to compare", why, &next);
    let both = ctx.state.traces.all().iter().map(|t| t.name.as_str());
    let names: Vec<&str> = both.collect();
    if !names.is_empty() {
        ui.vertical_centered(|ui| {
            ui.label(soft(format!("Open now: {}", names.join(", ")), ctx.theme));
        });
    }
}
