//! Validation finds each kind of violation that is planted, and names it.

use std::{fs, path::Path, sync::Arc};

use arrow_array::{
    ArrayRef, BooleanArray, Float32Array, ListArray, RecordBatch, StringArray, UInt16Array,
    UInt32Array,
    cast::AsArray as _,
    types::{Float32Type, UInt16Type, UInt32Type},
};
use parquet::arrow::ArrowWriter;
use serde_json::Value;

use super::{kinds, report};
use crate::{
    Manifest, Table, ViolationKind, WriterConfig, durable, fixture, schema, table_file::TableFile,
};

/// Rewrites one shard of a table and its entry in the manifest, as an honest but mistaken writer would.
fn rewrite(path: &Path, table: Table, change: impl FnOnce(RecordBatch) -> RecordBatch) {
    let manifest = Manifest::read(path).unwrap();
    let name = path.join(table.shard_file(0));
    let file = TableFile::open(&name, table, &manifest).unwrap();
    let batch = change(file.scan().unwrap().next_batch().unwrap().unwrap());
    let mut content = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut content, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    fs::write(&name, &content).unwrap();
    let sum = durable::sha256_of(&name, |_| Ok(())).unwrap();
    edit_manifest(path, |manifest| {
        let entry = &mut manifest["shards"][0]["tables"][table.name()];
        entry["bytes"] = content.len().into();
        entry["sha256"] = sum.into();
    });
}

fn edit_manifest(path: &Path, change: impl FnOnce(&mut Value)) {
    let file = path.join("manifest.json");
    let mut value: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    change(&mut value);
    fs::write(&file, value.to_string()).unwrap();
}

fn with_column(batch: &RecordBatch, name: &str, column: ArrayRef) -> RecordBatch {
    let mut columns = batch.columns().to_vec();
    columns[batch.schema().index_of(name).unwrap()] = column;
    RecordBatch::try_new(batch.schema(), columns).unwrap()
}

/// Replaces the numbers of a column without NULLs.
fn edit_u32(batch: &RecordBatch, name: &str, change: impl FnOnce(&mut Vec<u32>)) -> RecordBatch {
    let mut values = batch[name].as_primitive::<UInt32Type>().values().to_vec();
    change(&mut values);
    with_column(batch, name, Arc::new(UInt32Array::from(values)))
}

fn edit_u16(batch: &RecordBatch, name: &str, change: impl FnOnce(&mut Vec<u16>)) -> RecordBatch {
    let mut values = batch[name].as_primitive::<UInt16Type>().values().to_vec();
    change(&mut values);
    with_column(batch, name, Arc::new(UInt16Array::from(values)))
}

fn edit_f32(batch: &RecordBatch, name: &str, change: impl FnOnce(&mut Vec<f32>)) -> RecordBatch {
    let mut values = batch[name].as_primitive::<Float32Type>().values().to_vec();
    change(&mut values);
    with_column(batch, name, Arc::new(Float32Array::from(values)))
}

/// Replaces the values of a list column; the lists keep their lengths.
fn edit_list(
    batch: &RecordBatch,
    name: &str,
    change: impl FnOnce(ArrayRef) -> ArrayRef,
) -> RecordBatch {
    let lists = batch[name].as_list::<i32>();
    let (field, offsets, values, nulls) = lists.clone().into_parts();
    let lists = ListArray::new(field, offsets, change(values), nulls);
    with_column(batch, name, Arc::new(lists))
}

fn edit_experts(batch: &RecordBatch, change: impl FnOnce(&mut Vec<u16>)) -> RecordBatch {
    edit_list(batch, schema::EXPERTS, |values| {
        let mut values = values.as_primitive::<UInt16Type>().values().to_vec();
        change(&mut values);
        Arc::new(UInt16Array::from(values))
    })
}

fn edit_floats(batch: &RecordBatch, name: &str, change: impl FnOnce(&mut Vec<f32>)) -> RecordBatch {
    edit_list(batch, name, |values| {
        let mut values = values.as_primitive::<Float32Type>().values().to_vec();
        change(&mut values);
        Arc::new(Float32Array::from(values))
    })
}

fn config() -> WriterConfig {
    WriterConfig {
        keep_logits: true,
        ..WriterConfig::default()
    }
}

/// Writes three documents in one shard, plants a violation, and checks which kinds are found.
fn check(
    table: Table,
    change: impl FnOnce(RecordBatch) -> RecordBatch,
    expected: &[ViolationKind],
) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace");
    fixture::write_trace(&path, 3, config());
    rewrite(&path, table, change);
    assert_eq!(kinds(&path), expected, "{:#?}", report(&path));
}

fn check_manifest(change: impl FnOnce(&mut Value), expected: &[ViolationKind]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace");
    fixture::write_trace(&path, 3, config());
    edit_manifest(&path, change);
    assert_eq!(kinds(&path), expected, "{:#?}", report(&path));
}

#[test]
fn rewriting_without_a_change_is_valid() {
    for table in Table::ALL {
        check(table, |batch| batch, &[]);
    }
}

#[test]
fn duplicate_ids() {
    let ids = |batch: RecordBatch| {
        let ids = StringArray::from(vec!["doc-0", "doc-1", "doc-0"]);
        with_column(&batch, schema::ID, Arc::new(ids))
    };
    check(Table::Samples, ids, &[ViolationKind::DuplicateId]);
}

#[test]
fn token_counts_that_are_not_those_of_the_table() {
    check(
        Table::Samples,
        |b| edit_u32(&b, schema::NUM_TOKENS, |n| n[1] += 1),
        &[ViolationKind::TokenCount],
    );
}

#[test]
fn rows_out_of_order() {
    // The tokens trade places, and with them the phase of their decisions.
    check(
        Table::Tokens,
        |b| edit_u32(&b, schema::POSITION, |p| p.swap(1, 2)),
        &[ViolationKind::Order, ViolationKind::Profile],
    );
    // Position 0 at layers 3, 1 instead of 1, 3: the same set of keys, and the profiles keep their sums,
    // because position 0 is special.
    check(
        Table::Routing,
        |b| {
            let b = edit_u16(&b, schema::LAYER, |l| l.swap(0, 1));
            edit_u16(&b, schema::MOE_LAYER, |l| l.swap(0, 1))
        },
        &[ViolationKind::Order],
    );
    // The first document's rows after those of the last.
    check(
        Table::Profiles,
        |b| {
            edit_u32(&b, schema::SAMPLE, |s| {
                let last = s.len() - 1;
                s[last] = 0;
            })
        },
        &[ViolationKind::Order, ViolationKind::Profile],
    );
}

#[test]
fn rows_of_a_sample_that_does_not_exist() {
    check(
        Table::Tokens,
        |b| {
            edit_u32(&b, schema::SAMPLE, |s| {
                for sample in s {
                    *sample += u32::from(*sample == 2);
                }
            })
        },
        &[
            ViolationKind::UnknownSample,
            ViolationKind::TokenCount,
            ViolationKind::UnexpectedDecision,
        ],
    );
}

#[test]
fn missing_and_doubled_decisions() {
    // The decision of layer 3 at position 0 becomes a second one of layer 1.
    check(
        Table::Routing,
        |b| {
            let b = edit_u16(&b, schema::LAYER, |l| l[1] = 1);
            edit_u16(&b, schema::MOE_LAYER, |l| l[1] = 0)
        },
        &[
            ViolationKind::MissingDecision,
            ViolationKind::UnexpectedDecision,
        ],
    );
    // A row less, and a manifest that still counts it.
    check(
        Table::Routing,
        |b| b.slice(0, b.num_rows() - 1),
        &[ViolationKind::RowCount, ViolationKind::MissingDecision],
    );
}

#[test]
fn decisions_of_tokens_that_were_not_routed() {
    check(
        Table::Tokens,
        |b| {
            let routed = b[schema::IS_ROUTED].as_boolean();
            let values: BooleanArray = (0..b.num_rows())
                .map(|row| Some(row != 1 && routed.value(row)))
                .collect();
            with_column(&b, schema::IS_ROUTED, Arc::new(values))
        },
        &[ViolationKind::UnexpectedDecision],
    );
}

#[test]
fn experts_that_do_not_exist_or_repeat() {
    check(
        Table::Routing,
        |b| edit_experts(&b, |e| e[0] = 6),
        &[ViolationKind::ExpertRange],
    );
    check(
        Table::Routing,
        |b| edit_experts(&b, |e| e[0] = e[1]),
        &[ViolationKind::RepeatedExpert],
    );
}

#[test]
fn weights_that_do_not_obey_the_gating() {
    check(
        Table::Routing,
        |b| edit_floats(&b, schema::WEIGHTS, |w| w[0] *= 1.02),
        &[ViolationKind::Weights],
    );
    check(
        Table::Routing,
        |b| edit_floats(&b, schema::WEIGHTS, |w| w[1] = f32::NAN),
        &[ViolationKind::Weights],
    );
    check(
        Table::Routing,
        |b| edit_floats(&b, schema::WEIGHTS, |w| w.swap(0, 1)),
        &[ViolationKind::ExpertOrder],
    );
}

#[test]
fn numbers_out_of_their_range() {
    for (name, value) in [
        (schema::ENTROPY, -0.5),
        (schema::ENTROPY, 1.9),
        (schema::TOPK_MASS, 1.5),
        (schema::LOGSUMEXP, f32::NAN),
    ] {
        check(
            Table::Routing,
            |b| edit_f32(&b, name, |v| v[0] = value),
            &[ViolationKind::ValueRange],
        );
    }
    check(
        Table::Routing,
        |b| edit_u16(&b, schema::RUNNER_UP, |r| r[0] = 6),
        &[ViolationKind::ValueRange],
    );
}

#[test]
fn lists_of_another_length() {
    check(
        Table::Routing,
        |b| {
            let lists = b[schema::WEIGHTS].as_list::<i32>().iter();
            let shorter = lists.enumerate().map(|(row, list)| {
                let list = list.unwrap();
                let values = list.as_primitive::<Float32Type>().values().to_vec();
                Some(
                    values[usize::from(row == 3)..]
                        .iter()
                        .copied()
                        .map(Some)
                        .collect::<Vec<_>>(),
                )
            });
            let lists = ListArray::from_iter_primitive::<Float32Type, _, _>(shorter);
            let (_, offsets, values, nulls) = lists.into_parts();
            let field = schema::element_field(arrow_schema::DataType::Float32);
            with_column(
                &b,
                schema::WEIGHTS,
                Arc::new(ListArray::new(field, offsets, values, nulls)),
            )
        },
        &[ViolationKind::ListLength],
    );
}

#[test]
fn profiles_that_are_not_the_sums() {
    check(
        Table::Profiles,
        |b| {
            edit_list(&b, schema::COUNTS, |values| {
                let mut counts = values.as_primitive::<UInt32Type>().values().to_vec();
                let (from, to) = (
                    counts.iter().position(|n| *n > 0).unwrap(),
                    counts.iter().position(|n| *n == 0).unwrap(),
                );
                counts.swap(from, to);
                Arc::new(UInt32Array::from(counts))
            })
        },
        &[ViolationKind::Profile],
    );
    for name in [schema::PROB_SUM, schema::LOGIT_SUM, schema::LAST_PROB] {
        check(
            Table::Profiles,
            |b| edit_floats(&b, name, |v| v[0] += 0.2),
            &[ViolationKind::Profile],
        );
    }
    check(
        Table::Profiles,
        |b| {
            edit_floats(&b, schema::WEIGHT_SUM, |v| {
                *v.iter_mut().find(|v| **v > 0.0).unwrap() *= 1.01;
            })
        },
        &[ViolationKind::Profile],
    );
    check(
        Table::Profiles,
        |b| b.slice(1, b.num_rows() - 1),
        &[ViolationKind::RowCount, ViolationKind::Profile],
    );
}

#[test]
fn columns_of_another_type_or_name() {
    check(
        Table::Routing,
        |b| {
            let schema = b.schema();
            let names = schema.fields().iter().map(|field| {
                let name = field.name().replace(schema::ENTROPY, "Entropy");
                field.as_ref().clone().with_name(name)
            });
            let renamed = arrow_schema::Schema::new(names.collect::<Vec<_>>());
            RecordBatch::try_new(Arc::new(renamed), b.columns().to_vec()).unwrap()
        },
        &[ViolationKind::Unreadable],
    );
}

#[test]
fn manifests_that_lie() {
    check_manifest(
        |m| m["complete"] = false.into(),
        &[ViolationKind::Incomplete],
    );
    check_manifest(
        |m| m["counts"]["tokens"] = 1.into(),
        &[ViolationKind::RowCount],
    );
    check_manifest(
        |m| m["shards"][0]["tables"]["tokens"]["rows"] = 1.into(),
        &[ViolationKind::RowCount],
    );
    check_manifest(
        |m| m["unknown_columns"] = serde_json::json!(["routing.entropy"]),
        &[ViolationKind::UnknownColumn],
    );
    check_manifest(
        |m| m["model"]["gating"]["scaling"] = 2.5.into(),
        &[ViolationKind::Weights],
    );
    check_manifest(
        |m| m["scores"]["experts_order"] = "by_name".into(),
        &[ViolationKind::Manifest],
    );
    check_manifest(
        |m| _ = m.as_object_mut().unwrap().remove("model"),
        &[ViolationKind::Manifest],
    );
}

#[test]
fn files_that_do_not_belong_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace");
    fixture::write_trace(&path, 3, config());
    fs::copy(
        path.join("routing/part-00000.parquet"),
        path.join("routing/part-00001.parquet"),
    )
    .unwrap();
    assert_eq!(kinds(&path), [ViolationKind::StrayFile]);
}

#[test]
fn a_violation_in_every_row_is_counted_with_twenty_examples() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace");
    fixture::write_trace(&path, 3, config());
    rewrite(&path, Table::Routing, |b| {
        edit_f32(&b, schema::ENTROPY, |v| v.fill(9.0))
    });
    let report = report(&path);
    assert_eq!(report.count(ViolationKind::ValueRange), report.decisions);
    assert_eq!(report.violations[0].examples.len(), 20);
    // Documents 0 to 2 have 4, 5 and 6 routed tokens at two layers.
    assert_eq!(report.decisions, 30);
}
