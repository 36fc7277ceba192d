//! Findings: answers with the commands that give their numbers.

use super::trace;
use crate::support::{refuse, succeed};

#[test]
fn findings_answer_every_question_or_say_what_is_missing() {
    let trace = trace();
    let report: serde_json::Value = serde_json::from_str(
        &succeed(&[
            "findings",
            trace,
            "--labels",
            "math,law,smiles",
            "--resamples",
            "99",
            "--json",
        ])
        .stdout,
    )
    .unwrap();
    let findings = report["findings"].as_array().unwrap();
    assert_eq!(findings.len(), 10);
    let answer = |question: &str| {
        let found = findings
            .iter()
            .find(|f| f["question"].as_str().unwrap().contains(question));
        found.unwrap()["answer"].as_str().unwrap()
    };
    assert!(answer("route differently").contains("bits ["));
    assert!(answer("beyond token identity").contains("Given the token: at most"));
    // The prompts are given text only.
    assert!(answer("generated text").starts_with("This trace cannot say"));
    // The commands give these numbers and no others.
    let commands: Vec<&str> = findings
        .iter()
        .map(|finding| finding["command"].as_str().unwrap())
        .collect();
    let options = "--labels math,law,smiles --resamples 99";
    for metric in ["mutual_information", "conditional_mutual_information"] {
        let expected = format!("measure TRACE {metric} {options}");
        assert!(commands.contains(&expected.as_str()), "{commands:?}");
    }
    let options = ["--labels", "math,law", "--resamples", "0"];
    let text = succeed(&[&["findings", trace][..], &options].concat()).stdout;
    let command = format!(" mutual_information {}", options.join(" "));
    assert!(text.contains(&command), "{text}");
    assert!(!text.contains("measure TRACE"), "{text}");
}

#[test]
fn findings_refuse_labels_that_the_trace_lacks() {
    let trace = trace();
    for (option, value) in [
        ("--labels", "astrology"),
        ("--merge", "sky=astrology,math"),
        ("--only", "discipline=astrology"),
        ("--contrast", "math:astrology"),
    ] {
        refuse(&["findings", trace, option, value], &["'astrology'"]);
    }
    // A group that is called as a label outside of it.
    refuse(
        &["findings", trace, "--merge", "law=math,smiles"],
        &["'law'", "a name of their own"],
    );
}
