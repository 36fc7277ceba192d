//! The app in a window of its own.

use std::time::Instant;

use egui::{Context, Ui};

use super::App;
use crate::notices::Notice;

impl eframe::App for App {
    fn logic(&mut self, ctx: &Context, _frame: &mut eframe::Frame) {
        Self::logic(self, ctx);
    }

    fn ui(&mut self, ui: &mut Ui, frame: &mut eframe::Frame) {
        self.shell.note_frame(frame.info().cpu_usage);
        Self::ui(self, ui);
    }

    fn raw_input_hook(&mut self, ctx: &Context, raw_input: &mut egui::RawInput) {
        if let Some(script) = &mut self.script {
            script.put_events(ctx, raw_input);
        }
    }

    fn save(&mut self, _storage: &mut dyn eframe::Storage) {
        if let Err(error) = Self::save(self) {
            self.notify(Notice::failed(error.to_string()), Instant::now());
        }
    }

    fn on_exit(&mut self) {
        // The thread of a capture ends with the process, and what it has not put on the disk by then is lost.
        self.close_capture();
        // What was generated and not kept yet is written where the settings are kept, too.
        self.state.lives.close();
        if let Err(error) = Self::save(self) {
            let mut report = self.report.borrow_mut();
            if report.is_none() {
                *report = Some(error);
            }
        }
    }

    fn persist_egui_memory(&self) -> bool {
        false
    }
}
