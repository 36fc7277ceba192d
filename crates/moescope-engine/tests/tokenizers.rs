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
