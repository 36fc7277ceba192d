//! Experts that are changed by a click, and whether one matters.

use egui::{Rect, vec2};
use egui_kittest::kittest::Queryable as _;
use moescope_app::{AppConfig, Cell, Command, LiveChoice, LiveCommand, TextOrigin, ThemeChoice};
use moescope_core::LayerId;
use moescope_engine::DeviceChoice;
use moescope_pipeline::session::BranchId;

use super::{choice, experts, generated};
use crate::common::{SIZE, Window, config, drawn_again, traces};

/// Where all that is called so stands.
fn places(window: &Window, label: &str) -> Vec<Rect> {
    let found = window.harness.query_all_by_label(label);
    found.map(|node| node.rect()).collect()
}

/// The right edge of the view that something stands in: its button for figures is the last thing there.
fn right_edge(window: &Window, of: Rect) -> f32 {
    let edges = places(window, "Export…").into_iter().map(|at| at.right());
    edges
        .filter(|edge| *edge > of.left())
        .fold(f32::INFINITY, f32::min)
}

#[test]
fn a_masked_expert_is_gone_from_the_text_beside_the_old_one() {
    let mut window = generated(ThemeChoice::Dark);
    window.send(Command::OpenView("token"));
    window.send(Command::OpenView("intervene"));
    let (cells, _) = window.find("Experts to change");
    // Six layers of eight experts: the middle of layer 1, expert 2.
    let at = cells.min + cells.size() * vec2(2.5 / 8.0, 1.5 / 6.0);
    window.click_at(at);
    let chosen = &window.app().state().choices.live.interventions;
    assert_eq!(*chosen, ["mask:1:2"]);
    let is_token_seen = window.says("Path through the layers");
    assert!(
        is_token_seen,
        "a click that changes an expert covers no view"
    );
    assert!(window.says("mask:1:2"));
    window.click("Measure the effect");
    let effect = window.app().state().lives.effect.value().unwrap();
    assert_eq!(effect.effect.interventions, ["mask:1:2"]);
    assert_eq!(
        (effect.branch, effect.origin),
        (BranchId(0), TextOrigin::Shown)
    );
    assert!(window.says("surprisal changes by"));
    let plain_ids = effect.ids.clone();
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
    // What the intervention wrote is no text to measure it on.
    window.click("Measure the effect");
    let effect = window.app().state().lives.effect.value().unwrap();
    let shown = BranchId(1);
    assert_eq!(
        (effect.branch, effect.origin),
        (BranchId(0), TextOrigin::Before { shown })
    );
    assert_eq!(effect.ids, plain_ids);
    assert!(window.says("Measured on line 1, which no intervention wrote"));
    // Nor is what it wrote a second time, beside which there is nothing else.
    window.click("Regenerate with the same seed");
    window.click("Measure the effect");
    let effect = window.app().state().lives.effect.value().unwrap();
    let shown = BranchId(2);
    assert_eq!(
        (effect.branch, effect.origin),
        (BranchId(0), TextOrigin::Before { shown })
    );
    // A second click takes it back.
    let (cells, _) = window.find("Experts to change");
    window.click_at(cells.min + cells.size() * vec2(2.5 / 8.0, 1.5 / 6.0));
    assert!(window.app().state().choices.live.interventions.is_empty());
}

#[test]
fn every_token_of_the_text_has_its_change_in_a_column_that_is_seen() {
    let mut window = generated(ThemeChoice::Light);
    window.send(Command::ChooseLive(Box::new(LiveChoice {
        interventions: vec!["mask:1:2".into()],
        ..choice()
    })));
    window.send(Command::OpenView("intervene"));
    window.click("Measure the effect");
    let lives = &window.app().state().lives;
    let measured = lives.effect.value().unwrap();
    let tokens = &measured.effect.tokens;
    assert_eq!(tokens.len(), lives.branch().unwrap().columns.len());
    assert_eq!(measured.by_change.len(), tokens.len());
    let change = |place: &usize| tokens[*place].surprisal_change;
    let size = |place: &usize| change(place).map_or(-1.0, f64::abs);
    assert!(measured.by_change.is_sorted_by(|a, b| size(a) >= size(b)));
    // The largest change stands first, with its sign, and no column is cut.
    let first = measured.by_change[0];
    let text = &lives.branch().unwrap().columns.tokens()[first].text;
    let name = format!("{first} “{}”", text.escape_debug());
    let row = places(&window, &name)[0];
    let number = moescope_figures::short_number(change(&first).unwrap());
    let sign = if number.starts_with('−') { "" } else { "+" };
    assert!(!places(&window, &format!("{sign}{number}")).is_empty());
    let edge = right_edge(&window, row);
    for title in ["Token", "Surprisal", "KL", "Rerouted"] {
        let found = places(&window, title);
        let above = found.iter().filter(|at| at.bottom() <= row.top() + 1.0);
        let nearest = above.max_by(|a, b| a.bottom().total_cmp(&b.bottom()));
        let right = nearest.map_or(f32::INFINITY, Rect::right);
        assert!(right <= edge, "{title} ends at {right} of {edge}");
    }
    // The command reads the same tokens.
    let line = match &measured.text {
        Some(_) => "moescope effect demo --text ",
        None => "moescope effect demo --token-ids ",
    };
    let buttons = window.harness.query_all_by_label("Copy as command");
    let own = buttons.min_by(|a, b| a.rect().left().total_cmp(&b.rect().left()));
    own.expect("the view has the button").click();
    window.settle();
    assert!(window.says(line), "{line}");
}

#[test]
fn a_text_that_only_an_intervention_wrote_is_measured_and_says_so() {
    let mut window = Window::open(SIZE, config(ThemeChoice::Dark, &[&traces().plain]));
    window.send(Command::ChooseLive(Box::new(LiveChoice {
        interventions: vec!["mask:1:2".into()],
        ..choice()
    })));
    window.send(Command::OpenView("live"));
    window.click("Start");
    window.send(Command::OpenView("intervene"));
    window.click("Measure the effect");
    let effect = window.app().state().lives.effect.value().unwrap();
    assert_eq!(
        (effect.branch, effect.origin),
        (BranchId(0), TextOrigin::Intervened)
    );
    assert!(window.says("Line 1 was itself written under interventions"));
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
    // Every number can be read in the width that a small window leaves.
    let titles = ["Target", "Controls", "Difference"].map(|title| places(&window, title));
    assert_eq!(
        titles.each_ref().map(Vec::len),
        [16; 3],
        "all texts, and 15 labels"
    );
    let target = titles[0][0];
    let edge = right_edge(&window, target);
    let values = window.harness.query_all_by_label_contains(" to ");
    let values = values.map(|node| node.rect());
    let values = values.filter(|at| at.left() > target.right() && at.left() < edge);
    let all: Vec<Rect> = titles.into_iter().flatten().chain(values).collect();
    assert!(all.iter().all(|at| at.right() <= edge), "{all:?} of {edge}");
    // The figure of it is drawn again from the numbers beside it.
    let folder = tempfile::tempdir().unwrap();
    let stem = folder.path().join("ablation");
    window.send(Command::ExportView("intervene", stem.clone()));
    assert!(stem.with_extension("json").is_file());
    let drawn = std::fs::read(stem.with_extension("svg")).unwrap();
    assert!(drawn == drawn_again(&stem, "svg"));
    // The expert is one of the line's model, whichever writes the next. Another model has no texts of its own.
    window.send(Command::ChooseModel("my-model".into()));
    assert!(
        window.says("150 embedded texts"),
        "Intervene stays in front"
    );
    window.send(Command::Live(Box::new(LiveCommand::Ablate(cell))));
    let ablation = &window.app().state().lives.ablation;
    assert_eq!(ablation.error(), None);
    assert_eq!(ablation.value().unwrap().capture.model, "demo");
    let mut window = Window::open(SIZE, config(ThemeChoice::Dark, &[]));
    window.send(Command::OpenView("intervene"));
    window.send(Command::ChooseModel("my-model".into()));
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
