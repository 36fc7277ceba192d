//! What is a step, and how one is taken back.

use std::{path::Path, time::Instant};

use egui::Context;

use super::App;
use crate::{
    command::Command,
    history::{Deed, Part, Snapshot},
    lives::LiveCommand,
    notices::Notice,
    shell::layout::{Dragged, Rearranged},
    traces::{OpenTrace, TraceId, folder_name},
    views::VIEWS,
};

impl App {
    /// What a command does, in the words of undo; nothing where it is no step. What comes of work (a trace that is read,
    /// a line that is opened or closed, a capture that ends) and what comes forward by itself is none: nobody chose it.
    pub(super) fn deed(&self, command: &Command) -> Option<Deed> {
        let state = &self.state;
        let name = |id: TraceId| {
            let trace = state.traces.get(id);
            trace.map_or_else(|| "a trace".to_owned(), |trace| trace.name.clone())
        };
        Some(match command {
            Command::OpenTrace(path) => Deed::new(format!("showed {}", folder_name(path))),
            Command::OpenDemo => Deed::new("showed the demo trace"),
            Command::CloseTrace(id) => Deed::new(format!("closed {}", name(*id))),
            Command::ChooseTrace(id) => Deed::new(format!("showed {}", name(*id))),
            Command::ChooseModel(model) => {
                let name = folder_name(Path::new(model));
                Deed::of_kind("model", format!("chose the model {name}"))
            }
            Command::ChooseTexts(_) => Deed::of_kind("texts", "chose texts"),
            Command::ChooseOut(_) => Deed::of_kind("capture", "chose the folder of the capture"),
            Command::ChooseKeptIn(_) => Deed::of_kind("live", "chose the folder of kept lines"),
            Command::ChooseRequest(_) => Deed::of_kind("request", "changed what is measured"),
            Command::ChooseCell(Some(cell)) => {
                let words = format!("chose expert {} of layer {}", cell.expert, cell.layer);
                Deed::of_kind("cell", words)
            }
            Command::ChooseCell(None) => Deed::of_kind("cell", "chose no expert"),
            Command::ChooseDocuments(_) => Deed::new("chose documents"),
            Command::ChooseDisciplines(_) => Deed::of_kind("disciplines", changed("disciplines")),
            Command::ChooseCompare(_) => Deed::of_kind("compare", changed("compare")),
            Command::ChooseCapture(_) => Deed::of_kind("capture", changed("capture")),
            // Every click on a cell is a step.
            Command::ChooseLive(choice)
                if choice.interventions != state.choices.live.interventions =>
            {
                Deed::new("changed the interventions")
            }
            Command::ChooseLive(_) => Deed::of_kind("live", changed("live")),
            Command::Live(command) => return self.deed_in_live(command),
            Command::OpenView(view) | Command::OpenExport(view) => {
                Deed::new(format!("opened {}", title(view)))
            }
            Command::CloseView(view) => Deed::new(format!("closed {}", title(view))),
            Command::CloseThisView => {
                Deed::new(format!("closed {}", title(self.layout.current()?)))
            }
            Command::ResetLayout => Deed::new("arranged the views as at first"),
            Command::ChooseTheme(theme) => Deed::new(format!("chose the {theme} theme")),
            Command::Zoom(_) => Deed::of_kind("zoom", "changed the size of everything"),
            _ => return None,
        })
    }

    fn deed_in_live(&self, command: &LiveCommand) -> Option<Deed> {
        Some(match command {
            // A click on a token says which line it is of.
            LiveCommand::ChooseBranch(line) if self.state.lives.shown != Some(*line) => {
                Deed::new(format!("showed line {}", line.0 + 1))
            }
            LiveCommand::ChooseBranch(_) | LiveCommand::ChooseToken(_) => {
                Deed::of_kind("token", "chose a token")
            }
            LiveCommand::ChooseBeside(Some(line)) => {
                Deed::new(format!("put line {} beside", line.0 + 1))
            }
            LiveCommand::ChooseBeside(None) => Deed::new("took the line beside away"),
            _ => return None,
        })
    }

    /// Notes that views were dragged elsewhere, which egui does while it paints.
    pub(super) fn note_rearranged(&mut self, now: Instant) {
        let Some(Rearranged { dragged, before }) = self.layout.take_rearranged() else {
            return;
        };
        let words = match dragged {
            Dragged::View => "moved a view",
            Dragged::Border => "moved a border between views",
        };
        let before = Part::Layout(Box::new(before));
        self.history.note(Deed::new(words), vec![before], now);
    }

    /// Takes the last step back.
    pub(super) fn undo(&mut self, ctx: &Context, now: Instant) {
        let mut history = std::mem::take(&mut self.history);
        let undone = history.undo(|parts| self.put_back(parts, ctx, now));
        self.history = history;
        let told = undone.map_or_else(
            || "There is nothing to undo".to_owned(),
            |words| format!("Undone: {words}"),
        );
        self.tell_step(told, now);
    }

    /// Does again what was undone last.
    pub(super) fn redo(&mut self, ctx: &Context, now: Instant) {
        let mut history = std::mem::take(&mut self.history);
        let redone = history.redo(|parts| self.put_back(parts, ctx, now));
        self.history = history;
        let told = redone.map_or_else(
            || "There is nothing to redo".to_owned(),
            |words| format!("Redone: {words}"),
        );
        self.tell_step(told, now);
    }

    /// Says what was undone or redone; what was said of the step before goes.
    fn tell_step(&mut self, told: String, now: Instant) {
        let notice = Notice::done(told);
        if let Some(before) = self.told_step.replace(notice.clone()) {
            self.state.notices.dismiss(&before);
        }
        self.notify(notice, now);
    }

    /// All that undo can bring back, as it is now.
    pub(super) fn snapshot(&self) -> Snapshot {
        let state = &self.state;
        Snapshot {
            choices: state.choices.clone(),
            layout: self.layout.saved(),
            lines: state.lives.shown_lines(),
            traces: state.traces.all().iter().map(OpenTrace::place).collect(),
            shown_trace: state.traces.active().map(|trace| trace.id),
            theme: state.theme,
            zoom: self.shell.zoom,
        }
    }

    /// Puts parts of the state back, but for those that are gone, and returns them as they were until now; nothing where
    /// that changes nothing.
    fn put_back(&mut self, parts: Vec<Part>, ctx: &Context, now: Instant) -> Option<Vec<Part>> {
        let parts = parts.into_iter();
        let mut parts: Vec<Part> = parts.filter_map(|part| self.if_there(part)).collect();
        let opened: Vec<TraceId> = parts.iter().filter_map(opened_trace).collect();
        parts.retain(|part| match part {
            Part::ShownTrace(Some(id)) => opened.contains(id) || self.state.traces.knows(*id),
            _ => true,
        });
        // All of them before any is put back: a trace that is closed changes which one is shown.
        let until_now: Vec<Part> = parts.iter().map(|part| self.now(part)).collect();
        if parts == until_now {
            return None;
        }
        for part in parts {
            self.put(part, ctx, now);
        }
        Some(until_now)
    }

    /// A part, without what has been closed in the meantime.
    fn if_there(&self, part: Part) -> Option<Part> {
        let (lives, traces) = (&self.state.lives, &self.state.traces);
        match part {
            Part::Lines(shown) => lives.can_show(&shown).then_some(part),
            Part::Compare(mut choice) => {
                let compared = choice.lines;
                choice.lines = compared.map(|line| line.filter(|line| lives.has_line(*line)));
                Some(Part::Compare(choice))
            }
            Part::Trace { ref place, is_open } => {
                let can_be = if is_open {
                    traces.can_open_again(place)
                } else {
                    traces.knows(place.id)
                };
                can_be.then_some(part)
            }
            part => Some(part),
        }
    }

    /// The same part of the state as it is now.
    fn now(&self, part: &Part) -> Part {
        let state = &self.state;
        let choices = &state.choices;
        match part {
            Part::Request(_) => Part::Request(Box::new(choices.request.clone())),
            Part::Cell(_) => Part::Cell(choices.cell),
            Part::Documents(_) => Part::Documents(choices.documents.clone()),
            Part::Disciplines(_) => Part::Disciplines(Box::new(choices.disciplines.clone())),
            Part::Compare(_) => Part::Compare(Box::new(choices.compare.clone())),
            Part::Capture(_) => Part::Capture(Box::new(choices.capture.clone())),
            Part::Live(_) => Part::Live(Box::new(choices.live.clone())),
            Part::Layout(_) => Part::Layout(Box::new(self.layout.saved())),
            Part::Lines(_) => Part::Lines(state.lives.shown_lines()),
            Part::Trace { place, .. } => Part::Trace {
                is_open: state.traces.knows(place.id),
                place: place.clone(),
            },
            Part::ShownTrace(_) => Part::ShownTrace(state.traces.active().map(|trace| trace.id)),
            Part::Theme(_) => Part::Theme(state.theme),
            Part::Zoom(_) => Part::Zoom(self.shell.zoom),
        }
    }

    fn put(&mut self, part: Part, ctx: &Context, now: Instant) {
        let choices = &mut self.state.choices;
        match part {
            Part::Request(request) => choices.request = *request,
            Part::Cell(cell) => choices.cell = cell,
            Part::Documents(documents) => choices.documents = documents,
            Part::Disciplines(choice) => choices.disciplines = *choice,
            Part::Compare(choice) => choices.compare = *choice,
            Part::Capture(choice) => choices.capture = *choice,
            Part::Live(choice) => choices.live = *choice,
            Part::Layout(layout) => self.layout.put_back(*layout),
            Part::Lines(lines) => self.state.lives.show_again(&lines),
            Part::Trace { place, is_open } => {
                if is_open {
                    self.state.traces.open_again(&place, ctx);
                } else {
                    self.close_trace(place.id);
                }
            }
            Part::ShownTrace(Some(id)) => self.state.traces.choose(id),
            // None was open, and where the others are closed none is.
            Part::ShownTrace(None) => {}
            Part::Theme(theme) => self.choose_theme(theme, ctx, now),
            Part::Zoom(zoom) => self.set_zoom(zoom, ctx),
        }
    }
}

/// The trace that a part opens again.
fn opened_trace(part: &Part) -> Option<TraceId> {
    match part {
        Part::Trace {
            place,
            is_open: true,
        } => Some(place.id),
        _ => None,
    }
}

/// What a view is called.
fn title(view: &str) -> &str {
    let mut abouts = VIEWS.iter().map(|make| make().about());
    let about = abouts.find(|about| about.name == view);
    about.map_or(view, |about| about.title)
}

fn changed(view: &str) -> String {
    format!("changed {}", title(view))
}
