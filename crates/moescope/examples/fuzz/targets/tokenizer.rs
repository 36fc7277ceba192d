//! Tokenizers.

use std::fs;

use moescope_engine::Tokenizer;
use moescope_testkit::{
    fuzz::{Shape, Target},
    repository_root, write_word_tokenizer,
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
        // A table of 256 empty units, its length first: 1028 bytes in base64.
        let charsmap = format!("AAQAAA{}=", "A".repeat(1365));
        all.extend(others.map(|text| text.replace("CHARSMAP", &charsmap).into_bytes()));
        all
    },
    open: |_| {
        Box::new(|input| {
            std::str::from_utf8(input).is_ok_and(|text| {
                Tokenizer::from_json(text).is_ok_and(|tokenizer| use_all(&tokenizer))
            })
        })
    },
};

pub(super) const TOKENIZER_MODEL: Target = Target {
    name: "tokenizer_model",
    shape: Shape::Bytes,
    words: &[
        "\u{2581}",
        "<unk>",
        "<s>",
        "</s>",
        "<0x41>",
        "identity",
        "nmt_nfkc",
        " \u{2047} ",
    ],
    corpus: || {
        let real = ["bpe_suffix", "bpe_identity", "unigram_nfkc"].map(real_model);
        // Small ones more often, since an edit of a large one mostly hits a piece's name.
        let mut all = vec![
            small_model(1),
            small_model(2),
            small_model(1),
            small_model(2),
        ];
        all.extend(real);
        all
    },
    open: |_| {
        Box::new(|input| {
            Tokenizer::from_sentencepiece(input, None, None, None)
                .is_ok_and(|tokenizer| use_all(&tokenizer))
        })
    },
};

pub(super) const TOKENIZER_CONFIG: Target = Target {
    name: "tokenizer_config",
    shape: Shape::Json,
    words: &[
        "add_bos_token",
        "add_eos_token",
        "added_tokens_decoder",
        "additional_special_tokens",
        "bos_token",
        "eos_token",
        "unk_token",
        "pad_token",
        "clean_up_tokenization_spaces",
        "legacy",
        "add_prefix_space",
        "tokenizer_class",
        "LlamaTokenizer",
        "model_max_length",
        "chat_template",
        "content",
        "lstrip",
        "rstrip",
        "single_word",
        "special",
        "normalized",
        "__type",
        "AddedToken",
        "<s>",
        "</s>",
        "\u{2581}",
        "a",
    ],
    corpus: || {
        ["legacy", "not_legacy"]
            .map(|name| {
                let path = format!("tests/fixtures/tokenizers/llama/{name}/tokenizer_config.json");
                let text = fs::read_to_string(repository_root().join(path))
                    .expect("the fixture is in the repository");
                // Its added tokens follow the vocabulary of the small model.
                (0..5)
                    .fold(text, |text, token| {
                        text.replace(&format!("\"260{token}\""), &format!("\"{}\"", 17 + token))
                    })
                    .into_bytes()
            })
            .to_vec()
    },
    open: |_| {
        let model = small_model(2);
        Box::new(move |input| {
            std::str::from_utf8(input).is_ok_and(|text| {
                Tokenizer::from_sentencepiece(&model, Some(text), None, None)
                    .is_ok_and(|tokenizer| use_all(&tokenizer))
            })
        })
    },
};

/// Asks for everything that a tokenizer can tell.
fn use_all(tokenizer: &Tokenizer) -> bool {
    let encoded = tokenizer.encode(TEXT);
    let ids: Vec<u32> = encoded.iter().flatten().map(|token| token.id).collect();
    let _ = (
        tokenizer.decode(&ids),
        tokenizer.encode_as_is(TEXT),
        tokenizer.bos_policy(),
    );
    for id in ids.into_iter().chain([0, u32::MAX]) {
        let _ = (tokenizer.piece(id), tokenizer.is_special(id));
    }
    let _ = (tokenizer.vocab_size(), tokenizer.token_id("</s>"));
    encoded.is_ok()
}

/// A trained `SentencePiece` model of the fixtures.
fn real_model(name: &str) -> Vec<u8> {
    let path = repository_root().join(format!("tests/fixtures/tokenizers/{name}.model.zst"));
    let packed = fs::read(path).expect("the fixture is in the repository");
    zstd::decode_all(packed.as_slice()).expect("the fixture is sound")
}

/// A `SentencePiece` model of some pieces, of type 1 (Unigram) or 2 (BPE).
fn small_model(model_type: u8) -> Vec<u8> {
    // Protocol buffers: a field is its number and wire type, then its length or value.
    let message = |field: u8, content: &[u8]| {
        let len = u8::try_from(content.len()).expect("short messages only");
        [&[field << 3 | 2, len], content].concat()
    };
    let piece = |text: &str, score: f32, kind: u8| {
        let fields = [
            message(1, text.as_bytes()),
            [&[2 << 3 | 5][..], &score.to_le_bytes()].concat(),
            vec![3 << 3, kind],
        ];
        message(1, &fields.concat())
    };
    let mut model = [
        piece("<unk>", 0.0, 2),
        piece("<s>", 0.0, 3),
        piece("</s>", 0.0, 3),
    ]
    .concat();
    for (score, text) in (0_u8..).zip([
        "\u{2581}",
        "t",
        "h",
        "e",
        "n",
        "z",
        "y",
        "m",
        "th",
        "he",
        "en",
        "the",
        "\u{2581}the",
    ]) {
        model.extend(piece(text, -f32::from(score), 1));
    }
    let user_defined = piece("3.14", 0.0, 4);
    let trainer = message(2, &[3 << 3, model_type, 4 << 3, 17]);
    let normalizer = message(
        3,
        &[
            &message(1, b"identity")[..],
            &[3 << 3, 1, 4 << 3, 1, 5 << 3, 1],
        ]
        .concat(),
    );
    [model, user_defined, trainer, normalizer].concat()
}

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
  "normalizer": {"type": "Sequence", "normalizers": [{"type": "Nmt"}, {"type": "NFKC"}, {"type": "Strip", "strip_left": true, "strip_right": true}, {"type": "Precompiled", "precompiled_charsmap": "CHARSMAP"}]},
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
