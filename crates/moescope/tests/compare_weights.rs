//! `moescope compare-weights` on the embedded model, against traces that `capture` wrote of the same texts.

use std::{fs, sync::OnceLock};

use moescope_trace::Document;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Scratch, discipline_files, documents, refuse, succeed};

/// Texts of each discipline.
const LIMIT: &str = "2";

/// The report of one comparison of the prompt sets, its files, and traces with stored and with 4-bit weights.
struct Compared {
    folder: TempDir,
    report: Value,
    stored: Vec<Document>,
    q4: Vec<Document>,
}

fn compared() -> &'static Compared {
    static COMPARED: OnceLock<Compared> = OnceLock::new();
    COMPARED.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let files = discipline_files();
        let mut data = vec!["demo", "--data"];
        data.extend(files.iter().map(String::as_str));
        data.extend(["--limit", LIMIT]);
        let (table, figure) = (path("table.csv"), path("figure.svg"));
        let mut args = vec!["compare-weights"];
        args.extend(&data);
        args.extend(["--against", "stored,q8,q4,bf16-compute", "--json"]);
        args.extend(["--resamples", "200", "--out", &table, "--figure", &figure]);
        let report = serde_json::from_str(&succeed(&args).stdout).unwrap();
        let capture = |weights: &str| {
            let out = path(weights);
            let mut args = vec!["capture"];
            args.extend(&data);
            args.extend(["--weights", weights, "--full-precision", "--out", &out]);
            succeed(&args);
            documents(out.as_ref())
        };
        let (stored, q4) = (capture("stored"), capture("q4"));
        Compared {
            folder,
            report,
            stored,
            q4,
        }
    })
}

/// Values of a table, `[rows × variants]`, and the variants' number.
fn table(metric: &str, axes: &[&str]) -> (Vec<f64>, usize) {
    let report = &compared().report;
    let found = report["measurements"].as_array().unwrap().iter().find(|m| {
        let kinds = m["axes"].as_array().unwrap().iter();
        m["metric"] == metric
            && kinds
                .map(|a| a["kind"].as_str().unwrap())
                .eq(axes.iter().copied())
    });
    let found = found.unwrap_or_else(|| panic!("no {metric} over {axes:?}"));
    let values = found["values"].as_array().unwrap().iter();
    (
        values.map(|v| v.as_f64().unwrap_or(f64::NAN)).collect(),
        report["variants"].as_array().unwrap().len(),
    )
}

/// A variant's column: 0 is `stored`, then `q8`, `q4`, `bf16-compute`.
fn column(metric: &str, axes: &[&str], variant: usize) -> Vec<f64> {
    let (values, variants) = table(metric, axes);
    values.into_iter().skip(variant).step_by(variants).collect()
}

#[test]
fn the_model_compared_with_itself_changes_nothing() {
    for metric in [
        "changed_selections",
        "changed_assignments",
        "changed_first_choices",
        "weight_error_mean",
        "weight_error_rms",
        "weight_distance",
        "next_token_kl",
        "changed_predictions",
        "surprisal_change",
        "rerouted_tokens",
    ] {
        assert_eq!(column(metric, &["variant"], 0), [0.0], "{metric}");
    }
    assert!(
        column("changed_selections", &["layer", "variant"], 0)
            .iter()
            .all(|v| *v == 0.0)
    );
}

#[test]
fn fewer_bits_change_more() {
    for metric in [
        "changed_selections",
        "weight_error_mean",
        "next_token_kl",
        "changed_predictions",
    ] {
        let of = |variant| column(metric, &["variant"], variant)[0];
        let (q8, q4, bf16) = (of(1), of(2), of(3));
        assert!(
            q4 > q8 && q8 > 0.0 && bf16 > 0.0,
            "{metric}: {q8} {q4} {bf16}"
        );
    }
    let q8 = column("changed_selections", &["layer", "variant"], 1);
    let q4 = column("changed_selections", &["layer", "variant"], 2);
    assert!(
        q8.len() == 6 && q8.iter().zip(&q4).all(|(q8, q4)| q8 < q4),
        "{q8:?} {q4:?}"
    );
}

/// A counted decision of two traces.
struct Decision {
    layer: usize,
    /// Of the first trace.
    margin: f32,
    is_changed: bool,
    /// Σ |w − w′| over the experts in both, and their number.
    error: f64,
    shared: f64,
}

fn decisions() -> Vec<Decision> {
    let mut found = Vec::new();
    for (a, b) in compared().stored.iter().zip(&compared().q4) {
        assert_eq!(a.sample.meta.id, b.sample.meta.id);
        let margins = a.decisions.margin.as_ref().unwrap();
        for (row, margin) in margins.iter().enumerate() {
            let token = &a.tokens[a.decisions.position[row] as usize];
            if !token.is_content() {
                continue;
            }
            let pairs = |document: &Document| -> Vec<(u16, f32)> {
                let weights = document.decisions.weights(row).unwrap();
                let experts = document.decisions.experts(row);
                experts
                    .iter()
                    .copied()
                    .zip(weights.iter().copied())
                    .collect()
            };
            let (x, y) = (pairs(a), pairs(b));
            let mut decision = Decision {
                layer: usize::from(a.decisions.moe_layer[row]),
                margin: *margin,
                is_changed: false,
                error: 0.0,
                shared: 0.0,
            };
            for (expert, weight) in &x {
                match y.iter().find(|(e, _)| e == expert) {
                    Some((_, other)) => {
                        decision.error += (f64::from(*weight) - f64::from(*other)).abs();
                        decision.shared += 1.0;
                    }
                    None => decision.is_changed = true,
                }
            }
            found.push(decision);
        }
    }
    found
}

#[track_caller]
fn close(found: f64, expected: f64) {
    assert!(
        (found - expected).abs() < 1e-9 * (1.0 + expected.abs()),
        "{found} {expected}"
    );
}

#[test]
fn two_captures_tell_the_same_of_selections_and_weights() {
    let decisions = decisions();
    let share = |keep: &dyn Fn(&Decision) -> bool| {
        let kept: Vec<_> = decisions.iter().filter(|d| keep(d)).collect();
        let changed = kept.iter().filter(|d| d.is_changed).count();
        #[expect(clippy::cast_precision_loss, reason = "counts of a small trace")]
        let found = (changed as f64 / kept.len() as f64, kept.len() as f64);
        found
    };
    close(
        column("changed_selections", &["variant"], 2)[0],
        share(&|_| true).0,
    );
    let by_layer = column("changed_selections", &["layer", "variant"], 2);
    for (layer, found) in by_layer.into_iter().enumerate() {
        close(found, share(&|d| d.layer == layer).0);
    }
    let error: f64 = decisions.iter().map(|d| d.error).sum();
    let shared: f64 = decisions.iter().map(|d| d.shared).sum();
    close(
        column("weight_error_mean", &["variant"], 2)[0],
        error / shared,
    );
    // The range 0.001 to 0.003 of the margins.
    let report = &compared().report;
    let counts = report["measurements"].as_array().unwrap().iter();
    let counts = counts.clone().find(|m| m["metric"] == "decisions").unwrap();
    let bins = counts["axes"][0]["labels"].as_array().unwrap();
    let bin = bins
        .iter()
        .position(|label| label == "0.001–0.003")
        .unwrap();
    let (expected, decisions) = share(&|d| (0.001..0.003).contains(&d.margin));
    close(counts["values"][bin].as_f64().unwrap(), decisions);
    close(
        column("changed_selections", &["margin", "variant"], 2)[bin],
        expected,
    );
}

#[test]
fn two_captures_tell_the_same_of_predictions() {
    let (mut tokens, mut changed) = (0.0, 0.0);
    let (mut surprisals, mut change) = (0.0, 0.0);
    for (a, b) in compared().stored.iter().zip(&compared().q4) {
        for (x, y) in a
            .tokens
            .iter()
            .zip(&b.tokens)
            .filter(|(x, _)| x.is_content())
        {
            tokens += 1.0;
            changed += f64::from(u8::from(x.predicted_id != y.predicted_id));
            if let (Some(x), Some(y)) = (x.surprisal, y.surprisal) {
                surprisals += 1.0;
                change += f64::from(y) - f64::from(x);
            }
        }
    }
    close(
        column("changed_predictions", &["variant"], 2)[0],
        changed / tokens,
    );
    // A trace keeps surprisals as f32, summed over the vocabulary in f32.
    let found = column("surprisal_change", &["variant"], 2)[0];
    assert!(
        (found - change / surprisals).abs() < 1e-5,
        "{found} {}",
        change / surprisals
    );
}

#[test]
fn the_report_says_what_was_compared_and_the_files_hold_it() {
    let report = &compared().report;
    assert_eq!(report["model"], "scidfm-mini");
    assert_eq!(report["reference"]["weights"], "stored");
    assert_eq!(report["samples"], 30);
    let names: Vec<&str> = report["variants"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["stored", "q8", "q4", "bf16-compute"]);
    assert_eq!(report["variants"][2]["weight_types"]["experts"], "q4");
    let protocol = &report["measurements"][0]["protocol"];
    assert!(
        protocol["scope"]
            .as_str()
            .unwrap()
            .contains("special and template tokens excluded")
    );
    let folder = compared().folder.path();
    let csv = fs::read_to_string(folder.join("table.csv")).unwrap();
    assert!(
        csv.lines()
            .any(|row| row.starts_with("changed_selections,5,prefill,all,"))
    );
    assert!(
        csv.lines()
            .any(|row| row.starts_with("next_token_kl,,prefill,discipline,law,"))
    );
    let values: usize = report["measurements"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["values"].as_array().unwrap().len())
        .sum();
    assert_eq!(csv.lines().count(), values + 1);
    for name in ["figure.svg", "figure-by-margin.svg"] {
        let svg = fs::read_to_string(folder.join(name)).unwrap();
        assert!(svg.contains("q4") && svg.contains("bf16-compute"), "{name}");
    }
    let caption = fs::read_to_string(folder.join("figure-by-margin.txt")).unwrap();
    assert!(caption.contains("margin: probability"), "{caption}");
}

#[test]
fn a_few_texts_without_labels_are_compared_and_told_without_intervals() {
    let scratch = Scratch::new();
    let data = scratch.write(
        "texts.jsonl",
        "{\"id\": \"a\", \"text\": \"the enzyme lowers the energy\"}\n{\"id\": \"b\", \"text\": \"light\"}\n",
    );
    let model = scratch.arg("model");
    let ran = succeed(&[
        "compare-weights",
        &model,
        "--data",
        &data,
        "--against",
        "q4",
    ]);
    for words in [
        "2 of 2 groups",
        "no interval: 2 groups",
        "Selections that changed, by layer",
    ] {
        assert!(ran.stdout.contains(words), "{}", ran.stdout);
    }
    assert!(!ran.stdout.contains("by discipline"), "{}", ran.stdout);
}

#[test]
fn bad_wishes_are_refused_before_anything_runs() {
    let scratch = Scratch::new();
    let data = scratch.write("texts.jsonl", "{\"id\": \"a\", \"text\": \"light\"}\n");
    let model = scratch.arg("model");
    let with = |more: &[&str], words: &[&str]| {
        let mut args = vec!["compare-weights", &model, "--data", &data];
        args.extend(more);
        refuse(&args, words);
    };
    with(&["--against", "q5"], &["no variant 'q5'", "stored, q8, q4"]);
    with(&["--against", "bf16"], &["did you mean 'bf16-compute'?"]);
    with(&["--against", "q8,q8"], &["'q8' twice"]);
    with(
        &["--out", "table.xlsx"],
        &[".csv, .parquet or .json", "table.xlsx"],
    );
    with(&["--figure", "figure.bmp"], &["bmp"]);
    with(&["--level", "95"], &["between 0 and 1"]);
    with(&["--by", "genre"], &["no column 'genre'"]);
    refuse(&["compare-weights", &model], &["--data"]);
    refuse(
        &["compare-weights", &model, "--data", "nowhere.jsonl"],
        &["nowhere.jsonl"],
    );
}
