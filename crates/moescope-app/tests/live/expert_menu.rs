//! The menu of a cell: what can be done with its expert, from any heat map of layers and experts.

use egui::{Event, Key, Modifiers, PointerButton, Pos2, vec2};
use moescope_app::{Cell, Command, NumbersChoice, ThemeChoice};
use moescope_core::LayerId;

use super::generated;
use crate::common::{SIZE, Window, config, traces};

const CELL: Cell = Cell {
    layer: LayerId(3),
    expert: 5,
};

/// The middle of layer 3, expert 5, of six layers of eight experts.
fn place(window: &Window, map: &str) -> Pos2 {
    let (cells, _) = window.find(map);
    cells.min + cells.size() * vec2(5.5 / 8.0, 3.5 / 6.0)
}

fn click_secondary(window: &mut Window, pos: Pos2) {
    window.harness.event(Event::PointerMoved(pos));
    window.harness.step();
    for pressed in [true, false] {
        window.harness.event(Event::PointerButton {
            pos,
            button: PointerButton::Secondary,
            pressed,
            modifiers: Modifiers::NONE,
        });
        window.harness.step();
    }
    window.settle();
}

#[test]
fn an_intervention_is_chosen_in_any_heat_map_and_intervene_shows_it_before_a_generation() {
    let mut window = Window::open(SIZE, config(ThemeChoice::Dark, &[&traces().plain]));
    let at = place(&window, "Layers by experts");
    click_secondary(&mut window, at);
    assert!(window.says("Layer 3, expert 5") && window.says("Swap with…"));
    window.click("Mask");
    let choices = &window.app().state().choices;
    assert_eq!(choices.live.interventions, ["mask:3:5"]);
    assert_eq!(choices.cell, Some(CELL));
    assert!(window.says("mask:3:5 is chosen"));
    assert!(!window.says("Swap with…"), "the menu is closed");
    window.send(Command::OpenView("intervene"));
    assert!(window.says("Chosen interventions") && window.says("Start with this prompt"));

    // The same entry takes it back.
    window.send(Command::OpenView("disciplines"));
    let at = place(&window, "Layers by experts");
    click_secondary(&mut window, at);
    window.click("Mask: take back");
    assert!(window.app().state().choices.live.interventions.is_empty());

    click_secondary(&mut window, at);
    window.click("Look at this expert");
    assert!(window.says("Layer 3, expert 5 of 8"));
}

#[test]
fn the_menu_opens_and_is_used_by_keys() {
    let mut window = generated(ThemeChoice::Light);
    let at = place(&window, "Routing of the generation");
    window.click_at(at);
    assert_eq!(window.app().state().choices.cell, Some(CELL));
    let keys = [
        (Modifiers::SHIFT, Key::F10),
        (Modifiers::NONE, Key::ArrowDown),
        (Modifiers::NONE, Key::Enter),
    ];
    for (modifiers, key) in keys {
        window.harness.key_press_modifiers(modifiers, key);
        window.settle();
    }
    let chosen = &window.app().state().choices.live.interventions;
    assert_eq!(*chosen, ["zero:3:5"], "the entry after the first");

    let at = place(&window, "Routing of the generation");
    click_secondary(&mut window, at);
    window.click("Does it matter?");
    let choices = &window.app().state().choices;
    assert_eq!(choices.live.numbers, NumbersChoice::Ablation);
    assert!(window.says("Does expert 3:5 matter?"));
}
