//! Opening the window.

use std::{cell::RefCell, rc::Rc};

use eframe::{NativeOptions, egui::ViewportBuilder};

use crate::{
    app::{App, AppConfig},
    error::AppError,
};

/// The window.
#[derive(Clone, Debug, Default)]
pub struct WindowConfig {
    /// Its size in points; what it was at the last run where it is not given.
    pub size: Option<[f32; 2]>,
}

const USUAL_SIZE: [f32; 2] = [1280.0, 800.0];
const LEAST_SIZE: [f32; 2] = [720.0, 480.0];

/// Opens the window and returns when it is closed.
///
/// # Errors
/// When no window can be opened, or a script fails.
pub fn run(config: AppConfig, window: WindowConfig) -> Result<(), AppError> {
    check_display()?;
    let size = window
        .size
        .or_else(|| config.remembered_size())
        .unwrap_or(USUAL_SIZE);
    let options = NativeOptions {
        viewport: ViewportBuilder::default()
            .with_title("moescope")
            .with_app_id("moescope")
            .with_inner_size(size)
            .with_min_inner_size(LEAST_SIZE),
        // The window's size is kept with our own settings.
        persist_window: false,
        ..NativeOptions::default()
    };
    let failed: Rc<RefCell<Option<AppError>>> = Rc::default();
    let told = Rc::clone(&failed);
    let result = eframe::run_native(
        "moescope",
        options,
        Box::new(move |creation| {
            let mut app = App::new(&creation.egui_ctx, config)?;
            app.report_to(told);
            if let Some(render_state) = &creation.wgpu_render_state {
                app.note_painter(&render_state.adapter.get_info().name);
            }
            Ok(Box::new(app))
        }),
    );
    if let Some(error) = failed.borrow_mut().take() {
        return Err(error);
    }
    result.map_err(no_window)
}

/// Without a display the window system's libraries only say that a variable is missing.
fn check_display() -> Result<(), AppError> {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if cfg!(all(unix, not(target_os = "macos"))) && !is_set("DISPLAY") && !is_set("WAYLAND_DISPLAY")
    {
        return Err(AppError::NoWindow {
            reason: "there is no display; neither DISPLAY nor WAYLAND_DISPLAY is set".to_owned(),
        });
    }
    Ok(())
}

fn no_window(error: eframe::Error) -> AppError {
    match error {
        eframe::Error::AppCreation(error) => match error.downcast::<AppError>() {
            Ok(error) => *error,
            Err(error) => AppError::NoWindow {
                reason: error.to_string(),
            },
        },
        other => AppError::NoWindow {
            reason: other.to_string(),
        },
    }
}
