//! Damaged and hostile files give errors, never panics.

use std::{fs, path::Path};

use moescope_core::{Cancelled, NoProgress, Progress};
use serde_json::{Value, json};

use super::{kinds, report};
use crate::{RoutingTrace, Table, TraceError, ViolationKind, durable, fixture, validate};

fn trace() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace");
    fixture::write_trace(&path, 4, fixture::config());
    (folder, path)
}

fn edit_manifest(path: &Path, change: impl FnOnce(&mut Value)) {
    let file = path.join("manifest.json");
    let mut value: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    change(&mut value);
    fs::write(&file, value.to_string()).unwrap();
}

#[test]
fn a_newer_schema_version_is_refused_clearly() {
    let (_folder, path) = trace();
    edit_manifest(&path, |m| m["schema_version"] = 2.into());
    let message = RoutingTrace::open(&path).unwrap_err().to_string();
    assert!(
        message.contains("schema version 2") && message.contains("up to 1"),
        "{message}"
    );
    assert!(matches!(
        validate(&path, &NoProgress),
        Err(TraceError::NewerSchema { found: 2, .. })
    ));
}

#[test]
fn files_outside_the_folder_are_refused() {
    for name in [
        "../secret.parquet",
        "/etc/passwd",
        "routing/../../part-00000.parquet",
        "tokens/part-00000.parquet",
        "routing/part-00001.parquet",
        "routing\\part-00000.parquet",
    ] {
        let (_folder, path) = trace();
        edit_manifest(&path, |m| {
            m["shards"][0]["tables"]["routing"]["file"] = name.into();
        });
        let message = RoutingTrace::open(&path).unwrap_err().to_string();
        assert!(message.contains("only accepted name"), "{message}");
        assert_eq!(kinds(&path), [ViolationKind::Manifest], "{name}");
    }
    let (_folder, path) = trace();
    edit_manifest(&path, |m| {
        let file = m["shards"][0]["tables"]["routing"].clone();
        m["shards"][0]["tables"]["../.."] = file;
    });
    assert!(RoutingTrace::open(&path).is_err());
}

#[test]
fn folders_that_are_no_trace_are_named_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let open = || RoutingTrace::open(folder.path());
    assert!(matches!(open(), Err(TraceError::NotATrace { .. })));
    fs::write(
        folder.path().join("manifest.json"),
        r#"{"name": "web app"}"#,
    )
    .unwrap();
    let message = open().unwrap_err().to_string();
    assert!(message.contains("another program's"), "{message}");
    assert!(validate(&folder.path().join("nowhere"), &NoProgress).is_err());
}

#[test]
fn a_flipped_byte_is_found_by_checksum_and_named() {
    for table in Table::ALL {
        let (_folder, path) = trace();
        let file = path.join(table.shard_file(1));
        let mut content = fs::read(&file).unwrap();
        let middle = content.len() / 2;
        content[middle] ^= 0x10;
        fs::write(&file, content).unwrap();
        let report = report(&path);
        assert_eq!(report.violations.len(), 1, "{report:#?}");
        assert_eq!(report.violations[0].kind, ViolationKind::Checksum);
        assert!(report.violations[0].examples[0].contains(&table.shard_file(1)));
    }
}

#[test]
fn shortened_and_missing_files_are_named() {
    let (_folder, path) = trace();
    let file = path.join(Table::Tokens.shard_file(0));
    let content = fs::read(&file).unwrap();
    fs::write(&file, &content[..content.len() / 2]).unwrap();
    assert_eq!(kinds(&path), [ViolationKind::FileSize]);
    assert!(matches!(
        RoutingTrace::open(&path),
        Err(TraceError::Damaged { .. })
    ));
    fs::remove_file(&file).unwrap();
    assert_eq!(kinds(&path), [ViolationKind::MissingFile]);
}

/// Makes the manifest agree with a damaged file, so that the decoder gets to see it.
fn vouch_for(path: &Path, table: Table) {
    let name = path.join(table.shard_file(0));
    let bytes = fs::metadata(&name).unwrap().len();
    let sum = durable::sha256_of(&name, |_| Ok(())).unwrap();
    edit_manifest(path, |manifest| {
        let entry = &mut manifest["shards"][0]["tables"][table.name()];
        entry["bytes"] = bytes.into();
        entry["sha256"] = sum.into();
    });
}

#[test]
fn whatever_bytes_a_file_holds_nothing_panics() {
    let (_folder, path) = trace();
    let mut noise = Noise(7);
    for table in Table::ALL {
        let file = path.join(table.shard_file(0));
        let whole = fs::read(&file).unwrap();
        for round in 0..120 {
            let mut content = whole.clone();
            match round % 4 {
                0 => content.truncate(noise.below(whole.len())),
                // The footer is where lengths and offsets are.
                1 => {
                    let at = whole.len() - 1 - noise.below(whole.len().min(1500));
                    content[at] ^= 1 << noise.below(8);
                }
                _ => {
                    for _ in 0..=noise.below(4) {
                        let at = noise.below(whole.len());
                        content[at] = u8::try_from(noise.below(256)).unwrap();
                    }
                }
            }
            fs::write(&file, content).unwrap();
            vouch_for(&path, table);
            drop(validate(&path, &NoProgress));
            if let Ok(trace) = RoutingTrace::open(&path) {
                for id in ["doc-0", "doc-1", "none"] {
                    drop(trace.document(id));
                }
            }
        }
        fs::write(&file, &whole).unwrap();
        vouch_for(&path, table);
    }
    assert!(report(&path).is_valid());
}

#[test]
fn whatever_a_manifest_holds_nothing_panics() {
    let (_folder, path) = trace();
    let file = path.join("manifest.json");
    let whole = fs::read(&file).unwrap();
    let mut noise = Noise(11);
    for round in 0..400 {
        let mut content = whole.clone();
        if round % 5 == 0 {
            content.truncate(noise.below(whole.len()));
        } else {
            let at = noise.below(whole.len());
            content[at] = b"0123456789-\",:{}[]eE\\nulltrue."[noise.below(30)];
        }
        fs::write(&file, content).unwrap();
        drop(validate(&path, &NoProgress));
        if let Ok(trace) = RoutingTrace::open(&path) {
            drop(trace.document("doc-1"));
        }
    }
}

#[test]
fn numbers_at_the_edge_of_their_type_are_refused() {
    for (pointer, value) in [
        ("/model/num_experts", json!(65535)),
        ("/model/top_k", json!(0)),
        ("/shards/0/samples", json!(u32::MAX)),
        ("/shards/0/first_sample", json!(1)),
        ("/shards/0/index", json!(3)),
        ("/counts/samples", json!(u64::MAX)),
        ("/model/moe_layers", json!([3, 1])),
        ("/label_columns", json!(["sample"])),
        ("/float_significant_bits", json!(0)),
    ] {
        let (_folder, path) = trace();
        edit_manifest(&path, |m| *m.pointer_mut(pointer).unwrap() = value);
        let error = RoutingTrace::open(&path).map(|_| ()).unwrap_err();
        assert!(
            matches!(error, TraceError::Manifest { .. }),
            "{pointer}: {error}"
        );
    }
    // Lengths and rows that lie, without any error in the manifest itself.
    let (_folder, path) = trace();
    edit_manifest(&path, |m| {
        m["shards"][0]["tables"]["routing"]["rows"] = json!(u64::MAX);
        m["shards"][1]["tables"]["routing"]["rows"] = json!(u64::MAX);
    });
    assert!(kinds(&path).contains(&ViolationKind::RowCount));
}

#[test]
fn validation_can_be_cancelled() {
    struct Stop;
    impl Progress for Stop {
        fn report(&self, _: u64, _: u64, _: &str) -> Result<(), Cancelled> {
            Err(Cancelled)
        }
    }
    let (_folder, path) = trace();
    assert!(matches!(
        validate(&path, &Stop),
        Err(TraceError::Cancelled(_))
    ));
}

/// A linear congruential generator (Numerical Recipes).
struct Noise(u32);

impl Noise {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as usize % limit
    }
}
