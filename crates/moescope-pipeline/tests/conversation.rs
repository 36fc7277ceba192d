//! Conversations of several messages, against the template's own text and a sequence that was never touched.

use std::{fs, path::Path, sync::Arc};

use moescope_core::{NoProgress, Role, TokenRow};
use moescope_engine::{
    ChatClock, ChatMessage, ChatTemplate, ComputeDevice, DeviceChoice, Growth, GrowthConfig,
    Interventions, LoadOptions,
};
use moescope_pipeline::{
    ChatConfig, FinishReason, LoadedModel, ModelFiles, ModelFolder, PromptConfig,
    session::{Branch, BranchId, BranchState, Given, SessionCommand, SessionConfig, StartConfig},
};
use moescope_testkit::TinyModel;
use moescope_trace::{RoutingTrace, validate};
use serde_json::json;

use crate::support::{self, FIRST, Listening, SECOND, document, experts, ids, run, sampling};

const TEMPLATE: &str = "{{ bos_token }}{% for m in messages %}<|{{ m.role }}|>\n{{ m.content | trim }}</s>\n{% endfor %}\
                        {% if add_generation_prompt %}<|assistant|>\n{% endif %}";
const CONFIG: &str = r#"{"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>",
    "legacy": false, "add_bos_token": true}"#;
/// Ids of `bpe_identity` end at 2599.
const ADDED: &str = r#"{"<|system|>": 2600, "<|user|>": 2601, "<|assistant|>": 2602}"#;
const QUESTION: &str = "What is an enzyme?";
const NEXT: &str = "And an atom?";

/// A tiny model with a tokenizer of 2,600 pieces and a chat template.
fn model(folder: &Path, template: &str) -> Arc<LoadedModel> {
    let model = TinyModel {
        vocab: 2603,
        context: 1024,
        ..TinyModel::default()
    };
    model.write(folder).unwrap();
    fs::remove_file(folder.join("tokenizer.json")).unwrap();
    let packed = moescope_testkit::repository_root()
        .join("tests/fixtures/tokenizers/bpe_identity.model.zst");
    let tokenizer = zstd::decode_all(fs::read(packed).unwrap().as_slice()).unwrap();
    fs::write(folder.join("tokenizer.model"), tokenizer).unwrap();
    fs::write(folder.join("tokenizer_config.json"), CONFIG).unwrap();
    fs::write(folder.join("added_tokens.json"), ADDED).unwrap();
    fs::write(folder.join("chat_template.jinja"), template).unwrap();
    let files = ModelFiles::open(ModelFolder::find(folder.to_str().unwrap(), None).unwrap());
    let device = ComputeDevice::open(DeviceChoice::Cpu).unwrap();
    let loaded = files
        .unwrap()
        .load(device, LoadOptions::default(), &NoProgress);
    Arc::new(loaded.unwrap())
}

fn clock() -> ChatClock {
    ChatClock::midnight("2025-03-09").unwrap()
}

fn start(system: Option<&str>, interventions: &[&str]) -> SessionCommand {
    let chat = ChatConfig {
        system: system.map(str::to_owned),
        date: Some(clock()),
    };
    SessionCommand::Start(StartConfig {
        prompt: QUESTION.to_owned(),
        framing: PromptConfig {
            chat: Some(chat),
            ..PromptConfig::default()
        },
        sampling: sampling(),
        interventions: interventions.iter().map(|s| s.parse().unwrap()).collect(),
        ..StartConfig::default()
    })
}

fn reply(branch: BranchId, message: &str) -> SessionCommand {
    SessionCommand::Reply {
        branch,
        message: message.to_owned(),
    }
}

fn message(role: Role, content: &str) -> ChatMessage {
    ChatMessage {
        role,
        content: content.to_owned(),
    }
}

/// What the template makes of a conversation, as tokens.
fn rendered(loaded: &LoadedModel, messages: &[ChatMessage]) -> Vec<u32> {
    let template = ChatTemplate::open(&loaded.files.folder.path).unwrap();
    let (text, _) = template.unwrap().render(messages, clock()).unwrap();
    let tokens = loaded.files.tokenizer.encode_as_is(&text).unwrap();
    tokens.iter().map(|token| token.id).collect()
}

/// A branch is what a sequence is whose prompt is these tokens.
fn check_is_fresh(loaded: &LoadedModel, branch: &Branch, prompt: &[u32], interventions: &[&str]) {
    let given = branch.columns.num_prompt_tokens();
    assert_eq!(ids(branch)[..given], *prompt);
    let specs = interventions.iter().map(|s| s.parse().unwrap()).collect();
    let config = GrowthConfig {
        sampling: sampling(),
        keeps_logits: false,
    };
    let under = Interventions::new(specs, loaded.model.spec()).unwrap();
    let mut growth = Growth::new(&loaded.model, prompt, config, under).unwrap();
    while growth.len() < branch.columns.len() {
        growth.draw().unwrap();
    }
    let fresh: Vec<u32> = growth
        .record()
        .tokens
        .iter()
        .map(|token| token.id)
        .collect();
    assert_eq!(ids(branch), fresh);
    let decisions = &growth.record().decisions;
    assert_eq!(experts(branch).concat(), decisions.selected_experts);
    let surprisals = |branch: &Branch| -> Vec<Option<f32>> {
        let tokens = branch.columns.tokens().iter();
        tokens.map(|token| token.surprisal).collect()
    };
    for (a, b) in surprisals(branch).iter().zip(&growth.record().tokens) {
        let apart = a.unwrap_or(0.0) - b.surprisal.unwrap_or(0.0);
        assert!(apart.abs() < 1e-4, "{apart} nats");
    }
}

#[test]
fn a_conversation_goes_on_as_if_all_of_it_had_been_read_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let loaded = model(&folder.path().join("model"), TEMPLATE);
    for interventions in [&[][..], &["mask:all:2"]] {
        let mut listening = Listening::to(&loaded, SessionConfig::default());
        let first = start(Some("Be kind."), interventions);
        listening.drawn(vec![first, run(FIRST, 6)], FIRST, 6);
        listening.drawn(vec![reply(FIRST, NEXT), run(SECOND, 5)], SECOND, 5);
        let third = BranchId(2);
        listening.drawn(vec![reply(SECOND, "Thanks."), run(third, 4)], third, 4);
        assert!(listening.failures.is_empty(), "{:?}", listening.failures);
        let mut before: Option<&Branch> = None;
        for (id, said) in [(FIRST, QUESTION), (SECOND, NEXT), (third, "Thanks.")] {
            let branch = listening.branch(id);
            let messages = &branch.info.messages;
            assert_eq!(branch.info.prompt, said);
            assert_eq!(messages.last(), Some(&message(Role::User, said)));
            let system = [message(Role::System, "Be kind.")];
            let prompt = rendered(&loaded, &[&system[..], messages].concat());
            check_is_fresh(&loaded, branch, &prompt, interventions);
            if let Some(before) = before {
                let earlier = &before.info.messages;
                assert_eq!(messages[..earlier.len()], *earlier);
                let replied = &messages[earlier.len()];
                assert_eq!(replied.role, Role::Assistant);
                // A character that was not whole yet may follow.
                assert!(replied.content.starts_with(&before.reply), "{replied:?}");
                let both = ids(before).into_iter().zip(prompt);
                let same = both.take_while(|(a, b)| a == b).count();
                assert_eq!(branch.info.parent, Some((before.info.id, same)));
                // What was said before is not computed again.
                assert!(same + 3 > before.columns.num_prompt_tokens(), "{same}");
            }
            before = Some(branch);
        }
    }
}

#[test]
fn a_kept_conversation_says_whose_words_are_whose() {
    let folder = tempfile::tempdir().unwrap();
    let loaded = model(&folder.path().join("model"), TEMPLATE);
    let mut listening = Listening::to(&loaded, SessionConfig::default());
    let words = SessionCommand::Give {
        branch: FIRST,
        keep: rendered(&loaded, &[message(Role::User, QUESTION)]).len(),
        given: Given::Text("A catalyst.".to_owned()),
    };
    listening.drawn(vec![start(None, &[]), words], SECOND, 0);
    let third = BranchId(2);
    listening.drawn(vec![reply(SECOND, NEXT), run(third, 5)], third, 5);
    let path = folder.path().join("trace");
    listening.session.send(SessionCommand::Save {
        branch: third,
        path: path.clone(),
    });
    let (_, failures, _) = listening.close();
    assert!(failures.is_empty(), "{failures:?}");
    let report = validate(&path, &NoProgress).unwrap();
    assert!(report.is_valid(), "{:?}", report.violations);
    let trace = RoutingTrace::open(&path).unwrap();
    let settings = &trace.manifest().settings;
    assert_eq!(
        settings["chat"]["messages"],
        json!([
            {"role": "user", "content": QUESTION},
            {"role": "assistant", "content": "A catalyst."},
            {"role": "user", "content": NEXT},
        ])
    );
    assert_eq!(settings["session"]["from"], 1);
    let document = document(&path);
    let text = &document.sample.meta.text;
    assert_eq!(*text, format!("{QUESTION}\n\nA catalyst.\n\n{NEXT}"));
    // The words of each, as they stand in the text, and in order.
    let tokens = &document.tokens;
    let own: Vec<&TokenRow> = tokens.iter().filter(|t| t.byte_start.is_some()).collect();
    let mut said: Vec<(Role, String)> = Vec::new();
    for token in own {
        let (start, end) = (token.byte_start.unwrap(), token.byte_end.unwrap());
        let piece = &text[start as usize..end as usize];
        assert_eq!(token.is_template, Some(false));
        match said.last_mut() {
            Some((role, words)) if Some(*role) == token.role => words.push_str(piece),
            _ => said.push((token.role.unwrap(), piece.to_owned())),
        }
    }
    let expected = [
        (Role::User, QUESTION),
        (Role::Assistant, "A catalyst."),
        (Role::User, NEXT),
    ];
    let expected = expected.map(|(role, words)| (role, words.to_owned()));
    assert_eq!(said, expected);
    let drawn = tokens.iter().filter(|t| t.role == Some(Role::Assistant));
    assert!(drawn.count() > 5);
}

#[test]
fn every_published_template_goes_on_or_says_why_not() {
    let templates = moescope_testkit::repository_root().join("tests/fixtures/tokenizers/chat");
    let (mut answered, mut refused) = (0, Vec::new());
    for entry in fs::read_dir(templates).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|ending| ending != "jinja") {
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        let template = fs::read_to_string(&path).unwrap();
        let loaded = model(&folder.path().join("model"), &template);
        let listening = Listening::to(&loaded, SessionConfig::default());
        let first = [message(Role::User, QUESTION)];
        let words = SessionCommand::Give {
            branch: FIRST,
            keep: rendered(&loaded, &first).len(),
            given: Given::Text("A catalyst of the cell.".to_owned()),
        };
        let third = BranchId(2);
        let commands = [start(None, &[]), words, reply(SECOND, NEXT), run(third, 3)];
        for command in commands {
            listening.session.send(command);
        }
        let (transcript, failures, _) = listening.close();
        let Some(branch) = transcript.branch(third) else {
            refused.push(format!("{}: {failures:?}", path.display()));
            continue;
        };
        let [user, assistant, next] = &branch.info.messages[..] else {
            panic!("{:?}", branch.info);
        };
        assert_eq!((&user.content[..], &next.content[..]), (QUESTION, NEXT));
        let prompt = rendered(&loaded, &branch.info.messages);
        check_is_fresh(&loaded, branch, &prompt, &[]);
        assert_eq!(assistant.content, "A catalyst of the cell.");
        answered += 1;
    }
    assert!(answered >= 12, "{answered}; {refused:#?}");
    assert!(refused.len() <= answered / 4, "{refused:#?}");
}

#[test]
fn a_stopped_reply_is_answered_and_the_last_message_can_be_another() {
    let folder = tempfile::tempdir().unwrap();
    let loaded = model(&folder.path().join("model"), TEMPLATE);
    let mut listening = Listening::to(&loaded, SessionConfig::default());
    listening.drawn(vec![start(None, &[]), run(FIRST, 6)], FIRST, 6);
    listening.until(vec![SessionCommand::Stop(FIRST)], FIRST, &|branch| {
        branch.state == BranchState::Finished(FinishReason::Cancelled)
    });
    listening.drawn(vec![reply(FIRST, "And a cell?"), run(SECOND, 3)], SECOND, 3);
    let edit = SessionCommand::Edit {
        branch: SECOND,
        prompt: NEXT.to_owned(),
    };
    let third = BranchId(2);
    listening.drawn(vec![edit, run(third, 3)], third, 3);
    let direct = BranchId(3);
    listening.drawn(vec![reply(FIRST, NEXT), run(direct, 3)], direct, 3);
    assert!(listening.failures.is_empty(), "{:?}", listening.failures);
    let (edited, direct) = (listening.branch(third), listening.branch(direct));
    assert_eq!(edited.info.messages, direct.info.messages);
    assert_eq!(ids(edited), ids(direct));
    assert_eq!(experts(edited), experts(direct));
}

#[test]
fn what_is_no_conversation_cannot_be_answered_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let loaded = model(&folder.path().join("model"), TEMPLATE);
    let mut listening = Listening::to(&loaded, SessionConfig::default());
    let within = SessionCommand::Fork {
        branch: FIRST,
        keep: 4,
    };
    let plain = SessionCommand::Start(StartConfig {
        prompt: QUESTION.to_owned(),
        ..StartConfig::default()
    });
    let commands = [
        start(None, &[]),
        reply(FIRST, NEXT),
        run(FIRST, 3),
        within,
        reply(SECOND, NEXT),
        plain,
        run(BranchId(2), 2),
        reply(BranchId(2), NEXT),
        reply(BranchId(9), NEXT),
    ];
    for command in commands {
        listening.session.send(command);
    }
    listening.until(vec![run(FIRST, 2)], FIRST, &|branch| {
        branch.columns.len() > branch.columns.num_prompt_tokens()
            && branch.state != BranchState::Running
    });
    listening.session.send(reply(FIRST, " \n"));
    let (transcript, failures, _) = listening.close();
    let words = [
        "the model has not replied yet",
        "given other words within its prompt",
        "not a conversation",
        "there is no branch 9",
        "the message is empty",
    ];
    assert_eq!(failures.len(), words.len(), "{failures:?}");
    for (failure, words) in failures.iter().zip(words) {
        assert!(failure.starts_with("send the message: "), "{failure}");
        assert!(failure.contains(words), "{failure}");
    }
    assert_eq!(transcript.branches().count(), 3);
    // A model without a template says so when the conversation is to begin.
    let loaded = support::loaded();
    let listening = Listening::to(&loaded, SessionConfig::default());
    listening.session.send(start(None, &[]));
    let (_, failures, _) = listening.close();
    let [failure] = &failures[..] else {
        panic!("{failures:?}");
    };
    assert!(failure.contains("has no chat template"), "{failure}");
}
