//! Models with `tokenizer.model`, chat templates, and what a trace says of them.

use std::fs;

use moescope_core::{Role, TokenRow};
use moescope_testkit::TinyModel;
use moescope_trace::{Document, Manifest, RoutingTrace};
use serde_json::Value;

use crate::support::{Scratch, documents, refuse, run, succeed};

const TEMPLATE: &str = "{{ bos_token }}{% for m in messages %}<|{{ m.role }}|>\n{{ m.content | trim }}</s>\n{% endfor %}\
                        {% if add_generation_prompt %}<|assistant|>\n{% endif %}";
const CONFIG: &str = r#"{"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>",
    "legacy": false, "add_bos_token": true}"#;
/// Ids of `bpe_identity` end at 2599.
const ADDED: &str = r#"{"<|system|>": 2600, "<|user|>": 2601, "<|assistant|>": 2602, "[ChemDFM_Start_SMILES_Unit]": 2603,
    "[ChemDFM_End_SMILES_Unit]": 2604, "<<protein>>": 2605, "<|eod|>": 2606}"#;

fn unpacked(name: &str) -> Vec<u8> {
    let folder = moescope_testkit::repository_root().join("tests/fixtures/tokenizers");
    let packed = fs::read(folder.join(format!("{name}.model.zst"))).unwrap();
    zstd::decode_all(packed.as_slice()).unwrap()
}

/// A tiny model whose only tokenizer is a `tokenizer.model`, with a chat template.
fn scratch() -> Scratch {
    let scratch = Scratch::new();
    let model = TinyModel {
        vocab: 2607,
        context: 256,
        ..TinyModel::default()
    };
    model.write(&scratch.path("model")).unwrap();
    fs::remove_file(scratch.path("model/tokenizer.json")).unwrap();
    scratch.write("model/tokenizer.model", unpacked("bpe_identity"));
    scratch.write("model/tokenizer_config.json", CONFIG);
    scratch.write("model/added_tokens.json", ADDED);
    scratch.write("model/chat_template.jinja", TEMPLATE);
    scratch
}

fn capture(scratch: &Scratch, texts: &str, options: &[&str]) -> (Vec<Document>, Manifest, String) {
    let data = scratch.write("texts.jsonl", texts);
    let (model, out) = (scratch.arg("model"), scratch.arg("trace"));
    let mut args = vec!["capture", &model, "--data", &data, "--out", &out];
    args.extend(options);
    let ran = succeed(&args);
    succeed(&["validate", &out]);
    let manifest = RoutingTrace::open(out.as_ref()).unwrap().manifest().clone();
    (documents(out.as_ref()), manifest, ran.stderr)
}

/// The text that some tokens cover in their sample.
fn covered<'d>(document: &'d Document, tokens: &[&TokenRow]) -> &'d str {
    let start = tokens.first().unwrap().byte_start.unwrap() as usize;
    let end = tokens.last().unwrap().byte_end.unwrap() as usize;
    &document.sample.meta.text[start..end]
}

#[test]
fn a_model_with_tokenizer_model_alone_is_inspected_run_and_captured() {
    let scratch = scratch();
    let model = scratch.arg("model");
    let found: Value =
        serde_json::from_str(&succeed(&["inspect", &model, "--json"]).stdout).unwrap();
    let tokenizer = &found["tokenizer"];
    assert_eq!(tokenizer["kind"], "SentencePiece BPE");
    assert_eq!(tokenizer["file"], "tokenizer.model");
    assert_eq!(tokenizer["vocab_size"], 2607);
    assert_eq!(tokenizer["chat_template"], "chat_template.jinja");
    let policy = "add_bos_token of tokenizer_config.json puts '<s>' (id 1) first";
    assert_eq!(tokenizer["bos_policy"], policy);
    succeed(&[
        "generate",
        &model,
        "--prompt",
        "The 漢 atom",
        "--max-tokens",
        "5",
    ]);
    let text = "{\"id\": \"a\", \"text\": \"The  enzyme 漢 é\\n42\"}\n";
    let (documents, manifest, _) = capture(&scratch, text, &[]);
    let tokens = &documents[0].tokens;
    assert_eq!(tokens[0].token_id, Some(1));
    assert!(
        tokens
            .iter()
            .all(|t| t.role == Some(Role::Document) && t.is_template == Some(false))
    );
    let own: Vec<&TokenRow> = tokens.iter().filter(|t| t.byte_start.is_some()).collect();
    assert_eq!(covered(&documents[0], &own), "The  enzyme 漢 é\n42");
    // Three bytes of one character have its place, each.
    let bytes = own
        .iter()
        .filter(|t| t.text.as_deref() == Some("漢"))
        .count();
    assert_eq!(bytes, 3);
    let identity = manifest.tokenizer.unwrap();
    assert_eq!(identity.kind, "tokenizer.model");
    assert_eq!(identity.algorithm.as_deref(), Some("SentencePiece BPE"));
    assert_eq!(
        identity.other_files.keys().collect::<Vec<_>>(),
        ["added_tokens.json", "tokenizer_config.json"]
    );
    assert_eq!(manifest.bos_policy.as_deref(), Some(policy));
    assert_eq!(manifest.chat_template, None);
}

#[test]
fn a_conversation_marks_what_is_the_templates_and_whose_words_are_whose() {
    let scratch = scratch();
    let text =
        "{\"id\": \"a\", \"text\": \"  What binds the user? \\n\", \"discipline\": \"biology\"}\n";
    let (documents, manifest, _) = capture(
        &scratch,
        text,
        &[
            "--chat",
            "--system",
            "Be kind to the user.",
            "--generate",
            "3",
        ],
    );
    let document = &documents[0];
    let of = |wanted: Option<Role>, is_template: bool| -> Vec<&TokenRow> {
        document
            .tokens
            .iter()
            .filter(|t| t.role == wanted && t.is_template == Some(is_template))
            .collect()
    };
    let joined = |tokens: &[&TokenRow]| -> String {
        tokens.iter().map(|t| t.text.as_deref().unwrap()).collect()
    };
    assert_eq!(
        covered(document, &of(Some(Role::User), false)),
        "What binds the user?"
    );
    assert_eq!(
        joined(&of(Some(Role::System), true)),
        "Be kind to the user."
    );
    assert_eq!(of(Some(Role::Assistant), false).len(), 3);
    let template = of(None, true);
    assert_eq!(
        joined(&template),
        "<s><|system|>\n</s>\n<|user|>\n</s>\n<|assistant|>\n"
    );
    assert!(template.iter().all(|t| t.byte_start.is_none()));
    let counted: usize = [
        (Some(Role::User), false),
        (Some(Role::System), true),
        (Some(Role::Assistant), false),
        (None, true),
    ]
    .map(|(role, is_template)| of(role, is_template).len())
    .iter()
    .sum();
    assert_eq!(
        counted,
        document.tokens.len(),
        "every token is one of these"
    );
    // The beginning of sequence is there once.
    let first = document
        .tokens
        .iter()
        .filter(|t| t.token_id == Some(1))
        .count();
    assert_eq!(first, 1);
    assert_eq!(manifest.chat_template.as_deref(), Some(TEMPLATE));
    assert_eq!(
        manifest.bos_policy.as_deref(),
        Some("the chat template writes '<s>' first; nothing is added")
    );
    assert_eq!(manifest.settings["chat"]["system"], "Be kind to the user.");
    assert_eq!(manifest.settings["chat"]["template"], "chat_template.jinja");
    assert!(manifest.settings["chat"].get("date").is_none());
    // Profiles, which say what the default scope counts, are of the document's and the reply's tokens.
    let content = document.tokens.iter().filter(|t| t.is_content()).count();
    assert!(content > 0 && content < document.tokens.len());
}

#[test]
fn overlong_conversations_are_cut_in_the_document_alone() {
    let scratch = scratch();
    let words = "the enzyme lowers the energy of a reaction ".repeat(40);
    let text = format!("{{\"id\": \"a\", \"text\": \"{words}\"}}\n");
    let (documents, ..) = capture(
        &scratch,
        &text,
        &["--chat", "--max-tokens", "64", "--overlong", "chunk"],
    );
    assert!(documents.len() > 2);
    let whole: String = documents
        .iter()
        .map(|d| d.sample.meta.text.as_str())
        .collect();
    assert_eq!(whole.trim(), words.trim());
    for document in &documents {
        let tokens = &document.tokens;
        assert!(tokens.len() <= 64);
        assert_eq!(tokens[0].token_id, Some(1));
        assert_eq!(tokens[1].text.as_deref(), Some("<|user|>"));
        assert!(
            tokens
                .iter()
                .rev()
                .take(3)
                .all(|t| t.is_template == Some(true))
        );
    }
}

#[test]
fn the_date_is_kept_where_a_template_asks_for_it() {
    let scratch = scratch();
    scratch.write(
        "model/chat_template.jinja",
        "{{ strftime_now('%d %B %Y') }}: {{ messages[-1].content }}",
    );
    let text = "{\"id\": \"a\", \"text\": \"x\"}\n";
    let (documents, manifest, _) =
        capture(&scratch, text, &["--chat", "--chat-date", "2024-02-29"]);
    assert_eq!(manifest.settings["chat"]["date"], "2024-02-29");
    let said: String = documents[0]
        .tokens
        .iter()
        .map(|t| t.text.clone().unwrap())
        .collect();
    // The template's space is part of a token of the text, whose place in the document is the x alone.
    assert_eq!(said.trim_start(), "29 February 2024:x");
    assert_eq!(
        manifest.bos_policy.as_deref(),
        Some("none: the chat template writes none, and nothing is added to it")
    );
    let model = scratch.arg("model");
    refuse(
        &[
            "generate",
            &model,
            "--prompt",
            "x",
            "--chat",
            "--chat-date",
            "2024-02-30",
        ],
        &["no date"],
    );
}

#[test]
fn a_chat_that_cannot_be_is_refused_with_the_reason() {
    let scratch = scratch();
    let model = scratch.arg("model");
    let chat = |more: &[&str], words: &[&str]| {
        let mut args = vec![
            "generate",
            &model,
            "--prompt",
            "x",
            "--max-tokens",
            "1",
            "--chat",
        ];
        args.extend(more);
        refuse(&args, words);
    };
    scratch.write(
        "model/chat_template.jinja",
        "{% if messages[0].role == 'system' %}{{ raise_exception('No system here') }}{% endif %}",
    );
    chat(
        &["--system", "y"],
        &["the model's chat template refuses: No system here"],
    );
    chat(&[], &["leaves out the user message"]);
    scratch.write("model/chat_template.jinja", "{% endfor %}");
    chat(&[], &["no Jinja template", "chat_template.jinja"]);
    // Lists that hold one another: one step without end.
    for endless in [
        "{% set ns = namespace(s=['x']) %}{% for i in range(200) %}{% set ns.s = ns.s + ns.s %}{% endfor %}{{ ns.s }}",
        "{% set ns = namespace(s=['x']) %}{% for i in range(200) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}{{ ns.s }}",
    ] {
        scratch.write("model/chat_template.jinja", endless);
        chat(&[], &["more work or memory than any template needs"]);
    }
    fs::remove_file(scratch.path("model/chat_template.jinja")).unwrap();
    chat(&[], &["has no chat template", "--chat"]);
    refuse(
        &["generate", "demo", "--prompt", "x", "--chat"],
        &["has no chat template"],
    );
    let ran = run(&["generate", &model, "--prompt", "x", "--system", "y"]);
    assert_eq!(ran.code, Some(2), "--system needs --chat");
}

/// The scratch model as a `SciDFM` checkpoint: no template of its own, and a second tokenizer.
fn scidfm() -> Scratch {
    let scratch = scratch();
    fs::remove_file(scratch.path("model/chat_template.jinja")).unwrap();
    let config = fs::read_to_string(scratch.path("model/config.json")).unwrap();
    scratch.write(
        "model/config.json",
        config.replace("\"mixtral\"", "\"SciDFM\""),
    );
    scratch.write(
        "model/tokenizer_config.json",
        CONFIG.replace("\"legacy\": false", "\"legacy\": true"),
    );
    scratch.write("model/smiles.model", unpacked("smiles"));
    scratch
}

#[test]
fn scidfm_has_a_template_and_says_where_it_is_from() {
    let scratch = scidfm();
    let text = "{\"id\": \"a\", \"text\": \"What is an atom?\"}\n";
    let (documents, manifest, stderr) = capture(&scratch, text, &["--chat"]);
    assert!(stderr.contains("known from a third party"), "{stderr}");
    assert_eq!(
        manifest.settings["chat"]["template"],
        "moescope's built-in template for SciDFM"
    );
    assert!(
        manifest
            .bos_policy
            .unwrap()
            .contains("puts '<s>' (id 1) first")
    );
    let ids: Vec<u32> = documents[0]
        .tokens
        .iter()
        .map(|t| t.token_id.unwrap())
        .collect();
    assert_eq!(ids[..2], [1, 2601]);
    let said: String = documents[0]
        .tokens
        .iter()
        .map(|t| t.text.clone().unwrap())
        .collect();
    // The old behaviour of LlamaTokenizer puts a space before every stretch that follows an added token.
    assert_eq!(said, "<s><|user|> :What is an atom?<|assistant|> :");
}

#[test]
fn science_units_wrap_molecules_and_proteins_when_asked_to() {
    let scratch = scidfm();
    let texts = "{\"id\": \"m\", \"text\": \"C(=O)Cl\", \"discipline\": \"smiles\"}\n\
                 {\"id\": \"p\", \"text\": \"MIR\", \"discipline\": \"protein\"}\n\
                 {\"id\": \"t\", \"text\": \"MIR\", \"discipline\": \"law\"}\n";
    let (documents, manifest, stderr) = capture(&scratch, texts, &["--science-units"]);
    assert!(stderr.contains("whose spelling is assumed"), "{stderr}");
    assert_eq!(manifest.settings["science_units"], true);
    let own = |document: &Document| -> Vec<(String, bool)> {
        document
            .tokens
            .iter()
            .filter(|t| t.is_special == Some(false))
            .map(|t| (t.text.clone().unwrap(), t.is_template == Some(false)))
            .collect()
    };
    let units: Vec<String> = own(&documents[0])
        .into_iter()
        .filter(|(_, own)| *own)
        .map(|(text, _)| text)
        .collect();
    assert_eq!(units.concat(), "C(=O)Cl");
    assert_eq!(
        documents[0]
            .tokens
            .iter()
            .filter(|t| t.token_id == Some(2603))
            .count(),
        6,
        "one mark a unit"
    );
    assert_eq!(
        documents[1]
            .tokens
            .iter()
            .filter(|t| t.token_id == Some(2605))
            .count(),
        3
    );
    let last = documents[1]
        .tokens
        .iter()
        .rfind(|t| t.byte_start.is_some())
        .unwrap();
    assert_eq!((last.byte_start, last.byte_end), (Some(2), Some(3)));
    assert!(
        documents[2]
            .tokens
            .iter()
            .all(|t| t.is_template == Some(false))
    );
    // A tokenizer without the marks refutes what is assumed of it.
    scratch.write(
        "model/added_tokens.json",
        ADDED.replace("<<protein>>", "<<other>>"),
    );
    let (model, data, out) = (
        scratch.arg("model"),
        scratch.arg("texts.jsonl"),
        scratch.arg("second"),
    );
    let args = [
        "capture",
        &model,
        "--data",
        &data,
        "--out",
        &out,
        "--science-units",
    ];
    refuse(&args, &["'<<protein>>'", "assumed of SciDFM"]);
    fs::remove_file(scratch.path("model/smiles.model")).unwrap();
    refuse(&args, &["smiles.model"]);
}
