//! What is dropped, what was opened lately, and the messages about it.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use egui::Key;
use egui_kittest::kittest::Queryable as _;
use moescope_app::{AppConfig, Command, SettingsPlace, ThemeChoice};

use crate::common::{SIZE, Window, config, traces};

/// A file or folder as a window system drops it.
#[derive(Debug)]
struct Dropped(PathBuf);

impl egui::DroppedFile for Dropped {
    fn path(&self) -> &Path {
        &self.0
    }

    fn bytes(&self) -> Result<Vec<u8>, String> {
        fs::read(&self.0).map_err(|error| error.to_string())
    }
}

fn drop_on(window: &mut Window, paths: &[&Path]) {
    for path in paths {
        let dropped = Arc::new(Dropped(path.to_path_buf()));
        window.harness.input_mut().dropped_files.push(dropped);
    }
    window.settle();
}

/// Two files of texts in a folder.
fn texts(folder: &Path) -> [PathBuf; 2] {
    ["law", "math"].map(|name| {
        let path = folder.join(name).with_extension("jsonl");
        fs::write(
            &path,
            format!("{{\"id\": \"{name}\", \"text\": \"A {name}.\"}}\n"),
        )
        .unwrap();
        path
    })
}

#[test]
fn all_that_is_dropped_together_is_taken_and_found_again() {
    let (traces, folder) = (traces(), tempfile::tempdir().unwrap());
    let [law, math] = texts(folder.path());
    let config = || AppConfig {
        settings: SettingsPlace::File(folder.path().join("app.json")),
        ..config(ThemeChoice::Dark, &[])
    };
    let mut window = Window::open(SIZE, config());
    drop_on(&mut window, &[&law, &traces.plain, &math, &traces.masked]);
    let state = window.app().state();
    for trace in [&traces.plain, &traces.masked] {
        assert!(state.traces.at(trace).is_some(), "{}", trace.display());
    }
    let both = vec![law, math];
    assert_eq!(state.choices.capture.files, both);
    let app = window.harness.state_mut().as_mut().unwrap();
    app.save().unwrap();
    drop(window);

    // The next run offers all of it, in the menu and in the palette.
    let mut window = Window::open(SIZE, config());
    window.send(Command::ChooseTexts(Vec::new()));
    window.click("File");
    for entry in [
        "Open plain",
        "Open masked",
        "Texts chosen lately",
        "Capture law.jsonl and 1 more",
    ] {
        assert!(window.says(entry), "{entry}");
    }
    window.harness.key_press(Key::Escape);
    window.settle();
    window.find_command("capture law.jsonl");
    assert_eq!(window.app().state().choices.capture.files, both);
}

#[test]
fn of_several_models_it_is_told_which_was_taken() {
    let folder = tempfile::tempdir().unwrap();
    let models = ["first", "second"].map(|name| folder.path().join(name));
    for model in &models {
        fs::create_dir(model).unwrap();
        fs::write(model.join("config.json"), "{}").unwrap();
    }
    let mut window = Window::open(SIZE, config(ThemeChoice::Light, &[]));
    drop_on(&mut window, &[&models[0], &models[1]]);
    let state = window.app().state();
    let names = models.map(|model| model.to_string_lossy().into_owned());
    assert_eq!(state.choices.capture.model, names[1]);
    assert_eq!(
        state.recent.models[..2],
        [names[1].clone(), names[0].clone()]
    );
    assert!(window.says("2 models were dropped"));
}

#[test]
fn a_dismissed_message_takes_no_other_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut window = Window::open(SIZE, config(ThemeChoice::Dark, &[]));
    for name in ["neither", "nor"] {
        window.send(Command::Open(folder.path().join(name)));
    }
    let first = window.harness.get_all_by_label("Dismiss").next();
    first.expect("two messages").click();
    window.settle();
    assert_eq!(window.harness.query_all_by_label("Dismiss").count(), 1);
    assert!(window.says("a file of texts"));
}
