//! Where the fixtures of the repository are.

use std::{fs, path::PathBuf};

/// The root of the repository whose tests are running.
///
/// Cargo tells it when it starts a test. What it was at compile time is the second choice: a build folder that several
/// checkouts share may hold this crate compiled in another one.
#[must_use]
pub fn repository_root() -> PathBuf {
    let member = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    member.join("../..")
}

/// The folder of the demo model, in Hugging Face layout.
#[must_use]
pub fn scidfm_mini() -> PathBuf {
    repository_root().join("assets/models/scidfm-mini")
}

/// The folder of one oracle case: `config.json`, `model.safetensors` and the `expected.safetensors` that another
/// implementation computed.
///
/// `MOESCOPE_GOLDEN` names a folder of cases; without it they come from `tests/fixtures/golden`.
/// `None` where the case is in neither.
#[must_use]
pub fn golden_case(name: &str) -> Option<PathBuf> {
    let folder = golden_folder().join(name);
    folder
        .join("expected.safetensors")
        .is_file()
        .then_some(folder)
}

/// The names of all oracle cases that are there, sorted.
#[must_use]
pub fn golden_cases() -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(golden_folder())
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| golden_case(name).is_some())
        .collect();
    names.sort();
    names
}

fn golden_folder() -> PathBuf {
    std::env::var_os("MOESCOPE_GOLDEN").map_or_else(
        || repository_root().join("tests/fixtures/golden"),
        PathBuf::from,
    )
}
