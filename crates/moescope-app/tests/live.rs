//! Live generations, their tokens and interventions, driven by name as a user does.

mod common;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use common::{SIZE, Window, can_paint, config, traces};
use egui::{Key, Modifiers, vec2};
use egui_kittest::kittest::Queryable as _;
use moescope_analytics::{MeasureRequest, TokenConfig, TokenProfile, TraceData, token_profile};
use moescope_app::{
    AppConfig, Cell, ChipColor, Command, LiveChoice, LiveCommand, PictureChoice, SettingsPlace,
    Theme, ThemeChoice,
};
use moescope_core::{LayerId, NoProgress};
use moescope_engine::DeviceChoice;
use moescope_figures::short_number;
use moescope_pipeline::session::{BranchId, Session, SessionCommand, SessionConfig, StartConfig};
use moescope_testkit::TinyModel;
use moescope_trace::read_journal;

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

/// A token of the prompt that the open trace's texts have as well, and what is known of it there.
fn token_in_trace(window: &Window) -> (usize, TokenProfile) {
    let data = TraceData::open(&traces().plain).unwrap();
    let columns = &window.app().state().lives.branch().unwrap().columns;
    let profile = |token: usize| {
        let config = TokenConfig {
            id: columns.tokens()[token].id,
            contexts: 12,
            window: 8,
        };
        token_profile(&data, &MeasureRequest::default(), &config, &NoProgress).unwrap()
    };
    let mut all = (0..columns.num_prompt_tokens()).map(|token| (token, profile(token)));
    let found = all.find(|(_, profile)| profile.occurrences > 0);
    found.expect("the texts have a word of the prompt")
}

/// Shows a token of the generation.
fn look_at(window: &mut Window, token: usize) {
    let command = LiveCommand::ChooseToken(Some(token));
    window.send(Command::Live(Box::new(command)));
    window.send(Command::OpenView("token"));
}

#[test]
fn the_same_token_is_found_in_the_open_trace_and_its_document_is_read() {
    let mut window = generated(ThemeChoice::Light);
    let (token, profile) = token_in_trace(&window);
    look_at(&mut window, token);
    let told = format!(
        "Occurrences: {} (documents: {})",
        profile.occurrences, profile.documents
    );
    assert!(window.says(&told), "{told}");
    for label in &profile.labels {
        assert!(window.says(&label.label) && window.says(&label.occurrences.to_string()));
    }
    let columns = window.app().state().lives.branch().unwrap().columns.clone();
    // The last layer where none is chosen, then one that is.
    for (place, chosen) in [(5, None), (1, Some(LayerId(1)))] {
        let choice = LiveChoice {
            layer: chosen,
            ..choice()
        };
        window.send(Command::ChooseLive(Box::new(choice)));
        let (layer, expert) = (columns.layers()[place], columns.experts(token, place)[0]);
        let found = profile.agreement([(layer, expert)]);
        let told = format!(
            "At layer {layer} its heaviest expert is {expert}, as here, {} of {} times",
            found.agreeing, found.compared
        );
        assert!(window.says(&told), "{told}");
    }
    let heaviest = (0..6).map(|place| (columns.layers()[place], columns.experts(token, place)[0]));
    let overall = profile.agreement(heaviest);
    assert_eq!(overall.compared, 6 * profile.occurrences);
    let told = format!("the same heaviest expert {} of", overall.agreeing);
    assert!(window.says(&told), "{told}");

    let context = &profile.contexts[0];
    let excerpt = context.excerpt.as_ref().unwrap();
    let text = format!("{}{}{}", excerpt.before, excerpt.token, excerpt.after);
    assert!(window.says(&text), "{text}");
    window.press(&format!("{}, token {}", context.sample, context.position));
    assert!(window.says("as was said before"), "its document is shown");
    window.press("Close the document");
    assert!(!window.says("Close the document"));
}

#[test]
fn tokens_of_another_tokenizer_are_not_matched_by_their_ids() {
    let folder = tempfile::tempdir().unwrap();
    let mut window = generated(ThemeChoice::Dark);
    let (token, _) = token_in_trace(&window);
    look_at(&mut window, token);
    assert!(window.says("Occurrences: "));
    let mut opened_with = |name: &str, change: &dyn Fn(&mut serde_json::Value)| {
        let path = folder.path().join(name);
        copy(&traces().plain, &path);
        let manifest = path.join("manifest.json");
        let text = std::fs::read_to_string(&manifest).unwrap();
        let mut value = serde_json::from_str(&text).unwrap();
        change(&mut value);
        std::fs::write(&manifest, value.to_string()).unwrap();
        window.send(Command::OpenTrace(path));
        let active = window.app().state().traces.active().unwrap();
        assert_eq!(active.name, name);
        ["Occurrences: ", "another tokenizer", "not known"].map(|words| window.says(words))
    };
    let other = |manifest: &mut serde_json::Value| {
        manifest["tokenizer"]["sha256"] = "0".repeat(64).into();
    };
    assert_eq!(opened_with("other", &other), [false, true, false]);
    let unknown = |manifest: &mut serde_json::Value| {
        manifest.as_object_mut().unwrap().remove("tokenizer");
    };
    assert_eq!(opened_with("unknown", &unknown), [false, false, true]);
}

/// Copies a folder with everything in it.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let copied = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &copied);
        } else {
            std::fs::copy(&path, &copied).unwrap();
        }
    }
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
fn a_line_is_kept_in_the_folder_that_was_chosen() {
    let mut window = generated(ThemeChoice::Light);
    let folder = tempfile::tempdir().unwrap();
    let usual = window.app().state().choices.capture.out.clone();
    assert!(window.says("Keep in") && window.says("Choose…"));
    window.send(Command::ChooseKeptIn(folder.path().to_owned()));
    for name in ["live-0", "live-0-2"] {
        window.click("Keep as a trace");
        let path = folder.path().join(name);
        assert!(path.join("manifest.json").is_file());
        assert!(window.says(&format!("Kept as a trace: {}", path.display())));
    }
    // Opened from the message, and nothing else was changed by it.
    window
        .harness
        .get_all_by_label("Open")
        .next()
        .unwrap()
        .click();
    window.settle();
    let trace = window.app().state().traces.active().unwrap();
    assert!(trace.path.starts_with(folder.path()));
    assert_eq!(window.app().state().choices.capture.out, usual);
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

/// Leaves in a folder what a process leaves that was killed after four tokens: a journal that nobody holds.
fn interrupt(unfinished: &Path) {
    let aside = unfinished.with_file_name("aside");
    let config = SessionConfig {
        journal_in: Some(aside.clone()),
        ..SessionConfig::default()
    };
    let session = Session::open(Arc::new(common::loaded()), config, || {}).unwrap();
    session.send(SessionCommand::Start(StartConfig {
        prompt: "The enzyme lowers".into(),
        ..StartConfig::default()
    }));
    session.send(SessionCommand::Run {
        branch: BranchId(0),
        tokens: Some(4),
    });
    let begun = Instant::now();
    loop {
        let folder = std::fs::read_dir(&aside).into_iter().flatten().next();
        let journal = folder.map(|folder| folder.unwrap().path().join("branch-0.journal"));
        let journal = journal.filter(|journal| journal.exists());
        let found = journal.and_then(|path| Some((read_journal(&path).unwrap()?, path)));
        if let Some((sample, path)) = found
            && sample.record.tokens.len() == sample.head.num_prompt_tokens as usize + 4
        {
            let left = unfinished.join("session-of-another-process");
            std::fs::create_dir_all(&left).unwrap();
            std::fs::write(left.join(".lock"), "").unwrap();
            std::fs::copy(path, left.join("branch-0.journal")).unwrap();
            return;
        }
        assert!(begun.elapsed().as_secs() < 60, "nothing is journalled");
    }
}

#[test]
fn a_reply_of_a_killed_run_is_offered_at_the_next_start_and_opens() {
    let folder = tempfile::tempdir().unwrap();
    interrupt(&folder.path().join("unfinished"));
    let config = || AppConfig {
        settings: SettingsPlace::File(folder.path().join("app.json")),
        ..config(ThemeChoice::Dark, &[])
    };
    let mut window = Window::open(SIZE, config());
    assert!(window.says("The reply to “The enzyme lowers”, 4 tokens, is a trace now"));
    let path = folder.path().join("replies").join("recovered-1");
    assert_eq!(
        window.app().state().recent.traces,
        std::slice::from_ref(&path)
    );
    window.click("Open");
    let trace = window.app().state().traces.active().unwrap();
    assert_eq!((&trace.path, trace.about.counts.samples), (&path, 1));
    assert!(
        !window.says("The reply to"),
        "what was taken is not offered any more"
    );
    drop(window);
    let window = Window::open(SIZE, config());
    assert!(!window.says("The reply to"), "it is told once");
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
