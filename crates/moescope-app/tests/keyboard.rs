//! Views and traces are left, and their commands copied, without a pointer.

use egui::{Key, Modifiers, pos2};
use moescope_app::{Command, ThemeChoice};

use crate::common::{SIZE, Window, config, traces};

const CTRL_SHIFT: Modifiers = Modifiers::COMMAND.plus(Modifiers::SHIFT);

fn press(window: &mut Window, modifiers: Modifiers, key: Key) {
    window.harness.key_press_modifiers(modifiers, key);
    window.settle();
}

#[test]
fn the_view_that_was_used_last_is_copied_and_closed() {
    let traces = traces();
    let mut window = Window::open(SIZE, config(ThemeChoice::Dark, &[&traces.plain]));
    let disciplines = "Which experts the texts of each label choose";
    window.send(Command::OpenView("disciplines"));
    assert!(window.says(disciplines) && window.says("No expert is chosen"));
    press(&mut window, CTRL_SHIFT, Key::C);
    assert!(window.says("Copied"), "the line of the heat map");

    // A press in a view makes it the one that is meant; the palette's own field does not.
    window.click_at(pos2(1240.0, 300.0));
    window.find_command("close this view");
    assert!(window.says(disciplines) && !window.says("No expert is chosen"));
    window.send(Command::OpenView("disciplines"));
    press(&mut window, Modifiers::COMMAND, Key::W);
    assert!(!window.says(disciplines));
}

#[test]
fn the_trace_that_is_shown_is_closed() {
    let traces = traces();
    let open = [traces.plain.as_path(), traces.masked.as_path()];
    let mut window = Window::open(SIZE, config(ThemeChoice::Light, &open));
    let shown = window.app().state().traces.active().unwrap().path.clone();
    press(&mut window, CTRL_SHIFT, Key::W);
    let state = window.app().state();
    assert!(state.traces.at(&shown).is_none() && state.traces.all().len() == 1);
    window.find_command("close this trace");
    assert!(window.app().state().traces.active().is_none());
    assert!(shown.join("manifest.json").is_file(), "its folder stays");
}

#[test]
fn the_sheet_tells_of_these_keys() {
    let traces = traces();
    let mut window = Window::open(SIZE, config(ThemeChoice::Dark, &[&traces.plain]));
    press(&mut window, Modifiers::NONE, Key::F1);
    for does in [
        "Copy as command",
        "Close this view",
        "Close this trace",
        "Arrow keys, Home, End",
    ] {
        assert!(window.says(does), "{does}");
    }
}
