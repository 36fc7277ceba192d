//! What is written is what is read.

use std::fs;

use moescope_core::DecisionBatch;

use super::{documents, report};
use crate::{
    Manifest, Profile, ProfileRecord, RoutingTrace, Table, TraceError, TraceWriter, WriterConfig,
    fixture, round_significant,
};

fn rounded(mut decisions: DecisionBatch) -> DecisionBatch {
    for column in [
        &mut decisions.routing_weights,
        &mut decisions.topk_mass,
        &mut decisions.entropy,
        &mut decisions.margin,
        &mut decisions.logsumexp,
        &mut decisions.router_logits,
    ] {
        for value in column.iter_mut().flatten() {
            *value = round_significant(*value);
        }
    }
    decisions
}

#[test]
fn at_full_precision_every_value_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace");
    let config = WriterConfig {
        full_precision: true,
        ..fixture::config()
    };
    let manifest = fixture::write_trace(&path, 9, config);
    assert!(manifest.shards.len() > 2, "the fixture has several shards");
    assert_eq!(manifest.float_significant_bits, 24);
    for (document, sample) in documents(&path, 9).into_iter().zip(0..) {
        let record = fixture::record(sample);
        assert_eq!(document.sample.meta, record.meta);
        assert_eq!(document.sample.num_prompt_tokens, record.num_prompt_tokens);
        assert_eq!(document.sample.seed, record.seed);
        assert_eq!(document.tokens, record.tokens);
        assert_eq!(document.decisions, record.decisions);
    }
    let report = report(&path);
    assert!(report.is_valid(), "{report:#?}");
    assert_eq!(report.samples, 9);
    assert_eq!(report.decisions, manifest.counts.decisions);
}

#[test]
fn by_default_floats_have_eleven_bits_and_logits_and_nothing_else_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace");
    let manifest = fixture::write_trace(&path, 3, WriterConfig::default());
    assert_eq!(manifest.shards.len(), 1);
    for (document, sample) in documents(&path, 3).into_iter().zip(0..) {
        let mut expected = rounded(fixture::record(sample).decisions);
        expected.router_logits = None;
        assert_eq!(document.decisions, expected);
    }
    assert!(manifest.is_unknown("routing.logits"));
    assert!(manifest.is_unknown("samples.genre"));
    assert!(!manifest.is_unknown("routing.weights"));
    assert!(report(&path).is_valid(), "{:#?}", report(&path));
}

#[test]
fn text_is_left_out_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace");
    let config = WriterConfig {
        keep_text: false,
        ..WriterConfig::default()
    };
    fixture::write_trace(&path, 2, config);
    let document = &documents(&path, 2)[1];
    assert!(!document.sample.has_text);
    assert_eq!(document.sample.meta.text, "");
    assert!(document.tokens.iter().all(|token| token.text.is_none()));
    assert!(report(&path).is_valid());
}

#[test]
fn unknown_scores_are_null_and_the_manifest_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace");
    let mut writer =
        TraceWriter::create(&path, fixture::manifest(), WriterConfig::default()).unwrap();
    let mut record = fixture::record(0);
    let known = record.decisions;
    record.decisions = DecisionBatch::ids_only(known.num_experts(), known.top_k());
    record.decisions.position = known.position;
    record.decisions.layer = known.layer;
    record.decisions.moe_layer = known.moe_layer;
    record.decisions.selected_experts = known.selected_experts;
    let expected = record.decisions.clone();
    writer.append(record).unwrap();
    let manifest = writer.finish(fixture::summary()).unwrap();
    assert_eq!(documents(&path, 1)[0].decisions, expected);
    for column in ["routing.weights", "routing.margin", "profiles.weight_sum"] {
        assert!(manifest.is_unknown(column), "{column}");
    }
    assert!(report(&path).is_valid(), "{:#?}", report(&path));
}

#[test]
fn a_source_that_knows_only_sums_writes_profiles() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace");
    let manifest = Manifest {
        profiles_only: true,
        ..fixture::manifest()
    };
    let mut writer = TraceWriter::create(&path, manifest, WriterConfig::default()).unwrap();
    let record = fixture::record(0);
    let profile = Profile {
        layer: moescope_core::LayerId(3),
        moe_layer: 1,
        phase: moescope_core::Phase::Prefill,
        n_tokens: 3,
        counts: vec![1, 2, 0, 3, 0, 0],
        weight_sum: None,
        prob_sum: None,
        logit_sum: None,
        last_prob: None,
    };
    assert!(matches!(
        writer.append(record.clone()),
        Err(TraceError::Misuse { .. })
    ));
    writer
        .append_profiles(ProfileRecord {
            sample: 0,
            meta: record.meta,
            num_tokens: 3,
            profiles: vec![profile],
        })
        .unwrap();
    writer.finish(fixture::summary()).unwrap();
    assert!(report(&path).is_valid(), "{:#?}", report(&path));
    assert!(documents(&path, 1)[0].decisions.is_empty());
}

#[test]
fn the_same_rows_give_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (folder.path().join("a"), folder.path().join("b"));
    let first = fixture::write_trace(&a, 7, fixture::config());
    let second = fixture::write_trace(&b, 7, fixture::config());
    assert_eq!(first, second);
    for table in Table::ALL {
        for shard in &first.shards {
            let file = table.shard_file(shard.index);
            assert_eq!(
                fs::read(a.join(&file)).unwrap(),
                fs::read(b.join(&file)).unwrap()
            );
        }
    }
    let card = |path: &std::path::Path| fs::read_to_string(path.join("README.md")).unwrap();
    assert_eq!(card(&a), card(&b));
}

#[test]
fn a_trace_without_documents_still_has_its_tables() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = fixture::write_trace(folder.path(), 0, WriterConfig::default());
    assert_eq!(manifest.shards.len(), 1);
    assert!(report(folder.path()).is_valid());
}

#[test]
fn an_unknown_id_is_answered_with_ids_that_exist() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace");
    fixture::write_trace(&path, 5, fixture::config());
    let trace = RoutingTrace::open(&path).unwrap();
    let known = |id: &str| match trace.find_sample(id).unwrap_err() {
        TraceError::UnknownSample { known, .. } => known,
        other => panic!("{other}"),
    };
    assert_eq!(known("C-3"), ["doc-3"]);
    assert_eq!(known("zzz").len(), 5);
    assert_eq!(trace.find_sample("doc-3").unwrap().sample, 3);
}

#[test]
fn records_that_break_a_rule_are_refused_and_leave_the_writer_usable() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace");
    let mut writer = TraceWriter::create(&path, fixture::manifest(), fixture::config()).unwrap();
    let mut check = |change: fn(&mut crate::SampleRecord), expected: &str| {
        let mut record = fixture::record(0);
        change(&mut record);
        let message = writer.append(record).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    };
    check(|r| r.sample = 1, "sample 0 was expected");
    check(|r| r.meta.id = String::new(), "its id is empty");
    check(
        |r| _ = r.meta.labels.insert("colour".into(), "red".into()),
        "'colour' is not in the manifest's label_columns",
    );
    check(|r| r.tokens[1].position = 9, "positions must ascend");
    check(|r| r.tokens[1].phase = None, "its phase is unknown");
    check(|r| r.tokens[1].is_routed = false, "was expected");
    check(|r| r.decisions.moe_layer[0] = 1, "MoE layer 1");
    check(|r| r.decisions.selected_experts[0] = 6, "does not exist");
    check(
        |r| r.decisions.selected_experts[1] = r.decisions.selected_experts[0],
        "chosen twice",
    );
    check(
        |r| r.decisions.routing_weights.as_mut().unwrap().swap(0, 1),
        "not in order of weight",
    );
    check(
        |r| _ = r.decisions.entropy.as_mut().unwrap().pop(),
        "column entropy holds",
    );
    fixture::write_samples(&mut writer, 0, 2).unwrap();
    let error = writer.append(crate::SampleRecord {
        sample: 2,
        ..fixture::record(1)
    });
    assert!(error.unwrap_err().to_string().contains("occurred before"));
    writer.finish(fixture::summary()).unwrap();
    assert!(report(&path).is_valid());
}

#[test]
fn manifests_that_no_reader_would_accept_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace");
    let check = |change: fn(&mut Manifest), expected: &str| {
        let mut manifest = fixture::manifest();
        change(&mut manifest);
        let error = TraceWriter::create(&path, manifest, WriterConfig::default());
        let message = error.map(|_| ()).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
        assert!(!path.exists());
    };
    check(|m| m.model.top_k = 7, "top_k is 7");
    check(|m| m.model.moe_layers.clear(), "moe_layers is empty");
    check(|m| m.model.num_layers = 3, "num_layers is 3");
    check(
        |m| m.inputs[0].name = "/home/ada/x.jsonl".into(),
        "absolute",
    );
    check(|m| m.label_columns.push("ID".into()), "'ID' cannot be");
    check(
        |m| m.inputs[0].sha256 = Some("xyz".into()),
        "does not match",
    );
}

#[test]
fn a_folder_with_something_in_it_is_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("thesis.tex"), "x").unwrap();
    let create = TraceWriter::create(folder.path(), fixture::manifest(), fixture::config());
    assert!(matches!(create.err(), Some(TraceError::NotEmpty { .. })));
    let resume = TraceWriter::resume(folder.path(), &fixture::manifest(), fixture::config());
    assert!(matches!(resume.err(), Some(TraceError::NotATrace { .. })));
    assert!(folder.path().join("thesis.tex").exists());
}
