//! What stands around the views: menu, scope, status, palette, help, messages.

mod export_window;
pub(crate) mod layout;
mod menu_bar;
mod notice_list;
mod palette;
pub(crate) mod pick;
mod scope_panel;
mod sheet;
mod status_bar;
pub(crate) mod view_bar;

use std::collections::BTreeMap;

use egui::{CentralPanel, Frame, Margin, Panel, Ui};

use crate::{
    process_memory::resident_bytes,
    view::{View, ViewContext},
};

use export_window::ExportWindow;
use layout::Layout;
use palette::Palette;
use sheet::Sheet;

/// What stands around the views, with what is open of it.
#[derive(Debug, Default)]
pub(crate) struct Shell {
    pub(crate) palette: Palette,
    pub(crate) sheet: Sheet,
    pub(crate) export: ExportWindow,
    /// What paints the window.
    pub(crate) painter: Option<String>,
    /// The pace of the last capture or generation.
    pub(crate) tokens_per_sec: Option<f64>,
    /// The size of everything, where the user chose it.
    pub(crate) zoom: Option<f32>,
    memory: MemoryMeter,
    /// Seconds of processor time that the last frame took.
    frame_secs: Option<f32>,
}

/// Asks the system for the memory of the process once a second.
#[derive(Debug, Default)]
struct MemoryMeter {
    bytes: Option<u64>,
    at: Option<std::time::Instant>,
}

impl MemoryMeter {
    fn read(&mut self) -> Option<u64> {
        let is_old = self.at.is_none_or(|at| at.elapsed().as_secs() >= 1);
        if is_old {
            self.bytes = resident_bytes();
            self.at = Some(std::time::Instant::now());
        }
        self.bytes
    }
}

impl Shell {
    /// One whose size was chosen before; `None` is the display's own.
    pub(crate) fn of_size(zoom: Option<f32>) -> Self {
        Self {
            zoom,
            ..Self::default()
        }
    }

    /// Notes how long the last frame took.
    pub(crate) fn note_frame(&mut self, secs: Option<f32>) {
        self.frame_secs = secs;
    }

    /// Paints everything.
    pub(crate) fn ui(
        &mut self,
        ui: &mut Ui,
        context: &ViewContext<'_>,
        layout: &mut Layout,
        views: &mut BTreeMap<&'static str, Box<dyn View>>,
    ) {
        let bar = Frame::new()
            .fill(context.theme.ground)
            .inner_margin(Margin::symmetric(10, 5));
        Panel::top("menu").frame(bar).show(ui, |ui| {
            menu_bar::ui(ui, context, layout);
        });
        let status = status_bar::Status {
            painter: self.painter.as_deref(),
            tokens_per_sec: self.tokens_per_sec,
            memory_bytes: self.memory.read(),
            frame_secs: self.frame_secs,
        };
        Panel::bottom("status").frame(bar).show(ui, |ui| {
            status_bar::ui(ui, context, &status);
        });
        let side = Frame::new()
            .fill(context.theme.panel)
            .inner_margin(Margin::same(12));
        Panel::left("scope")
            .frame(side)
            .default_size(236.0)
            .size_range(200.0..=360.0)
            .show(ui, |ui| scope_panel::ui(ui, context));
        CentralPanel::default()
            .frame(Frame::new().fill(context.theme.panel))
            .show(ui, |ui| layout.ui(ui, context, views));
        self.palette.ui(ui.ctx(), context);
        self.sheet.ui(ui.ctx(), context);
        self.export.ui(ui.ctx(), context, views);
        notice_list::ui(ui.ctx(), context);
    }
}
