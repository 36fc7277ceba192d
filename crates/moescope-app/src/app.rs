//! The app: commands in, state changed, views painted.

mod config;
mod input;
mod news;
mod outputs;
mod paths;
mod undo;
mod window;

use std::{
    cell::RefCell,
    collections::BTreeMap,
    path::PathBuf,
    rc::Rc,
    sync::mpsc::Receiver,
    time::{Duration, Instant},
};

use egui::{Context, Ui};
use moescope_analytics::TraceData;
use moescope_pipeline::session::{SessionEvent, Transcript};

use crate::{
    captures,
    command::{Command, Commands, ZoomStep},
    error::AppError,
    fonts,
    history::History,
    lives::LiveCommand,
    notices::Notice,
    script::ScriptRun,
    settings::{Settings, SettingsFile},
    shell::{Shell, layout::Layout, pick},
    state::State,
    theme::{Theme, ThemeChoice},
    traces::{TraceAbout, TraceId},
    view::{View, ViewContext},
    views::VIEWS,
};

pub use config::{AppConfig, SettingsPlace};
use outputs::told_copied;
use paths::Paths;

/// Settings are kept this often, so that little is lost when the process is killed.
const BETWEEN_SAVES: Duration = Duration::from_secs(20);
/// Said where a command concerns the view that was used last, and there is none.
const NO_VIEW: &str = "No view is open";

/// The app: its state, its views, and where commands come from.
pub struct App {
    state: State,
    theme: Theme,
    history: History,
    /// What was said of the last step that was undone or redone.
    told_step: Option<Notice>,
    shell: Shell,
    layout: Layout,
    views: BTreeMap<&'static str, Box<dyn View>>,
    commands: Commands,
    received: Receiver<Command>,
    settings: SettingsFile,
    /// What was dropped, picked or named and is not opened yet.
    paths: Paths,
    script: Option<ScriptRun>,
    /// Where an error of a script goes when the window closes.
    report: Rc<RefCell<Option<AppError>>>,
    window_size: Option<[f32; 2]>,
    saved_at: Instant,
    is_closing: bool,
}

impl App {
    /// An app that starts as configured, in a context that a window or a test owns.
    ///
    /// # Errors
    /// When a theme or the script is broken.
    pub fn new(ctx: &Context, config: AppConfig) -> Result<Self, AppError> {
        fonts::install(ctx);
        let settings_path = config.settings_path();
        let (settings, broken) = match settings_path.as_deref().map(Settings::load) {
            Some(Ok(settings)) => (settings, None),
            Some(Err(error)) => (Settings::default(), Some(error.to_string())),
            None => (Settings::default(), None),
        };
        let choice = config.theme.unwrap_or(settings.theme);
        let theme = Theme::load(choice)?;
        theme.apply(ctx);
        // The size of everything is a command like any other, so that it is kept.
        ctx.options_mut(|options| options.zoom_with_keyboard = false);
        if let Some(zoom) = settings.zoom {
            ctx.set_zoom_factor(zoom);
        }
        let (commands, received) = Commands::new(ctx.clone());
        let mut state = State {
            choices: settings.choices.clone(),
            recent: settings.recent.clone(),
            theme: choice,
            device_choice: config.device,
            ..State::default()
        };
        if let Some(told) = broken {
            state.notices.push(
                Notice::failed(format!("{told}; the usual settings are in force")),
                Instant::now(),
            );
        }
        state.captures.share(state.lives.models.clone());
        if let Some(keeping) = config.keeping() {
            state.lives.keep(keeping, ctx);
        }
        if let Some(model) = &config.model {
            state.choices.capture.model.clone_from(model);
            state.recent.note_model(model);
        }
        if state.choices.capture.out.as_os_str().is_empty() {
            state.choices.capture.out = captures::suggested_out(&state.choices.capture.model);
        }
        // No model is loaded before someone asks for it.
        state.captures.rest_on(&state.choices.capture);
        // What was chosen in another trace may not be in this one.
        state.choices.cell = None;
        for path in &config.traces {
            commands.send(Command::OpenTrace(path.clone()));
        }
        if config.traces.is_empty() && !config.starts_empty {
            commands.send(Command::OpenDemo);
        }
        let script = config.script.map(ScriptRun::new).transpose()?;
        if script.is_some() {
            // A script clicks by label, and labels are in the accessibility tree.
            ctx.enable_accesskit();
            // On a slow machine two frames, and so the press and the release, lie further apart than a click may last.
            ctx.options_mut(|options| options.input_options.max_click_duration = f64::INFINITY);
        }
        Ok(Self {
            layout: Layout::restore(settings.layout.as_ref()),
            views: VIEWS
                .iter()
                .map(|make| {
                    let view = make();
                    (view.about().name, view)
                })
                .collect(),
            history: History::default(),
            told_step: None,
            shell: Shell::of_size(settings.zoom),
            state,
            theme,
            commands,
            received,
            settings: SettingsFile::new(settings_path, settings),
            paths: Paths::default(),
            script,
            report: Rc::default(),
            window_size: None,
            saved_at: Instant::now(),
            is_closing: false,
        })
    }

    /// Everything that views can see.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Where commands go.
    #[must_use]
    pub fn commands(&self) -> &Commands {
        &self.commands
    }

    /// Puts a trace that is in memory among the open ones, as if it had been read from `path`.
    pub fn insert_trace(&mut self, path: PathBuf, about: TraceAbout, data: TraceData) -> TraceId {
        self.state.traces.insert(path, about, data)
    }

    /// Shows a generation that some other session tells of, event by event.
    pub fn follow_generation(&mut self, transcript: Transcript) {
        self.state.lives.transcript = Some(transcript);
    }

    /// Takes note of an event of that session.
    pub fn tell_generation(&mut self, event: SessionEvent) {
        // A session elsewhere tells its failures itself.
        drop(self.state.lives.take(event));
    }

    /// Whether nothing is being opened, measured, captured, painted or written.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.state.is_idle()
            && !self.settings.is_writing()
            && !self.paths.is_busy()
            && !self.views.values().any(|view| view.is_busy())
    }

    /// Whether the app wants to be closed.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.is_closing
    }

    /// Where an error of a script is put.
    pub(crate) fn report_to(&mut self, report: Rc<RefCell<Option<AppError>>>) {
        self.report = report;
    }

    /// Notes what paints the window.
    pub(crate) fn note_painter(&mut self, adapter: &str) {
        self.shell.painter = Some(adapter.to_owned());
    }

    /// Drains commands and finished jobs: the one place where state changes.
    pub fn logic(&mut self, ctx: &Context) {
        let now = Instant::now();
        self.take_keys(ctx);
        self.take_drops(ctx);
        self.note_rearranged(now);
        while let Ok(command) = self.received.try_recv() {
            self.apply(command, ctx, now);
        }
        for command in self.paths.advance(now, ctx) {
            self.apply(command, ctx, now);
        }
        self.take_results(ctx, now);
        if let Some(left) = self.state.notices.expire(now) {
            ctx.request_repaint_after(left);
        }
        self.follow_script(ctx);
        let size = ctx.content_rect().size() * ctx.zoom_factor();
        if size.min_elem() > 0.0 {
            self.window_size = Some([size.x, size.y]);
        }
        if let Some(told) = self.settings.advance() {
            self.notify(Notice::failed(told), now);
        }
        if now.duration_since(self.saved_at) > BETWEEN_SAVES {
            self.saved_at = now;
            let settings = self.settings_now();
            self.settings.save_soon(settings, ctx);
        }
    }

    /// Paints the state.
    pub fn ui(&mut self, ui: &mut Ui) {
        let request = self.state.request();
        let context = ViewContext {
            state: &self.state,
            request: &request,
            theme: &self.theme,
            commands: &self.commands,
            view: None,
        };
        self.shell
            .ui(ui, &context, &mut self.layout, &mut self.views);
    }

    /// Writes what is kept for the next run, before it returns.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&mut self) -> Result<(), AppError> {
        let settings = self.settings_now();
        self.settings.save(settings)
    }

    /// What is kept for the next run.
    fn settings_now(&self) -> Settings {
        Settings {
            theme: self.state.theme,
            zoom: self.shell.zoom,
            recent: self.state.recent.clone(),
            choices: self.state.choices.clone(),
            layout: Some(self.layout.saved()),
            window: self.window_size.or(self.settings.saved().window),
        }
    }

    /// Does what a command says; what a user chose with it can be undone.
    fn apply(&mut self, command: Command, ctx: &Context, now: Instant) {
        let deed = self.deed(&command);
        let deed = deed.map(|deed| (deed, self.snapshot()));
        self.obey(command, ctx, now);
        if let Some((deed, before)) = deed {
            let parts = before.changed(&self.snapshot());
            self.history.note(deed, parts, now);
        }
        ctx.request_repaint();
    }

    fn obey(&mut self, command: Command, ctx: &Context, now: Instant) {
        match command {
            Command::OpenTrace(path) => {
                let path = absolute(path);
                self.state.notices.take_offer(&path);
                self.state.traces.open(path, ctx);
            }
            Command::OpenDemo => self.state.traces.open_demo(self.state.device_choice, ctx),
            Command::CloseTrace(id) => self.close_trace(id),
            Command::ChooseTrace(id) => self.state.traces.choose(id),
            Command::Open(path) => self.paths.open(path),
            Command::PickTrace => pick::trace(&self.commands),
            Command::PickModel => pick::model(&self.commands),
            Command::PickTexts => pick::texts(&self.commands),
            Command::ChooseModel(model) => {
                self.state.recent.note_model(&model);
                self.state.choices.capture.model = model;
                // What runs the model says which one it is; where nothing does, captures do.
                let says_it = |view: &&str| self.layout.is_in_front(view);
                if !["live", "intervene"].iter().any(says_it) {
                    self.layout.show("capture");
                }
            }
            Command::ChooseTexts(files) => {
                let noted = files.iter().cloned().map(absolute).collect();
                self.state.recent.note_texts(noted);
                self.state.choices.capture.files = files;
                self.layout.show("capture");
            }
            Command::ChooseOut(picked) => {
                let capture = &mut self.state.choices.capture;
                capture.out = captures::place_in(absolute(picked), &capture.model);
            }
            Command::ChooseKeptIn(folder) => self.state.choices.live.kept_in = absolute(folder),
            Command::ChooseRequest(request) => match request.check() {
                Ok(()) => self.state.choices.request = *request,
                Err(error) => self.notify(Notice::failed(error.to_string()), now),
            },
            Command::ChooseCell(cell) => self.state.choices.cell = cell,
            Command::ChooseDocuments(documents) => {
                self.state.choices.documents = documents.into();
            }
            Command::ChooseDisciplines(choice) => self.state.choices.disciplines = *choice,
            Command::ChooseCompare(choice) => self.state.choices.compare = *choice,
            Command::ChooseCapture(choice) => self.state.choices.capture = *choice,
            Command::ChooseLive(choice) => self.state.choices.live = *choice,
            Command::Live(command) => self.live(*command, ctx, now),
            Command::Undo => self.undo(ctx, now),
            Command::Redo => self.redo(ctx, now),
            Command::Ask(question) => self.state.answers.ask(*question),
            Command::AskAgain(question) => self.state.answers.ask_again(*question),
            Command::Cancel(progress) => progress.cancel(),
            Command::EstimateCapture => {
                let choice = &self.state.choices.capture;
                self.state
                    .captures
                    .estimate(choice, self.state.device_choice, ctx);
            }
            Command::StartCapture => {
                let choice = &self.state.choices.capture;
                self.state.recent.note_model(&choice.model);
                self.state
                    .captures
                    .start(choice, self.state.device_choice, ctx);
            }
            Command::CancelCapture => self.state.captures.cancel(),
            Command::CopyCapture => self.copy_capture(ctx, now),
            Command::Copy(text) => {
                self.notify(Notice::done(told_copied(&text)), now);
                ctx.copy_text(text);
            }
            Command::CopyAsCommand => self.copy_as_command(ctx, now),
            Command::OpenExport(view) => {
                self.layout.show(view);
                self.shell.export.open(view);
            }
            Command::ChooseExportStem(stem) => self.shell.export.set_stem(&stem),
            Command::Export(request) => self.state.exports.start(*request, ctx),
            Command::ExportView(view, stem) => self.export_view(view, stem, ctx, now),
            Command::OpenView(view) => self.layout.show(view),
            Command::BringForward { view, clicked_in } => {
                self.layout.show_beside(view, clicked_in);
            }
            Command::CloseView(view) => self.layout.hide(view),
            Command::CloseThisView => match self.layout.current() {
                Some(view) => self.layout.hide(view),
                None => self.notify(Notice::failed(NO_VIEW), now),
            },
            Command::ResetLayout => self.layout = Layout::default(),
            Command::ChooseTheme(choice) => self.choose_theme(choice, ctx, now),
            Command::Zoom(step) => self.zoom(step, ctx),
            Command::TogglePalette => self.shell.palette.toggle(),
            Command::ToggleSheet => self.shell.sheet.toggle(),
            Command::Notify(notice) => self.notify(notice, now),
            Command::Dismiss(notice) => self.state.notices.dismiss(&notice),
            Command::Quit => self.quit(ctx),
        }
    }

    fn close_trace(&mut self, id: TraceId) {
        if let Some(trace) = self.state.traces.get(id) {
            self.state.answers.forget_trace(trace);
        }
        self.state.traces.close(id);
    }

    /// Does what a generation is asked for, by what is chosen now.
    fn live(&mut self, command: LiveCommand, ctx: &Context, now: Instant) {
        let choices = &self.state.choices;
        let (live, capture) = (&choices.live, &choices.capture);
        let device = self.state.device_choice;
        let is_other_line = matches!(command, LiveCommand::ChooseBranch(_));
        let done = self.state.lives.apply(command, live, capture, device, ctx);
        if let Some(loading) = self.state.lives.loading() {
            self.state.captures.give_way(loading, device);
        }
        if let Err(told) = done {
            self.notify(Notice::failed(told), now);
        }
        if is_other_line {
            self.load_message();
        }
    }

    fn notify(&mut self, notice: Notice, now: Instant) {
        self.state.notices.push(notice, now);
    }

    fn choose_theme(&mut self, choice: ThemeChoice, ctx: &Context, now: Instant) {
        match Theme::load(choice) {
            Ok(theme) => {
                theme.apply(ctx);
                self.theme = theme;
                self.state.theme = choice;
            }
            Err(error) => self.notify(Notice::failed(error.to_string()), now),
        }
    }

    fn zoom(&mut self, step: ZoomStep, ctx: &Context) {
        let factor = match step {
            ZoomStep::Larger => ctx.zoom_factor() * 1.1,
            ZoomStep::Smaller => ctx.zoom_factor() / 1.1,
            ZoomStep::Normal => 1.0,
        };
        self.set_zoom(Some(factor.clamp(0.5, 4.0)), ctx);
    }

    /// Sets the size of everything; `None` is the display's own.
    fn set_zoom(&mut self, zoom: Option<f32>, ctx: &Context) {
        ctx.set_zoom_factor(zoom.unwrap_or(1.0));
        self.shell.zoom = zoom;
    }

    fn quit(&mut self, ctx: &Context) {
        self.is_closing = true;
        ctx.send_viewport_cmd(egui::ViewportCommand::Close);
    }

    fn follow_script(&mut self, ctx: &Context) {
        let is_idle = self.is_idle();
        let Some(script) = &mut self.script else {
            return;
        };
        match script.advance(ctx, &self.commands, is_idle) {
            Ok(true) => ctx.request_repaint_after(Duration::from_millis(10)),
            Ok(false) => {
                self.script = None;
            }
            Err(error) => {
                *self.report.borrow_mut() = Some(error);
                self.script = None;
                self.quit(ctx);
            }
        }
    }
}

/// A path that means the same wherever the program runs.
fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}
