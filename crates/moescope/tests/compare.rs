//! `moescope compare` and `measure` with several traces, on the embedded model captured in several ways.

use std::{fs, path::Path, sync::OnceLock};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{discipline_files, documents, refuse, succeed};

/// Traces of two texts of each discipline: as the model is, with 4-bit weights, and with an expert masked.
fn folder() -> &'static Path {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let files = discipline_files();
        let capture = |name: &str, options: &[&str]| {
            let out = folder.path().join(name);
            let mut args = vec!["capture", "demo", "--data"];
            args.extend(files.iter().map(String::as_str));
            args.extend([
                "--limit",
                "2",
                "--max-tokens",
                "48",
                "--overlong",
                "truncate",
            ]);
            args.extend(["--out", out.to_str().unwrap()]);
            args.extend(options);
            succeed(&args);
        };
        capture("plain", &[]);
        capture("q4", &["--weights", "q4"]);
        capture("masked", &["--intervene", "mask:2:3"]);
        folder
    });
    folder.path()
}

/// The experts' shares at the layer where one is masked.
const SHARES: [&str; 8] = [
    "assignment_share",
    "--layers",
    "2",
    "--by",
    "all",
    "--json",
    "--resamples",
    "50",
];

fn trace(name: &str) -> String {
    folder().join(name).to_str().unwrap().to_owned()
}

fn rows(args: &[&str]) -> Vec<Value> {
    let lines = succeed(args).stdout;
    let rows = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    rows.collect()
}

/// Counted decisions of two traces with their experts, by layer.
fn selections(a: &str, b: &str) -> Vec<(u16, Vec<u16>, Vec<u16>)> {
    let (a, b) = (documents(trace(a).as_ref()), documents(trace(b).as_ref()));
    let mut found = Vec::new();
    for (a, b) in a.iter().zip(&b) {
        assert_eq!(a.sample.meta.id, b.sample.meta.id);
        for row in 0..a.decisions.len() {
            if a.tokens[a.decisions.position[row] as usize].is_content() {
                let sorted = |experts: &[u16]| {
                    let mut experts = experts.to_vec();
                    experts.sort_unstable();
                    experts
                };
                found.push((
                    a.decisions.layer[row].0,
                    sorted(a.decisions.experts(row)),
                    sorted(b.decisions.experts(row)),
                ));
            }
        }
    }
    found
}

#[test]
fn agreement_is_what_the_traces_say_decision_by_decision() {
    let (q4, plain) = (trace("q4"), trace("plain"));
    let args = [
        "compare",
        &q4,
        &plain,
        "routing_agreement",
        "--json",
        "--by",
        "all",
        "--resamples",
        "50",
    ];
    let rows = rows(&args);
    let decisions = selections("q4", "plain");
    for layer in 0..6_u16 {
        let own: Vec<_> = decisions.iter().filter(|(l, ..)| *l == layer).collect();
        let equal = own.iter().filter(|(_, a, b)| a == b);
        let [equal, all] = [equal.count(), own.len()].map(|n| f64::from(u32::try_from(n).unwrap()));
        let expected = equal / all;
        let name = layer.to_string();
        let row = rows.iter().find(|row| {
            row["variant"] == "equal_sets" && row["layer"] == name.as_str() && row["bin"].is_null()
        });
        let found = row.unwrap()["value"].as_f64().unwrap();
        assert!(
            (found - expected).abs() < 1e-12,
            "layer {layer}: {found}, {expected}"
        );
        assert!(found > 0.5, "four bits keep most decisions");
    }
    assert!(
        rows.iter()
            .all(|row| row["trace"].is_null() || row["trace"] == "q4")
    );
}

#[test]
fn decisions_before_a_masked_layer_are_the_same_and_at_it_they_differ() {
    let (masked, plain) = (trace("masked"), trace("plain"));
    let rows = rows(&[
        "compare",
        &masked,
        &plain,
        "router_saturation",
        "--json",
        "--resamples",
        "50",
    ]);
    let value = |layer: &str| {
        let row = rows.iter().find(|row| {
            row["layer"] == layer && row["variant"] == "top_k" && row["group_a"].is_null()
        });
        row.unwrap()["value"].as_f64().unwrap()
    };
    for layer in ["0", "1"] {
        assert!((value(layer) - 1.0).abs() < 1e-12);
    }
    assert!(value("2") < 1.0 && value("5") < 1.0);
    // The masked expert has no share where it is masked, so the difference is minus what it had.
    let share = |args: &[&str]| {
        let found = self::rows(args);
        let row = found.iter().find(|row| row["expert"] == "3").unwrap();
        row["value"].as_f64().unwrap()
    };
    let had = share(&[&["measure", &plain][..], &SHARES].concat());
    let lost = share(&[&["compare", &masked, &plain][..], &SHARES].concat());
    assert!(had > 0.0 && (had + lost).abs() < 1e-12, "{had} {lost}");
}

#[test]
fn the_standard_comparison_tells_what_differs_and_where() {
    let (masked, q4, plain) = (trace("masked"), trace("q4"), trace("plain"));
    let args = ["compare", &masked, &q4, &plain, "--resamples", "50"];
    // Lines are broken for people.
    let text = succeed(&args).stdout;
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in [
        "masked, q4 beside plain",
        "masked differs from plain in interventions",
        "q4 differs from plain in type of the weights",
        "interventions = [\"mask:2:3\"] in masked, [] in plain",
        "chooses the same set of experts",
        "How far did the load of the experts move?",
        "30 documents hold the same counted tokens",
        "→ moescope compare TRACE… routing_agreement --resamples 50",
    ] {
        assert!(text.contains(words), "'{words}' is not in\n{text}");
    }
    let report: Value =
        serde_json::from_str(&succeed(&[&args[..], &["--json"]].concat()).stdout).unwrap();
    assert_eq!(report["reference"], "plain");
    assert_eq!(report["findings"].as_array().unwrap().len(), 6);
    assert!(report["refusals"].as_array().unwrap().is_empty());
    // The commands say what differs from the usual: another reference, and labels in scope.
    let turned = [
        "--reference",
        "masked",
        "--labels",
        "law,math",
        "--layers",
        "2",
        "--json",
    ];
    let report: Value =
        serde_json::from_str(&succeed(&[&args[..], &turned].concat()).stdout).unwrap();
    let commands: Vec<&str> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| finding["command"].as_str().unwrap())
        .collect();
    let options = "--reference masked --labels law,math --layers 2 --resamples 50";
    let expected = format!("compare TRACE… router_saturation {options}");
    assert!(commands.contains(&expected.as_str()), "{commands:?}");
    // Another reference turns the comparison round.
    let args = [
        "compare",
        &plain,
        &masked,
        "--reference",
        "plain",
        "router_saturation",
        "--json",
        "--resamples",
        "0",
    ];
    assert!(rows(&args).iter().all(|row| row["trace"] == "masked"));
}

#[test]
fn a_part_of_a_trace_is_compared_with_another_part_of_it() {
    let plain = trace("plain");
    let share = |positions: &str| -> Vec<f64> {
        let args = ["measure", &plain, "--positions", positions];
        let found = rows(&[&args[..], &SHARES].concat());
        let values = found.iter().map(|row| row["value"].as_f64().unwrap());
        values.collect()
    };
    let (late, early) = (share("3-"), share("0-5"));
    let args = ["compare", &plain, &plain, "--positions", "3-"];
    let found = rows(&[&args[..], &["--reference-positions", "0-5"], &SHARES].concat());
    assert_eq!(found.len(), 8);
    for (row, (late, early)) in found.iter().zip(late.iter().zip(&early)) {
        assert_eq!(row["trace"], "plain");
        let value = row["value"].as_f64().unwrap();
        assert!((value - (late - early)).abs() < 1e-9, "{value}");
        let told = row["protocol"].as_str().unwrap();
        assert!(told.contains("; reference: positions 0-5"), "{told}");
    }
    // Other documents of the reference.
    let q4 = trace("q4");
    let law = ["--reference-only", "discipline=law"];
    let found = rows(&[&["compare", &q4, &plain][..], &law, &SHARES].concat());
    assert_eq!(found[0]["n_documents"], 2);
    for metric in [&["router_saturation"][..], &[]] {
        let args = [&["compare", &q4, &plain][..], metric, &law].concat();
        refuse(&args, &["--reference-only", "routing_drift"]);
    }
    refuse(
        &["compare", &q4, &plain, "jsd", "--reference-phase", "reply"],
        &["'reply'", "prefill, decode or all"],
    );
    refuse(&["compare", &plain, &plain, "jsd"], &["given twice"]);
}

#[test]
fn measure_puts_several_traces_side_by_side() {
    let (q4, plain) = (trace("q4"), trace("plain"));
    let options = ["load_entropy", "--by", "all", "--json", "--resamples", "0"];
    let both = rows(&[&["measure", &q4, &plain][..], &options].concat());
    assert_eq!(both.len(), 12, "six layers of two traces");
    let one = rows(&[&["measure", &plain][..], &options].concat());
    let of_plain: Vec<&Value> = both.iter().filter(|row| row["trace"] == "plain").collect();
    for (a, b) in of_plain.iter().zip(&one) {
        assert_eq!(a["value"], b["value"]);
        assert!(b["trace"].is_null(), "a single trace is not named");
    }
    let csv = folder().join("table.csv");
    succeed(&[
        "compare",
        &q4,
        &plain,
        "routing_drift",
        "--format",
        "csv",
        "--out",
        csv.to_str().unwrap(),
        "--resamples",
        "50",
    ]);
    assert!(fs::read_to_string(csv).unwrap().lines().count() > 6 * 15);
}

#[test]
fn what_cannot_be_compared_is_refused_with_what_would_help() {
    let (q4, plain) = (trace("q4"), trace("plain"));
    refuse(
        &["measure", &plain, "router_saturation"],
        &["moescope compare A B router_saturation"],
    );
    refuse(
        &["compare", &plain, "router_saturation"],
        &["needs two traces"],
    );
    refuse(
        &["compare", &plain, "missing-trace"],
        &["'missing-trace' is neither a metric nor a folder"],
    );
    refuse(
        &["compare", &q4, &plain, "router_saturatoin"],
        &["'router_saturation'"],
    );
    refuse(
        &["compare", &q4, &plain, "--reference", "base"],
        &["'base'", "q4, plain"],
    );
    refuse(&["compare", &plain, &plain], &["given twice"]);
    refuse(
        &["compare", &q4, &plain, "fingerprint_map"],
        &["no difference of two traces"],
    );
    refuse(
        &[
            "compare",
            &q4,
            &plain,
            "routing_drift",
            "--format",
            "parquet",
        ],
        &["--out"],
    );
    refuse(&["measure", &plain, "./nowhere", "jsd"], &["nowhere"]);
    let described = succeed(&["metrics", "router_saturation"]).stdout;
    assert!(described.contains("moescope compare A B router_saturation"));
}

#[test]
fn a_figure_compares_traces_and_its_file_makes_it_again() {
    let (masked, q4, plain) = (trace("masked"), trace("q4"), trace("plain"));
    let own = tempfile::tempdir().unwrap();
    let path = |name: &str| own.path().join(name).to_str().unwrap().to_owned();
    let (out, file) = (path("curves.svg"), path("curves.toml"));
    let args = ["figure", &masked, &q4, &plain, "saturation_curves"];
    let look = [
        "--resamples",
        "0",
        "--by",
        "all",
        "--variant",
        "top_k",
        "--out",
        &out,
        "--spec-out",
        &file,
    ];
    succeed(&[&args[..], &look].concat());
    let drawn = std::fs::read(&out).unwrap();
    let text = String::from_utf8(drawn.clone()).unwrap();
    assert!(text.contains("masked") && text.contains("q4"), "{text}");
    std::fs::remove_file(&out).unwrap();
    succeed(&["figure", &file]);
    assert_eq!(std::fs::read(&out).unwrap(), drawn);
    // A difference of a metric of one trace is drawn as well.
    let moved = path("moved.pdf");
    succeed(&[
        "figure",
        &masked,
        &plain,
        "layer_expert_heatmap",
        "--resamples",
        "0",
        "--by",
        "all",
        "--out",
        &moved,
    ]);
    refuse(
        &[
            "figure",
            &plain,
            "group_matrix",
            "--reference",
            "plain",
            "--out",
            &moved,
        ],
        &["--reference", "several traces"],
    );
}
