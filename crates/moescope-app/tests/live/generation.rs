//! Starting, stepping, branching, and what colours the tokens.

use std::path::PathBuf;

use egui::{Key, Modifiers, vec2};
use egui_kittest::kittest::Queryable as _;
use moescope_app::{
    Cell, ChipColor, Command, LiveChoice, LiveCommand, PictureChoice, Theme, ThemeChoice,
};
use moescope_core::LayerId;
use moescope_figures::short_number;
use moescope_pipeline::session::{BranchId, LiveScope, LiveToken, picture};

use super::{TOKENS, choice, conversation::tiny_model, experts, generated};
use crate::common::{Window, can_paint, traces};

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
    assert!(window.says("Path through the layers"), "Token is in front");
    assert!(window.says("Colour of tokens"), "and Live still");
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
fn a_branch_within_the_prompt_shows_what_could_come_next() {
    let mut window = generated(ThemeChoice::Light);
    window.send(Command::Live(Box::new(LiveCommand::ChooseToken(Some(2)))));
    window.send(Command::OpenView("token"));
    assert!(window.says("Not kept within a prompt"));
    window.click("Branch after this token");
    let lives = &window.app().state().lives;
    assert_eq!((lives.shown, lives.token()), (Some(BranchId(1)), Some(2)));
    let next = &lives.branch().unwrap().columns.tokens()[2].next;
    assert_eq!(next.len(), 8);
    let told = format!("{:.1} %", 100.0 * next[0].probability);
    assert!(window.says(&told) && !window.says("Not kept within a prompt"));
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
fn space_in_a_heat_map_continues_the_generation_and_enter_chooses() {
    let mut window = generated(ThemeChoice::Dark);
    let len = |window: &Window| window.app().state().lives.branch().unwrap().columns.len();
    let expert = |expert: u16| {
        Some(Cell {
            layer: LayerId(0),
            expert,
        })
    };
    let before = len(&window);
    // Six layers of eight experts: the first of layer 0.
    let (cells, _) = window.find("Routing of the generation");
    window.click_at(cells.min + cells.size() * vec2(0.5 / 8.0, 0.5 / 6.0));
    assert_eq!(window.app().state().choices.cell, expert(0));
    for key in [Key::ArrowRight, Key::Space] {
        window.harness.key_press(key);
        window.settle();
    }
    assert_eq!(len(&window), before + TOKENS);
    assert_eq!(window.app().state().choices.cell, expert(0));
    window.harness.key_press(Key::Enter);
    window.settle();
    assert_eq!(window.app().state().choices.cell, expert(1));
    assert_eq!(len(&window), before + TOKENS);
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
            let meant = match color {
                ChipColor::TopExpert => "Colour of expert 7".to_owned(),
                ChipColor::Entropy => format!("{} nats", short_number(8_f64.ln())),
                ChipColor::Margin => "1 or more, on a logarithmic scale".to_owned(),
                ChipColor::Surprisal => "10 nats or more".to_owned(),
                ChipColor::Agreement => "+2 bits or more".to_owned(),
            };
            assert!(window.says(&meant), "{color:?} lacks {meant}");
            assert!(window.says("underlined: given, not generated"));
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
fn the_number_under_a_token_is_its_mean_preference_of_the_label() {
    let mut window = generated(ThemeChoice::Light);
    let agreement = LiveChoice {
        color: ChipColor::Agreement,
        ..choice()
    };
    window.send(Command::ChooseLive(Box::new(agreement)));
    let lives = &window.app().state().lives;
    let reference = lives.reference.value().unwrap();
    let columns = &lives.branch().unwrap().columns;
    let place = columns.len() - 2;
    let label = &reference.labels[0];
    let preference = reference.preference(label).unwrap();
    let bits = preference.mean_bits(columns.chosen().of(place)).unwrap();
    let expected = format!("agreement with {label} in bits {bits:+.1}");
    let choose = LiveCommand::ChooseToken(Some(place));
    window.send(Command::Live(Box::new(choose)));
    let (_, told) = window.find("Reply: “");
    assert!(told.ends_with(&expected), "{told} lacks {expected}");
}

#[test]
fn a_picture_stays_until_the_next_is_there() {
    let mut window = generated(ThemeChoice::Dark);
    let shown = |window: &Window| {
        let picture = window.app().state().lives.picture.clone();
        picture.expect("a picture once there is one")[0].clone()
    };
    let reply = shown(&window);
    assert!(reply.title.ends_with("the reply"), "{}", reply.title);
    let last = LiveChoice {
        picture: PictureChoice::Last,
        last: 5,
        ..choice()
    };
    let command = Command::ChooseLive(Box::new(last.clone()));
    window.app().commands().send(command);
    window.harness.step();
    assert!(shown(&window) == reply || window.app().state().lives.is_idle());
    window.settle();
    let columns = &window.app().state().lives.branch().unwrap().columns;
    let expected = picture(columns, &LiveScope::Last(5), None).unwrap();
    assert_eq!(shown(&window), expected);
    // The latest request wins, whatever was asked for before it was answered.
    for picture in [PictureChoice::Token, PictureChoice::MinusPrompt] {
        let choice = LiveChoice {
            picture,
            ..last.clone()
        };
        let command = Command::ChooseLive(Box::new(choice));
        window.app().commands().send(command);
        window.harness.step();
    }
    window.settle();
    assert!(shown(&window).title.contains("the reply minus the prompt"));
}

#[test]
fn labels_of_another_trace_are_looked_at_anew() {
    let mut window = generated(ThemeChoice::Light);
    let minus_label = LiveChoice {
        picture: PictureChoice::MinusLabel,
        ..choice()
    };
    window.send(Command::ChooseLive(Box::new(minus_label)));
    let seen = |window: &Window| {
        let lives = &window.app().state().lives;
        let look = lives.look.clone().unwrap().divergence_bits;
        (look, lives.picture.as_ref().unwrap()[0].values.clone())
    };
    let plain = seen(&window);
    window.send(Command::OpenTrace(traces().masked.clone()));
    let masked = seen(&window);
    assert_ne!(plain.0, masked.0);
    assert_ne!(plain.1, masked.1);
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
    let state = window.app().state();
    let trace = state.traces.active().unwrap();
    assert_eq!(trace.about.counts.samples, 1);
    // It has no disciplines; those that are chosen stay so for the other trace.
    assert!(!trace.label_columns().any(|column| column == "discipline"));
    assert_eq!(state.request().by, "all");
    assert_eq!(state.choices.request.by, "discipline");
    assert!(window.says("This trace has no labels by discipline"));
    let first = window.app().state().traces.all()[0].id;
    window.send(Command::ChooseTrace(first));
    assert_eq!(window.app().state().request().by, "discipline");
    assert!(!window.says("This trace has no labels"));
}

#[test]
fn the_token_that_arrows_come_to_is_told_and_brackets_change_the_layer() {
    let mut window = generated(ThemeChoice::Dark);
    let columns = window.app().state().lives.branch().unwrap().columns.clone();
    let (tokens, layers) = (columns.len(), columns.layers());
    let unchosen = format!("Reply: {tokens} tokens");
    window.harness.get_by_label(&unchosen).focus();
    window.harness.run_steps(2);
    window.harness.key_press(Key::ArrowLeft);
    window.settle();
    let place = tokens - 2;
    assert_eq!(window.app().state().lives.token, Some(place));
    let told = |window: &Window| window.find("Reply: “").1;
    let words = format!("”, token {place} of {tokens}, generated, top expert at layer ");
    assert!(told(&window).contains(&words), "{}", told(&window));
    // The last layer is the one at first; with the focus in the text, and then nowhere.
    window.harness.key_press(Key::OpenBracket);
    window.settle();
    let layer = layers[layers.len() - 2];
    assert_eq!(window.app().state().choices.live.layer, Some(layer));
    let expert = columns.experts(place, layers.len() - 2)[0];
    assert!(told(&window).ends_with(&format!("at layer {layer} {expert}")));
    let ctx = window.harness.ctx.clone();
    ctx.memory_mut(|memory| {
        if let Some(id) = memory.focused() {
            memory.surrender_focus(id);
        }
    });
    window.harness.key_press(Key::OpenBracket);
    window.settle();
    let layer = Some(layers[layers.len() - 3]);
    assert_eq!(window.app().state().choices.live.layer, layer);
}

#[test]
fn other_words_within_a_reply_begin_a_line() {
    let mut window = generated(ThemeChoice::Light);
    let before = window.app().state().lives.branch().unwrap().columns.clone();
    let keep = before.num_prompt_tokens() + 2;
    let choose = LiveCommand::ChooseToken(Some(keep));
    window.send(Command::Live(Box::new(choose)));
    let field = format!("From token {keep} “");
    window.harness.get_by_label_contains(&field).focus();
    window.harness.run_steps(2);
    window
        .harness
        .get_by_label_contains(&field)
        .type_text(" of the cell");
    window.settle();
    window.harness.key_press(Key::Enter);
    window.settle();
    let lives = &window.app().state().lives;
    assert_eq!(lives.shown, Some(BranchId(1)));
    let after = lives.branch().unwrap().columns.tokens();
    let ids = |tokens: &[LiveToken]| -> Vec<u32> { tokens.iter().map(|token| token.id).collect() };
    assert_eq!(ids(&after[..keep]), ids(&before.tokens()[..keep]));
    let text: String = after.iter().map(|token| token.text.as_ref()).collect();
    assert!(text.ends_with(" of the cell"), "{text}");
}

#[test]
fn lines_stay_until_another_model_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let tiny = tiny_model(folder.path());
    let mut window = generated(ThemeChoice::Dark);
    let len = |window: &Window| window.app().state().lives.branch().unwrap().columns.len();
    let before = len(&window);
    let missing = folder.path().join("missing").display().to_string();
    window.send(Command::ChooseModel(missing));
    assert!(window.says("The lines below are of demo; Start takes the model that is chosen"));
    window.click("Start");
    assert!(window.says("the model could not be loaded"));
    assert!(window.says("the lines of demo stay"));
    window.click("One token");
    assert_eq!(len(&window), before + 1);
    window.send(Command::ChooseModel(tiny.clone()));
    let prompt = LiveChoice {
        prompt: "the enzyme lowers energy of".into(),
        ..choice()
    };
    window.send(Command::ChooseLive(Box::new(prompt)));
    window.click("Start");
    assert!(window.says("Lines of demo: 1. Those that nobody kept are gone"));
    let lives = &window.app().state().lives;
    assert_eq!(lives.shown, Some(BranchId(0)));
    assert_eq!(lives.line_model().unwrap().name, tiny);
    assert!(!window.says("The lines below are of"));
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
