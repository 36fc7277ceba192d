//! Chat templates, which are programs from strangers.

use std::fs;

use moescope_core::Role;
use moescope_engine::{ChatClock, ChatMessage, ChatTemplate};
use moescope_testkit::{
    fuzz::{Shape, Target},
    repository_root,
};

const CONFIG: &str =
    r#"{"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}"#;

pub(super) const TEMPLATE: Target = Target {
    name: "chat_template",
    shape: Shape::Bytes,
    words: &[
        "{{ ",
        " }}",
        "{% for a in messages %}",
        "{% endfor %}",
        "{% if true %}",
        "{% endif %}",
        "{% else %}",
        "{%- set ns = namespace(a=[]) %}",
        "{% set ns.a = [ns.a] %}",
        "{% set ns.a = ns.a + ns.a %}",
        "{% macro m(x) %}",
        "{% endmacro %}",
        "{{ m(m) }}",
        "{% generation %}",
        "{# ",
        " #}",
        "{% raw %}",
        "loop.index0",
        "loop.previtem",
        "range(999999999)",
        "'a' * 999999999",
        "[0] * 999999999",
        " ~ ",
        " ** 99999",
        " // 0",
        " % 0",
        "[::-1]",
        "[::0]",
        "[-9223372036854775808:]",
        "|tojson(indent=99999999)",
        "|join(messages)",
        "|replace('', messages)",
        "|center(99999999)",
        "|indent(99999999)",
        "|format",
        "|map(attribute='content')",
        "|selectattr('role')",
        "|groupby('role')",
        "|batch(0)",
        "|slice(0)",
        "|length",
        "|trim",
        "|int",
        "|string",
        ".split('')",
        ".strip()",
        ".items()",
        ".__class__.__mro__",
        "strftime_now('%')",
        "strftime_now('%-d%99999999d')",
        "raise_exception('x')",
        "messages[0]['content']",
        "bos_token",
        "add_generation_prompt",
        "{% include 'a' %}",
        "{% import '/etc/passwd' as a %}",
        "{% extends 'a' %}",
        "((((((((((((((((",
    ],
    corpus: || {
        let folder = repository_root().join("tests/fixtures/tokenizers/chat");
        let mut paths: Vec<_> = fs::read_dir(folder)
            .expect("the fixtures are in the repository")
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|e| e == "jinja"))
            .collect();
        paths.sort();
        paths
            .iter()
            .map(|path| fs::read(path).expect("the fixture can be read"))
            .collect()
    },
    open: |_| {
        let clock = ChatClock::midnight("2025-03-09").expect("that is a day");
        let message = |role, content: &str| ChatMessage {
            role,
            content: content.to_owned(),
        };
        let messages = [
            message(Role::User, "What lowers energy?\n"),
            message(
                Role::Assistant,
                "<think>\nwhat?</think> An enzyme \u{1f9ec}",
            ),
            message(Role::User, "{{ bos_token }} </s>"),
        ];
        Box::new(move |input| {
            std::str::from_utf8(input).is_ok_and(|source| {
                ChatTemplate::parse(source, "a test", Some(CONFIG))
                    .is_ok_and(|template| template.render(&messages, clock).is_ok())
            })
        })
    },
};
