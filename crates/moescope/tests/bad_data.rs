//! Data that cannot be used: everything is listed at once, with its place.

use std::fs;

use crate::support::{Ran, Scratch, documents, refuse, run, succeed};

/// Captures files with the tiny model.
fn capture(scratch: &Scratch, files: &[&str], options: &[&str]) -> Ran {
    let (model, out) = (scratch.arg("model"), scratch.arg("trace"));
    let mut args = vec!["capture", &model, "--out", &out, "--data"];
    args.extend(files);
    args.extend(options);
    run(&args)
}

#[track_caller]
fn check(name: &str, content: impl AsRef<[u8]>, options: &[&str], words: &[&str]) {
    let scratch = Scratch::new();
    let file = scratch.write(name, content);
    let ran = capture(&scratch, &[&file], options);
    assert_eq!(ran.code, Some(2), "{}{}", ran.stdout, ran.stderr);
    for word in words {
        assert!(
            ran.stderr.contains(word),
            "'{word}' is not in\n{}",
            ran.stderr
        );
    }
    assert!(
        !scratch.path("trace").exists(),
        "nothing is written before the data is sound"
    );
}

#[test]
fn every_bad_line_is_listed_at_once() {
    let content = "{\"text\": \"the enzyme\", \"id\": \"a\"}\n\
                   {\"text\": \"the \n\
                   {\"text\": \" \\t\"}\n\
                   \n\
                   {\"text\": 5}\n\
                   {\"txt\": \"the\"}\n\
                   {\"text\": null}\n\
                   [1]\n\
                   {\"text\": \"light\", \"id\": \"a\"}\n\
                   {\"text\": \"light\", \"discipline\": \"a\\nb\"}\n\
                   {\"text\": \"light\", \"id\": \"b\"}\n";
    check(
        "bad.jsonl",
        content,
        &[],
        &[
            "because of 8 problems",
            "bad.jsonl:2: broken JSON",
            "bad.jsonl:3: the text is empty",
            "bad.jsonl:5: 'text' is a number, not a text",
            "bad.jsonl:6: no column 'text' (did you mean 'txt'?)",
            "bad.jsonl:7: 'text' is null",
            "bad.jsonl:8: the record is a list",
            "bad.jsonl:9: the id 'a' occurred before",
            "bad.jsonl:10: 'a\nb' is not a discipline label",
        ],
    );
}

#[test]
fn a_long_list_is_cut_and_counted() {
    let content = "{}\n".repeat(3) + "{\"text\": \"the\"}\n" + &"oops\n".repeat(30);
    check(
        "bad.jsonl",
        content,
        &[],
        &["because of 33 problems", "… and 13 more"],
    );
}

#[test]
fn data_without_the_column_says_which_columns_there_are() {
    check(
        "a.jsonl",
        "{\"body\": \"the\", \"field\": \"law\"}\n{\"body\": \"light\"}\n",
        &[],
        &[
            "no record has the column 'text'",
            "the columns are body, field",
            "--text-column",
            "1 problem:",
        ],
    );
    check(
        "a.csv",
        "abstract,field\nthe,law\n",
        &["--text-column", "abstrct"],
        &[
            "no record has the column 'abstrct' (did you mean 'abstract'?)",
            "abstract, field",
        ],
    );
    check(
        "a.csv",
        "text,field\nthe,law\n",
        &["--discipline-column", "feild", "--keep-columns", "year"],
        &[
            "'feild' (did you mean 'field'?)",
            "no file has the column 'year'",
        ],
    );
}

#[test]
fn empty_and_unreadable_files_are_errors() {
    check("a.jsonl", "", &[], &["nothing to capture", "no record"]);
    check("a.csv", "text\n", &[], &["no record"]);
    check("a.txt", "  \n", &[], &["a.txt: the text is empty"]);
    check("a.docx", "x", &[], &["known are .jsonl"]);
    check(
        "a.json",
        "{\"text\": \"the\"}",
        &[],
        &["broken JSON", ".jsonl"],
    );
    check(
        "a.json",
        "[{\"text\": \"the\"}, {\"text\"",
        &[],
        &["a.json:1: broken JSON"],
    );
    check(
        "a.jsonl",
        b"{\"text\": \"the\"}\n{\"text\": \"\xff\"}\n",
        &[],
        &["a.jsonl:2: the line is not UTF-8"],
    );
    check(
        "a.txt",
        b"the\n\xff",
        &[],
        &["a.txt:2: the line is not UTF-8"],
    );
    check(
        "a.csv",
        "text,id\nthe\n",
        &[],
        &["a.csv:2: the record has 1 fields, the header 2"],
    );
    check(
        "a.csv",
        "text,text\nthe,a\n",
        &[],
        &["the column 'text' twice"],
    );
    check(
        "a.jsonl.zst",
        "not zstd",
        &[],
        &["a.jsonl.zst: cannot read the file"],
    );
    let scratch = Scratch::new();
    let ran = capture(&scratch, &["no-such.jsonl", "nor-this.csv"], &[]);
    assert_eq!(ran.code, Some(2));
    assert!(
        ran.stderr.contains("no-such.jsonl: there is no such file"),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr.contains("nor-this.csv: there is no such file"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_small_file_cannot_fill_the_memory() {
    // A line of 65 MiB is passed over, and the next one is read.
    let long = format!(
        "{{\"text\": \"{}\"}}\n{{\"text\": 5}}\n",
        "a".repeat(65 << 20)
    );
    check(
        "a.jsonl",
        &long,
        &[],
        &[
            "a.jsonl:1: the line is longer than 64 MiB",
            "a.jsonl:2: 'text' is a number",
        ],
    );
    // 100 MiB of blank lines in a few kilobytes.
    let bomb = zstd::encode_all(vec![b'\n'; 100 << 20].as_slice(), 3).unwrap();
    assert!(bomb.len() < 64 << 10);
    check(
        "a.jsonl.zst",
        bomb,
        &[],
        &["unpacks to more than 256 times its size"],
    );
}

#[test]
fn bad_rows_can_be_left_out() {
    let scratch = Scratch::new();
    let file = scratch.write(
        "a.jsonl",
        "{\"text\": \"the enzyme\"}\noops\n{\"text\": \"light\"}\n",
    );
    let ran = capture(&scratch, &[&file], &["--on-bad-row", "skip"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("1 records were left out"),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr.contains("a.jsonl:2: broken JSON"),
        "{}",
        ran.stderr
    );
    let ids: Vec<String> = documents(&scratch.path("trace"))
        .into_iter()
        .map(|document| document.sample.meta.id)
        .collect();
    assert_eq!(ids, ["a.jsonl:1", "a.jsonl:3"]);
}

#[test]
fn overlong_texts_are_all_listed() {
    let long = "the ".repeat(80);
    let content = format!(
        "{{\"text\": \"{long}\", \"id\": \"a\"}}\n{{\"text\": \"the\"}}\n{{\"text\": \"{long}\"}}\n"
    );
    check(
        "a.jsonl",
        &content,
        &[],
        &[
            "2 of 3 texts cannot be captured",
            "a.jsonl:1: 'a' has 81 tokens, the limit is 64",
            "a.jsonl:3",
            "--overlong",
        ],
    );
    check(
        "a.jsonl",
        &content,
        &["--max-tokens", "65"],
        &["--max-tokens 65 is more than the model can take"],
    );
    check(
        "a.jsonl",
        &content,
        &["--generate", "64"],
        &["cannot generate 64 tokens"],
    );
    check(
        "a.jsonl",
        &content,
        &["--max-tokens", "1", "--overlong", "chunk"],
        &["leaves no room"],
    );
}

#[test]
fn all_formats_give_the_same_samples() {
    let scratch = Scratch::new();
    let jsonl = "{\"id\": \"a\", \"text\": \"the enzyme\", \"discipline\": \"biology\", \"group\": \"g\"}\n\
                 {\"id\": \"b\", \"text\": \"law held\", \"discipline\": \"law\"}\n";
    let json = format!("[{}]", jsonl.trim().replace('\n', ","));
    let csv = "id,text,discipline,group\na,the enzyme,biology,g\nb,law held,law,\n";
    let files = [
        scratch.write("a.jsonl", jsonl),
        scratch.write("b.json", &json),
        scratch.write("c.csv", format!("\u{feff}{csv}")),
        scratch.write("d.tsv", csv.replace(',', "\t")),
        scratch.write(
            "e.jsonl.zst",
            zstd::encode_all(jsonl.as_bytes(), 3).unwrap(),
        ),
    ];
    let mut expected = None;
    for (number, file) in files.iter().enumerate() {
        let out = scratch.arg(&format!("trace-{number}"));
        succeed(&[
            "capture",
            &scratch.arg("model"),
            "--data",
            file,
            "--out",
            &out,
        ]);
        let found = documents(out.as_ref());
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].sample.meta.group.as_deref(), Some("g"));
        assert_eq!(
            *expected.get_or_insert_with(|| found.clone()),
            found,
            "{file}"
        );
    }
}

#[test]
fn an_output_folder_in_use_is_refused_without_resume() {
    let scratch = Scratch::new();
    let file = scratch.write("a.jsonl", "{\"text\": \"the enzyme\"}\n");
    fs::create_dir(scratch.path("trace")).unwrap();
    scratch.write("trace/precious.txt", "mine");
    let (model, out) = (scratch.arg("model"), scratch.arg("trace"));
    refuse(
        &["capture", &model, "--data", &file, "--out", &out],
        &["not empty", "resume"],
    );
    refuse(
        &[
            "capture", &model, "--data", &file, "--out", &out, "--resume",
        ],
        &["not a routing trace"],
    );
    assert_eq!(
        fs::read_to_string(scratch.path("trace/precious.txt")).unwrap(),
        "mine"
    );
}

#[test]
fn settings_that_do_not_fit_the_model_are_refused() {
    for (options, words) in [
        (
            &["--intervene", "mask:all:9"][..],
            "expert 9 does not exist",
        ),
        (&["--intervene", "mask:all"], "mask:LAYERS:EXPERTS"),
        (&["--layers", "7"], "there is no layer 7"),
        (&["--layers", "x"], "layer list"),
        (&["--temperature", "-1"], "--temperature"),
        (&["--keep-columns", "text"], "label column"),
    ] {
        check("a.jsonl", "{\"text\": \"the enzyme\"}\n", options, &[words]);
    }
}
