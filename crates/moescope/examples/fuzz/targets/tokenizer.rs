//! Tokenizers.

use std::fs;

use moescope_engine::Tokenizer;
use moescope_testkit::{
    fuzz::{Shape, Target},
    write_word_tokenizer,
};

/// A text with words of the corpus, white space, digits, accents and an emoji.
const TEXT: &str = "The enzyme lowers  energy\n\t3.14 na\u{ef}ve \u{1f9ec} <s> </s>";

pub(super) const TOKENIZER_JSON: Target = Target {
    name: "tokenizer_json",
    shape: Shape::Json,
    words: &[
        "version",
        "truncation",
        "padding",
        "added_tokens",
        "normalizer",
        "pre_tokenizer",
        "post_processor",
        "decoder",
        "model",
        "type",
        "vocab",
        "merges",
        "unk_token",
        "unk_id",
        "byte_fallback",
        "continuing_subword_prefix",
        "end_of_word_suffix",
        "fuse_unk",
        "dropout",
        "ignore_merges",
        "max_input_chars_per_word",
        "BPE",
        "Unigram",
        "WordPiece",
        "WordLevel",
        "Sequence",
        "ByteLevel",
        "Metaspace",
        "Split",
        "Digits",
        "Punctuation",
        "Whitespace",
        "BertPreTokenizer",
        "UnicodeScripts",
        "NFC",
        "NFKD",
        "Lowercase",
        "Strip",
        "StripAccents",
        "Replace",
        "Prepend",
        "Precompiled",
        "precompiled_charsmap",
        "Nmt",
        "TemplateProcessing",
        "BertProcessing",
        "RobertaProcessing",
        "pattern",
        "Regex",
        "String",
        "(a+)+$",
        "(?=x)*",
        "\\\\p{L}+",
        "(?:(?:a?){99}){99}",
        "behavior",
        "Isolated",
        "Removed",
        "MergedWithPrevious",
        "invert",
        "pretokenizers",
        "normalizers",
        "processors",
        "decoders",
        "Fuse",
        "ByteFallback",
        "CTC",
        "BPEDecoder",
        "single_word",
        "lstrip",
        "rstrip",
        "special",
        "content",
        "id",
        "ids",
        "tokens",
        "special_tokens",
        "single",
        "pair",
        "type_id",
        "add_prefix_space",
        "trim_offsets",
        "use_regex",
        "replacement",
        "prepend_scheme",
        "max_length",
        "stride",
        "strategy",
        "direction",
        "pad_id",
        "Fixed",
    ],
    corpus: || {
        let folder = tempfile::tempdir().expect("there is a folder for temporary files");
        write_word_tokenizer(folder.path(), 0).expect("the folder can be written to");
        let word_level =
            fs::read(folder.path().join("tokenizer.json")).expect("it was just written");
        let others = [BYTE_LEVEL_BPE, SENTENCEPIECE_BPE, UNIGRAM, WORD_PIECE];
        let mut all = vec![word_level];
        all.extend(others.map(|text| text.as_bytes().to_vec()));
        all
    },
    open: |folder| {
        let folder = folder.to_owned();
        Box::new(move |input| {
            fs::write(folder.join("tokenizer.json"), input).expect("the folder can be written to");
            let Ok(tokenizer) = Tokenizer::open(&folder) else {
                return false;
            };
            let encoded = tokenizer.encode(TEXT);
            let ids: Vec<u32> = encoded.iter().flatten().map(|token| token.id).collect();
            let _ = tokenizer.decode(&ids);
            for id in ids.into_iter().chain([0, u32::MAX]) {
                let _ = (tokenizer.piece(id), tokenizer.is_special(id));
            }
            let _ = (tokenizer.vocab_size(), tokenizer.token_id("</s>"));
            encoded.is_ok()
        })
    },
};

/// As of GPT-2: bytes as printable characters, merges.
const BYTE_LEVEL_BPE: &str = r#"{
  "version": "1.0", "truncation": null, "padding": null,
  "added_tokens": [{"id": 8, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": true, "normalized": false, "special": true}],
  "normalizer": {"type": "NFC"},
  "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
    {"type": "Split", "pattern": {"Regex": "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|\\s+(?!\\S)|\\s+"}, "behavior": "Isolated", "invert": false},
    {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false}]},
  "post_processor": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false, "use_regex": true},
  "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
  "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null, "end_of_word_suffix": null,
    "fuse_unk": false, "byte_fallback": false, "ignore_merges": true,
    "vocab": {"e": 0, "n": 1, "z": 2, "y": 3, "m": 4, "en": 5, "zy": 6, "enzy": 7}, "merges": [["e", "n"], ["z", "y"], ["en", "zy"]]}
}"#;

/// As of Llama 2: white space as a character, bytes where characters are unknown.
const SENTENCEPIECE_BPE: &str = r#"{
  "version": "1.0", "truncation": {"direction": "Right", "max_length": 8, "strategy": "LongestFirst", "stride": 0},
  "padding": {"strategy": {"Fixed": 9}, "direction": "Left", "pad_to_multiple_of": 2, "pad_id": 0, "pad_type_id": 0, "pad_token": "<unk>"},
  "added_tokens": [
    {"id": 0, "content": "<unk>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": true, "special": true},
    {"id": 1, "content": "<s>", "single_word": true, "lstrip": true, "rstrip": false, "normalized": false, "special": true}],
  "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "_"}, {"type": "Replace", "pattern": {"String": " "}, "content": "_"}]},
  "pre_tokenizer": null,
  "post_processor": {"type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
    "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
    "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}},
  "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "_"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
  "model": {"type": "BPE", "dropout": null, "unk_token": "<unk>", "continuing_subword_prefix": null, "end_of_word_suffix": null,
    "fuse_unk": true, "byte_fallback": true, "vocab": {"<unk>": 0, "<s>": 1, "<0xC3>": 2, "_": 3, "t": 4, "h": 5, "e": 6, "th": 7, "the": 8}, "merges": ["t h", "th e"]}
}"#;

/// As of T5: pieces with log probabilities.
const UNIGRAM: &str = r#"{
  "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
  "normalizer": {"type": "Sequence", "normalizers": [{"type": "Nmt"}, {"type": "NFKC"}, {"type": "Strip", "strip_left": true, "strip_right": true}, {"type": "Precompiled", "precompiled_charsmap": "ALQCAACEAAAAAACAAQAAgMz8AgC4BQAAhyIAgMzkAgC4PQAAeyIAgMzsAgC4BQAAiyIAgMw8AADNvAAAmwkAgJ4JAIChCQCAgx0AAIAZAACBGQAAPR0AgDUdAIBNHQCARR0AgIAxAACBMQAApAkAgIkxAAA9WAMA"}]},
  "pre_tokenizer": {"type": "Metaspace", "replacement": "_", "prepend_scheme": "always", "split": true},
  "post_processor": null,
  "decoder": {"type": "Metaspace", "replacement": "_", "prepend_scheme": "always", "split": true},
  "model": {"type": "Unigram", "unk_id": 0, "byte_fallback": false, "vocab": [["<unk>", 0.0], ["_", -2.5], ["e", -3.0], ["n", -3.1], ["_the", -4.0], ["enzyme", -7.25]]}
}"#;

/// As of BERT: the longest piece that fits, continued with `##`.
const WORD_PIECE: &str = r###"{
  "version": "1.0", "truncation": null, "padding": null,
  "added_tokens": [{"id": 0, "content": "[UNK]", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}],
  "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true},
  "pre_tokenizer": {"type": "BertPreTokenizer"},
  "post_processor": {"type": "BertProcessing", "sep": ["</s>", 2], "cls": ["<s>", 1]},
  "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
  "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
    "vocab": {"[UNK]": 0, "<s>": 1, "</s>": 2, "en": 3, "##zyme": 4, "the": 5, "low": 6, "##ers": 7}}
}"###;
