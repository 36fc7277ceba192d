//! The verbs that analyse, on the embedded demo.

mod support;

use std::{fs, path::Path, sync::OnceLock};

use serde_json::Value;
use support::{command, refuse, succeed};
use tempfile::TempDir;

/// One demo run for all tests of this file.
fn demo() -> &'static (TempDir, Value) {
    static DEMO: OnceLock<(TempDir, Value)> = OnceLock::new();
    DEMO.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("demo");
        let ran = succeed(&["demo", "--json", "--out", out.to_str().unwrap()]);
        (folder, serde_json::from_str(&ran.stdout).unwrap())
    })
}

fn trace() -> &'static str {
    demo().1["trace"].as_str().unwrap()
}

#[test]
fn the_demo_captures_measures_draws_and_tells() {
    let report = &demo().1;
    assert_eq!(report["samples"], 240);
    assert_eq!(
        report["decisions"].as_u64().unwrap(),
        6 * report["tokens"].as_u64().unwrap()
    );
    let figures = report["figures"].as_array().unwrap();
    assert_eq!(figures.len(), 8, "four figures as SVG and PDF");
    for figure in figures {
        let bytes = fs::read(figure.as_str().unwrap()).unwrap();
        let is_svg = figure.as_str().unwrap().ends_with("svg");
        assert!(
            bytes.starts_with(if is_svg { b"<" } else { b"%PDF" }),
            "{figure}"
        );
    }
    let findings = report["findings"].as_array().unwrap();
    assert_eq!(findings.len(), 10);
    let words: String = findings
        .iter()
        .map(|f| f["answer"].as_str().unwrap())
        .collect();
    for needed in ["bits [", "bags of tokens", "identifiable", "shuffled"] {
        assert!(words.contains(needed), "'{needed}' is not in {words}");
    }
}

#[test]
fn the_demo_refuses_a_folder_that_holds_something() {
    let out = demo().0.path().join("demo");
    refuse(
        &["demo", "--out", out.to_str().unwrap()],
        &["holds something", "--out"],
    );
}

#[test]
fn every_metric_of_the_catalogue_measures_the_demo() {
    let listed = succeed(&["metrics", "--json"]).stdout;
    let names: Vec<String> = listed
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|metric| metric["compares_traces"] == false)
        .map(|metric| metric["name"].as_str().unwrap().to_owned())
        .collect();
    assert!(names.len() >= 13, "{names:?}");
    // Of pairs of samples, which the demo's prompts are not, and of generated tokens, which its trace does not hold.
    let names: Vec<String> = names
        .into_iter()
        .filter(|name| name != "sense_contrast" && name != "phase_shift")
        .collect();
    let mut args = vec!["measure", trace(), "--json", "--resamples", "50"];
    args.extend(["--model", "demo"]);
    args.extend(names.iter().map(String::as_str));
    let rows: Vec<Value> = succeed(&args)
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for name in &names {
        let mine: Vec<&Value> = rows.iter().filter(|row| row["metric"] == **name).collect();
        assert!(
            mine.iter().any(|row| row["value"].is_number()),
            "{name} gave no number"
        );
        // What is measured of weights alone has no phase.
        let scope = if name.ends_with("_similarity") {
            "weights of"
        } else {
            "prefill"
        };
        assert!(
            mine.iter()
                .all(|row| { row["protocol"].as_str().is_some_and(|p| p.contains(scope)) })
        );
    }
}

/// The same number in every format, and as the sum of what the trace holds.
#[test]
fn formats_agree() {
    let args = [
        "measure",
        trace(),
        "assignment_share",
        "--layers",
        "2",
        "--resamples",
        "0",
    ];
    let json = succeed(&[&args[..], &["--json"]].concat()).stdout;
    let csv = succeed(&[&args[..], &["--format", "csv"]].concat()).stdout;
    let values: Vec<f64> = json
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["value"]
                .as_f64()
                .unwrap()
        })
        .collect();
    assert_eq!(values.len(), 15 * 8);
    // Shares of one discipline's assignments over its eight experts.
    for label in values.chunks(8) {
        assert!((label.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }
    let column = csv
        .lines()
        .next()
        .unwrap()
        .split(',')
        .position(|name| name == "value")
        .unwrap();
    let first: f64 = csv
        .lines()
        .nth(1)
        .unwrap()
        .split(',')
        .nth(column)
        .unwrap()
        .parse()
        .unwrap();
    assert!((first - values[0]).abs() < 1e-12);
}

#[test]
fn an_expert_is_told_of_with_the_numbers_of_measure() {
    let quick = ["--resamples", "100"];
    let told = succeed(&[&["expert", trace(), "2:5", "--json"], &quick[..]].concat()).stdout;
    let told: Value = serde_json::from_str(&told).unwrap();
    let args = [
        "measure",
        trace(),
        "domain_specialization",
        "--layers",
        "2",
        "--json",
    ];
    let rows: Vec<Value> = succeed(&[&args[..], &quick[..]].concat())
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let labels = told["labels"].as_array().unwrap();
    assert_eq!(labels.len(), 15);
    for label in labels {
        let row = rows
            .iter()
            .find(|row| row["group_a"] == label["label"] && row["expert"] == "5")
            .unwrap();
        assert_eq!(
            (&label["share"], &label["interval"]["low"], &label["q"]),
            (&row["value"], &row["low"], &row["q"])
        );
    }
    assert_eq!(told["contexts"].as_array().unwrap().len(), 10);
    assert_eq!(
        told["missing"].as_array().unwrap().len(),
        0,
        "{}",
        told["missing"]
    );
    let classes: Vec<&Value> = told["tokens"].as_array().unwrap().iter().collect();
    assert_eq!(classes.len(), 3);
    let text = succeed(&[&["expert", trace(), "2:5", "--contexts", "3"], &quick[..]].concat());
    for heading in [
        "layer 2, expert 5 of 8",
        "Share of tokens by discipline",
        "Chosen together with",
        "Predicted next tokens",
        "Vocabulary specialization of the layer",
        "Share of assignments by position",
        "In context",
        "actual next",
    ] {
        assert!(text.stdout.contains(heading), "{heading}: {}", text.stdout);
    }
    refuse(&["expert", trace(), "5"], &["LAYER:EXPERT", "3:5"]);
    refuse(&["expert", trace(), "2:8"], &["experts 0 to 7"]);
    refuse(&["expert", trace(), "77:0"], &["77", "the trace has"]);
}

/// Measures at a layer and gives the rows.
fn rows(options: &[&str]) -> Vec<Value> {
    let args = ["measure", trace(), "assignment_share", "--layers", "2"];
    let quick = ["--json", "--resamples", "0"];
    let told = succeed(&[&args[..], &quick, options].concat()).stdout;
    told.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn labels_are_filtered_and_merged_by_every_verb_that_measures() {
    let merge = ["--merge", "science=math,physics"];
    let merged = rows(&[&merge[..], &["--labels", "science,law"]].concat());
    let labels: Vec<&str> = merged
        .iter()
        .map(|row| row["group_a"].as_str().unwrap())
        .collect();
    assert_eq!(labels.len(), 2 * 8, "two labels of eight experts");
    assert!(labels.contains(&"science") && labels.contains(&"law"));
    assert!(
        merged[0]["protocol"]
            .as_str()
            .unwrap()
            .contains("science for math and physics")
    );
    // A column stands for itself: the documents of a label are those that a filter by it leaves.
    let own = rows(&["--labels", "law"]);
    let filtered = rows(&["--only", "discipline=law"]);
    let values = |rows: &[Value]| -> Vec<Value> {
        let values = rows.iter().map(|row| row["value"].clone());
        values.collect()
    };
    assert_eq!(values(&own), values(&filtered));

    let expert = ["expert", trace(), "2:5", "--json", "--resamples", "0"];
    let weighted = ["--weighting", "document", "--only", "discipline=law,math"];
    let told = succeed(&[&expert[..], &weighted, &["--contexts", "0"]].concat()).stdout;
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["labels"].as_array().unwrap().len(), 2);
    let notes = told["notes"].to_string();
    assert!(notes.contains("each with the weight of one"), "{notes}");

    let measure = |options: &[&str], wanted: &[&str]| {
        let args = ["measure", trace(), "jsd", "--resamples", "0"];
        refuse(&[&args[..], options].concat(), wanted);
    };
    measure(&["--only", "genre"], &["genre=abstract,review"]);
    measure(
        &["--only", "disciplin=law"],
        &["no column 'disciplin'", "did you mean 'discipline'?"],
    );
    measure(&["--merge", "science"], &["science=chemistry,physics"]);
    measure(
        &["--merge", "a=law", "--merge", "b=law"],
        &["'law' is named twice"],
    );
}

#[test]
fn weights_are_measured_where_the_model_is_named() {
    let args = [
        "measure",
        trace(),
        "router_similarity",
        "--layers",
        "1",
        "--json",
    ];
    refuse(&args, &["--model MODEL"]);
    let rows = succeed(&[&args[..], &["--model", "demo"]].concat()).stdout;
    let rows: Vec<Value> = rows
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(rows.len(), 64);
    for row in &rows {
        let value = row["value"].as_f64().unwrap();
        assert!((-1.0..=1.0).contains(&value));
        assert_eq!(
            row["expert"] == row["expert_b"],
            value > 1.0 - 1e-9,
            "{row}"
        );
    }
    refuse(
        &["measure", trace(), "sense_contrast"],
        &["'pair'", "--keep-columns"],
    );
}

#[test]
fn figures_are_the_same_bytes_on_repeat_and_have_a_caption() {
    let folder = tempfile::tempdir().unwrap();
    for ending in ["svg", "pdf", "png"] {
        let draw = |name: &str| {
            let out = folder.path().join(format!("{name}.{ending}"));
            succeed(&[
                "figure",
                trace(),
                "layer_expert_heatmap",
                "--group",
                "math",
                "--group-b",
                "law",
                "--resamples",
                "100",
                "--dpi",
                "60",
                "--out",
                out.to_str().unwrap(),
            ]);
            fs::read(out).unwrap()
        };
        assert_eq!(draw("a"), draw("b"), "{ending}");
    }
    let caption = fs::read_to_string(folder.path().join("a.txt")).unwrap();
    assert!(caption.contains("resampling unit: group"), "{caption}");
}

#[test]
fn a_file_of_figures_makes_the_same_figure_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let arg = |name: &str| path(name).to_str().unwrap().to_owned();
    let (out, file) = (arg("a.svg"), arg("a.toml"));
    let quick = ["--resamples", "0", "--out", &out, "--spec-out", &file];
    let matrix = ["figure", trace(), "group_matrix", "--order", "given"];
    succeed(&[&matrix[..], &quick[..]].concat());
    let drawn = fs::read(&out).unwrap();
    let caption = fs::read_to_string(path("a.tex")).unwrap();
    assert!(caption.starts_with("\\caption{"), "{caption}");

    fs::remove_file(&out).unwrap();
    succeed(&["figure", &file]);
    assert!(fs::read(&out).unwrap() == drawn);
    // With --out, the names of the file are below another folder.
    succeed(&["figure", &file, "--out", &arg("elsewhere")]);
    assert!(fs::read(path("elsewhere/a.svg")).unwrap() == drawn);

    refuse(&["figure", &file, "--top", "3"], &["besides it", "--out"]);
    let spec = fs::read_to_string(&file).unwrap();
    let changed = |from: &str, to: &str| {
        assert!(spec.contains(from), "{spec}");
        fs::write(path("b.toml"), spec.replace(from, to)).unwrap();
        arg("b.toml")
    };
    let mistyped = changed("width_mm", "widht_mm");
    refuse(
        &["figure", &mistyped],
        &["widht_mm", "did you mean 'width_mm'?", "b.toml"],
    );
    let outside = changed("\"a.svg\"", "\"../a.svg\"");
    refuse(&["figure", &outside], &["../a.svg", "below the folder"]);
    refuse(&["figure", trace()], &["KIND"]);
}

#[test]
fn a_file_of_measurements_is_drawn_as_its_trace_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let arg = |name: &str| path(name).to_str().unwrap().to_owned();
    let quick = ["--resamples", "100"];
    let numbers = arg("numbers.json");
    let measure = ["measure", trace(), "nmi", "jsd", "--out", &numbers];
    succeed(&[&measure[..], &["--format", "measurements"], &quick].concat());
    let (of_trace, of_file, file) = (arg("a.svg"), arg("b.svg"), arg("b.toml"));
    let look = ["--order", "given", "--layer", "3", "--out"];
    let drawn = |source: &[&str], out: &str| {
        succeed(&[&["figure"][..], source, &look, &[out]].concat());
        fs::read(out).unwrap()
    };
    let matrix = [trace(), "group_matrix", "--resamples", "100"];
    let expected = drawn(&matrix, &of_trace);
    let spec_out = [numbers.as_str(), "group_matrix", "--spec-out", &file];
    assert!(drawn(&spec_out, &of_file) == expected);
    fs::remove_file(&of_file).unwrap();
    succeed(&["figure", &file]);
    assert!(fs::read(&of_file).unwrap() == expected);
    let spec = fs::read_to_string(&file).unwrap();
    assert!(spec.contains("measurement = \"numbers.json\""), "{spec}");

    // One of several by its number, counted from 1; the first has no pairs of labels.
    let draw = ["figure", &numbers, "group_matrix", "--out", &of_file];
    let first = ["--table", "1", "--variant", "plug_in"];
    refuse(&[&draw[..], &first].concat(), &["group B"]);
    refuse(
        &[&draw[..], &["--table", "9"]].concat(),
        &["'9'", "by its number", "1 "],
    );
    refuse(
        &[&draw[..], &["--by", "genre"]].concat(),
        &["drawn as they are"],
    );
    refuse(&["figure", &numbers, "--out", &of_file], &["one KIND"]);
    let rows = arg("rows.json");
    let measure = ["measure", trace(), "jsd", "--json", "--out", &rows];
    succeed(&[&measure[..], &["--resamples", "0"]].concat());
    refuse(
        &["figure", &rows, "group_matrix", "--out", &of_file],
        &["no file of measurements", "--format measurements"],
    );
    refuse(
        &[
            "figure",
            trace(),
            "group_matrix",
            "--table",
            "1",
            "--out",
            &of_file,
        ],
        &["--table", ".json"],
    );
}

#[test]
fn mistakes_are_told_with_what_would_help() {
    refuse(
        &["measure", trace(), "mutual_informatoin"],
        &["mutual_information"],
    );
    refuse(
        &["measure", trace(), "jsd", "--contrast", "math"],
        &["math:law"],
    );
    refuse(
        &["measure", trace(), "jsd", "--contrast", "math:alchemy"],
        &["alchemy"],
    );
    refuse(
        &["measure", trace(), "jsd", "--by", "colour"],
        &["colour", "discipline"],
    );
    refuse(
        &["measure", trace(), "jsd", "--format", "parquet"],
        &["--out"],
    );
    refuse(&["measure", "no-such-trace", "jsd"], &["no-such-trace"]);
    refuse(
        &["figure", trace(), "heatmap", "--out", "x.svg"],
        &["layer_expert_heatmap"],
    );
    refuse(
        &["figure", trace(), "fingerprint_map", "--out", "x.jpeg"],
        &["x.jpeg"],
    );
    refuse(
        &["figure", trace(), "layer_expert_heatmap", "--out", "x.svg"],
        &["math"],
    );
    assert!(!Path::new("x.svg").exists());
}

#[test]
fn bench_gives_one_object_a_line_with_every_field() {
    let quick = ["--prefill", "16", "--batches", "1"];
    let args = [&["bench", "demo", "--json", "--quiet"], &quick[..]].concat();
    let rows = succeed(&args).stdout;
    let rows: Vec<Value> = rows
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for field in [
        "geometry",
        "device",
        "weights",
        "compute",
        "phase",
        "tokens",
        "batch",
        "recording",
        "surprisal",
        "tokens_per_s",
        "gb_per_s",
        "bandwidth_fraction",
        "gflop_per_s",
        "peak_bytes",
    ] {
        assert!(rows.iter().all(|row| row.get(field).is_some()), "{field}");
    }
    let is = |phase: &str, recording: &str| {
        rows.iter()
            .any(|row| row["phase"] == phase && row["recording"] == recording)
    };
    assert!(
        ["off", "routing", "logits"]
            .iter()
            .all(|r| is("prefill", r) && is("decode", r))
    );
    assert!(
        rows.iter()
            .all(|row| row["tokens_per_s"].as_f64().is_some_and(|x| x > 0.0))
    );
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let mut child = command(&["metrics"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

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
