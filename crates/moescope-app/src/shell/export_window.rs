//! Where a figure goes, and in which formats.

use std::{collections::BTreeMap, path::PathBuf};

use egui::{Align2, Context, DragValue, TextEdit, Window};
use moescope_figures::{FigureOptions, Format};

use crate::{
    command::Command,
    export::{ExportRequest, FigureOffer},
    view::{View, ViewContext},
    widgets::text::soft,
};

/// The window, open for a view or closed.
#[derive(Debug)]
pub(crate) struct ExportWindow {
    view: Option<&'static str>,
    stem: String,
    formats: [bool; 3],
    has_spec: bool,
    has_data: bool,
    title: String,
    width_mm: f64,
    png_dpi: u32,
}

impl Default for ExportWindow {
    fn default() -> Self {
        let plain = FigureOptions::default();
        Self {
            view: None,
            stem: String::new(),
            formats: [true, true, false],
            has_spec: true,
            has_data: true,
            title: String::new(),
            width_mm: plain.width_mm,
            png_dpi: plain.png_dpi,
        }
    }
}

impl ExportWindow {
    /// Opens the window for a view.
    pub(crate) fn open(&mut self, view: &'static str) {
        self.view = Some(view);
        if self.stem.is_empty() {
            let folder = std::env::current_dir().unwrap_or_default();
            self.stem = folder.join("figure").display().to_string();
        }
    }

    /// Sets where the figure goes.
    pub(crate) fn set_stem(&mut self, stem: &std::path::Path) {
        self.stem = stem.display().to_string();
    }

    pub(crate) fn ui(
        &mut self,
        ctx: &Context,
        context: &ViewContext<'_>,
        views: &BTreeMap<&'static str, Box<dyn View>>,
    ) {
        let Some(view) = self.view.and_then(|name| views.get(name)) else {
            return;
        };
        if ctx.input_mut(|input| input.consume_key(egui::Modifiers::NONE, egui::Key::Escape)) {
            self.view = None;
            return;
        }
        let mut is_open = true;
        let mut is_done = false;
        Window::new(format!("Export {}", view.about().title))
            .id(egui::Id::unique("export"))
            .open(&mut is_open)
            .collapsible(false)
            .resizable(false)
            .anchor(Align2::CENTER_CENTER, [0.0, 0.0])
            .show(ctx, |ui| match view.figure(context) {
                None => {
                    ui.label("There is no figure of this yet; wait for its numbers, or choose what to show");
                }
                Some(offer) => is_done = self.contents(ui, context, offer),
            });
        if !is_open || is_done {
            self.view = None;
        }
    }

    /// True when the figure was sent off.
    fn contents(
        &mut self,
        ui: &mut egui::Ui,
        context: &ViewContext<'_>,
        offer: FigureOffer,
    ) -> bool {
        ui.set_width(460.0);
        ui.label(soft(
            format!("{}: {}", offer.kind, offer.measured[offer.index].title),
            context.theme,
        ));
        ui.horizontal(|ui| {
            let label = ui.label("File without ending");
            ui.add(TextEdit::singleline(&mut self.stem).desired_width(250.0))
                .labelled_by(label.id);
            if ui.button("Choose…").clicked() {
                let name = crate::traces::folder_name(self.stem.as_ref());
                super::pick::save(context.commands, name, |path| {
                    Command::ChooseExportStem(path.with_extension(""))
                });
            }
        });
        ui.horizontal(|ui| {
            let label = ui.label("Title");
            ui.add(
                TextEdit::singleline(&mut self.title)
                    .hint_text("the metric's own")
                    .desired_width(f32::INFINITY),
            )
            .labelled_by(label.id);
        });
        ui.horizontal(|ui| {
            for (is_on, name) in self.formats.iter_mut().zip(["SVG", "PDF", "PNG"]) {
                ui.checkbox(is_on, name);
            }
            ui.separator();
            let label = ui.label("Width");
            ui.add(
                DragValue::new(&mut self.width_mm)
                    .range(40.0..=1000.0)
                    .suffix(" mm"),
            )
            .labelled_by(label.id);
            let label = ui.label("PNG");
            ui.add(
                DragValue::new(&mut self.png_dpi)
                    .range(30..=1200)
                    .suffix(" dpi"),
            )
            .labelled_by(label.id);
        });
        ui.checkbox(&mut self.has_data, "The numbers, as CSV");
        let made_of = if offer.again.is_some() {
            "It names the trace and what is measured, and draws the same figure"
        } else {
            "It names a file of these numbers, which is written beside it, and draws the same figure"
        };
        ui.checkbox(
            &mut self.has_spec,
            "The specification, for moescope figure SPEC.toml",
        )
        .on_hover_text(made_of);
        ui.add_space(6.0);
        let formats: Vec<Format> = Format::ALL
            .into_iter()
            .zip(self.formats)
            .filter_map(|(format, is_on)| is_on.then_some(format))
            .collect();
        let can_write = !formats.is_empty() && !self.stem.trim().is_empty();
        let write = ui
            .add_enabled(can_write, egui::Button::new("Write"))
            .on_disabled_hover_text("Choose a file and at least one format");
        if write.clicked() {
            context.send(Command::Export(Box::new(self.request(offer, formats))));
            return true;
        }
        false
    }

    fn request(&self, mut offer: FigureOffer, formats: Vec<Format>) -> ExportRequest {
        let change = |options: &mut FigureOptions| {
            options.width_mm = self.width_mm;
            options.png_dpi = self.png_dpi;
            let title = self.title.trim();
            if !title.is_empty() {
                options.title = Some(title.to_owned());
            }
        };
        change(&mut offer.options);
        if let Some((_, job)) = &mut offer.again {
            change(&mut job.options);
        }
        ExportRequest {
            offer,
            stem: PathBuf::from(self.stem.trim()),
            formats,
            has_spec: self.has_spec,
            has_data: self.has_data,
        }
    }
}
