//! Chat templates against what transformers makes of the same conversations; `tests/fixtures/tokenizers/README.md` names
//! its version.
//!
//! A program of its own: renderings are bounded by the memory of the whole process, and one that was given up runs on until
//! the process ends.

use std::fs;

use moescope_core::Role;
use moescope_engine::{ChatClock, ChatMessage, ChatTemplate};
use serde_json::Value;

const CONFIG: &str =
    r#"{"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}"#;

fn template(source: &str) -> ChatTemplate {
    ChatTemplate::parse(source, "a test", Some(CONFIG)).unwrap()
}

fn clock() -> ChatClock {
    ChatClock {
        hour: 14,
        minute: 5,
        second: 7,
        ..ChatClock::midnight("2025-03-09").unwrap()
    }
}

fn message(role: &str, content: &str) -> ChatMessage {
    let role = match role {
        "system" => Role::System,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        other => panic!("{other}"),
    };
    ChatMessage {
        role,
        content: content.to_owned(),
    }
}

#[test]
fn conversations_become_what_transformers_makes_of_them() {
    let folder = moescope_testkit::repository_root().join("tests/fixtures/tokenizers/chat");
    let expected: Value =
        serde_json::from_slice(&fs::read(folder.join("expected.json")).unwrap()).unwrap();
    let cases = expected["cases"].as_array().unwrap();
    assert!(cases.len() >= 160);
    let mut different = Vec::new();
    for case in cases {
        let name = case["template"].as_str().unwrap();
        let template = template(&fs::read_to_string(folder.join(name)).unwrap());
        let messages: Vec<ChatMessage> = case["messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|m| message(m["role"].as_str().unwrap(), m["content"].as_str().unwrap()))
            .collect();
        let found = template.render(&messages, clock());
        match (&found, case["text"].as_str(), case["error"].as_str()) {
            (Ok((text, _)), Some(expected), None) if text == expected => {}
            // What a template raises is told as it is.
            (Err(error), None, Some(expected))
                if error
                    .to_string()
                    .ends_with(expected.split_once(": ").unwrap().1) => {}
            _ => different.push(format!("{name} {messages:?}\n{found:?}\n{case}")),
        }
    }
    assert!(
        different.is_empty(),
        "{} of {}:\n{}",
        different.len(),
        cases.len(),
        different.join("\n\n")
    );
}

/// A template that nobody means well with: it must fail, and soon.
#[track_caller]
fn check_bounded(source: &str) {
    let started = std::time::Instant::now();
    let result = ChatTemplate::parse(source, "a test", Some(CONFIG))
        .and_then(|template| template.render(&[message("user", "hello")], clock()));
    if let Ok((text, _)) = &result {
        assert!(text.len() < 64 << 20, "{source}: {} bytes", text.len());
    }
    let secs = started.elapsed().as_secs_f64();
    assert!(secs < 20.0, "{source}: {secs} s");
}

#[test]
fn hostile_templates_cannot_hang_or_fill_the_memory() {
    for source in [
        "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}",
        "{% set ns = namespace(s='x') %}{% for i in range(200) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}{{ ns.s }}",
        "{% set ns = namespace(s='x') %}{% for i in range(200) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
        "{% set ns = namespace(s='xx') %}{% for i in range(200) %}{% set ns.s = ns.s.replace('x', ns.s) %}{% endfor %}",
        "{% set ns = namespace(s='xx') %}{% for i in range(200) %}{% set ns.s = ns.s | replace('x', ns.s) %}{% endfor %}",
        "{% set ns = namespace(s='xx') %}{% for i in range(200) %}{% set ns.s = ns.s.join([ns.s, ns.s, ns.s]) %}{% endfor %}",
        "{% set ns = namespace(s=['x']) %}{% for i in range(200) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}{{ ns.s | tojson }}",
        "{% set ns = namespace(s=[]) %}{% for i in range(90000) %}{% set ns.s = [ns.s] %}{% endfor %}{{ ns.s | tojson }}",
        "{% set ns = namespace(s=[]) %}{% for i in range(90000) %}{% set ns.s = {'a': ns.s} %}{% endfor %}{{ ns.s }}",
        "{% set ns = namespace(s=[]) %}{% for i in range(90000) %}{% set ns.s = [ns.s] %}{% endfor %}{{ ns.s == ns.s }}{{ ns.s | length }}",
        "{{ 'x' * 99999999999 }}",
        "{{ 'x' * 99999999 }}",
        "{{ ['x'] * 99999999 }}",
        "{{ 'x' | indent(999999999) }}",
        "{{ 'x' | center(999999999) }}",
        "{{ '%999999999d' | format(1) }}",
        "{{ '{:>999999999}'.format(1) }}",
        "{{ range(999999999) | list }}",
        "{{ range(99999) | list | tojson(indent=99999999) }}",
        "{{ messages | tojson(indent='x' * 9999999) }}",
        "{{ strftime_now('%Y' * 9999999) }}",
        "{{ ('%Y' * 1000000) | length }}{% for i in range(1000) %}{{ strftime_now('%B' * 10000) }}{% endfor %}",
        "{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}",
        "{% for x in [[[[1]]]] recursive %}{{ loop([x, x]) }}{% endfor %}",
        "{% include 'chat_template' %}",
        "{% extends 'chat_template' %}",
        "{% import 'x' as y %}",
    ] {
        check_bounded(source);
    }
    // As deep as a template is long.
    let most = 130_000;
    let fill = |before: &str, part: &str, after: &str| {
        let count = (most - before.len() - after.len()) / part.len();
        check_bounded(&format!("{before}{}{after}", part.repeat(count)));
    };
    fill("{{ ", "(", "");
    fill("{{ ", "[", "");
    fill("{{ ", "not ", "1 }}");
    fill("{{ ", "-", "1 }}");
    fill("{{ 1", "+1", " }}");
    fill("{{ 'x'", "~'x'", " }}");
    fill("{{ x", ".a", " }}");
    fill("{{ 'x'", "|upper", " }}");
    fill("{{ 'x'", "[0]", " }}");
    fill("{{ 'x'", " if 1 else 2", " }}");
    fill("{{ 1", "**1", " }}");
    fill("{{ 1", " and 1", " }}");
    fill("", "{% if true %}", "");
    fill("{% if 0 %}", "{% elif 0 %}", "{% endif %}");
    fill("", "{% for x in [1] %}", "");
    fill("", "{{ x", "");
    fill("", "{#", "");
}

#[test]
fn messages_are_found_in_what_a_template_makes_of_them() {
    let check = |source: &str, system: &str, user: &str, expected: [&str; 2]| {
        let messages = [message("system", system), message("user", user)];
        let rendered = template(source)
            .render_with_spans(&messages, clock())
            .unwrap();
        let found: Vec<&str> = rendered
            .contents
            .iter()
            .map(|span| &rendered.text[span.rendered.clone()])
            .collect();
        assert_eq!(found, expected);
        for (message, span) in messages.iter().zip(&rendered.contents) {
            assert!(
                message.content[span.source_start..]
                    .starts_with(&rendered.text[span.rendered.clone()])
            );
        }
    };
    let plain = "{% for m in messages %}<{{ m.role }}>{{ m.content }}</{{ m.role }}>{% endfor %}";
    check(plain, "be kind", "user", ["be kind", "user"]);
    check(
        plain,
        "<user>",
        "<user></user>",
        ["<user>", "<user></user>"],
    );
    check(plain, "x", "", ["x", ""]);
    let stripped = "{% for m in messages %}<{{ m.role }}> {{ m.content.strip() }} {% endfor %}";
    check(stripped, " a ", "\n b  c \n", ["a", "b  c"]);
}

#[test]
fn of_replies_a_template_may_leave_out_what_was_thought() {
    let source = "{% for m in messages %}<{{ m.role }}>\
                  {{ m.content.split('</think>')[-1].strip() }}{% endfor %}";
    let conversation = [
        message("user", "Why?"),
        message("assistant", "<think>So. Therefore.</think>\nTherefore."),
        message("user", "Thanks."),
    ];
    let rendered = template(source)
        .render_with_spans(&conversation, clock())
        .unwrap();
    assert_eq!(
        rendered.text,
        "<user>Why?<assistant>Therefore.<user>Thanks."
    );
    let reply = &rendered.contents[1];
    assert_eq!(&rendered.text[reply.rendered.clone()], "Therefore.");
    // The second of both: the first was thought.
    assert_eq!(reply.source_start, "<think>So. Therefore.</think>\n".len());
}

#[test]
fn every_message_of_a_conversation_is_found_in_published_templates() {
    let folder = moescope_testkit::repository_root().join("tests/fixtures/tokenizers/chat");
    let conversation = [
        message("user", "What is an enzyme?"),
        message("assistant", "A catalyst of the cell."),
        message("user", "And an atom?"),
    ];
    let (mut found, mut refused) = (0, Vec::new());
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|ending| ending != "jinja") {
            continue;
        }
        let source = fs::read_to_string(&path).unwrap();
        match template(&source).render_with_spans(&conversation, clock()) {
            Ok(rendered) => {
                for (message, span) in conversation.iter().zip(&rendered.contents) {
                    assert_eq!(rendered.text[span.rendered.clone()], message.content);
                }
                assert!(
                    rendered
                        .contents
                        .is_sorted_by_key(|span| span.rendered.start)
                );
                found += 1;
            }
            Err(error) => refused.push(format!("{}: {error}", path.display())),
        }
    }
    assert!(found >= 12, "{found} found; {refused:#?}");
    assert!(refused.len() <= found / 4, "{refused:#?}");
}

#[test]
fn a_message_that_cannot_be_found_is_refused() {
    let refuse = |source: &str, content: &str, word: &str| {
        let error = template(source)
            .render_with_spans(&[message("user", content)], clock())
            .unwrap_err();
        assert!(error.to_string().contains(word), "{error}");
    };
    refuse("{{ messages[0].role }}", "x", "leaves out");
    refuse(
        "{{ messages[0].content ~ messages[0].content }}",
        "x",
        "repeats",
    );
    refuse("{{ messages[0].content | upper }}", "x", "leaves out");
    refuse(
        "{{ messages[0].content | replace('q', 'y') }}",
        "q",
        "changes",
    );
    refuse(
        "{{ messages[0].content | length }}{{ messages[0].content }}",
        "x",
        "depends on",
    );
    refuse("{{ messages[0].content.split(',')[0] }}", "x,y", "cuts");
}

#[test]
fn the_time_is_used_only_where_it_is_asked_for() {
    let message = [message("user", "x")];
    let asks = template("{{ strftime_now('%d %b') }}")
        .render(&message, clock())
        .unwrap();
    assert_eq!(asks, ("09 Mar".to_owned(), true));
    let (_, uses) = template("{{ strftime_now is defined }}")
        .render(&message, clock())
        .unwrap();
    assert!(!uses);
}

#[test]
fn a_folder_has_one_template_or_none() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    let origin = || {
        ChatTemplate::open(folder.path()).map(|found| {
            found.map(|template| (template.origin().to_owned(), template.source().to_owned()))
        })
    };
    assert!(origin().unwrap().is_none());
    write(
        "tokenizer_config.json",
        r#"{"chat_template": [{"name": "rag", "template": "r"}]}"#,
    );
    assert!(origin().unwrap_err().to_string().contains("'default'"));
    write(
        "tokenizer_config.json",
        r#"{"chat_template": [{"name": "rag", "template": "r"}, {"name": "default", "template": "d"}]}"#,
    );
    let expected = |origin: &str, source: &str| Some((origin.to_owned(), source.to_owned()));
    assert_eq!(origin().unwrap(), expected("tokenizer_config.json", "d"));
    write("chat_template.jinja", "{{ bos_token }}");
    assert_eq!(
        origin().unwrap(),
        expected("chat_template.jinja", "{{ bos_token }}")
    );
    write("chat_template.jinja", "{% if %}");
    assert!(
        origin()
            .unwrap_err()
            .to_string()
            .contains("no Jinja template")
    );
}
