//! What views and menus ask for; the app does it before the next frame.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
};

use moescope_analytics::MeasureRequest;

use crate::{
    answers::Question,
    choices::{CaptureChoice, Cell, CompareChoice, DisciplinesChoice},
    export::ExportRequest,
    job::JobProgress,
    lives::{LiveChoice, LiveCommand},
    notices::Notice,
    theme::ThemeChoice,
    traces::TraceId,
};

/// A change of state that someone asks for.
#[derive(Clone, Debug)]
#[expect(
    missing_docs,
    reason = "a command says what it does; the fields are what it does it to"
)]
pub enum Command {
    // What is open.
    OpenTrace(PathBuf),
    OpenDemo,
    CloseTrace(TraceId),
    ChooseTrace(TraceId),
    /// Whatever was dropped or picked: a trace's folder, a model's folder, a file of texts.
    Open(PathBuf),
    PickTrace,
    PickModel,
    PickTexts,
    /// The model of captures.
    ChooseModel(String),
    /// The texts of captures.
    ChooseTexts(Vec<PathBuf>),
    /// The folder of a capture's trace, or one that holds other things, in which it then gets a folder of its own.
    ChooseOut(PathBuf),
    /// The folder in which lines of generations are kept as traces.
    ChooseKeptIn(PathBuf),

    // What is chosen; undo steps through these.
    ChooseRequest(Box<MeasureRequest>),
    ChooseCell(Option<Cell>),
    /// The documents that are chosen on a map.
    ChooseDocuments(Vec<String>),
    ChooseDisciplines(Box<DisciplinesChoice>),
    ChooseCompare(Box<CompareChoice>),
    ChooseCapture(Box<CaptureChoice>),
    ChooseLive(Box<LiveChoice>),
    Undo,
    Redo,

    // What is to be found out.
    Ask(Box<Question>),
    AskAgain(Box<Question>),
    Cancel(Arc<JobProgress>),

    // Captures.
    EstimateCapture,
    StartCapture,
    CancelCapture,

    // Generations.
    Live(Box<LiveCommand>),

    // What leaves the window.
    Copy(String),
    /// Copies the command line of the view that was used last.
    CopyAsCommand,
    /// Copies the command line of the capture that is chosen, and writes the typed text that it reads.
    CopyCapture,
    OpenExport(&'static str),
    /// Where the figure of the export window goes, without an ending.
    ChooseExportStem(PathBuf),
    Export(Box<ExportRequest>),
    /// Writes the figure of a view as SVG and PDF, with numbers and specification.
    ExportView(&'static str, PathBuf),

    // The window.
    OpenView(&'static str),
    /// A view that tells of what was clicked in another, unless it would cover that.
    BringForward {
        view: &'static str,
        clicked_in: &'static str,
    },
    CloseView(&'static str),
    /// Closes the view that was used last.
    CloseThisView,
    ResetLayout,
    ChooseTheme(ThemeChoice),
    Zoom(ZoomStep),
    TogglePalette,
    ToggleSheet,
    Notify(Notice),
    Dismiss(Notice),
    Quit,
}

/// A step of the size of everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ZoomStep {
    /// A tenth larger.
    Larger,
    /// A tenth smaller.
    Smaller,
    /// The display's own size.
    Normal,
}

/// Where commands are put; cheap to clone, and usable from any thread.
#[derive(Clone, Debug)]
pub struct Commands {
    sender: Sender<Command>,
    ctx: egui::Context,
}

impl Commands {
    /// A queue, and the end that the app drains.
    pub(crate) fn new(ctx: egui::Context) -> (Self, Receiver<Command>) {
        let (sender, receiver) = channel();
        (Self { sender, ctx }, receiver)
    }

    /// Asks for a change before the next frame.
    pub fn send(&self, command: Command) {
        // Without an app there is nothing that could change.
        drop(self.sender.send(command));
        self.ctx.request_repaint();
    }
}
