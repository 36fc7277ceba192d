//! What undo takes back besides choices: views, traces, the theme, the size.

use egui::{CursorIcon, Key, Modifiers, Pos2, pos2, vec2};
use moescope_app::{Cell, Command, ThemeChoice, TraceId};
use moescope_core::LayerId;

use crate::common::{SIZE, Window, config, traces};

/// What only Compare says, when it is in front.
const COMPARE: &str = "Trace or line";

fn window() -> Window {
    let traces = traces();
    Window::open(
        SIZE,
        config(ThemeChoice::Dark, &[&traces.plain, &traces.masked]),
    )
}

#[test]
fn a_view_that_was_closed_comes_back_and_looking_at_another_is_no_step() {
    let mut window = window();
    window.send(Command::OpenView("compare"));
    window.send(Command::CloseThisView);
    assert!(!window.says(COMPARE));
    window.send(Command::Undo);
    assert!(window.says(COMPARE) && window.says("Undone: closed Compare"));
    window.send(Command::Redo);
    assert!(!window.says(COMPARE) && window.says("Redone: closed Compare"));
    // One message at a time.
    assert!(!window.says("Undone: closed Compare"));
    // The traces that were opened at the start, and the tab that was clicked, are no steps.
    window.send(Command::Undo);
    window.send(Command::Undo);
    assert!(window.says(COMPARE) && window.says("There is nothing to undo"));
    // A closed view that is opened is one, and so is the arrangement of the first day.
    window.send(Command::CloseView("compare"));
    window.send(Command::OpenView("compare"));
    window.send(Command::Undo);
    assert!(!window.says(COMPARE) && window.says("Undone: opened Compare"));
    window.send(Command::ResetLayout);
    window.send(Command::OpenView("compare"));
    assert!(window.says(COMPARE));
    window.send(Command::Undo);
    assert!(!window.says(COMPARE));
}

#[test]
fn a_step_takes_back_what_it_changed_and_nothing_else() {
    let mut window = window();
    let cell = Cell {
        layer: LayerId(4),
        expert: 7,
    };
    window.send(Command::ChooseCell(Some(cell)));
    window.send(Command::OpenView("compare"));
    window.send(Command::Undo);
    assert_eq!(window.app().state().choices.cell, None);
    assert!(window.says("Undone: chose expert 7 of layer 4"));
    assert!(window.says(COMPARE), "the view that is looked at stays");
}

#[test]
fn a_trace_that_came_in_the_meantime_stays_open_and_in_front() {
    let traces = traces();
    let mut window = Window::open(SIZE, config(ThemeChoice::Light, &[&traces.plain]));
    let cell = Cell {
        layer: LayerId(2),
        expert: 3,
    };
    window.send(Command::ChooseCell(Some(cell)));
    window.send(Command::OpenTrace(traces.masked.clone()));
    window.send(Command::Undo);
    assert_eq!(window.app().state().choices.cell, None);
    let active = window.app().state().traces.active().unwrap();
    assert_eq!(active.path, traces.masked);
    assert_eq!(open(&window).len(), 2);
}

/// Where the pointer would move a border between views.
fn border(window: &mut Window) -> Pos2 {
    let places = (350u16..550).map(|step| pos2(f32::from(2 * step), 500.0));
    let mut found = None;
    for place in places {
        window.harness.hover_at(place);
        window.harness.step();
        let icon = window.harness.output().platform_output.cursor_icon;
        let is_border = matches!(
            icon,
            CursorIcon::ResizeHorizontal | CursorIcon::ResizeColumn
        );
        if is_border {
            found = Some(place);
            break;
        }
    }
    found.expect("there is a border")
}

#[test]
fn a_border_that_was_dragged_over_many_frames_is_put_back_in_one_step() {
    let mut window = window();
    let first = border(&mut window);
    let at = first + vec2(2.0, 0.0);
    let places = [0.0, -20.0, -60.0, -100.0].map(|by| at + vec2(by, 0.0));
    window.drag(&places, Modifiers::NONE);
    let moved = border(&mut window);
    assert!(moved.x < first.x - 60.0, "{moved:?} of {first:?}");
    window.send(Command::Undo);
    assert!(window.says("Undone: moved a border between views"));
    let back = border(&mut window);
    assert!((back.x - first.x).abs() < 3.0, "{back:?} of {first:?}");
    window.send(Command::Undo);
    assert!(window.says("There is nothing to undo"));
    window.send(Command::Redo);
    let again = border(&mut window);
    assert!((again.x - moved.x).abs() < 3.0, "{again:?} of {moved:?}");
}

fn open(window: &Window) -> Vec<TraceId> {
    let open = window.app().state().traces.all().iter();
    open.map(|trace| trace.id).collect()
}

fn shown(window: &Window) -> TraceId {
    window.app().state().traces.active().unwrap().id
}

#[test]
fn a_trace_that_was_closed_is_read_again_and_is_the_one_that_it_was() {
    let mut window = window();
    let (all, first) = (open(&window), shown(&window));
    let other = *all.iter().find(|id| **id != first).unwrap();
    let name = window.app().state().traces.get(first).unwrap().name.clone();
    for _ in 0..2 {
        window.send(Command::CloseTrace(first));
        assert_eq!((open(&window), shown(&window)), (vec![other], other));
        window.send(Command::Undo);
        assert!(window.says(&format!("Undone: closed {name}")));
        assert_eq!((open(&window), shown(&window)), (all.clone(), first));
        window.send(Command::Redo);
        assert_eq!((open(&window), shown(&window)), (vec![other], other));
        window.send(Command::Undo);
        assert_eq!((open(&window), shown(&window)), (all.clone(), first));
    }
    // One that was not looked at comes back behind the one that is.
    window.send(Command::CloseTrace(other));
    window.send(Command::Undo);
    assert_eq!((open(&window), shown(&window)), (all.clone(), first));
    window.send(Command::ChooseTrace(other));
    window.send(Command::Undo);
    assert_eq!(shown(&window), first);
    // The last one that is open is shown again at once.
    window.send(Command::CloseTrace(other));
    window.send(Command::CloseTrace(first));
    assert!(window.app().state().traces.active().is_none());
    window.send(Command::Undo);
    window.send(Command::Undo);
    assert_eq!((open(&window), shown(&window)), (all, first));
}

#[test]
fn what_was_opened_by_hand_meanwhile_is_not_opened_twice() {
    let mut window = window();
    let first = shown(&window);
    let path = window.app().state().traces.get(first).unwrap().path.clone();
    window.send(Command::CloseTrace(first));
    window.send(Command::OpenTrace(path));
    assert_ne!(shown(&window), first);
    window.send(Command::Undo);
    assert_eq!(open(&window).len(), 2);
    assert!(window.says("There is nothing to undo"));
}

#[test]
fn the_theme_and_the_size_are_taken_back() {
    let mut window = window();
    let size = window.harness.ctx.zoom_factor();
    window.send(Command::ChooseTheme(ThemeChoice::Light));
    for _ in 0..2 {
        window
            .harness
            .key_press_modifiers(Modifiers::COMMAND, Key::Plus);
        window.settle();
    }
    assert!(window.harness.ctx.zoom_factor() > size);
    // Each press that comes soon after another is of one step.
    for _ in 0..2 {
        if window.harness.ctx.zoom_factor() > size {
            window.send(Command::Undo);
        }
    }
    assert!((window.harness.ctx.zoom_factor() - size).abs() < 1e-3);
    assert_eq!(window.app().state().theme, ThemeChoice::Light);
    window.send(Command::Undo);
    assert_eq!(window.app().state().theme, ThemeChoice::Dark);
    assert!(window.says("Undone: chose the light theme"));
}
