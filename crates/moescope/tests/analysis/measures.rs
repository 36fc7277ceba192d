//! Numbers: the same in every format and verb, and of the documents and labels that were asked for.

use serde_json::Value;

use super::trace;
use crate::support::{refuse, succeed};

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
fn tokens_are_chosen_by_their_position_by_every_verb_that_measures() {
    let values = |rows: &[Value], column: &str| -> Vec<f64> {
        let values = rows.iter().map(|row| row[column].as_f64().unwrap());
        values.collect()
    };
    let of = |positions: &str| {
        let found = rows(&["--by", "all", "--positions", positions]);
        assert_eq!(found.len(), 8, "eight experts");
        let told = found[0]["protocol"].as_str().unwrap().to_owned();
        (values(&found, "value"), values(&found, "n_tokens")[0], told)
    };
    let (all, tokens, told) = of("all");
    assert!(!told.contains("positions"), "{told}");
    let (early, few, told) = of("0-9");
    assert!(
        told.contains("prefill, positions 0-9, routed tokens"),
        "{told}"
    );
    let (late, many, _) = of("10-");
    assert!(few > 0.0 && many > 0.0 && early != late);
    assert!((few + many - tokens).abs() < 1e-9);
    // Every token is in one of both, so the share of all is the mean of both.
    for (all, (early, late)) in all.iter().zip(early.iter().zip(&late)) {
        assert!((all * tokens - early * few - late * many).abs() < 1e-6 * tokens);
    }
    let expert = ["expert", trace(), "2:5", "--json", "--resamples", "0"];
    let placed = ["--positions", "0-9", "--contexts", "5"];
    let told: Value =
        serde_json::from_str(&succeed(&[&expert[..], &placed].concat()).stdout).unwrap();
    assert!(told["scope"].as_str().unwrap().contains("positions 0-9"));
    let contexts = told["contexts"].as_array().unwrap();
    assert!(!contexts.is_empty());
    assert!(
        contexts
            .iter()
            .all(|c| c["position"].as_u64().unwrap() < 10)
    );
    refuse(
        &["measure", trace(), "jsd", "--positions", "9-5"],
        &["'9-5'", "'0,5-8', '16-' or 'all'"],
    );
    refuse(
        &["measure", trace(), "aux_loss", "--positions", "0-9"],
        &["at chosen positions", "without --positions"],
    );
    refuse(
        &["measure", trace(), "jsd", "--positions", "100000-"],
        &["0 of 240 documents", "without --positions"],
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
