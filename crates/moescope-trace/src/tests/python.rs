//! Other people's readers read a trace.

use std::{path::Path, process::Command};

use crate::fixture;

#[test]
#[ignore = "needs Python with pyarrow, duckdb, pandas, polars and datasets"]
fn duckdb_pandas_polars_and_datasets_agree_with_the_card() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace");
    fixture::write_trace(&path, 9, fixture::config());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/open_everywhere.py");
    let run = Command::new("python3")
        .arg(script)
        .arg(&path)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&run.stdout);
    let errors = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{text}\n{errors}");
    assert!(text.contains("all agree"), "{text}");
}
