//! The layering of `docs/ARCHITECTURE.md`: a crate uses crates on lower lines only, and heavy libraries have one home.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use serde_json::Value;

/// Crates by level; one that is not listed fails the test by name.
const LEVELS: [(&str, u8); 10] = [
    ("moescope-core", 0),
    ("moescope-engine", 1),
    ("moescope-trace", 1),
    ("moescope-figures", 1),
    ("moescope-analytics", 2),
    ("moescope-train", 2),
    ("moescope-pipeline", 3),
    ("moescope-app", 4),
    ("moescope", 5),
    // For tests only: above all, so that nothing may use it but as a development dependency.
    ("moescope-testkit", 6),
];

/// Libraries that only some crates may name.
const HOMES: [(&str, &[&str]); 21] = [
    ("burn-core", &["moescope-engine", "moescope-train"]),
    ("burn-cubecl", &["moescope-engine", "moescope-train"]),
    ("burn-flex", &["moescope-engine", "moescope-train"]),
    ("cubecl", &["moescope-engine", "moescope-train"]),
    (
        "safetensors",
        &["moescope-engine", "moescope-trace", "moescope-train"],
    ),
    ("tokenizers", &["moescope-engine", "moescope-train"]),
    ("polars", &["moescope-trace", "moescope-analytics"]),
    ("parquet", &["moescope-trace"]),
    ("plotters", &["moescope-figures"]),
    ("reqwest", &["moescope-pipeline"]),
    ("sysinfo", &["moescope-pipeline"]),
    ("tokio", &["moescope-pipeline"]),
    ("clap", &["moescope"]),
    ("indicatif", &["moescope"]),
    ("anyhow", &["moescope"]),
    ("ctrlc", &["moescope"]),
    ("eframe", &["moescope-app"]),
    ("egui", &["moescope-app"]),
    ("egui_plot", &["moescope-app"]),
    ("egui_tiles", &["moescope-app"]),
    ("rfd", &["moescope-app"]),
];

/// A crate of this workspace and the crates that it needs to be built, development dependencies left out.
struct Package {
    name: String,
    needs: Vec<String>,
}

/// What cargo says of the workspace. Read as plain JSON: a library for it would turn on features of `serde_json` in the
/// tests alone, and everything heavy would be compiled a second time for them.
fn packages() -> Vec<Package> {
    let root = moescope_testkit::repository_root();
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--no-deps",
            "--offline",
            "--manifest-path",
        ])
        .arg(root.join("Cargo.toml"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| Package {
            name: text(&package["name"]),
            needs: package["dependencies"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|dependency| dependency["kind"] != "dev")
                .map(|dependency| text(&dependency["name"]))
                .collect(),
        })
        .collect()
}

#[test]
fn crates_use_lower_levels_only() {
    let levels: BTreeMap<&str, u8> = LEVELS.into_iter().collect();
    for package in packages() {
        let name = package.name.as_str();
        let level = levels
            .get(name)
            .unwrap_or_else(|| panic!("{name} has no level; add it to the table"));
        for needed in &package.needs {
            if let Some(below) = levels.get(needed.as_str()) {
                assert!(
                    below < level,
                    "{name} (level {level}) may not use {needed} (level {below})"
                );
            }
        }
    }
}

#[test]
fn heavy_libraries_have_one_home() {
    for package in packages() {
        for needed in &package.needs {
            if let Some((_, homes)) = HOMES.iter().find(|(library, _)| library == needed) {
                let name = package.name.as_str();
                assert!(
                    homes.contains(&name),
                    "{name} may not use {needed}; its home is {}",
                    homes.join(", ")
                );
            }
        }
    }
}

/// Tests of a crate are modules of one program, and cargo does not look for others: a file that nobody names would not run.
#[test]
fn every_file_of_tests_is_part_of_a_program() {
    for package in packages() {
        let home = moescope_testkit::repository_root()
            .join("crates")
            .join(&package.name);
        let manifest = fs::read_to_string(home.join("Cargo.toml")).unwrap();
        if manifest.contains("autotests = false") {
            let program = fs::read_to_string(home.join("tests/main.rs")).unwrap();
            every_file_is_named(&home.join("tests"), &program, &manifest);
        }
    }
}

/// Every file in the folder of a module is one of its modules, or a program of its own; and so on in folders of modules.
fn every_file_is_named(folder: &Path, module: &str, manifest: &str) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let own = fs::read_to_string(path.join("mod.rs"));
        let is_source = path.extension().is_some_and(|kind| kind == "rs") || own.is_ok();
        if !is_source || ["main", "mod"].contains(&name) {
            continue;
        }
        let line = format!("mod {name};");
        let is_named = module
            .lines()
            .any(|l| l == line || l == format!("pub(crate) {line}"))
            || manifest.contains(&format!("path = \"tests/{name}.rs\""));
        assert!(
            is_named,
            "{} is in no program of tests: write `{line}` where its folder is",
            path.display()
        );
        if let Ok(own) = own {
            every_file_is_named(&path, &own, manifest);
        }
    }
}
