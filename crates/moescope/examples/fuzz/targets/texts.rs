//! Labelled texts in every format.

use std::{fs, path::Path};

use moescope_core::NoProgress;
use moescope_pipeline::{DataConfig, OnBadRow, read_texts};
use moescope_testkit::fuzz::{Reader, Shape, Target};

const WORDS: &[&str] = &[
    "text",
    "id",
    "discipline",
    "group",
    "genre",
    "source",
    "licence",
    "license",
    "pair",
    "year",
    "biology",
    "law",
    "\u{feff}",
    "\r\n",
    "\u{0}",
    "\"\"",
    "\u{2028}",
];

const LINES: &str = "{\"id\": \"a\", \"text\": \"the enzyme lowers energy\", \"discipline\": \"biology\", \"year\": 1990}\n\
    {\"id\": \"b\", \"text\": \"the court held\", \"discipline\": \"law\", \"group\": \"g\", \"genre\": \"statute\"}\n\
    {\"text\": \"na\u{ef}ve \\ud83e\\uddec\", \"pair\": \"p\", \"licence\": \"CC-BY-4.0\", \"extra\": {\"a\": [1, null]}}\n";

pub(super) const JSON_LINES: Target = Target {
    name: "texts_jsonl",
    shape: Shape::Json,
    words: WORDS,
    corpus: || vec![LINES.into()],
    open: |folder| reader(folder, "texts.jsonl", &["year"]),
};

pub(super) const JSON_LIST: Target = Target {
    name: "texts_json",
    shape: Shape::Json,
    words: WORDS,
    corpus: || vec![format!("[{}]", LINES.trim_end().replace('\n', ",\n")).into()],
    open: |folder| reader(folder, "texts.json", &["year"]),
};

pub(super) const CSV: Target = Target {
    name: "texts_csv",
    shape: Shape::Bytes,
    words: WORDS,
    corpus: || {
        vec![
            b"id,text,discipline,group\na,\"the enzyme, lowers \"\"energy\"\"\",biology,\nb,\"two\nlines\",law,g\n"
                .to_vec(),
            b"\xef\xbb\xbftext,discipline\r\nthe court held,law\r\n".to_vec(),
        ]
    },
    open: |folder| reader(folder, "texts.csv", &[]),
};

pub(super) const PLAIN: Target = Target {
    name: "texts_txt",
    shape: Shape::Bytes,
    words: WORDS,
    corpus: || vec!["the enzyme lowers energy\nna\u{ef}ve \u{1f9ec}\n".into()],
    open: |folder| reader(folder, "texts.txt", &[]),
};

pub(super) const ZSTD: Target = Target {
    name: "texts_zst",
    shape: Shape::Bytes,
    words: &["\u{28}\u{b5}", "P*M\u{18}"],
    corpus: || {
        let long = LINES.repeat(50);
        [LINES, &long]
            .map(|text| zstd::encode_all(text.as_bytes(), 3).expect("memory can be compressed"))
            .to_vec()
    },
    open: |folder| reader(folder, "texts.jsonl.zst", &[]),
};

/// Reads the input as a data file of this name, with its bad records left out.
fn reader(folder: &Path, name: &str, keep_columns: &[&str]) -> Reader {
    let path = folder.join(name);
    let config = DataConfig {
        files: vec![path.clone()],
        keep_columns: keep_columns.iter().map(|name| (*name).to_owned()).collect(),
        on_bad_row: OnBadRow::Skip,
        ..DataConfig::default()
    };
    Box::new(move |input| {
        fs::write(&path, input).expect("the folder can be written to");
        match read_texts(&config, &NoProgress) {
            Ok(texts) => !texts.samples.is_empty(),
            Err(error) => {
                // What a user would see.
                let _ = error.to_string();
                false
            }
        }
    })
}
