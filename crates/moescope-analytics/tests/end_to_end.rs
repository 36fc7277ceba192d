//! A trace written to disk gives the same numbers as the same documents in memory.

use moescope_analytics::{AnalyticsError, MeasureRequest, TraceData, catalogue, long_table};
use moescope_core::{Measurement, NoProgress};
use moescope_trace::{CaptureSummary, Manifest, SampleRecord, Scores, TraceWriter, WriterConfig};

use crate::common::{NEED_MORE, Synthetic, fails, quick};

fn write(synthetic: Synthetic, folder: &std::path::Path) {
    let model = synthetic.model();
    let manifest = Manifest {
        scores: Scores::of(&model.gating),
        model,
        compute_type: Some("f32".into()),
        ..Manifest::default()
    };
    let config = WriterConfig {
        keep_logits: true,
        ..WriterConfig::default()
    };
    let mut writer = TraceWriter::create(folder, manifest, config).unwrap();
    for (sample, document) in (0u32..).zip(synthetic.documents()) {
        writer
            .append(SampleRecord {
                sample,
                meta: document.sample,
                num_prompt_tokens: Some(synthetic.tokens),
                seed: None,
                tokens: document.tokens,
                decisions: document.decisions.unwrap(),
            })
            .unwrap();
        if sample % 5 == 4 {
            writer.end_batch().unwrap();
        }
    }
    writer.end_batch().unwrap();
    writer.finish(CaptureSummary::default()).unwrap();
}

fn everything(data: &TraceData, request: &MeasureRequest) -> Vec<Measurement> {
    catalogue()
        .iter()
        .filter(|metric| {
            let name = metric.about().name;
            name != "fingerprint_map" && !NEED_MORE.contains(&name)
        })
        .filter_map(|metric| match metric.measure(data, request, &NoProgress) {
            // Sums of probabilities know nothing of special tokens.
            Err(AnalyticsError::MissingInput { .. }) if request.scope.include_special => None,
            found => Some(found.unwrap()),
        })
        .flatten()
        .collect()
}

#[test]
fn a_written_trace_measures_like_its_documents_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace");
    let synthetic = Synthetic::default();
    write(synthetic, &path);
    let data = TraceData::open(&path).unwrap();
    assert_eq!(data.documents().len(), 18);
    assert_eq!(data.labels("genre").unwrap(), ["abstract", "textbook"]);
    let mut special = quick();
    special.scope.include_special = true;
    special.mass = Some(moescope_analytics::LoadMass::Counts);
    special.fingerprint = moescope_analytics::FingerprintKind::WeightShare;
    let mut by_genre = quick();
    by_genre.by = "genre".into();
    for request in [quick(), special, by_genre] {
        let (stored, memory) = (
            everything(&data, &request),
            everything(&synthetic.data(), &request),
        );
        assert_eq!(stored.len(), memory.len());
        for (stored, memory) in stored.iter().zip(&memory) {
            for (a, b) in stored.values.iter().zip(&memory.values) {
                // Floats are stored with 11 significant bits, and may fall into a neighbouring bin or rank.
                let tolerance = match stored.metric.as_str() {
                    "entropy_surprisal_correlation" | "selection_margin" | "weight_ratio" => 0.02,
                    _ => 2e-3,
                };
                assert!(
                    (a - b).abs() < tolerance || a.is_nan() && b.is_nan(),
                    "{}: {a} {b}",
                    stored.metric
                );
            }
        }
    }
}

#[test]
fn tables_are_written_in_every_format() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace");
    write(Synthetic::default(), &path);
    let found = everything(&TraceData::open(&path).unwrap(), &quick());
    let long = long_table(&found);
    let values: usize = found.iter().map(|m| m.values.len()).sum();
    assert_eq!(long.rows().len(), values);
    let mut csv = Vec::new();
    long.write_csv(&mut csv).unwrap();
    assert_eq!(String::from_utf8(csv).unwrap().lines().count(), values + 1);
    let parquet = folder.path().join("table.parquet");
    long.write_parquet(&parquet).unwrap();
    let bytes = std::fs::read(&parquet).unwrap();
    assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"));
    let nowhere = folder.path().join("no/such/folder.parquet");
    assert!(matches!(
        long.write_parquet(&nowhere),
        Err(AnalyticsError::Polars { .. })
    ));
}

#[test]
fn damaged_tables_are_refused_without_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace");
    write(Synthetic::default(), &path);
    // The same length, so that opening alone would not see it. Some flipped bits decode without an error.
    for (table, metric) in [
        ("routing", "first_choice_repetition"),
        ("profiles", "assignment_share"),
    ] {
        let file = path.join(table).join("part-00000.parquet");
        let mut bytes = std::fs::read(&file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&file, bytes).unwrap();
        let data = TraceData::open(&path).unwrap();
        let message = fails(&data, metric, &quick());
        assert!(message.contains("its checksum is not"), "{message}");
        assert!(message.contains(table), "{message}");
    }
    assert!(
        TraceData::open(folder.path())
            .unwrap_err()
            .to_string()
            .contains("manifest.json")
    );
}

#[test]
fn groups_of_several_labels_are_counted_once_each() {
    let mut request = quick();
    request.resample_by = "genre".into();
    let found = everything(&Synthetic::default().data(), &request);
    // Every label has documents of both genres.
    let notes = &found[0].protocol.notes;
    assert!(
        notes
            .iter()
            .any(|note| note.starts_with("2 of 2 groups hold documents of several labels")),
        "{notes:?}"
    );
}
