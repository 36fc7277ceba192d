//! A killed capture continues and ends with the same rows.

use std::{fs, mem, path::Path};

use super::{documents, report};
use crate::{RoutingTrace, TraceError, TraceWriter, WriterConfig, durable::faults, fixture};

const SAMPLES: u32 = 5;

/// Runs a whole capture as a caller would, starting after what is there.
fn capture(path: &Path) -> Result<(), TraceError> {
    let mut writer = TraceWriter::resume(path, &fixture::manifest(), fixture::config())?;
    let from = writer.completed_samples();
    let result = fixture::write_samples(&mut writer, from, SAMPLES);
    match result {
        Ok(()) if writer.is_complete() => Ok(()),
        Ok(()) => writer.finish(fixture::summary()).map(|_| ()),
        Err(error) => {
            // A killed process runs no destructor; only the lock goes away with it.
            mem::forget(writer);
            fs::remove_file(path.join(".lock")).ok();
            Err(error)
        }
    }
}

#[test]
fn a_fault_at_any_file_operation_loses_nothing_that_was_finished() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    capture(&whole).unwrap();
    let expected = documents(&whole, SAMPLES);
    let manifest = RoutingTrace::open(&whole).unwrap().manifest().clone();
    assert!(manifest.shards.len() > 2);

    let mut steps = 0;
    loop {
        let path = folder.path().join(format!("cut-{steps}"));
        faults::fail_after(Some(steps));
        let first = capture(&path);
        faults::fail_after(None);
        if first.is_ok() {
            break;
        }
        let message = first.unwrap_err().to_string();
        assert!(message.contains("disk is full"), "step {steps}: {message}");
        // Between the fault and the resume, what the manifest lists is sound.
        if path.join("manifest.json").exists() {
            let before = RoutingTrace::open(&path).unwrap();
            let samples = u32::try_from(before.manifest().counts.samples).unwrap();
            assert_eq!(documents(&path, samples), expected[..samples as usize]);
        }
        capture(&path).unwrap_or_else(|error| panic!("step {steps}: {error}"));
        assert_eq!(documents(&path, SAMPLES), expected, "step {steps}");
        assert_eq!(RoutingTrace::open(&path).unwrap().manifest(), &manifest);
        assert!(
            report(&path).is_valid(),
            "step {steps}: {:#?}",
            report(&path)
        );
        fs::remove_dir_all(&path).unwrap();
        steps += 1;
    }
    assert!(steps > 50, "only {steps} file operations were tried");
}

#[test]
fn leftovers_of_a_killed_writer_are_removed_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace");
    let mut writer = TraceWriter::create(&path, fixture::manifest(), fixture::config()).unwrap();
    fixture::write_samples(&mut writer, 0, 4).unwrap();
    writer.flush_shard().unwrap();
    let shards = writer.manifest().shards.len();
    drop(writer);
    let leftovers = [
        format!("routing/part-{shards:05}.parquet"),
        "tokens/.part-00009.parquet.tmp".into(),
        "samples/part-00099.parquet".into(),
        ".manifest.json.tmp".into(),
        ".README.md.tmp".into(),
    ];
    for name in &leftovers {
        fs::write(path.join(name), b"PAR1 half a file").unwrap();
    }
    fs::write(path.join("notes.txt"), "mine").unwrap();
    capture(&path).unwrap();
    for name in &leftovers[1..] {
        assert!(!path.join(name).exists(), "{name}");
    }
    assert!(path.join("notes.txt").exists());
    assert!(!path.join(".lock").exists());
    assert!(report(&path).is_valid(), "{:#?}", report(&path));
}

#[test]
fn a_dropped_writer_leaves_a_trace_without_temporary_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace");
    let mut writer = TraceWriter::create(&path, fixture::manifest(), fixture::config()).unwrap();
    writer.append(fixture::record(0)).unwrap();
    drop(writer);
    assert_eq!(fs::read_dir(path.join("routing")).unwrap().count(), 0);
    assert!(!path.join(".lock").exists());
}

#[test]
fn other_settings_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace");
    let mut writer = TraceWriter::create(&path, fixture::manifest(), fixture::config()).unwrap();
    fixture::write_samples(&mut writer, 0, 4).unwrap();
    drop(writer);
    let check = |change: fn(&mut crate::Manifest, &mut WriterConfig), field: &str| {
        let (mut manifest, mut config) = (fixture::manifest(), fixture::config());
        change(&mut manifest, &mut config);
        match TraceWriter::resume(&path, &manifest, config).err() {
            Some(TraceError::Incompatible { field: found, .. }) => assert_eq!(found, field),
            other => panic!("{field}: {other:?}"),
        }
    };
    check(|m, _| m.model.num_experts = 8, "model.num_experts");
    check(
        |m, _| m.model.gating.has_correction_bias = true,
        "model.gating.has_correction_bias",
    );
    check(
        |m, _| m.tokenizer.as_mut().unwrap().sha256 = None,
        "tokenizer.sha256",
    );
    check(|m, _| m.compute_type = Some("bf16".into()), "compute_type");
    check(|m, _| m.inputs[0].rows = 11, "inputs");
    check(
        |m, _| _ = m.settings.insert("limit".into(), 5.into()),
        "settings.limit",
    );
    check(|_, c| c.full_precision = true, "float_significant_bits");
    check(|_, c| c.keep_logits = false, "keeps_logits");
    check(|_, c| c.keep_text = false, "keeps_text");
    // A title is for people, and shorter shards hold the same rows.
    let manifest = crate::Manifest {
        title: Some("later".into()),
        ..fixture::manifest()
    };
    let config = WriterConfig {
        shard_decisions: 1,
        ..fixture::config()
    };
    assert!(TraceWriter::resume(&path, &manifest, config).is_ok());
}

#[test]
fn a_complete_trace_resumes_to_nothing_left_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace");
    capture(&path).unwrap();
    let mut writer = TraceWriter::resume(&path, &fixture::manifest(), fixture::config()).unwrap();
    assert!(writer.is_complete());
    assert_eq!(writer.completed_samples(), SAMPLES);
    assert!(writer.append(fixture::record(SAMPLES)).is_err());
}

#[test]
fn ids_stay_unique_across_a_resume() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace");
    let mut writer = TraceWriter::create(&path, fixture::manifest(), fixture::config()).unwrap();
    fixture::write_samples(&mut writer, 0, 4).unwrap();
    writer.flush_shard().unwrap();
    drop(writer);
    let mut writer = TraceWriter::resume(&path, &fixture::manifest(), fixture::config()).unwrap();
    let mut record = fixture::record(4);
    record.meta.id = "doc-1".into();
    let message = writer.append(record).unwrap_err().to_string();
    assert!(message.contains("occurred before"), "{message}");
}

#[test]
fn a_shard_is_cut_only_between_batches() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace");
    let config = WriterConfig {
        shard_decisions: 1,
        ..fixture::config()
    };
    let mut writer = TraceWriter::create(&path, fixture::manifest(), config).unwrap();
    writer.append(fixture::record(0)).unwrap();
    writer.append(fixture::record(1)).unwrap();
    assert_eq!(writer.completed_samples(), 0);
    assert!(matches!(
        writer.flush_shard(),
        Err(TraceError::Misuse { .. })
    ));
    writer.end_batch().unwrap();
    assert_eq!(writer.completed_samples(), 2);
}

#[test]
fn two_writers_cannot_have_one_trace() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace");
    let writer = TraceWriter::create(&path, fixture::manifest(), fixture::config()).unwrap();
    let second = TraceWriter::resume(&path, &fixture::manifest(), fixture::config());
    assert!(matches!(second.err(), Some(TraceError::Locked { .. })));
    drop(writer);
    assert!(TraceWriter::resume(&path, &fixture::manifest(), fixture::config()).is_ok());
}

#[test]
fn a_missing_or_shortened_shard_stops_a_resume() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace");
    let mut writer = TraceWriter::create(&path, fixture::manifest(), fixture::config()).unwrap();
    fixture::write_samples(&mut writer, 0, 6).unwrap();
    drop(writer);
    let file = path.join("tokens/part-00000.parquet");
    let content = fs::read(&file).unwrap();
    fs::write(&file, &content[..content.len() - 1]).unwrap();
    let resume = || TraceWriter::resume(&path, &fixture::manifest(), fixture::config());
    assert!(matches!(resume().err(), Some(TraceError::Damaged { .. })));
    fs::remove_file(&file).unwrap();
    let message = resume().err().unwrap().to_string();
    assert!(message.contains("missing"), "{message}");
}
