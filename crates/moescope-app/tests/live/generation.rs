//! Starting, stepping, branching, and what colours the tokens.

use std::path::PathBuf;

use egui::{Key, Modifiers};
use egui_kittest::kittest::Queryable as _;
use moescope_app::{
    ChipColor, Command, LiveChoice, LiveCommand, PictureChoice, Theme, ThemeChoice,
};
use moescope_figures::short_number;
use moescope_pipeline::session::BranchId;
use moescope_testkit::TinyModel;

use crate::common::{SIZE, Window, can_paint, config};
use crate::{TOKENS, choice, experts, generated};

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
fn a_conversation_goes_on_with_the_next_message() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("model");
    let tiny = TinyModel {
        context: 256,
        ..TinyModel::default()
    };
    tiny.write(&model).unwrap();
    let template =
        "{% for m in messages %} {{ m.role }} {{ m.content }} </s>{% endfor %} assistant";
    std::fs::write(model.join("chat_template.jinja"), template).unwrap();
    let mut window = Window::open(SIZE, config(ThemeChoice::Light, &[]));
    window.send(Command::ChooseModel(model.display().to_string()));
    let chat = LiveChoice {
        prompt: "the enzyme lowers energy of".into(),
        is_chat: true,
        ..choice()
    };
    window.send(Command::ChooseLive(Box::new(chat)));
    window.send(Command::OpenView("live"));
    assert!(!window.says("Next message"), "nothing was said yet");
    window.click("Start");
    let drawn = |window: &Window| {
        let columns = &window.app().state().lives.branch().unwrap().columns;
        columns.len() - columns.num_prompt_tokens()
    };
    assert!(drawn(&window) > 0);
    let field = window.harness.get_by_label("Next message");
    field.focus();
    window.harness.run_steps(2);
    window
        .harness
        .get_by_label("Next message")
        .type_text("a proof of law");
    window.settle();
    window.click("Send");
    let lives = &window.app().state().lives;
    assert_eq!(lives.shown, Some(BranchId(1)));
    let info = &lives.branch().unwrap().info;
    let said: Vec<&str> = info.messages.iter().map(|m| m.content.as_str()).collect();
    assert_eq!((said.len(), said[2]), (3, "a proof of law"));
    assert!(drawn(&window) > 0);
    // The field is empty for the next one, and the first message is edited in its own line.
    assert!(window.app().state().choices.live.next_message.is_empty());
    assert!(window.says("Line 2"));
    let copy = window.harness.get_all_by_label("Copy as command").next();
    copy.expect("the button of the view in front").click();
    window.settle();
    assert!(window.says("a conversation of several messages is kept as a trace"));
    // A text that goes on has no next message, and a model without a template says so.
    window.send(Command::ChooseModel("demo".to_owned()));
    window.send(Command::OpenView("live"));
    window.click("Start");
    assert!(window.says("has no chat template"));
    assert!(window.app().state().lives.branch().is_none());
    window.send(Command::ChooseLive(Box::new(choice())));
    window.click("Start");
    assert!(window.says("generated") && !window.says("Next message"));
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
