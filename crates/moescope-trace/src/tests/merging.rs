//! Shards that were cut by time become shards of the usual size; a kill on the way loses nothing.

use std::{fs, mem, path::Path};

use super::{documents, report};
use crate::{
    RoutingTrace, Table, TraceError, TraceWriter, WriterConfig, durable::faults, fixture, merging,
};

const SAMPLES: u32 = 8;

/// Documents 0 to 7 have 8, 10, 12, 14, 8, 10, 12 and 14 decisions.
pub(super) fn config() -> WriterConfig {
    WriterConfig {
        shard_decisions: 27,
        ..fixture::config()
    }
}

/// Appends a document and cuts after it.
pub(super) fn append_and_cut(writer: &mut TraceWriter, sample: u32) -> Result<(), TraceError> {
    writer.append(fixture::record(sample))?;
    writer.end_batch()?;
    writer.flush_shard()
}

/// A new trace with a shard for each of the first documents.
pub(super) fn small_shards(path: &Path, samples: u32) -> TraceWriter {
    let mut writer = TraceWriter::create(path, fixture::manifest(), config()).unwrap();
    for sample in 0..samples {
        append_and_cut(&mut writer, sample).unwrap();
    }
    writer
}

/// A capture so slow that there is a cut after every document; goes on after what is there.
fn slow_capture(path: &Path) -> Result<(), TraceError> {
    let mut writer = TraceWriter::resume(path, &fixture::manifest(), config())?;
    if writer.is_complete() {
        return Ok(());
    }
    let from = writer.completed_samples();
    let written = (from..SAMPLES).try_for_each(|sample| append_and_cut(&mut writer, sample));
    match written {
        Ok(()) => writer.finish(fixture::summary()).map(|_| ()),
        Err(error) => {
            // A killed process runs no destructor; only the lock goes away with it.
            mem::forget(writer);
            fs::remove_file(path.join(".lock")).ok();
            Err(error)
        }
    }
}

/// The names of a table's files, sorted.
fn files(path: &Path, table: Table) -> Vec<String> {
    let entries = fs::read_dir(path.join(table.name())).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_capture_that_was_cut_by_time_has_the_rows_of_one_that_was_not() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, slow) = (folder.path().join("whole"), folder.path().join("slow"));
    let uncut = fixture::write_trace(&whole, SAMPLES, config());
    slow_capture(&slow).unwrap();
    let manifest = RoutingTrace::open(&slow).unwrap().manifest().clone();
    // 8 + 10 + 12 and 14 + 8 + 10 reach 27 at once, 12 + 14 do not: they are merged at the end. Each merged shard comes
    // after the small ones that it is made of: 0, 1, 2 → 3; 4, 5, 6 → 7; 8, 9 → 10.
    let shards: Vec<(u32, u32, u32)> = manifest
        .shards
        .iter()
        .map(|shard| (shard.index, shard.first_sample, shard.samples))
        .collect();
    assert_eq!(shards, [(3, 0, 3), (7, 3, 3), (10, 6, 2)]);
    assert_eq!(manifest.counts, uncut.counts);
    assert_eq!(manifest.unknown_columns, uncut.unknown_columns);
    assert_eq!(documents(&slow, SAMPLES), documents(&whole, SAMPLES));
    for table in Table::ALL {
        let expected = [3, 7, 10].map(|number| format!("part-{number:05}.parquet"));
        assert_eq!(files(&slow, table), expected, "{table}");
    }
    assert!(report(&slow).is_valid(), "{:#?}", report(&slow));
}

#[test]
fn a_kill_at_any_step_of_a_merge_leaves_a_sound_trace_that_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    slow_capture(&whole).unwrap();
    let expected = documents(&whole, SAMPLES);
    let mut steps = 0;
    loop {
        let path = folder.path().join(format!("cut-{steps}"));
        faults::fail_after(Some(steps));
        let first = slow_capture(&path);
        faults::fail_after(None);
        if first.is_ok() {
            break;
        }
        // Locks of writers that failed while they finished are gone already.
        if path.join("manifest.json").exists() {
            let before = RoutingTrace::open(&path).unwrap();
            let samples = u32::try_from(before.manifest().counts.samples).unwrap();
            assert_eq!(
                documents(&path, samples),
                expected[..samples as usize],
                "step {steps}"
            );
        }
        slow_capture(&path).unwrap_or_else(|error| panic!("step {steps}: {error}"));
        assert_eq!(documents(&path, SAMPLES), expected, "step {steps}");
        let report = report(&path);
        assert!(report.is_valid(), "step {steps}: {report:#?}");
        fs::remove_dir_all(&path).unwrap();
        steps += 1;
    }
    assert!(steps > 100, "only {steps} file operations were tried");
}

#[test]
fn small_shards_stay_where_the_disk_has_no_room_for_both() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace");
    let writer = small_shards(&path, 2);
    let mut manifest = RoutingTrace::open(&path).unwrap().manifest().clone();
    let small = manifest.shards.clone();
    faults::fail_after(Some(3));
    let merged = merging::merge_rest(&path, &mut manifest, 27);
    faults::fail_after(None);
    assert!(!merged.unwrap());
    assert_eq!(manifest.shards, small);
    for table in Table::ALL {
        assert_eq!(files(&path, table).len(), 2, "{table}");
    }
    // With room again it goes on.
    writer.finish(fixture::summary()).unwrap();
    assert_eq!(
        RoutingTrace::open(&path).unwrap().manifest().shards.len(),
        1
    );
    assert!(report(&path).is_valid());
}

#[test]
fn a_damaged_shard_is_not_merged_into_a_sound_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace");
    let writer = small_shards(&path, 2);
    let file = path.join(Table::Tokens.shard_file(0));
    let mut content = fs::read(&file).unwrap();
    let middle = content.len() / 2;
    content[middle] ^= 1;
    fs::write(&file, content).unwrap();
    let error = writer.finish(fixture::summary()).unwrap_err();
    assert!(matches!(error, TraceError::Damaged { .. }), "{error}");
    let found = RoutingTrace::open(&path).unwrap();
    assert_eq!(found.manifest().shards.len(), 2);
    assert!(!found.manifest().complete);
}

#[test]
fn a_trace_that_was_open_while_shards_were_merged_says_to_open_it_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace");
    let mut writer = small_shards(&path, 1);
    let opened = RoutingTrace::open(&path).unwrap();
    assert!(opened.document("doc-0").is_ok());
    // 8 + 10 + 12 reach 27.
    append_and_cut(&mut writer, 1).unwrap();
    append_and_cut(&mut writer, 2).unwrap();
    let error = opened.document("doc-0").unwrap_err();
    assert!(matches!(error, TraceError::Gone { .. }), "{error}");
    assert_eq!(documents(&path, 3).len(), 3);
}
