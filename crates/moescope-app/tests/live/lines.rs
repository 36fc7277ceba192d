//! Lines that are chosen and closed.

use std::path::Path;

use egui::accesskit::Role;
use egui_kittest::kittest::Queryable as _;
use moescope_app::{
    AppConfig, Command, CompareChoice, LiveChoice, LiveCommand, SettingsPlace, TextOrigin,
    ThemeChoice,
};
use moescope_pipeline::session::{BranchId, Given};

use super::{choice, generated};
use crate::common::{SIZE, Window, config};

const FIRST: BranchId = BranchId(0);
const SECOND: BranchId = BranchId(1);

fn tell(window: &mut Window, command: LiveCommand) {
    window.send(Command::Live(Box::new(command)));
}

fn shown(window: &Window) -> Option<BranchId> {
    window.app().state().lives.shown
}

/// The lines that are not closed.
fn lines(window: &Window) -> Vec<BranchId> {
    let transcript = window.app().state().lives.transcript.as_ref().unwrap();
    transcript.branches().map(|line| line.info.id).collect()
}

#[test]
fn undo_shows_the_line_and_the_token_that_were_looked_at() {
    let mut window = generated(ThemeChoice::Dark);
    tell(&mut window, LiveCommand::Start);
    assert_eq!(shown(&window), Some(SECOND));
    tell(&mut window, LiveCommand::ChooseBranch(FIRST));
    tell(&mut window, LiveCommand::ChooseToken(Some(2)));
    window.send(Command::Undo);
    assert!(window.says("Undone: chose a token"));
    let lives = &window.app().state().lives;
    assert_eq!((lives.shown, lives.token), (Some(FIRST), None));
    window.send(Command::Undo);
    assert!(window.says("Undone: showed line 1"));
    assert_eq!(shown(&window), Some(SECOND));
    window.send(Command::Redo);
    assert_eq!(shown(&window), Some(FIRST));
    // A click on a token of the other line chooses both, and is one step.
    let commands = window.app().commands();
    for command in [
        LiveCommand::ChooseBranch(SECOND),
        LiveCommand::ChooseToken(Some(3)),
    ] {
        commands.send(Command::Live(Box::new(command)));
    }
    window.settle();
    assert_eq!(shown(&window), Some(SECOND));
    window.send(Command::Undo);
    assert!(window.says("Undone: showed line 2"));
    assert_eq!(shown(&window), Some(FIRST));
    // A line that opens is no step: undo goes back to what was looked at before the last choice.
    tell(&mut window, LiveCommand::Start);
    assert_eq!(shown(&window), Some(BranchId(2)));
    window.send(Command::Undo);
    assert_eq!(shown(&window), Some(SECOND));
}

/// A window with two lines, the second of which is shown; lines that nobody keeps are kept below the folder.
fn two_lines(folder: &Path) -> Window {
    let config = AppConfig {
        settings: SettingsPlace::File(folder.join("app.json")),
        ..config(ThemeChoice::Dark, &[])
    };
    let mut window = Window::open(SIZE, config);
    window.send(Command::ChooseLive(Box::new(choice())));
    window.send(Command::OpenView("live"));
    tell(&mut window, LiveCommand::Start);
    tell(&mut window, LiveCommand::Start);
    window
}

#[test]
fn a_line_is_closed_by_its_button_and_what_showed_it_shows_another() {
    let folder = tempfile::tempdir().unwrap();
    let mut window = two_lines(folder.path());
    tell(&mut window, LiveCommand::ChooseBeside(Some(FIRST)));
    let both = CompareChoice {
        lines: [Some(FIRST), Some(SECOND)],
        ..CompareChoice::default()
    };
    window.send(Command::ChooseCompare(Box::new(both)));
    window.press("Close line 1");
    assert_eq!(lines(&window), [SECOND]);
    let kept = folder.path().join("replies").join("branch-0");
    assert!(kept.join("manifest.json").is_file());
    let told = format!("Closed line 1; it is a trace now: {}", kept.display());
    assert!(window.says(&told));
    let state = window.app().state();
    assert_eq!(state.choices.compare.lines, [None, Some(SECOND)]);
    let lives = &state.lives;
    assert_eq!((lives.shown, lives.beside), (Some(SECOND), None));
    assert_eq!(state.recent.traces, std::slice::from_ref(&kept));
    window.click("Open");
    let trace = window.app().state().traces.active().unwrap();
    assert_eq!((&trace.path, trace.about.counts.samples), (&kept, 1));
    // What it was kept as is there already: the last one goes without a second copy.
    let saved = folder.path().join("saved");
    tell(&mut window, LiveCommand::Save(saved.clone()));
    window.press("Close line 2");
    assert!(window.says("Closed line 2; it had been kept as a trace before"));
    assert!(saved.join("manifest.json").is_file());
    assert!(!folder.path().join("replies").join("branch-1").exists());
    assert_eq!((lines(&window), shown(&window)), (Vec::new(), None));
    assert!(window.says("Nothing was generated yet"));
    let lives = &window.app().state().lives;
    assert!(lives.picture.is_none() && lives.look.is_none());
    // The session goes on.
    tell(&mut window, LiveCommand::Start);
    assert_eq!(shown(&window), Some(BranchId(2)));
}

#[test]
fn a_line_is_closed_in_the_choice_of_compare() {
    let folder = tempfile::tempdir().unwrap();
    let mut window = two_lines(folder.path());
    let both = CompareChoice {
        lines: [Some(FIRST), Some(SECOND)],
        ..CompareChoice::default()
    };
    window.send(Command::ChooseCompare(Box::new(both)));
    // Live has such buttons as well.
    window.send(Command::CloseView("live"));
    window.send(Command::OpenView("compare"));
    assert!(window.says("Layers by experts of line 1"));
    window
        .harness
        .get_by_role_and_label(Role::ComboBox, "Trace or line")
        .click_accesskit();
    window.settle();
    window.press("Close line 1");
    assert_eq!(lines(&window), [SECOND]);
    let state = window.app().state();
    assert_eq!(state.choices.compare.lines, [None, Some(SECOND)]);
    assert!(state.lives.compared().is_none());
    assert!(window.says("Closed line 1; it is a trace now"));
    assert!(!window.says("Layers by experts of line 1"));
}

#[test]
fn the_line_that_is_shown_is_closed_by_keys_and_its_prompt_goes_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut window = two_lines(folder.path());
    let other = LiveChoice {
        prompt: "The court held that".into(),
        ..choice()
    };
    window.send(Command::ChooseLive(Box::new(other)));
    tell(&mut window, LiveCommand::Start);
    let third = BranchId(2);
    assert_eq!(shown(&window), Some(third));
    window
        .harness
        .key_press_modifiers(egui::Modifiers::ALT, egui::Key::W);
    window.settle();
    // Of those that are left it stood next to the second, whose prompt can be edited now.
    assert_eq!(lines(&window), [FIRST, SECOND]);
    assert_eq!(shown(&window), Some(SECOND));
    let state = window.app().state();
    assert_eq!(state.choices.live.prompt, choice().prompt);
    tell(&mut window, LiveCommand::Close(third));
    assert!(window.says("there is no line 3 to close"));
}

#[test]
fn keys_that_are_held_close_one_line_and_a_second_close_of_it_is_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut window = two_lines(folder.path());
    tell(&mut window, LiveCommand::Start);
    // The second press of a key that was not let go is a repeat.
    for _ in 0..2 {
        window
            .harness
            .key_down_modifiers(egui::Modifiers::ALT, egui::Key::W);
        window.settle();
    }
    assert_eq!(lines(&window), [FIRST, SECOND]);
    window
        .harness
        .key_up_modifiers(egui::Modifiers::ALT, egui::Key::W);
    window.settle();
    let commands = window.app().commands();
    for _ in 0..2 {
        commands.send(Command::Live(Box::new(LiveCommand::Close(FIRST))));
    }
    window.settle();
    assert_eq!(lines(&window), [SECOND]);
    assert!(!window.says("no line 1 to close") && !window.says("cannot close"));
}

#[test]
fn undo_shows_no_line_that_was_closed() {
    let mut window = generated(ThemeChoice::Light);
    tell(&mut window, LiveCommand::Start);
    tell(&mut window, LiveCommand::ChooseBranch(FIRST));
    tell(&mut window, LiveCommand::Close(SECOND));
    assert!(window.says("Closed line 2; nothing is kept in this run by itself"));
    window.send(Command::Undo);
    assert_eq!(shown(&window), Some(FIRST));
    assert!(!window.says("Undone: showed line 1"));
}

#[test]
fn an_effect_goes_with_its_line_and_what_wrote_a_closed_line_is_remembered() {
    let mut window = generated(ThemeChoice::Dark);
    let masked = LiveChoice {
        interventions: vec!["mask:1:2".into()],
        ..choice()
    };
    window.send(Command::ChooseLive(Box::new(masked)));
    tell(&mut window, LiveCommand::Start);
    let branch = window.app().state().lives.branch().unwrap();
    let given = Given::Token(branch.columns.tokens()[1].id);
    let keep = branch.columns.len();
    tell(&mut window, LiveCommand::Give { keep, given });
    tell(&mut window, LiveCommand::Close(FIRST));
    tell(&mut window, LiveCommand::Close(SECOND));
    let third = BranchId(2);
    assert_eq!((lines(&window), shown(&window)), (vec![third], Some(third)));
    // All of it is a prompt, but its end was drawn under the mask, in a line that is gone.
    tell(&mut window, LiveCommand::MeasureEffect);
    let effect = window.app().state().lives.effect.value().unwrap();
    assert_eq!(
        (effect.branch, effect.origin),
        (third, TextOrigin::Intervened)
    );
    tell(&mut window, LiveCommand::Close(third));
    assert!(window.app().state().lives.effect.value().is_none());
}
