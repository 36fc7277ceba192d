//! A conversation with a small model, message by message.

use std::{fs, path::Path};

use egui_kittest::kittest::Queryable as _;
use moescope_app::{Command, LiveChoice, LiveCommand, ThemeChoice};
use moescope_pipeline::session::BranchId;
use moescope_testkit::TinyModel;

use super::choice;
use crate::common::{SIZE, Window, config};

/// A model of a few words beside others that a test makes.
pub(crate) fn tiny_model(folder: &Path) -> String {
    let model = folder.join("model");
    let tiny = TinyModel {
        context: 256,
        ..TinyModel::default()
    };
    tiny.write(&model).unwrap();
    model.display().to_string()
}

/// The same with a chat template.
pub(crate) fn chat_model(folder: &Path) -> String {
    let model = tiny_model(folder);
    let template =
        "{% for m in messages %} {{ m.role }} {{ m.content }} </s>{% endfor %} assistant";
    fs::write(Path::new(&model).join("chat_template.jinja"), template).unwrap();
    model
}

#[test]
fn a_conversation_goes_on_with_the_next_message() {
    let folder = tempfile::tempdir().unwrap();
    let mut window = Window::open(SIZE, config(ThemeChoice::Light, &[]));
    window.send(Command::ChooseModel(chat_model(folder.path())));
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
    // The field is empty for the next one, and the message is where it can be edited.
    let choice_now = |window: &Window| window.app().state().choices.live.clone();
    assert!(choice_now(&window).next_message.is_empty());
    assert_eq!(choice_now(&window).prompt, "a proof of law");
    let edited = LiveChoice {
        prompt: "a proof of energy".into(),
        ..choice_now(&window)
    };
    window.send(Command::ChooseLive(Box::new(edited)));
    window.click("Use the edited message");
    let lives = &window.app().state().lives;
    let messages = &lives.branch().unwrap().info.messages;
    assert_eq!((lives.shown, messages.len()), (Some(BranchId(2)), 3));
    assert_eq!(messages[2].content, "a proof of energy");
    // Every line brings its own message, but for what is typed and in no line yet.
    let show = |window: &mut Window, line: u32| {
        let command = LiveCommand::ChooseBranch(BranchId(line));
        window.send(Command::Live(Box::new(command)));
    };
    show(&mut window, 0);
    assert_eq!(choice_now(&window).prompt, "the enzyme lowers energy of");
    let typed = LiveChoice {
        prompt: "a proof of the enzyme".into(),
        ..choice_now(&window)
    };
    window.send(Command::ChooseLive(Box::new(typed)));
    show(&mut window, 1);
    assert_eq!(choice_now(&window).prompt, "a proof of the enzyme");
    window.click("Load its message");
    assert_eq!(choice_now(&window).prompt, "a proof of law");
    assert!(window.says("Line 2"));
    let copy = window.harness.get_all_by_label("Copy as command").next();
    copy.expect("the button of the view in front").click();
    window.settle();
    assert!(window.says("a conversation of several messages can be kept as a trace"));
    // A text that goes on has no next message, and a model without a template says so.
    window.send(Command::ChooseModel("demo".to_owned()));
    window.send(Command::OpenView("live"));
    window.click("Start");
    assert!(window.says("has no chat template"));
    assert!(window.app().state().lives.branch().is_none());
    window.send(Command::ChooseLive(Box::new(choice())));
    window.click("Start");
    assert!(window.says("generated") && !window.says("Next message"));
    // Undo walks back through all of it: no message comes back that was sent, and no line of the model before.
    let is_over = |window: &Window| window.says("There is nothing to undo");
    let shown = window.app().state().lives.shown;
    for _ in 0..100 {
        window.send(Command::Undo);
        let next = choice_now(&window).next_message;
        assert!(!next.contains("a proof of law"), "{next}");
        let lives = &window.app().state().lives;
        assert_eq!(lives.shown, shown);
        assert!(!lives.branch().unwrap().info.is_chat);
        if is_over(&window) {
            break;
        }
    }
    assert!(is_over(&window));
}
