//! Experts that are changed by a click, and whether one matters.

use egui::vec2;
use moescope_app::{AppConfig, Cell, Command, LiveChoice, LiveCommand, ThemeChoice};
use moescope_core::LayerId;
use moescope_engine::DeviceChoice;

use crate::common::{SIZE, Window, config, traces};
use crate::{choice, experts, generated};

#[test]
fn a_masked_expert_is_gone_from_the_text_beside_the_old_one() {
    let mut window = generated(ThemeChoice::Dark);
    window.send(Command::OpenView("intervene"));
    let (cells, _) = window.find("Experts to change");
    // Six layers of eight experts: the middle of layer 1, expert 2.
    let at = cells.min + cells.size() * vec2(2.5 / 8.0, 1.5 / 6.0);
    window.click_at(at);
    let chosen = &window.app().state().choices.live.interventions;
    assert_eq!(*chosen, ["mask:1:2"]);
    assert!(window.says("mask:1:2"));
    window.click("Measure on this text");
    let effect = window.app().state().lives.effect.value().unwrap();
    assert_eq!(effect.effect.interventions, ["mask:1:2"]);
    assert!(window.says("surprisal changes by"));
    window.click("Regenerate with the same seed");
    let (before, after) = (experts(&window, 0), experts(&window, 1));
    assert_eq!(before.len(), after.len());
    let of_layer =
        |all: &[Vec<u16>]| -> Vec<Vec<u16>> { all.iter().skip(1).step_by(6).cloned().collect() };
    assert!(
        of_layer(&before)
            .iter()
            .flatten()
            .any(|expert| *expert == 2)
    );
    assert!(of_layer(&after).iter().flatten().all(|expert| *expert != 2));
    assert!(window.says("Text before") && window.says("Text now"));
    assert!(window.says("Line 1, without interventions") && window.says("Line 2, mask:1:2"));
    // A second click takes it back.
    let (cells, _) = window.find("Experts to change");
    window.click_at(cells.min + cells.size() * vec2(2.5 / 8.0, 1.5 / 6.0));
    assert!(window.app().state().choices.live.interventions.is_empty());
}

#[test]
fn whether_an_expert_matters_is_answered_beside_its_controls() {
    let mut window = generated(ThemeChoice::Light);
    let folder = tempfile::tempdir().unwrap();
    let texts = folder.path().join("texts.jsonl");
    let record = |i: usize| {
        let label = if i.is_multiple_of(2) { "law" } else { "math" };
        format!(
            "{{\"text\": \"The court and the integral converge, number {i}\", \"discipline\": \"{label}\"}}\n"
        )
    };
    std::fs::write(&texts, (0..16).map(record).collect::<String>()).unwrap();
    window.send(Command::ChooseTexts(vec![texts]));
    window.send(Command::OpenView("intervene"));
    let cell = Cell {
        layer: LayerId(2),
        expert: 1,
    };
    window.send(Command::ChooseCell(Some(cell)));
    window.click("Does it matter?");
    window.click("Does expert 2:1 matter?");
    let lives = &window.app().state().lives;
    match lives.ablation.value() {
        Some(ablated) => {
            assert_eq!(ablated.cell, cell);
            assert!(window.says("beside") && window.says("Controls"));
            assert!(window.says("law") && window.says("math"));
        }
        // Sixteen short texts may use no expert like this one; then it says so.
        None => assert!(
            window.says("no other expert of layer 2"),
            "{:?}",
            lives.ablation.error()
        ),
    }
}

#[test]
fn an_expert_is_asked_about_on_embedded_texts_where_none_were_chosen() {
    let mut window = generated(ThemeChoice::Dark);
    window.send(Command::OpenView("intervene"));
    let cell = Cell {
        layer: LayerId(3),
        expert: 5,
    };
    window.send(Command::ChooseCell(Some(cell)));
    window.send(Command::ChooseLive(Box::new(LiveChoice {
        controls: 1,
        ablate_limit: 1,
        ..choice()
    })));
    window.click("Does it matter?");
    assert!(window.says("150 embedded texts that are not in the demo's trace"));
    window.click("Does expert 3:5 matter?");
    let lives = &window.app().state().lives;
    let ablated = lives.ablation.value().unwrap();
    assert_eq!((ablated.cell, ablated.found.samples), (cell, 15));
    assert!(window.says("on 15 texts") && window.says("humanities"));
    // Another model has no texts of its own.
    window.send(Command::ChooseModel("my-model".into()));
    window.send(Command::OpenView("intervene"));
    assert!(window.says("Choose texts that were not used to find the expert"));
}

#[test]
fn generations_and_ablations_run_on_the_device_that_was_asked_for() {
    let on = |device: DeviceChoice| {
        let config = AppConfig {
            device,
            ..config(ThemeChoice::Dark, &[&traces().plain])
        };
        let mut window = Window::open(SIZE, config);
        window.send(Command::ChooseLive(Box::new(choice())));
        window.send(Command::OpenView("live"));
        window.click("Start");
        window
    };
    let window = on(DeviceChoice::Cpu);
    let device = window.app().state().device.clone().unwrap();
    assert!(
        device.starts_with("cpu") && device.contains("asked for"),
        "{device}"
    );
    // No machine has so many; a model that runs all the same was loaded elsewhere.
    let mut window = on(DeviceChoice::GpuNumber(999));
    assert!(window.app().state().lives.branch().is_none());
    assert!(window.says("the model could not be loaded: there is no graphics adapter 999"));
    let folder = tempfile::tempdir().unwrap();
    let texts = folder.path().join("texts.jsonl");
    std::fs::write(
        &texts,
        "{\"text\": \"The court\", \"discipline\": \"law\"}\n",
    )
    .unwrap();
    window.send(Command::ChooseTexts(vec![texts]));
    let cell = Cell {
        layer: LayerId(2),
        expert: 1,
    };
    window.send(Command::Live(Box::new(LiveCommand::Ablate(cell))));
    let error = window.app().state().lives.ablation.error().unwrap();
    assert!(error.contains("no graphics adapter 999"), "{error}");
    assert!(window.says("the ablation could not be measured"));
}
