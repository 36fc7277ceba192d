//! Imports of other programs' routing: fixture, trace, check, measurement, with the binary as a user runs it.

mod published;
mod refused;
mod served;
mod tensors;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::{Scratch, succeed};

pub(crate) fn fixture(name: &str) -> String {
    let path = moescope_testkit::repository_root()
        .join("tests/fixtures/imports")
        .join(name);
    assert!(path.exists(), "{}", path.display());
    path.to_str().unwrap().to_owned()
}

pub(crate) fn demo_config() -> String {
    let path = moescope_testkit::scidfm_mini().join("config.json");
    path.to_str().unwrap().to_owned()
}

/// Imports into `trace`, which must be valid, and gives what `--json` says.
pub(crate) fn import(scratch: &Scratch, trace: &str, args: &[&str]) -> Value {
    let out = scratch.arg(trace);
    let mut all = vec!["import", "--json", "--out", &out];
    all.extend(args);
    let ran = succeed(&all);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    let valid = succeed(&["validate", &out]);
    assert!(valid.stdout.ends_with("valid\n"), "{}", valid.stdout);
    report
}

/// `metric, layer, group, expert → value` of a measurement.
pub(crate) fn measured(trace: &str, metric: &str) -> BTreeMap<(String, String, String), f64> {
    let ran = succeed(&["measure", trace, metric, "--json", "--resamples", "20"]);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    ran.stdout
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter_map(|row| {
            let key = (
                text(&row["layer"]),
                text(&row["group_a"]),
                text(&row["expert"]),
            );
            Some((key, row["value"].as_f64()?))
        })
        .collect()
}

pub(crate) fn unknown(report: &Value) -> Vec<&str> {
    let columns = report["unknown_columns"].as_array().unwrap();
    columns.iter().map(|c| c.as_str().unwrap()).collect()
}
