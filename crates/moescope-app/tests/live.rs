//! Live generations, their tokens and interventions, driven by name as a user does.

mod common;

use std::path::PathBuf;

use common::{SIZE, Window, can_paint, config, traces};
use egui::{Key, Modifiers, vec2};
use egui_kittest::kittest::Queryable as _;
use moescope_app::{
    Cell, ChipColor, Command, LiveChoice, LiveCommand, PictureChoice, Theme, ThemeChoice,
};
use moescope_core::LayerId;
use moescope_figures::short_number;
use moescope_pipeline::session::BranchId;

const TOKENS: usize = 12;

fn choice() -> LiveChoice {
    LiveChoice {
        prompt: "The enzyme lowers the activation energy of".into(),
        max_tokens: TOKENS,
        ..LiveChoice::default()
    }
}

/// A window in which a generation was started by its button.
fn generated(theme: ThemeChoice) -> Window {
    let mut window = Window::open(SIZE, config(theme, &[&traces().plain]));
    window.send(Command::ChooseLive(Box::new(choice())));
    window.send(Command::OpenView("live"));
    window.click("Start");
    window
}

/// Chosen experts of a line by token and layer.
fn experts(window: &Window, branch: u32) -> Vec<Vec<u16>> {
    let lives = &window.app().state().lives;
    let branch = lives
        .transcript
        .as_ref()
        .unwrap()
        .branch(BranchId(branch))
        .unwrap();
    let columns = &branch.columns;
    (0..columns.len())
        .flat_map(|token| (0..columns.layers().len()).map(move |layer| (token, layer)))
        .map(|(token, layer)| columns.experts(token, layer).to_vec())
        .collect()
}

#[test]
fn a_started_generation_is_read_token_by_token() {
    let mut window = generated(ThemeChoice::Dark);
    assert!(window.says(&format!("{TOKENS} generated")));
    let lives = &window.app().state().lives;
    let columns = lives.branch().unwrap().columns.clone();
    let prompt = columns.num_prompt_tokens();
    assert_eq!(columns.len(), prompt + TOKENS);
    let place = prompt + 2;
    let label = format!("Token {place} “");
    window.harness.get_by_label_contains(&label).click();
    window.settle();
    assert_eq!(window.app().state().lives.token, Some(place));
    window.send(Command::OpenView("token"));
    assert!(window.says("Path through the layers"));
    // The path that is shown is the one that was recorded.
    for layer in 0..columns.layers().len() {
        let expert = columns.experts(place, layer)[0];
        let weight = short_number(f64::from(columns.weights(place, layer)[0]));
        assert!(
            window.says(&format!("{expert}: {weight}")),
            "{expert}: {weight}"
        );
    }
    let entropy = short_number(f64::from(columns.entropy(place, 0)));
    assert!(window.says(&entropy));
    let candidate = &columns.tokens()[place].next[0];
    assert!(window.says(&format!("{:.1} %", 100.0 * candidate.probability)));
    window.click("Token after");
    assert_eq!(window.app().state().lives.token, Some(place + 1));
    window.click("Follow the last");
    assert_eq!(window.app().state().lives.token, None);
}

#[test]
fn keys_step_pause_and_continue() {
    let mut window = generated(ThemeChoice::Dark);
    let len = |window: &Window| window.app().state().lives.branch().unwrap().columns.len();
    let before = len(&window);
    let ctx = window.harness.ctx.clone();
    ctx.memory_mut(|memory| {
        if let Some(id) = memory.focused() {
            memory.surrender_focus(id);
        }
    });
    window.harness.key_press(Key::Period);
    window.settle();
    assert_eq!(len(&window), before + 1);
    window.harness.key_press(Key::Space);
    window.settle();
    assert_eq!(len(&window), before + 1 + TOKENS);
    // While one types, both are letters.
    window.harness.get_by_label("Prompt").focus();
    window.harness.run_steps(2);
    window
        .harness
        .key_press_modifiers(Modifiers::NONE, Key::Period);
    window.settle();
    assert_eq!(len(&window), before + 1 + TOKENS);
}

#[test]
fn pictures_and_colours_follow_what_is_chosen() {
    let mut window = generated(ThemeChoice::Light);
    for picture in PictureChoice::ALL {
        for color in ChipColor::ALL {
            let choice = LiveChoice {
                picture,
                color,
                ..choice()
            };
            window.send(Command::ChooseLive(Box::new(choice)));
            let lives = &window.app().state().lives;
            assert_eq!(lives.picture_error, None, "{picture:?}");
            let shown = &lives.picture.as_ref().unwrap()[0];
            shown.check().unwrap();
            assert_eq!(shown.values.len(), 48);
            let sum: f64 = shown.values.iter().sum();
            let is_difference = matches!(
                picture,
                PictureChoice::MinusPrompt | PictureChoice::MinusLabel
            );
            let wanted = if is_difference { 0.0 } else { 6.0 };
            assert!((sum - wanted).abs() < 1e-9, "{picture:?}: {sum}");
        }
    }
    // Three labels, and fewer tokens than a probability was calibrated for.
    assert!(window.says("Looks most like"));
    assert!(window.says("bits"));
    assert!(window.says("protein") && window.says("law"));
    let look = window.app().state().lives.look.clone().unwrap();
    let tokens = window.app().state().lives.branch().unwrap().columns.len();
    assert_eq!(look.probability.is_some(), tokens >= 32);
    assert!(tokens >= 32 || window.says("Distances only"));
}

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
        let label = if i % 2 == 0 { "law" } else { "math" };
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
fn a_line_branches_is_kept_and_comes_back() {
    let mut window = generated(ThemeChoice::Dark);
    let prompt = window
        .app()
        .state()
        .lives
        .branch()
        .unwrap()
        .columns
        .num_prompt_tokens();
    window.send(Command::Live(Box::new(LiveCommand::ChooseToken(Some(
        prompt + 3,
    )))));
    window.send(Command::OpenView("token"));
    window.click("Branch after this token");
    let shown = window.app().state().lives.shown;
    assert_eq!(shown, Some(BranchId(1)));
    assert_eq!(
        window.app().state().lives.branch().unwrap().columns.len(),
        prompt + 4
    );
    window.send(Command::Live(Box::new(LiveCommand::Toggle)));
    // The same seed goes on as it did.
    let (first, second) = (experts(&window, 0), experts(&window, 1));
    assert_eq!(first[..], second[..first.len()]);
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("kept");
    window.send(Command::Live(Box::new(LiveCommand::Save(path.clone()))));
    assert!(window.says("Kept as a trace"));
    window.send(Command::OpenTrace(path));
    let trace = window.app().state().traces.active().unwrap();
    assert_eq!(trace.about.counts.samples, 1);
}

#[test]
fn live_views_are_painted_in_both_themes_with_names_for_all() {
    if !can_paint() {
        return;
    }
    for theme in ThemeChoice::ALL {
        let ground = Theme::load(theme).unwrap().panel;
        let mut window = generated(theme);
        for view in ["live", "token", "intervene"] {
            window.send(Command::OpenView(view));
            window.harness.run_steps(2);
            let image = window.harness.render().unwrap();
            let grounds = image
                .pixels()
                .filter(|pixel| pixel.0[..3] == [ground.r(), ground.g(), ground.b()])
                .count();
            assert!(grounds > 10_000, "{view} in {theme} has another ground");
            window.harness.check_accessibility();
        }
    }
}
