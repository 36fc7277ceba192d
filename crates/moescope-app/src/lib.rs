//! The desktop app: a window in which a trace is looked at, compared and captured.
//!
//! [`run`] opens the window; [`App`] is what is in it.
//! [`App::logic`] drains commands and finished jobs and is the one place where state changes; [`App::ui`] paints, and views
//! send [`Command`]s.
//! Every number comes from `moescope-analytics` and every exported figure from `moescope-figures`: this crate computes no
//! metric and edits no measurement, and egui does not leave it.
//!
//! ```no_run
//! use moescope_app::{AppConfig, WindowConfig, run};
//!
//! run(AppConfig::default(), WindowConfig::default())?;
//! # Ok::<(), moescope_app::AppError>(())
//! ```

mod app;
mod choices;
mod command;
mod history;
mod state;

mod job;
mod results;

mod answer_bytes;
mod answers;
mod captures;
mod lives;
mod models;
mod notices;
mod traces;

mod actions;
mod shell;
mod view;
mod views;
mod widgets;

mod command_line;
mod error;
mod export;
mod fonts;
mod launch;
mod process_memory;
mod recent;
mod script;
mod settings;
mod theme;

pub use app::{App, AppConfig, SettingsPlace};
pub use choices::{
    CaptureChoice, Cell, Choices, ColumnsChoice, CompareChoice, DisciplinesChoice, DisciplinesTab,
};
pub use command::{Command, Commands};
pub use error::AppError;
pub use job::{Job, JobProgress, Running};
pub use launch::{WindowConfig, run};
pub use lives::{
    Ablated, CellAction, ChipColor, ComparedLines, LinePart, LiveChoice, LiveCommand, LiveModel,
    Lives, MeasuredEffect, NumbersChoice, PictureChoice, TextOrigin,
};
pub use script::{Script, ScriptConfig, Step};
pub use state::State;
pub use theme::{Theme, ThemeChoice, paint};
pub use traces::{OpenTrace, TraceAbout, TraceId, Traces};
pub use view::{View, ViewAbout, ViewContext};
pub use views::VIEWS;
