//! What the tests of views share: small traces of the embedded model, and an app in a window that only the test sees.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
    time::{Duration, Instant},
};

use egui::{Event, Key, Modifiers, OutputCommand, PointerButton, Pos2, Rect, vec2};
use egui_kittest::{
    Harness,
    kittest::{NodeT as _, Queryable as _},
};
use moescope_app::{App, AppConfig, SettingsPlace, ThemeChoice};
use moescope_core::NoProgress;
use moescope_engine::{ComputeDevice, DeviceChoice, Intervention, LoadOptions};
use moescope_pipeline::{
    CaptureConfig, CapturePlan, DataConfig, FigureSpec, LoadedModel, ModelFiles, ModelFolder,
};

/// The window of most tests.
pub(crate) const SIZE: [f32; 2] = [1280.0, 800.0];

/// Two traces of the same texts: as the model is, and with expert 1 of layer 2 masked.
pub(crate) struct Traces {
    _folder: tempfile::TempDir,
    pub(crate) plain: PathBuf,
    pub(crate) masked: PathBuf,
}

/// The traces, captured once for all tests.
pub(crate) fn traces() -> &'static Traces {
    static TRACES: OnceLock<Traces> = OnceLock::new();
    TRACES.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let texts = folder.path().join("texts.jsonl");
        fs::write(&texts, texts_of_three_disciplines()).unwrap();
        let plain = folder.path().join("plain");
        let masked = folder.path().join("masked");
        capture(&texts, &plain, Vec::new());
        capture(&texts, &masked, vec!["mask:2:1".parse().unwrap()]);
        Traces {
            _folder: folder,
            plain,
            masked,
        }
    })
}

/// Six groups of two documents for each of three disciplines.
fn texts_of_three_disciplines() -> String {
    let sentences = [
        (
            "law",
            "The court held that the contract was void because consent had been obtained by duress in the district of",
        ),
        (
            "math",
            "Let f be a continuous function on a compact interval; then the integral converges uniformly for every n equal to",
        ),
        (
            "protein",
            "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQAPILSRVGDGTQDNLSGAEKAVQVKVKALPDAQFEVVHSLAKWKR",
        ),
    ];
    let mut text = String::new();
    for (discipline, sentence) in sentences {
        for number in 0..12 {
            let record = serde_json::json!({
                "id": format!("{discipline}-{number}"),
                "discipline": discipline,
                "group": format!("{discipline}-{}", number / 2),
                "genre": if number % 2 == 0 { "abstract" } else { "textbook" },
                "text": format!("{sentence} number {number}, as was said before."),
            });
            text.push_str(&record.to_string());
            text.push('\n');
        }
    }
    text
}

/// The embedded model on the CPU.
pub(crate) fn loaded() -> LoadedModel {
    let files = ModelFiles::open(ModelFolder::find("demo", None).unwrap()).unwrap();
    let device = ComputeDevice::open(DeviceChoice::Cpu).unwrap();
    let options = LoadOptions::default();
    files.load(device, options, &NoProgress).unwrap()
}

fn capture(texts: &Path, out: &Path, interventions: Vec<Intervention>) {
    let loaded = loaded();
    let config = CaptureConfig {
        data: DataConfig {
            files: vec![texts.to_owned()],
            ..DataConfig::default()
        },
        out: out.to_owned(),
        interventions,
        ..CaptureConfig::default()
    };
    let kind = loaded.device.kind;
    let plan = CapturePlan::new(config, &loaded.files, kind, &NoProgress).unwrap();
    plan.run(&loaded, &NoProgress).unwrap();
}

/// An app whose settings are kept nowhere.
pub(crate) fn config(theme: ThemeChoice, traces: &[&Path]) -> AppConfig {
    AppConfig {
        traces: traces.iter().map(|path| path.to_path_buf()).collect(),
        theme: Some(theme),
        settings: SettingsPlace::None,
        starts_empty: true,
        ..AppConfig::default()
    }
}

/// A window with the app.
pub(crate) struct Window {
    pub(crate) harness: Harness<'static, Option<App>>,
}

impl Window {
    /// Opens the window; the app is there, and what it was told to open is open.
    pub(crate) fn open(size: [f32; 2], config: AppConfig) -> Self {
        let mut config = Some(config);
        let harness = Harness::builder()
            .with_size(vec2(size[0], size[1]))
            .with_max_steps(64)
            .wgpu()
            .build_ui_state(
                move |ui, state: &mut Option<App>| {
                    if let Some(config) = config.take() {
                        // The fonts that the app installs are there from the next frame on.
                        *state = Some(App::new(ui.ctx(), config).unwrap());
                        ui.ctx().request_repaint();
                        return;
                    }
                    let app = state.as_mut().unwrap();
                    app.logic(ui.ctx());
                    app.ui(ui);
                },
                None,
            );
        let mut window = Self { harness };
        window.settle();
        window
    }

    /// The app.
    pub(crate) fn app(&self) -> &App {
        self.harness.state().as_ref().unwrap()
    }

    /// Goes on until nothing runs and the last change is painted.
    pub(crate) fn settle(&mut self) {
        let start = Instant::now();
        self.harness.run_steps(3);
        let mut idle = 0;
        while idle < 4 {
            self.harness.step();
            idle = if self.app().is_idle() { idle + 1 } else { 0 };
            assert!(
                start.elapsed() < Duration::from_mins(2),
                "something runs without end"
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Asks for a change and waits until it is painted.
    pub(crate) fn send(&mut self, command: moescope_app::Command) {
        self.app().commands().send(command);
        self.settle();
    }

    /// Clicks what a screen reader calls so.
    pub(crate) fn click(&mut self, label: &str) {
        self.harness.get_by_label(label).click();
        self.settle();
    }

    /// Does what a screen reader does to click something, wherever it is scrolled to.
    pub(crate) fn press(&mut self, label: &str) {
        self.harness.get_by_label(label).click_accesskit();
        self.settle();
    }

    /// Clicks a place.
    pub(crate) fn click_at(&mut self, pos: Pos2) {
        self.harness.event(Event::PointerMoved(pos));
        self.harness.step();
        for pressed in [true, false] {
            self.harness.event(Event::PointerButton {
                pos,
                button: PointerButton::Primary,
                pressed,
                modifiers: Modifiers::NONE,
            });
            self.harness.step();
        }
        self.settle();
    }

    /// Drags from the first place over the others.
    pub(crate) fn drag(&mut self, places: &[Pos2], modifiers: Modifiers) {
        let button = |pos, pressed| Event::PointerButton {
            pos,
            button: PointerButton::Primary,
            pressed,
            modifiers,
        };
        let (first, last) = (places[0], places[places.len() - 1]);
        let moves = places.iter().map(|place| Event::PointerMoved(*place));
        let events = [
            Event::ModifiersChanged(modifiers),
            Event::PointerMoved(first),
            button(first, true),
        ]
        .into_iter()
        .chain(moves)
        .chain([
            button(last, false),
            Event::ModifiersChanged(Modifiers::NONE),
        ]);
        for event in events {
            self.harness.event(event);
            self.harness.step();
        }
        self.settle();
    }

    /// The place and the words of the widget whose name begins so.
    pub(crate) fn find(&self, beginning: &str) -> (Rect, String) {
        let node = self.harness.get_by_label_contains(beginning);
        let text = node.accesskit_node().label().unwrap_or_default();
        (node.rect(), text)
    }

    /// The command that a view copies.
    pub(crate) fn copied(&mut self, view: &'static str) -> String {
        let copied = self.copied_if_any(view);
        let told = self.app().state().notices.iter().map(|notice| &notice.text);
        copied.unwrap_or_else(|| panic!("{view} copies nothing: {:?}", told.collect::<Vec<_>>()))
    }

    /// The same, if it copies one.
    pub(crate) fn copied_if_any(&mut self, view: &'static str) -> Option<String> {
        self.send(moescope_app::Command::OpenView(view));
        let commands = self.app().commands();
        commands.send(moescope_app::Command::CopyAsCommand);
        for _ in 0..4 {
            self.harness.step();
            let copied = self.copied_text();
            if copied.is_some() {
                self.settle();
                return copied;
            }
        }
        None
    }

    /// What the last frame copied, if it did.
    pub(crate) fn copied_text(&self) -> Option<String> {
        let output = &self.harness.output().platform_output;
        output.commands.iter().find_map(|command| match command {
            OutputCommand::CopyText(text) => Some(text.clone()),
            _ => None,
        })
    }

    /// Finds a command in the palette and does it.
    pub(crate) fn find_command(&mut self, words: &str) {
        self.harness.key_press_modifiers(Modifiers::COMMAND, Key::K);
        self.settle();
        let field = self.harness.get_by_label("Find a command");
        field.type_text(words);
        self.settle();
        self.harness.key_press(Key::Enter);
        self.settle();
    }

    /// Whether some widget says this.
    pub(crate) fn says(&self, text: &str) -> bool {
        self.harness
            .query_all_by_label_contains(text)
            .next()
            .is_some()
    }
}

/// The bytes of a figure with this ending, as the specification beside it draws them.
pub(crate) fn drawn_again(stem: &Path, ending: &str) -> Vec<u8> {
    let folder = stem.parent().unwrap();
    let again = tempfile::tempdir().unwrap();
    let spec = FigureSpec::read(&stem.with_extension("toml")).unwrap();
    spec.draw(folder, Some(again.path()), &NoProgress).unwrap();
    let name = stem.with_extension(ending);
    fs::read(again.path().join(name.file_name().unwrap())).unwrap()
}

/// Whether something here can paint; says why not where nothing can, which is an error where one must be there.
pub(crate) fn can_paint() -> bool {
    match ComputeDevice::open(DeviceChoice::Gpu) {
        Ok(_) => true,
        Err(error) => {
            let is_required = std::env::var("MOESCOPE_REQUIRE_GPU").is_ok_and(|value| value == "1");
            assert!(!is_required, "no adapter to paint with: {error}");
            eprintln!("skipped: no adapter to paint with: {error}");
            false
        }
    }
}
