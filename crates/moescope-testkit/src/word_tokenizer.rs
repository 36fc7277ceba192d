//! A tokenizer that a reader of a test can run in the head: one token a word.

use std::{fs, io, path::Path};

use serde_json::{Map, Value, json};

/// The words of the tokenizer; the first has id 3, after `<unk>`, `<s>` and `</s>`.
pub const WORDS: [&str; 24] = [
    "the", "enzyme", "lowers", "energy", "a", "proof", "of", "theorem", "cell", "atom", "binds",
    "light", "court", "held", "that", "law", "price", "market", "star", "moves", "rock", "melts",
    "fn", "return",
];

/// Writes a `tokenizer.json` that splits at white space, puts `<s>` first and calls unknown words `<unk>`.
///
/// `extra` more entries `w0`, `w1`, … follow the words, so that a vocabulary can be made too large for a model.
///
/// # Errors
/// When the disk refuses.
pub fn write_word_tokenizer(folder: &Path, extra: usize) -> io::Result<()> {
    let special = ["<unk>", "<s>", "</s>"];
    let names = special
        .iter()
        .chain(&WORDS)
        .map(|name| (*name).to_owned())
        .chain((0..extra).map(|number| format!("w{number}")));
    let vocab: Map<String, Value> = names
        .enumerate()
        .map(|(id, name)| (name, json!(id)))
        .collect();
    let added: Vec<Value> = special
        .iter()
        .enumerate()
        .map(|(id, name)| {
            json!({"id": id, "content": name, "single_word": false, "lstrip": false, "rstrip": false,
                   "normalized": false, "special": true})
        })
        .collect();
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": null,
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}
        },
        "decoder": null,
        "model": {"type": "WordLevel", "vocab": vocab, "unk_token": "<unk>"}
    });
    fs::write(folder.join("tokenizer.json"), tokenizer.to_string())
}
