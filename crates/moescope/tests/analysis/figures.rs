//! Figures of a trace, of a file of figures and of a file of measurements.

use std::fs;

use super::trace;
use crate::support::{refuse, succeed};

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
