//! The app: commands in, state changed, views painted.

use std::{
    cell::RefCell,
    cmp::Reverse,
    collections::BTreeMap,
    path::{Path, PathBuf},
    rc::Rc,
    sync::mpsc::Receiver,
    time::{Duration, Instant},
};

use egui::{Context, Key, KeyboardShortcut, Modifiers, Ui};
use moescope_analytics::{MeasureRequest, TraceData};
use moescope_engine::DeviceChoice;
use moescope_figures::Format;
use moescope_pipeline::session::{Branch, Recovery, SessionEvent, Transcript};

use crate::{
    actions,
    captures::{self, CaptureEnd, CaptureEvent},
    command::{Command, Commands, ZoomStep},
    error::AppError,
    export::ExportRequest,
    fonts,
    history::History,
    lives::{Keeping, LiveCommand, LiveEvent},
    notices::Notice,
    script::{ScriptConfig, ScriptRun},
    settings::{Settings, usual_path},
    shell::{Shell, layout::Layout, pick},
    state::State,
    theme::{Theme, ThemeChoice},
    traces::{TraceAbout, TraceId},
    view::{View, ViewContext},
    views::VIEWS,
};

/// Settings are kept this often, so that little is lost when the process is killed.
const BETWEEN_SAVES: Duration = Duration::from_secs(20);
/// Replies of an interrupted run that are offered one by one; the others are among what was opened lately.
const OFFERS: usize = 3;

/// How the app starts.
#[derive(Clone, Debug, Default)]
pub struct AppConfig {
    /// Traces to open; the demo's where there are none.
    pub traces: Vec<PathBuf>,
    /// The model to choose for captures.
    pub model: Option<String>,
    /// Where models run.
    pub device: DeviceChoice,
    /// The theme; that of the last run where it is not given.
    pub theme: Option<ThemeChoice>,
    /// Where settings are kept, and replies that nobody saved.
    pub settings: SettingsPlace,
    /// A scripted run.
    pub script: Option<ScriptConfig>,
    /// Whether no trace is opened unasked, not even the demo's.
    pub starts_empty: bool,
}

/// Where settings are kept, and replies that nobody saved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SettingsPlace {
    /// In the user's configuration folder; replies beside other traces, and while they grow in the state folder.
    #[default]
    Usual,
    /// In a file; replies in the folders `replies` and, while they grow, `unfinished` beside it.
    File(PathBuf),
    /// Nowhere.
    None,
}

impl AppConfig {
    fn settings_path(&self) -> Option<PathBuf> {
        match &self.settings {
            SettingsPlace::Usual => usual_path(),
            SettingsPlace::File(path) => Some(path.clone()),
            SettingsPlace::None => None,
        }
    }

    /// Where replies are kept that nobody saved; a script leaves nothing behind.
    fn keeping(&self) -> Option<Keeping> {
        match &self.settings {
            _ if self.script.is_some() => None,
            SettingsPlace::Usual => Some(Keeping::usual()),
            SettingsPlace::File(path) => Some(Keeping::beside(path)),
            SettingsPlace::None => None,
        }
    }

    /// The window's size at the last run; broken settings are told of when the window is there.
    pub(crate) fn remembered_size(&self) -> Option<[f32; 2]> {
        Settings::load(&self.settings_path()?).ok()?.window
    }
}

/// The app: its state, its views, and where commands come from.
pub struct App {
    state: State,
    theme: Theme,
    history: History,
    shell: Shell,
    layout: Layout,
    views: BTreeMap<&'static str, Box<dyn View>>,
    commands: Commands,
    received: Receiver<Command>,
    settings_path: Option<PathBuf>,
    /// What is on the disk, so that the same is not written again.
    saved: Settings,
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
            shell: Shell::default(),
            state,
            theme,
            commands,
            received,
            saved: settings,
            settings_path,
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
        self.state.is_idle() && !self.views.values().any(|view| view.is_busy())
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
        while let Ok(command) = self.received.try_recv() {
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
        if now.duration_since(self.saved_at) > BETWEEN_SAVES {
            self.saved_at = now;
            if let Err(error) = self.save() {
                self.notify(Notice::failed(error.to_string()), now);
            }
        }
    }

    /// Paints the state.
    pub fn ui(&mut self, ui: &mut Ui) {
        let context = ViewContext {
            state: &self.state,
            theme: &self.theme,
            commands: &self.commands,
        };
        self.shell
            .ui(ui, &context, &mut self.layout, &mut self.views);
    }

    /// Writes what is kept for the next run.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&mut self) -> Result<(), AppError> {
        let Some(path) = &self.settings_path else {
            return Ok(());
        };
        let settings = Settings {
            theme: self.state.theme,
            zoom: self.shell.zoom,
            recent: self.state.recent.clone(),
            choices: self.state.choices.clone(),
            layout: Some(self.layout.saved()),
            window: self.window_size.or(self.saved.window),
        };
        if settings != self.saved {
            settings.save(path)?;
            self.saved = settings;
        }
        Ok(())
    }

    #[expect(clippy::too_many_lines, reason = "an arm for each command")]
    fn apply(&mut self, command: Command, ctx: &Context, now: Instant) {
        match command {
            Command::OpenTrace(path) => {
                let path = absolute(path);
                self.state.notices.take_offer(&path);
                self.state.traces.open(path, ctx);
            }
            Command::OpenDemo => self.state.traces.open_demo(self.state.device_choice, ctx),
            Command::CloseTrace(id) => {
                self.state.traces.close(id);
                self.state.answers.forget_trace(id);
            }
            Command::ChooseTrace(id) => {
                self.state.traces.choose(id);
                self.fit_labels(now);
            }
            Command::Open(path) => self.open_anything(path, ctx, now),
            Command::PickTrace => pick::trace(&self.commands),
            Command::PickModel => pick::model(&self.commands),
            Command::PickTexts => pick::texts(&self.commands),
            Command::ChooseModel(model) => {
                self.state.recent.note_model(&model);
                self.choose("model", now, |choices| choices.capture.model = model);
                self.layout.show("capture");
            }
            Command::ChooseTexts(files) => {
                self.choose("texts", now, |choices| choices.capture.files = files);
                self.layout.show("capture");
            }
            Command::ChooseOut(picked) => self.choose("capture", now, |choices| {
                let capture = &mut choices.capture;
                capture.out = captures::place_in(absolute(picked), &capture.model);
            }),
            Command::ChooseKeptIn(folder) => self.choose("live", now, |choices| {
                choices.live.kept_in = absolute(folder);
            }),
            Command::ChooseRequest(request) => match request.check() {
                Ok(()) => self.choose("request", now, |choices| choices.request = *request),
                Err(error) => self.notify(Notice::failed(error.to_string()), now),
            },
            Command::ChooseCell(cell) => self.choose("cell", now, |choices| choices.cell = cell),
            Command::ChooseDocuments(documents) => {
                // Clearing is a step of its own, however soon it follows.
                let kind = if documents.is_empty() {
                    "no documents"
                } else {
                    "documents"
                };
                self.choose(kind, now, |choices| {
                    choices.documents = documents.into();
                });
            }
            Command::ChooseDisciplines(choice) => {
                self.choose("disciplines", now, |choices| choices.disciplines = *choice);
            }
            Command::ChooseCompare(choice) => {
                self.choose("compare", now, |choices| choices.compare = *choice);
            }
            Command::ChooseCapture(choice) => {
                self.choose("capture", now, |choices| choices.capture = *choice);
            }
            Command::ChooseLive(choice) => {
                self.choose("live", now, |choices| choices.live = *choice);
            }
            Command::Live(command) => self.live(*command, ctx, now),
            Command::Undo => match self.history.undo(&self.state.choices) {
                Some(choices) => self.state.choices = choices,
                None => self.notify(Notice::done("There is nothing to undo"), now),
            },
            Command::Redo => match self.history.redo(&self.state.choices) {
                Some(choices) => self.state.choices = choices,
                None => self.notify(Notice::done("There is nothing to redo"), now),
            },
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
            Command::Copy(text) => {
                self.notify(Notice::done(told_copied(&text)), now);
                ctx.copy_text(text);
            }
            Command::OpenExport(view) => {
                self.layout.show(view);
                self.shell.export.open(view);
            }
            Command::ChooseExportStem(stem) => self.shell.export.set_stem(&stem),
            Command::Export(request) => self.state.exports.start(*request, ctx),
            Command::ExportView(view, stem) => self.export_view(view, stem, ctx, now),
            Command::OpenView(view) => self.layout.show(view),
            Command::CloseView(view) => self.layout.hide(view),
            Command::ResetLayout => self.layout = Layout::default(),
            Command::ChooseTheme(choice) => self.choose_theme(choice, ctx, now),
            Command::Zoom(step) => self.zoom(step, ctx),
            Command::TogglePalette => self.shell.palette.toggle(),
            Command::ToggleSheet => self.shell.sheet.toggle(),
            Command::Notify(notice) => self.notify(notice, now),
            Command::DismissNotices => self.state.notices.dismiss(),
            Command::Quit => self.quit(ctx),
        }
        ctx.request_repaint();
    }

    /// Changes what is chosen, so that it can be undone.
    fn choose(
        &mut self,
        kind: &'static str,
        now: Instant,
        change: impl FnOnce(&mut crate::choices::Choices),
    ) {
        let before = self.state.choices.clone();
        change(&mut self.state.choices);
        if self.state.choices != before {
            self.history.note(before, kind, now);
        }
    }

    /// Does what a generation is asked for, by what is chosen now.
    fn live(&mut self, command: LiveCommand, ctx: &Context, now: Instant) {
        let choices = &self.state.choices;
        let (live, capture) = (&choices.live, &choices.capture);
        let device = self.state.device_choice;
        let done = self.state.lives.apply(command, live, capture, device, ctx);
        if let Err(told) = done {
            self.notify(Notice::failed(told), now);
        }
    }

    fn notify(&mut self, notice: Notice, now: Instant) {
        self.state.notices.push(notice, now);
    }

    /// Opens what was dropped or named, by what it is.
    fn open_anything(&mut self, path: PathBuf, ctx: &Context, now: Instant) {
        let path = absolute(path);
        if path.join("manifest.json").is_file() {
            self.state.traces.open(path, ctx);
        } else if path.join("config.json").is_file() {
            let model = path.to_string_lossy().into_owned();
            self.apply(Command::ChooseModel(model), ctx, now);
        } else if path.is_file() {
            self.apply(Command::ChooseTexts(vec![path]), ctx, now);
        } else {
            self.notify(
                Notice::failed(format!(
                    "this is neither a trace (a folder with manifest.json), nor a model (a folder with config.json), nor a file of texts: {}",
                    path.display()
                )),
                now,
            );
        }
    }

    /// Writes what a view shows, with everything that belongs to it.
    fn export_view(&mut self, view: &str, stem: PathBuf, ctx: &Context, now: Instant) {
        let context = ViewContext {
            state: &self.state,
            theme: &self.theme,
            commands: &self.commands,
        };
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
        let factor = factor.clamp(0.5, 4.0);
        ctx.set_zoom_factor(factor);
        self.shell.zoom = Some(factor);
    }

    fn quit(&mut self, ctx: &Context) {
        self.is_closing = true;
        ctx.send_viewport_cmd(egui::ViewportCommand::Close);
    }

    fn take_keys(&mut self, ctx: &Context) {
        // Undo in a field of text is the field's own.
        let is_typing = ctx.text_edit_focused();
        // A key without Ctrl or Alt belongs to whatever has the focus: Space presses a button.
        let has_focus = ctx.memory(|memory| memory.focused().is_some());
        let mut all = actions::all(&self.state);
        // A shortcut is also pressed where Shift is held besides, so those with more keys come first.
        all.sort_by_key(|action| {
            let held = action.shortcut.map(|keys| keys.modifiers);
            let [alt, ctrl, shift] = held.map_or([false; 3], |held| {
                [held.alt, held.command || held.ctrl, held.shift]
            });
            Reverse(u8::from(alt) + u8::from(ctrl) + u8::from(shift))
        });
        for action in all {
            let is_plain = action.shortcut.is_some_and(|keys| {
                keys.modifiers.is_none() && matches!(keys.logical_key, Key::Space | Key::Period)
            });
            let is_fields_own = is_typing
                && matches!(action.command, Command::Undo | Command::Redo)
                || has_focus && is_plain;
            if let Some(shortcut) = action.shortcut
                && !is_fields_own
                && ctx.input_mut(|input| input.consume_shortcut(&shortcut))
            {
                self.commands.send(action.command);
            }
        }
        // Where plus is shift and equals, nobody presses shift.
        let equals = KeyboardShortcut::new(Modifiers::COMMAND, Key::Equals);
        if ctx.input_mut(|input| input.consume_shortcut(&equals)) {
            self.commands.send(Command::Zoom(ZoomStep::Larger));
        }
    }

    fn take_drops(&mut self, ctx: &Context) {
        let dropped = ctx.input(|input| {
            let files = input.raw.dropped_files.iter();
            files
                .map(|file| file.path().to_owned())
                .collect::<Vec<PathBuf>>()
        });
        let is_text = |path: &Path| path.is_file();
        if dropped.len() > 1 && dropped.iter().all(|path| is_text(path)) {
            self.commands.send(Command::ChooseTexts(dropped));
        } else {
            for path in dropped {
                self.commands.send(Command::Open(path));
            }
        }
    }

    fn take_results(&mut self, ctx: &Context, now: Instant) {
        let (opened, failed) = self.state.traces.advance();
        for path in &opened {
            if !self.state.traces.at(path).is_some_and(|t| t.is_demo) {
                self.state.recent.note_trace(path);
            }
            self.follow_opened();
            self.fit_labels(now);
        }
        for told in failed {
            self.notify(Notice::failed(told), now);
        }
        self.state.answers.advance(&self.state.traces, ctx);
        for event in self.state.captures.advance() {
            self.take_capture_event(event, ctx, now);
        }
        let choice = &self.state.choices.live;
        for event in self.state.lives.advance(choice, &self.state.traces, ctx) {
            match event {
                LiveEvent::Loaded { device } => self.state.device = Some(device),
                LiveEvent::Failed(told) => self.notify(Notice::failed(told), now),
                LiveEvent::Saved(path) => {
                    let told = format!("Kept as a trace: {}", path.display());
                    let notice = Notice {
                        opens: Some(path),
                        ..Notice::done(told)
                    };
                    self.notify(notice, now);
                }
                LiveEvent::Sent(message) => {
                    if self.state.choices.live.next_message == message {
                        self.choose("sent", now, |choices| choices.live.next_message.clear());
                    }
                }
                LiveEvent::Recovered(recovery) => self.tell_recovered(recovery, now),
            }
        }
        if let Some(pace) = self.state.lives.branch().and_then(Branch::tokens_per_sec) {
            self.shell.tokens_per_sec = Some(pace);
        }
        match self.state.exports.advance() {
            None => {}
            Some(Ok(paths)) => {
                let names: Vec<String> = paths.iter().map(|p| p.display().to_string()).collect();
                self.notify(Notice::done(format!("Wrote {}", names.join(", "))), now);
            }
            Some(Err(told)) => self.notify(Notice::failed(told), now),
        }
    }

    /// Offers to open what an interrupted run had written.
    fn tell_recovered(&mut self, recovery: Recovery, now: Instant) {
        let Recovery { branches, problems } = recovery;
        for branch in branches.iter().rev() {
            self.state.recent.note_trace(&branch.path);
        }
        for branch in branches.iter().take(OFFERS) {
            self.notify(Notice::offer_of(branch), now);
        }
        if let [_, .., last] = branches.get(OFFERS - 1..).unwrap_or_default() {
            let folder = last.path.parent().unwrap_or(&last.path);
            let more = branches.len() - OFFERS;
            let told = format!(
                "{more} more of its replies are traces in {}",
                folder.display()
            );
            self.notify(Notice::found(told, None), now);
        }
        for problem in problems {
            self.notify(Notice::failed(problem), now);
        }
    }

    /// Labels by a column that the trace has, where it lacks the chosen one.
    fn fit_labels(&mut self, now: Instant) {
        let Some(trace) = self.state.traces.active() else {
            return;
        };
        let columns = trace.data.label_columns();
        let has = |column: &str| columns.iter().any(|known| known == column);
        if has(&self.state.choices.request.by) {
            return;
        }
        let usual = MeasureRequest::default().by;
        let by = if has(&usual) { usual } else { "all".to_owned() };
        self.choose("request", now, |choices| {
            choices.request.by = by;
            choices.request.scope.labels.clear();
        });
    }

    /// Fills what a comparison lacks with traces that are open.
    fn follow_opened(&mut self) {
        let paths: Vec<PathBuf> = self
            .state
            .traces
            .all()
            .iter()
            .map(|trace| trace.path.clone())
            .collect();
        let compare = &mut self.state.choices.compare;
        if let [.., first, second] = paths.as_slice()
            && (compare.first.is_none() || compare.second.is_none())
        {
            compare.first = Some(second.clone());
            compare.second = Some(first.clone());
        }
    }

    fn take_capture_event(&mut self, event: CaptureEvent, ctx: &Context, now: Instant) {
        match event {
            CaptureEvent::Planned { device } => self.state.device = Some(device),
            CaptureEvent::Ended(CaptureEnd::Complete(captured)) => {
                #[expect(clippy::cast_precision_loss, reason = "shown with a few digits")]
                let pace = captured.tokens as f64 / captured.elapsed_secs.max(1e-9);
                self.notify(
                    Notice::done(format!(
                        "Captured {} tokens at {pace:.0} tokens/s; the trace is open",
                        captured.tokens
                    )),
                    now,
                );
                self.shell.tokens_per_sec = Some(pace);
                self.state.choices.capture.resumes = false;
                self.state.choices.capture.out =
                    captures::suggested_out(&self.state.choices.capture.model);
                self.state.traces.open(captured.path, ctx);
                self.layout.show("disciplines");
            }
            CaptureEvent::Ended(CaptureEnd::Stopped { told, .. }) => {
                // What was recorded is kept, and the next start goes on with it.
                self.state.choices.capture.resumes = true;
                self.notify(Notice::done(told), now);
            }
            CaptureEvent::Failed(told) => self.notify(Notice::failed(told), now),
        }
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
        // A capture that runs is asked to stop; the batches that are done are on the disk already.
        self.state.captures.cancel();
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

/// What was copied, by its first line.
fn told_copied(text: &str) -> String {
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    match lines.count() {
        0 => format!("Copied: {first}"),
        more => format!("Copied {} lines: {first}, …", more + 1),
    }
}

/// A path that means the same wherever the program runs.
fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}
