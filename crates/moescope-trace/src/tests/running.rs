//! Traces that are validated while their capture goes on.

use std::{
    fs,
    path::Path,
    sync::{Mutex, PoisonError},
};

use moescope_core::{Cancelled, Progress};

use super::{
    kinds,
    merging::{append_and_cut, config, small_shards},
    report,
};
use crate::{
    Manifest, Table, TraceWriter, ValidationReport, ViolationKind, fixture, validate,
    validate::unlisted_files,
};

/// Takes a step of a capture as soon as a file of this name is read.
struct Capturing<'a> {
    at: &'static str,
    step: Mutex<Option<Box<dyn FnOnce() + Send + 'a>>>,
}

impl Progress for Capturing<'_> {
    fn report(&self, _done: u64, _total: u64, message: &str) -> Result<(), Cancelled> {
        if message == self.at {
            let step = self
                .step
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
            if let Some(step) = step {
                step();
            }
        }
        Ok(())
    }
}

/// The writer that goes on with a trace.
fn resumed(path: &Path) -> TraceWriter {
    TraceWriter::resume(path, &fixture::manifest(), config()).unwrap()
}

/// The report on a trace whose capture takes a step while a file is read.
fn report_while(path: &Path, at: &'static str, step: impl FnOnce() + Send) -> ValidationReport {
    let capturing = Capturing {
        at,
        step: Mutex::new(Some(Box::new(step))),
    };
    let report = validate(path, &capturing).unwrap();
    let left = capturing.step.into_inner().unwrap();
    assert!(left.is_none(), "{at} was not read");
    report
}

#[test]
fn a_shard_that_is_merged_while_it_is_checked_is_checked_as_a_part_of_the_merged_one() {
    // At the first shard nothing was checked yet; at the second the first was, and is part of the merged one, too.
    for at in ["samples/part-00000.parquet", "tokens/part-00001.parquet"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trace");
        drop(small_shards(&path, 2));
        // With the third document there are 8 + 10 + 12 decisions, which reach 27.
        let report = report_while(&path, at, || {
            append_and_cut(&mut resumed(&path), 2).unwrap();
        });
        let shards = Manifest::read(&path).unwrap().shards;
        assert_eq!(shards.len(), 1);
        let found: Vec<_> = report.violations.iter().map(|v| v.kind).collect();
        assert_eq!(found, [ViolationKind::Incomplete], "{at}: {report:#?}");
        assert_eq!((report.shards, report.samples), (1, 3), "{at}");
        assert_eq!(report.decisions, 30, "{at}");
    }
}

#[test]
fn a_capture_that_ends_while_it_is_checked_leaves_nothing_to_report() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace");
    drop(small_shards(&path, 2));
    let report = report_while(&path, "samples/part-00000.parquet", || {
        resumed(&path).finish(fixture::summary()).unwrap();
    });
    assert!(report.is_valid(), "{report:#?}");
    assert_eq!((report.shards, report.samples), (1, 2));
}

#[test]
fn a_file_that_the_newest_manifest_lists_is_missed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace");
    drop(small_shards(&path, 2));
    fs::remove_file(path.join(Table::Tokens.shard_file(1))).unwrap();
    let found = report(&path);
    assert_eq!(found.count(ViolationKind::MissingFile), 1, "{found:#?}");
    assert_eq!(
        kinds(&path),
        [ViolationKind::Incomplete, ViolationKind::MissingFile]
    );
    assert_eq!(found.samples, 1, "the rows of the other shard are read");
}

#[test]
fn files_that_a_newer_manifest_lists_are_not_strays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace");
    let mut writer = small_shards(&path, 2);
    let before = Manifest::read(&path).unwrap();
    append_and_cut(&mut writer, 2).unwrap();
    assert!(unlisted_files(&path, &before).unwrap().is_empty());
    let stray = path.join(Table::Tokens.shard_file(9));
    fs::write(&stray, "").unwrap();
    assert_eq!(unlisted_files(&path, &before).unwrap(), [stray]);
}
