//! Tokenizers against what the reference implementations made of the same texts; `tests/fixtures/tokenizers/README.md`
//! names them and their versions.

use std::{fs, path::PathBuf};

use moescope_engine::{SentencePieceModel, Tokenizer};
use serde_json::Value;

fn fixtures() -> PathBuf {
    moescope_testkit::repository_root().join("tests/fixtures/tokenizers")
}

fn model_bytes(name: &str) -> Vec<u8> {
    let path = fixtures().join(format!("{name}.model.zst"));
    zstd::decode_all(fs::read(path).unwrap().as_slice()).unwrap()
}

fn rows(path: &str) -> Vec<Value> {
    let packed = fs::read(fixtures().join(path)).unwrap();
    let text = String::from_utf8(zstd::decode_all(packed.as_slice()).unwrap()).unwrap();
    text.split_terminator('\n')
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn texts() -> Vec<String> {
    serde_json::from_slice(&fs::read(fixtures().join("strings.json")).unwrap()).unwrap()
}

fn numbers(row: &Value, key: &str) -> Vec<u32> {
    serde_json::from_value(row[key].clone()).unwrap()
}

/// Ids, places and decoded text of one model, for every text.
fn check_model(name: &str) {
    let model = SentencePieceModel::parse(&model_bytes(name)).unwrap();
    let rows = rows(&format!("expected.{name}.jsonl.zst"));
    let texts = texts();
    assert!(texts.len() >= 500 && rows.len() == texts.len() + 1);
    for (text, row) in texts.iter().zip(&rows[1..]) {
        let found = model.encode(text).unwrap();
        let ids: Vec<u32> = found.iter().map(|piece| piece.id).collect();
        assert_eq!(ids, numbers(row, "ids"), "{name}: {text:?}");
        let places = numbers(row, "begin").into_iter().zip(numbers(row, "end"));
        for (place, (piece, (begin, end))) in found.iter().zip(places).enumerate() {
            // The reference gives a character's bytes to its last byte piece only.
            let is_last = found
                .get(place + 1)
                .is_none_or(|next| !model.is_byte(next.id) || next.begin >= piece.end);
            assert_eq!(piece.begin, begin as usize, "{name}: {text:?} {piece:?}");
            if !model.is_byte(piece.id) || is_last {
                assert_eq!(piece.end, end as usize, "{name}: {text:?} {piece:?}");
            }
        }
        assert_eq!(
            model.decode(&ids).unwrap(),
            row["decoded"].as_str().unwrap(),
            "{name}: {text:?}"
        );
    }
}

#[test]
fn bpe_with_byte_fallback_is_as_in_sentencepiece() {
    check_model("bpe_identity");
}

#[test]
fn bpe_with_normalisation_is_as_in_sentencepiece() {
    check_model("bpe_nmt_nfkc");
}

#[test]
fn spaces_after_words_are_as_in_sentencepiece() {
    check_model("bpe_suffix");
}

#[test]
fn unigram_is_as_in_sentencepiece() {
    check_model("unigram_nfkc");
}

/// Ids of a folder of configuration files with one of the models, for every text.
fn check_llama(case: &str) {
    let folder = fixtures().join("llama").join(case);
    let model = fs::read_to_string(folder.join("model.txt")).unwrap();
    let file = |name: &str| fs::read_to_string(folder.join(name)).ok();
    let tokenizer = Tokenizer::from_sentencepiece(
        &model_bytes(model.trim()),
        file("tokenizer_config.json").as_deref(),
        file("special_tokens_map.json").as_deref(),
        file("added_tokens.json").as_deref(),
    )
    .unwrap();
    let rows = rows(&format!("llama/{case}/expected.jsonl.zst"));
    for (id, name) in rows[0]["added"].as_object().unwrap() {
        assert_eq!(
            tokenizer.token_id(name.as_str().unwrap()),
            id.parse().ok(),
            "{case}: {name}"
        );
    }
    for id in numbers(&rows[0], "special") {
        assert!(tokenizer.is_special(id), "{case}: {id}");
    }
    assert!(rows.len() > 800);
    for row in &rows[1..] {
        let text = row["text"].as_str().unwrap();
        let tokens = tokenizer.encode(text).unwrap();
        let ids: Vec<u32> = tokens.iter().map(|token| token.id).collect();
        assert_eq!(ids, numbers(row, "ids"), "{case}: {text:?}");
        for (start, end) in tokens.iter().filter_map(|token| token.bytes) {
            assert!(
                start < end && text.get(start as usize..end as usize).is_some(),
                "{case}: {text:?}"
            );
        }
    }
}

#[test]
fn a_bare_model_is_as_in_transformers() {
    check_llama("bare");
}

#[test]
fn added_tokens_are_as_in_transformers() {
    check_llama("legacy");
}

#[test]
fn added_tokens_without_the_old_behaviour_are_as_in_transformers() {
    check_llama("not_legacy");
}

#[test]
fn separate_files_are_as_in_transformers() {
    check_llama("separate_files");
}

/// Reads what may be no model, and uses what could be read.
fn use_anything(bytes: &[u8]) -> bool {
    let Ok(model) = SentencePieceModel::parse(bytes) else {
        return false;
    };
    for text in [
        "",
        " ",
        "The  enzyme 漢字 é ﬁ ①<sci>x\n\0",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    ] {
        // A hostile normalisation may make an error of a text, and nothing worse.
        let Ok(pieces) = model.encode(text) else {
            continue;
        };
        let ids: Vec<u32> = pieces.iter().map(|piece| piece.id).collect();
        assert!(
            pieces
                .iter()
                .all(|piece| piece.begin <= piece.end && piece.end <= text.len())
        );
        drop(model.decode(&ids));
    }
    assert!(model.decode(&[u32::MAX]).is_err());
    true
}

#[test]
fn damaged_models_are_refused_or_used_but_never_crash() {
    // The generator of Numerical Recipes: enough to hit every part of a file.
    let mut state: u64 = 7;
    let mut random = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let (mut read, mut refused) = (0, 0);
    for name in ["bpe_identity", "bpe_nmt_nfkc", "unigram_nfkc", "smiles"] {
        let model = model_bytes(name);
        for _ in 0..60 {
            let mut damaged = model.clone();
            for _ in 0..=random(8) {
                let place = random(damaged.len());
                damaged[place] = u8::try_from(random(256)).unwrap();
            }
            if random(3) == 0 {
                damaged.truncate(random(damaged.len()));
            }
            if use_anything(&damaged) {
                read += 1;
            } else {
                refused += 1;
            }
        }
    }
    assert!(read > 20 && refused > 20, "{read} read, {refused} refused");
}

/// The bytes of a protocol buffers field that is itself bytes.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    let mut len = content.len();
    while len >= 128 {
        bytes.push(u8::try_from(len % 128).unwrap() | 128);
        len /= 128;
    }
    bytes.push(u8::try_from(len).unwrap());
    bytes.extend(content);
    bytes
}

fn piece(text: &str, score: f32, kind: u8) -> Vec<u8> {
    let mut content = field(1, text.as_bytes());
    content.push(2 << 3 | 5);
    content.extend(score.to_le_bytes());
    content.extend([3 << 3, kind]);
    field(1, &content)
}

#[test]
fn models_that_contradict_themselves_are_refused_by_name() {
    let bpe = field(2, &[3 << 3, 2]);
    let refuse = |parts: &[Vec<u8>], word: &str| {
        let error = SentencePieceModel::parse(&parts.concat())
            .unwrap_err()
            .to_string();
        assert!(error.contains(word), "{error}");
    };
    let unknown = piece("<unk>", 0.0, 2);
    let good = [unknown.clone(), piece("a", -1.0, 1), bpe.clone()];
    assert!(use_anything(&good.concat()));
    refuse(&[], "no pieces");
    refuse(&[bpe.clone(), piece("a", 0.0, 1)], "unknown");
    refuse(
        &[bpe.clone(), unknown.clone(), piece("<u>", 0.0, 2)],
        "two pieces",
    );
    refuse(
        &[
            bpe.clone(),
            unknown.clone(),
            piece("a", 0.0, 1),
            piece("a", 0.0, 1),
        ],
        "twice",
    );
    refuse(
        &[bpe.clone(), unknown.clone(), piece("a", f32::NAN, 1)],
        "NaN",
    );
    refuse(
        &[bpe.clone(), unknown.clone(), piece("a", f32::INFINITY, 1)],
        "inf",
    );
    refuse(&[bpe.clone(), unknown.clone(), piece("", 0.0, 1)], "empty");
    refuse(
        &[bpe.clone(), unknown.clone(), piece("a\0", 0.0, 1)],
        "null",
    );
    refuse(
        &[
            bpe.clone(),
            unknown.clone(),
            piece(&"a".repeat(8000), 0.0, 1),
        ],
        "8,000",
    );
    refuse(
        &[bpe.clone(), unknown.clone(), piece("a", 0.0, 9)],
        "type 9",
    );
    refuse(
        &[bpe.clone(), unknown.clone(), piece("<0x41>", 0.0, 6)],
        "<0x41>",
    );
    refuse(
        &[
            unknown.clone(),
            field(2, &[3 << 3, 2, 35 << 3 & 0x7f | 0x80, 2, 1]),
        ],
        "not every byte",
    );
    refuse(&[unknown.clone(), field(2, &[3 << 3, 4])], "CHAR");
    refuse(
        &[unknown.clone(), field(3, &field(2, b"xx"))],
        "normalisation map",
    );
    refuse(
        &[unknown, vec![0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]],
        "4294967295",
    );
}

#[test]
fn a_long_text_takes_time_in_proportion() {
    // A megabyte of one letter makes the longest chains of joins; anything quadratic would take hours.
    let started = std::time::Instant::now();
    for name in ["bpe_identity", "bpe_nmt_nfkc", "unigram_nfkc"] {
        let model = SentencePieceModel::parse(&model_bytes(name)).unwrap();
        for text in [
            "a".repeat(1 << 20),
            "the enzyme ".repeat(100_000),
            "漢".repeat(300_000),
        ] {
            assert!(!model.encode(&text).unwrap().is_empty());
        }
    }
    assert!(started.elapsed().as_secs() < 120);
}

#[test]
fn a_class_whose_rules_are_not_known_is_refused_by_name() {
    let model = model_bytes("bpe_identity");
    let open = |config: &str| Tokenizer::from_sentencepiece(&model, Some(config), None, None);
    let error = open(r#"{"tokenizer_class": "T5Tokenizer"}"#)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("T5Tokenizer") && error.contains("tokenizer.json"),
        "{error}"
    );
    assert!(open(r#"{"tokenizer_class": "LlamaTokenizerFast"}"#).is_ok());
    let without = open(r#"{"add_bos_token": false}"#).unwrap();
    assert!(
        without
            .bos_policy()
            .unwrap()
            .starts_with("none: add_bos_token")
    );
    let usual = open("{}").unwrap();
    assert_eq!(
        usual.bos_policy().unwrap(),
        "the default of LlamaTokenizer puts '<s>' (id 1) first"
    );
    assert_eq!(usual.decode(&[1, 2395, 2600]).ok(), None);
}

/// Any number of further models and texts; without them nothing is compared, and the test says so.
#[test]
fn models_in_the_users_folder_are_as_in_sentencepiece() {
    let Some(folder) = std::env::var_os("MOESCOPE_TOKENIZERS").map(PathBuf::from) else {
        eprintln!("MOESCOPE_TOKENIZERS names no folder, so no further models are compared");
        return;
    };
    let mut models = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|ending| ending != "model") {
            continue;
        }
        let model = SentencePieceModel::parse(&fs::read(&path).unwrap()).unwrap();
        let rows = fs::read_to_string(path.with_extension("jsonl")).unwrap();
        let mut texts = 0;
        for line in rows.split_terminator('\n') {
            let row: Value = serde_json::from_str(line).unwrap();
            let text = row["text"].as_str().unwrap();
            let found: Vec<u32> = model
                .encode(text)
                .unwrap()
                .iter()
                .map(|piece| piece.id)
                .collect();
            assert_eq!(found, numbers(&row, "ids"), "{}: {text:?}", path.display());
            if let Some(decoded) = row["decoded"].as_str() {
                assert_eq!(
                    model.decode(&found).unwrap(),
                    decoded,
                    "{}: {text:?}",
                    path.display()
                );
            }
            texts += 1;
        }
        eprintln!("{}: {texts} texts", path.display());
        models += 1;
    }
    assert!(models > 0, "the folder has no *.model");
}
