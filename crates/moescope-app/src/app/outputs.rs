//! What leaves the app: lines that are copied, and figures that are written.

use std::{path::PathBuf, time::Instant};

use egui::Context;
use moescope_analytics::MeasureRequest;
use moescope_figures::Format;

use super::{App, NO_VIEW};
use crate::{
    command::Command, export::ExportRequest, notices::Notice, shell::view_bar, view::ViewContext,
};

impl App {
    /// Copies the command line of the capture that is chosen, once a typed text is where that line reads it.
    pub(super) fn copy_capture(&mut self, ctx: &Context, now: Instant) {
        let choice = &self.state.choices.capture;
        match choice.command_line(self.state.device_choice) {
            Ok(line) if choice.files.is_empty() => self.state.captures.copy(choice, line, ctx),
            line => self.apply(view_bar::copied(line), ctx, now),
        }
    }

    /// Copies the command line of the view that was used last.
    pub(super) fn copy_as_command(&mut self, ctx: &Context, now: Instant) {
        let request = self.state.request();
        let context = self.context(&request);
        let view = self.layout.current().and_then(|name| self.views.get(name));
        let command = view.map_or_else(
            || Command::Notify(Notice::failed(NO_VIEW)),
            |view| view_bar::copy_command(view.as_ref(), &context),
        );
        self.apply(command, ctx, now);
    }

    /// Writes what a view shows, with everything that belongs to it.
    pub(super) fn export_view(&mut self, view: &str, stem: PathBuf, ctx: &Context, now: Instant) {
        let request = self.state.request();
        let context = self.context(&request);
        let offer = self.views.get(view).and_then(|view| view.figure(&context));
        match offer {
            Some(offer) => {
                let request = ExportRequest {
                    offer,
                    stem,
                    formats: vec![Format::Svg, Format::Pdf],
                    has_spec: true,
                    has_data: true,
                };
                self.state.exports.start(request, ctx);
            }
            None => self.notify(
                Notice::failed(format!("the view '{view}' shows no figure yet")),
                now,
            ),
        }
    }

    /// What a view is asked about outside its painting.
    fn context<'a>(&'a self, request: &'a MeasureRequest) -> ViewContext<'a> {
        ViewContext {
            state: &self.state,
            request,
            theme: &self.theme,
            commands: &self.commands,
            view: None,
        }
    }
}

/// What was copied, by its first line.
pub(super) fn told_copied(text: &str) -> String {
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    match lines.count() {
        0 => format!("Copied: {first}"),
        more => format!("Copied {} lines: {first}, …", more + 1),
    }
}
