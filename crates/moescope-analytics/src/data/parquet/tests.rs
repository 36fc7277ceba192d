//! Documents come whole from row groups and shards, however these are cut.

use std::{
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
};

use moescope_core::{
    Cancelled, DecisionBatch, Discipline, LayerId, ModelSpec, NoProgress, Phase, PhaseSelection,
    Progress, Sample, TokenRow,
};
use moescope_testkit::{content_token, model_spec};
use moescope_trace::{
    CaptureSummary, ExpertsOrder, Manifest, SampleRecord, TraceWriter, WriterConfig,
};

use super::windows::{Window, Windows};
use crate::{
    AnalyticsError, CountSource, MemoryDocument, TraceData,
    data::{
        DecisionNeeds, DocumentDecisions, ProfileColumn, Source, Summary, TokenSelection,
        kept::KeptSummaries,
    },
};

const LAYERS: u16 = 2;

fn model() -> ModelSpec {
    model_spec(LAYERS, 4, 2)
}

/// A document whose first token is special, whose last quarter was generated, and whose last token was not routed.
fn document(number: u32, tokens: u32) -> MemoryDocument {
    let rows = (0..tokens).map(|position| TokenRow {
        text: None,
        phase: Some(if position < tokens - tokens / 4 {
            Phase::Prefill
        } else {
            Phase::Decode
        }),
        is_special: Some(position == 0),
        is_routed: position + 1 < tokens,
        ..content_token(position, position % 7)
    });
    let mut decisions = DecisionBatch::ids_only(4, 2);
    let mut weights = Vec::new();
    for position in 0..tokens - 1 {
        for moe_layer in 0..LAYERS {
            decisions.position.push(position);
            decisions.layer.push(LayerId(2 * moe_layer + 1));
            decisions.moe_layer.push(moe_layer);
            let first = u16::try_from((position / 3 + number) % 4).unwrap();
            decisions
                .selected_experts
                .extend([first, (first + 1 + moe_layer) % 4]);
            weights.extend([0.75, 0.25]);
        }
    }
    decisions.routing_weights = Some(weights);
    let sample = Sample {
        // Descending, so that the order of samples is not that of documents.
        id: format!("{:03}", 999 - number),
        discipline: Some(Discipline::new(["math", "law"][number as usize % 2]).unwrap()),
        ..Sample::default()
    };
    MemoryDocument::from_decisions(&model(), sample, rows.collect(), decisions)
}

/// Writes documents of these lengths in tokens; each inner list becomes a shard.
fn write(folder: &Path, shards: &[&[u32]]) -> Vec<MemoryDocument> {
    let manifest = Manifest {
        model: model(),
        compute_type: Some("f32".into()),
        ..Manifest::default()
    };
    let mut writer = TraceWriter::create(folder, manifest, WriterConfig::default()).unwrap();
    let mut documents = Vec::new();
    for shard in shards {
        for tokens in *shard {
            let number = u32::try_from(documents.len()).unwrap();
            let document = document(number, *tokens);
            writer
                .append(SampleRecord {
                    sample: number,
                    meta: document.sample.clone(),
                    num_prompt_tokens: None,
                    seed: None,
                    tokens: document.tokens.clone(),
                    decisions: document.decisions.clone().unwrap(),
                })
                .unwrap();
            documents.push(document);
        }
        writer.end_batch().unwrap();
        writer.flush_shard().unwrap();
    }
    writer.finish(CaptureSummary::default()).unwrap();
    documents
}

fn needs() -> DecisionNeeds {
    needs_of(TokenSelection::content(PhaseSelection::Prefill))
}

fn needs_of(tokens: TokenSelection) -> DecisionNeeds {
    DecisionNeeds {
        weights: true,
        token_ids: true,
        tokens,
        ..DecisionNeeds::default()
    }
}

/// Content tokens at some positions, both given and generated.
fn at(positions: &str) -> TokenSelection {
    TokenSelection {
        positions: positions.parse().unwrap(),
        ..TokenSelection::content(PhaseSelection::All)
    }
}

/// A document as it was read: everything that was asked for.
fn shown(decisions: &DocumentDecisions<'_>) -> String {
    format!("{decisions:?}")
}

/// All documents of a trace in the order in which windows of at most so many rows show them.
fn read(data: &TraceData, needs: &DecisionNeeds, most_rows: usize) -> Vec<String> {
    let Source::Parquet(files) = &data.source else {
        panic!("a trace on disk");
    };
    let mut windows = Windows::new(files, data, needs.clone(), "test", &NoProgress);
    windows.most_rows = most_rows;
    let mut found = Vec::new();
    let mut before = Window::default();
    while let Some(window) = windows.next(&before, Window::default()).unwrap() {
        found.extend((0..window.shard.len()).map(|at| shown(&window.shard.document(at))));
        before = window;
    }
    found
}

#[test]
fn documents_across_row_groups_and_shards_are_read_whole_whatever_the_window() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace");
    // Row groups have 131,072 rows, which are 65,536 tokens here: the first shard's third document lies across two of
    // them, the second shard's only one across three, of decisions and of tokens.
    let written = write(
        &path,
        &[&[30_000, 20_000, 40_000, 5], &[150_000], &[9, 3], &[2]],
    );
    let data = TraceData::open(&path).unwrap();
    let order = ExpertsOrder::ByWeight;
    let memory = TraceData::in_memory(model(), order, written).unwrap();
    // Positions that begin and end in the middle of row groups, and beyond the end of most documents.
    let placed = at("0,3-8,17000-70000,140000-");
    for needs in [needs(), needs_of(placed.clone())] {
        let mut expected = Vec::new();
        let mut counted = 0;
        memory
            .visit_decisions(needs.clone(), "test", &NoProgress, &mut |decisions| {
                expected.push(shown(&decisions));
                counted += decisions.counted_rows().count();
                Ok(())
            })
            .unwrap();
        assert_eq!(expected.len(), 8);
        assert!(counted > 0);
        for most_rows in [1, 140_000, usize::MAX] {
            let found = read(&data, &needs, most_rows);
            // The texts are long, so only whether they differ is shown.
            assert!(found == expected, "windows of {most_rows} rows");
        }
    }
    for column in [ProfileColumn::Tokens, ProfileColumn::Counts] {
        let sums = |data: &TraceData| data.tensor(column, &placed, "test", &NoProgress).unwrap();
        assert!(sums(&data) == sums(&memory), "{column:?}");
    }
    for phase in [PhaseSelection::Prefill, PhaseSelection::All] {
        let counts = |data: &TraceData, source| {
            data.label_counts("discipline", phase, source, &NoProgress)
                .unwrap()
        };
        let found = counts(&data, CountSource::Decisions);
        assert_eq!(found, counts(&data, CountSource::Profiles));
        assert_eq!(found, counts(&memory, CountSource::Decisions));
    }
    for tokens in [TokenSelection::content(PhaseSelection::All), placed] {
        let ids = |data: &TraceData| data.token_counts(&tokens, "test", &NoProgress).unwrap();
        assert_eq!(ids(&data), ids(&memory));
    }
}

#[test]
fn what_is_summed_at_some_positions_is_not_taken_for_what_is_summed_at_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace");
    write(&path, &[&[9, 3], &[12]]);
    let data = TraceData::open(&path).unwrap();
    let tokens = |selection: &TokenSelection| -> f64 {
        let found = data.tensor(ProfileColumn::Tokens, selection, "test", &NoProgress);
        let found = found.unwrap();
        (0..3).map(|document| found.row(document, 0)[0]).sum()
    };
    // The first token is special and the last not routed: 7, 1 and 10 are left.
    let all = TokenSelection::content(PhaseSelection::All);
    for _ in 0..2 {
        assert!((tokens(&all) - 18.0).abs() < 1e-12);
        // 1 and 2, 1, and 1 and 2.
        assert!((tokens(&at("0-2")) - 5.0).abs() < 1e-12);
        // 5 to 7, nothing, and 5 to 10.
        assert!((tokens(&at("5-")) - 9.0).abs() < 1e-12);
    }
    let kept = data.summaries.lock().unwrap();
    let kept = kept.iter().map(|((_, needs), _)| needs.tokens.clone());
    assert_eq!(kept.collect::<Vec<_>>(), [at("5-")]);
}

/// Cancels at the n-th report.
struct CancelAt(AtomicU32);

impl Progress for CancelAt {
    fn report(&self, _done: u64, _total: u64, _message: &str) -> Result<(), Cancelled> {
        let left = self.0.fetch_sub(1, Ordering::Relaxed);
        if left == 0 { Err(Cancelled) } else { Ok(()) }
    }
}

#[test]
fn a_cancel_at_any_report_ends_a_pass_and_the_next_pass_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace");
    write(&path, &[&[9, 3, 12], &[2], &[5, 4]]);
    let data = TraceData::open(&path).unwrap();
    let counts = |progress: &dyn Progress| {
        let source = CountSource::Decisions;
        data.label_counts("discipline", PhaseSelection::All, source, progress)
    };
    let expected = counts(&NoProgress).unwrap();
    let mut cancelled = 0;
    loop {
        match counts(&CancelAt(AtomicU32::new(cancelled))) {
            Ok(found) => {
                assert_eq!(found, expected);
                break;
            }
            Err(error) => assert!(matches!(error, AnalyticsError::Cancelled(_)), "{error}"),
        }
        cancelled += 1;
    }
    // One report for each row group and document at least.
    assert!(cancelled >= 3 + 6, "{cancelled}");
}

#[test]
fn a_summary_beside_the_trace_is_used_until_the_trace_or_the_question_changes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace");
    write(&path, &[&[9, 3, 12], &[5, 4]]);
    let open = || {
        let mut data = TraceData::open(&path).unwrap();
        // So small a trace would not be worth it.
        assert!(data.beside.is_none());
        let Source::Parquet(files) = &data.source else {
            panic!("a trace on disk");
        };
        data.beside = KeptSummaries::of_any(&files.trace);
        data
    };
    let summarize_of = |data: &TraceData, name: &str, needs: DecisionNeeds| {
        let seen = AtomicU32::new(0);
        let summary = Summary {
            name: name.to_owned(),
            needs,
            columns: 1,
            add: &|decisions, numbers| {
                seen.fetch_add(1, Ordering::Relaxed);
                for row in decisions.counted_rows() {
                    numbers[decisions.layer(row)] += f64::from(decisions.weights(row)[1]) / 3.0;
                }
            },
        };
        let found = data.summarize(&summary, "test", &NoProgress).unwrap();
        (found, seen.load(Ordering::Relaxed))
    };
    let summarize = |data: &TraceData, name: &str| summarize_of(data, name, needs());
    let (first, seen) = summarize(&open(), "a");
    assert_eq!(seen, 5);
    let (second, seen) = summarize(&open(), "a");
    assert_eq!((second, seen), (first.clone(), 0));
    assert_eq!(summarize(&open(), "b").1, 5);
    let (placed, seen) = summarize_of(&open(), "a", needs_of(at("2-")));
    assert_eq!(seen, 5, "other tokens are another question");
    assert!(placed != first);
    assert_eq!(summarize_of(&open(), "a", needs_of(at("2-"))), (placed, 0));
    assert_eq!(summarize(&open().without_cache(), "a"), (first.clone(), 5));
    // Damaged entries are as if they were not there.
    for entry in std::fs::read_dir(path.join(".moescope-cache")).unwrap() {
        let entry = entry.unwrap().path();
        if entry.extension().is_some_and(|end| end == "entry") {
            let mut bytes = std::fs::read(&entry).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            std::fs::write(&entry, bytes).unwrap();
        }
    }
    assert_eq!(summarize(&open(), "a"), (first, 5));
    let report = moescope_trace::validate(&path, &NoProgress).unwrap();
    assert!(report.is_valid(), "{report:?}");
    // Other documents in a folder of the same name.
    let cache = folder.path().join("cache");
    std::fs::rename(path.join(".moescope-cache"), &cache).unwrap();
    std::fs::remove_dir_all(&path).unwrap();
    write(&path, &[&[9, 3, 13], &[5, 4]]);
    std::fs::rename(&cache, path.join(".moescope-cache")).unwrap();
    assert_eq!(summarize(&open(), "a").1, 5);
}
