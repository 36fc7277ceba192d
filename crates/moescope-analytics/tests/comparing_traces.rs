//! Comparing traces: values computed by hand, traces whose relation is known, and published counts.

mod common;

use std::{fs, path::Path};

use common::{Synthetic, counted, model, quick, sample, token};
use moescope_analytics::{
    ExpertsOrder, MeasureRequest, MemoryDocument, TraceData, TraceSet, difference_of_traces, find,
    find_comparison,
};
use moescope_core::{
    AxisKind, DecisionBatch, LayerId, Measurement, ModelSpec, NoProgress, TokenRow,
};
use moescope_trace::{CaptureSummary, Manifest, SampleRecord, Scores, TraceWriter, WriterConfig};

fn set(traces: Vec<(&str, TraceData)>) -> TraceSet {
    let last = traces.len() - 1;
    let traces = traces
        .into_iter()
        .map(|(name, data)| (name.to_owned(), data));
    TraceSet::new(traces.collect(), last).unwrap()
}

fn data(model: &ModelSpec, documents: Vec<MemoryDocument>) -> TraceData {
    TraceData::in_memory(model.clone(), ExpertsOrder::ByWeight, documents).unwrap()
}

fn compare(traces: &TraceSet, name: &str, request: &MeasureRequest) -> Vec<Measurement> {
    find_comparison(name)
        .unwrap()
        .compare(traces, request, &NoProgress)
        .unwrap()
}

fn refused(traces: &TraceSet, name: &str, request: &MeasureRequest) -> String {
    find_comparison(name)
        .unwrap()
        .compare(traces, request, &NoProgress)
        .unwrap_err()
        .to_string()
}

fn difference(traces: &TraceSet, name: &str, request: &MeasureRequest) -> Vec<Measurement> {
    difference_of_traces(traces, find(name).unwrap(), request, &NoProgress).unwrap()
}

/// The table over these axes whose only variant is this one, where it has variants.
#[track_caller]
fn table<'a>(found: &'a [Measurement], axes: &[AxisKind], variant: &str) -> &'a Measurement {
    let is_it = |m: &&Measurement| {
        let kinds = m.axes.iter().map(|axis| axis.kind);
        let variants = m.axis(AxisKind::Variant);
        kinds.eq(axes.iter().copied())
            && variants.is_none_or(|(_, axis)| axis.len() > 1 || axis.labels == [variant])
    };
    let found = found.iter().find(is_it);
    found.unwrap_or_else(|| panic!("no table over {axes:?} of {variant}"))
}

#[track_caller]
fn close(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len(), "{found:?} {expected:?}");
    for (a, b) in found.iter().zip(expected) {
        let is_equal = (a - b).abs() < 1e-12 || a.is_nan() && b.is_nan();
        assert!(is_equal, "found {found:?}, expected {expected:?}");
    }
}

/// Logits whose softmax makes `experts` the chosen ones, with a margin that `gap` sets.
fn logits(experts: &[u16], num_experts: usize, gap: f32) -> Vec<f32> {
    let mut logits = vec![0.0; num_experts];
    for (rank, expert) in (0u16..).zip(experts) {
        logits[usize::from(*expert)] = gap + 0.5 * f32::from(2 - rank.min(2));
    }
    logits
}

/// A document whose tokens choose these experts at every layer, heaviest first.
fn document(
    model: &ModelSpec,
    id: &str,
    tokens: Vec<TokenRow>,
    experts: &[[u16; 2]],
) -> MemoryDocument {
    let num_experts = usize::from(model.num_experts);
    let mut batch = DecisionBatch::new(num_experts, 2);
    for (token, experts) in tokens.iter().zip(experts) {
        for (place, layer) in (0u16..).zip(&model.moe_layers) {
            let gap = if token.position == 0 { 4.0 } else { 0.0 };
            let logits = logits(experts, num_experts, gap);
            let gating = &model.gating;
            batch.push_decision(
                token.position,
                *layer,
                place,
                experts,
                &[0.75, 0.25],
                &logits,
                gating,
            );
        }
    }
    let mut meta = sample(id, if id < "c" { "law" } else { "math" }, id);
    meta.text = format!("text of {id}");
    MemoryDocument::from_decisions(model, meta, tokens, batch)
}

fn tokens(ids: &[u32]) -> Vec<TokenRow> {
    (0u32..).zip(ids).map(|(p, id)| token(p, *id)).collect()
}

/// Two documents as two checkpoints route them.
fn two_checkpoints() -> TraceSet {
    let model = model(1, 4, 2);
    let early = vec![
        document(&model, "a", tokens(&[7, 8]), &[[0, 1], [0, 2]]),
        document(&model, "c", tokens(&[9]), &[[0, 3]]),
    ];
    let last = vec![
        document(&model, "a", tokens(&[7, 8]), &[[1, 0], [2, 3]]),
        document(&model, "c", tokens(&[9]), &[[1, 2]]),
    ];
    set(vec![
        ("early", data(&model, early)),
        ("last", data(&model, last)),
    ])
}

#[test]
fn saturation_is_the_mean_overlap_computed_by_hand() {
    use AxisKind::{Group, Layer, Trace, Variant};
    let found = compare(&two_checkpoints(), "router_saturation", &quick());
    // {0,1} ∩ {1,0} = 2, {0,2} ∩ {2,3} = 1, {0,3} ∩ {1,2} = 0, each over k = 2: (1 + ½ + 0) / 3.
    let pooled = table(&found, &[Trace, Variant], "top_k");
    close(&pooled.values, &[0.5]);
    close(&[pooled.reference.unwrap()], &[0.5]);
    assert_eq!(pooled.axes[0].labels, ["early"]);
    close(
        &table(&found, &[Layer, Trace, Variant], "top_k").values,
        &[0.5],
    );
    // The heaviest experts, 0 0 0 against 1 2 1, are never the same; k/E is 1/4 for them.
    let first = table(&found, &[Layer, Trace, Variant], "top_1");
    close(&first.values, &[0.0]);
    close(&[first.reference.unwrap()], &[0.25]);
    // Shares of tokens: early (3, 1, 1, 1)/3, last (1, 2, 2, 1)/3; products (3 + 2 + 2 + 1)/9 over k = 2.
    let expected = table(&found, &[Layer, Trace, Variant], "expected_from_loads");
    close(&expected.values, &[8.0 / 18.0]);
    // Math is document c; law is document a, (1 + ½)/2.
    let by_label = table(&found, &[Layer, Trace, Group, Variant], "top_k");
    assert_eq!(by_label.axes[2].labels, ["math", "law"]);
    close(&by_label.values, &[0.0, 0.75]);
    assert!(
        by_label
            .protocol
            .interval_method
            .contains("no interval: 1 groups")
    );
    let notes = pooled.protocol.notes.join("\n");
    assert!(
        notes.contains("2 documents hold the same counted tokens"),
        "{notes}"
    );
}

#[test]
fn document_weighting_makes_documents_alike() {
    use AxisKind::{Trace, Variant};
    let mut request = quick();
    request.scope.weighting = moescope_core::Weighting::Document;
    let found = compare(&two_checkpoints(), "router_saturation", &request);
    // (¾ + 0) / 2.
    close(&table(&found, &[Trace, Variant], "top_k").values, &[0.375]);
}

#[test]
fn agreement_is_split_by_the_margin_of_the_reference() {
    use AxisKind::{Margin, Trace, Variant};
    let found = compare(&two_checkpoints(), "routing_agreement", &quick());
    let pooled = found
        .iter()
        .find(|m| m.axes.len() == 2 && m.axes[0].kind == Trace)
        .unwrap();
    assert_eq!(pooled.axes[1].labels, ["equal_sets", "mean_overlap"]);
    // One of three sets is the same; the mean overlap is the saturation.
    close(&pooled.values, &[1.0 / 3.0, 0.5]);
    // Tokens at position 0 have logits 5 and 4.5 for the chosen and 0 for the others: softmax .617, .374, .004, .004, a
    // margin of .370; the token at position 1 has 1, 0.5, 0, 0: .427, .259, .157, .157, a margin of .102.
    let by_margin = table(&found, &[Margin, Trace, Variant], "");
    assert_eq!(by_margin.axes[0].labels, ["0.1–0.3", "0.3–1"]);
    // Position 1 of a: ½ of the set. Position 0 of a and c: the same set, and another one.
    close(&by_margin.values, &[0.0, 0.5, 0.5, 0.5]);
    let counts = found.iter().find(|m| m.unit == "decisions").unwrap();
    close(&counts.values, &[1.0, 2.0]);
}

#[test]
fn an_import_without_margins_has_saturation_and_says_what_agreement_needs() {
    let model = model(1, 4, 2);
    let ids_only = |experts: [u16; 2]| {
        let mut batch = DecisionBatch::ids_only(4, 2);
        batch.position.push(0);
        batch.layer.push(model.moe_layers[0]);
        batch.moe_layer.push(0);
        batch.selected_experts.extend(experts);
        let one =
            MemoryDocument::from_decisions(&model, sample("a", "law", "a"), tokens(&[5]), batch);
        data(&model, vec![one])
    };
    let traces = set(vec![("x", ids_only([0, 1])), ("y", ids_only([0, 2]))]);
    let found = compare(&traces, "router_saturation", &quick());
    close(&found[0].values, &[0.5]);
    let error = refused(&traces, "routing_agreement", &quick());
    assert!(error.contains("column routing.margin of y"), "{error}");
}

/// Tokens of one text with their bytes.
fn covering(ranges: &[(u32, u32)], first_id: u32) -> Vec<TokenRow> {
    let tokens = (0u32..).zip(ranges);
    tokens
        .map(|(position, (start, end))| TokenRow {
            byte_start: Some(*start),
            byte_end: Some(*end),
            ..token(position, first_id + position)
        })
        .collect()
}

#[test]
fn another_tokenizer_is_matched_by_bytes() {
    use AxisKind::{Trace, Variant};
    let model = model(1, 4, 2);
    // The reference cuts eight bytes into 3 + 5, the other trace into 5 + 3.
    let reference = document(
        &model,
        "a",
        covering(&[(0, 3), (3, 8)], 10),
        &[[0, 1], [2, 3]],
    );
    let other = document(
        &model,
        "a",
        covering(&[(0, 5), (5, 8)], 70),
        &[[0, 1], [2, 0]],
    );
    let traces = set(vec![
        ("other", data(&model, vec![other])),
        ("reference", data(&model, vec![reference])),
    ]);
    let found = compare(&traces, "router_saturation", &quick());
    // Token 1 lies in {0,1}: 1. Of token 2, ⅖ lie in {0,1} ∩ {2,3} = ∅ and ⅗ in {2,0}: ½. (1 + ⅖·0 + ⅗·½) / 2.
    close(&table(&found, &[Trace, Variant], "top_k").values, &[0.65]);
    let notes = found[0].protocol.notes.join("\n");
    assert!(
        notes.contains("matched by the bytes") && notes.contains("100.0 %"),
        "{notes}"
    );
}

#[test]
fn other_texts_are_refused_token_by_token_and_left_to_distributions() {
    let model = model(1, 4, 2);
    let mut other = document(&model, "a", tokens(&[7, 8]), &[[0, 1], [0, 2]]);
    other.sample.text = "another text".into();
    let reference = document(&model, "a", tokens(&[7, 9]), &[[0, 1], [0, 2]]);
    let traces = set(vec![
        ("x", data(&model, vec![other])),
        ("y", data(&model, vec![reference])),
    ]);
    let error = refused(&traces, "router_saturation", &quick());
    assert!(
        error.contains("no document of x and y") && error.contains("only distributions"),
        "{error}"
    );
    let found = compare(&traces, "routing_drift", &quick());
    close(&found[0].values, &[0.0]);
    let notes = found[0].protocol.notes.join("\n");
    assert!(
        notes.contains("1 of 1 paired documents hold another text"),
        "{notes}"
    );
}

#[test]
fn documents_of_one_trace_only_are_counted_and_left_out() {
    let model = model(1, 4, 2);
    let shared = || document(&model, "a", tokens(&[7]), &[[0, 1]]);
    let alone = document(&model, "z", tokens(&[7]), &[[2, 3]]);
    let traces = set(vec![
        ("x", data(&model, vec![shared(), alone])),
        ("y", data(&model, vec![shared()])),
    ]);
    let found = compare(&traces, "router_saturation", &quick());
    close(&found[0].values, &[1.0]);
    let note = "1 documents of x are not in every trace and are left out";
    assert!(found[0].protocol.notes.iter().any(|n| n == note));
}

#[test]
fn a_trace_compared_with_itself_differs_in_nothing() {
    let synthetic = Synthetic::default();
    let traces = set(vec![("x", synthetic.data()), ("y", synthetic.data())]);
    for measurement in compare(&traces, "router_saturation", &quick()) {
        let variant = &measurement.axis(AxisKind::Variant).unwrap().1.labels[0];
        if variant != "expected_from_loads" {
            assert!(measurement.values.iter().all(|v| (v - 1.0).abs() < 1e-12));
        }
    }
    for measurement in compare(&traces, "routing_drift", &quick()) {
        assert!(measurement.values.iter().all(|v| v.abs() < 1e-12));
        let nulls = measurement.nulls.unwrap();
        assert!(nulls.iter().flatten().all(|null| null.p > 0.99));
    }
    let found = difference(&traces, "load_entropy", &quick());
    assert!(
        found
            .iter()
            .flat_map(|m| &m.values)
            .all(|v| v.abs() < 1e-12)
    );
}

#[test]
fn a_difference_is_that_of_both_values_and_its_interval_that_of_pairs() {
    use AxisKind::{Expert, Group, Layer, Trace};
    let (early, last) = (
        Synthetic::default(),
        Synthetic {
            effect: 1.4,
            ..Synthetic::default()
        },
    );
    let request = MeasureRequest {
        resamples: 300,
        permutations: 200,
        ..MeasureRequest::default()
    };
    let traces = set(vec![("early", early.data()), ("last", last.data())]);
    let found = difference(&traces, "assignment_share", &request);
    assert_eq!(found.len(), 2, "over all documents, and by label");
    let kinds = |m: &Measurement| m.axes.iter().map(|a| a.kind).collect::<Vec<_>>();
    assert_eq!(kinds(&found[0]), [Layer, Trace, Expert]);
    assert_eq!(kinds(&found[1]), [Layer, Trace, Group, Expert]);
    let by_label = MeasureRequest::default();
    let own = |synthetic: Synthetic| {
        common::measure(&synthetic.data(), "assignment_share", &by_label).remove(0)
    };
    let (a, b) = (own(early), own(last));
    let expected: Vec<f64> = a.values.iter().zip(&b.values).map(|(a, b)| a - b).collect();
    close(&found[1].values, &expected);
    assert_eq!(
        found[1].title,
        "Share of assignments per expert: trace minus last"
    );
    assert!(
        found[1]
            .protocol
            .interval_method
            .contains("from both traces together")
    );
    assert!(found[1].protocol.null_method.contains("swapped at random"));
    assert_eq!(found[1].protocol.n_documents, 18);
    assert_eq!(
        (found[0].protocol.by.as_str(), found[1].protocol.by.as_str()),
        ("all", "discipline")
    );

    // The same documents under other ids: two independent samples, whose intervals are wider.
    let mut renamed = early.documents();
    for document in &mut renamed {
        document.sample.id.insert_str(0, "other-");
        document
            .sample
            .group
            .as_mut()
            .unwrap()
            .insert_str(0, "other-");
    }
    let apart = set(vec![
        ("early", data(&early.model(), renamed)),
        ("last", last.data()),
    ]);
    let unpaired = difference(&apart, "assignment_share", &request);
    close(&unpaired[1].values, &expected);
    assert!(
        unpaired[0]
            .protocol
            .notes
            .iter()
            .any(|n| n.contains("two independent samples"))
    );
    let width = |m: &Measurement| {
        let intervals = m.intervals.as_ref().unwrap().iter().flatten();
        intervals.map(|i| i.high - i.low).sum::<f64>()
    };
    assert!(width(&found[0]) < 0.8 * width(&unpaired[0]));
}

#[test]
fn dependence_on_labels_is_compared_with_intervals_from_pairs() {
    let (early, last) = (
        Synthetic::default(),
        Synthetic {
            effect: 2.5,
            ..Synthetic::default()
        },
    );
    let request = MeasureRequest {
        resamples: 200,
        permutations: 200,
        ..MeasureRequest::default()
    };
    let traces = set(vec![("early", early.data()), ("last", last.data())]);
    let found = difference(&traces, "mutual_information", &request).remove(0);
    let own = |synthetic: Synthetic| {
        let found = common::measure(&synthetic.data(), "mutual_information", &quick()).remove(0);
        // Layers × (plug_in, minus_permutation_mean).
        [found.values[0], found.values[2]]
    };
    let (a, b) = (own(early), own(last));
    close(&found.values, &[a[0] - b[0], a[1] - b[1]]);
    // A label's favourite expert is chosen far more often in the last, so labels tell more there.
    for layer in 0..2 {
        let interval = found.intervals.as_ref().unwrap()[layer].unwrap();
        assert!(interval.high < 0.0, "{interval:?}");
        let null = found.nulls.as_ref().unwrap()[layer].unwrap();
        assert!(null.p_corrected.unwrap() < 0.05, "{null:?}");
    }
    assert!(found.title.ends_with(": trace minus last"));
}

#[test]
fn metrics_that_are_no_difference_are_refused_in_words() {
    let traces = set(vec![
        ("x", Synthetic::default().data()),
        ("y", Synthetic::default().data()),
    ]);
    for name in ["fingerprint_knn", "jsd"] {
        let metric = find(name).unwrap();
        let error = difference_of_traces(&traces, metric, &quick(), &NoProgress).unwrap_err();
        let error = error.to_string();
        assert!(
            error.contains("no difference of two traces"),
            "{name}: {error}"
        );
    }
}

#[test]
fn other_numbers_of_experts_are_refused_by_id_and_matched_by_profile() {
    let small = Synthetic::default();
    let large = Synthetic {
        experts: 12,
        layers: 4,
        ..small
    };
    let traces = set(vec![("large", large.data()), ("small", small.data())]);
    for name in ["router_saturation", "routing_drift"] {
        let error = refused(&traces, name, &quick());
        assert!(
            error.contains("2 of 12 experts") && error.contains("expert_matching"),
            "{error}"
        );
    }
    let found = compare(&traces, "expert_matching", &quick());
    let ids = &found[0];
    assert_eq!(ids.unit, "expert id");
    // The two were drawn with other tokens, so there is the matching by profiles alone: two layers of eight experts.
    assert_eq!(ids.axes[3].labels, ["profiles"]);
    assert_eq!(ids.values.len(), 2 * 8);
    let notes = ids.protocol.notes.join("\n");
    assert!(notes.contains("no matching by co-selection"), "{notes}");
    assert!(ids.values.iter().all(|id| (0.0..12.0).contains(id)));
    assert!(
        found[0]
            .protocol
            .notes
            .iter()
            .any(|n| n.contains("by relative depth: 1→1, 3→7"))
    );
}

/// The synthetic documents with their experts renamed, in another order of documents.
fn renamed(synthetic: Synthetic, names: &[u16; 8]) -> Vec<MemoryDocument> {
    let model = synthetic.model();
    let mut documents: Vec<MemoryDocument> = synthetic
        .documents()
        .into_iter()
        .map(|document| {
            let old = document.decisions.as_ref().unwrap();
            let mut batch = DecisionBatch::new(8, 2);
            for row in 0..old.len() {
                let experts: Vec<u16> = old
                    .experts(row)
                    .iter()
                    .map(|e| names[usize::from(*e)])
                    .collect();
                let mut logits = vec![0.0; 8];
                for (expert, logit) in old.logits(row).unwrap().iter().enumerate() {
                    logits[usize::from(names[expert])] = *logit;
                }
                batch.push_decision(
                    old.position[row],
                    old.layer[row],
                    old.moe_layer[row],
                    &experts,
                    old.weights(row).unwrap(),
                    &logits,
                    &model.gating,
                );
            }
            MemoryDocument::from_decisions(&model, document.sample, document.tokens, batch)
        })
        .collect();
    documents.reverse();
    documents
}

#[test]
fn renamed_experts_are_found_by_profiles_and_by_tokens() {
    let synthetic = Synthetic {
        labels: 8,
        effect: 2.0,
        ..Synthetic::default()
    };
    let names = [3, 7, 0, 6, 1, 5, 2, 4];
    let other = data(&synthetic.model(), renamed(synthetic, &names));
    let traces = set(vec![("renamed", other), ("reference", synthetic.data())]);
    let found = compare(&traces, "expert_matching", &quick());
    let expected: Vec<f64> = (0..2)
        .flat_map(|_| names.iter().flat_map(|name| [f64::from(*name); 2]))
        .collect();
    close(&found[0].values, &expected);
    assert_eq!(found[0].axes[3].labels, ["profiles", "co_selection"]);
    // The same experts under other names: everything is explained, on held-out texts as well.
    assert!(found[1].values.iter().all(|part| (part - 1.0).abs() < 1e-9));
    let score = |variant: &str| {
        let last = |m: &&Measurement| m.axes[2].labels == [variant] && m.axes.len() == 3;
        found.iter().find(last).unwrap()
    };
    for variant in ["profiles", "co_selection", "held_out"] {
        assert!(
            score(variant).values.iter().all(|v| (v - 1.0).abs() < 1e-9),
            "{variant}"
        );
    }
    assert!(score("by_id").values.iter().all(|v| *v < 0.5));
    let nulls = score("profiles").nulls.as_ref().unwrap();
    // 50 permutations: the smallest p is 1/51.
    assert!(
        nulls
            .iter()
            .all(|null| null.unwrap().p < 0.02 && null.unwrap().null_mean < 0.95)
    );
    assert!(score("held_out").intervals.is_some());
}

#[test]
fn matching_by_tokens_alone_works_without_labels_and_says_so() {
    let synthetic = Synthetic::default();
    let traces = set(vec![("x", synthetic.data()), ("y", synthetic.data())]);
    let request = MeasureRequest {
        by: "all".into(),
        ..quick()
    };
    let found = compare(&traces, "expert_matching", &request);
    assert_eq!(found[0].axes[3].labels, ["co_selection"]);
    assert!(
        found[0]
            .protocol
            .notes
            .iter()
            .any(|n| n.contains("no matching by profiles"))
    );
}

fn write(model: &ModelSpec, documents: Vec<MemoryDocument>, folder: &Path) {
    let manifest = Manifest {
        scores: Scores::of(&model.gating),
        model: model.clone(),
        ..Manifest::default()
    };
    let config = WriterConfig {
        shard_decisions: 200,
        ..WriterConfig::default()
    };
    let mut writer = TraceWriter::create(folder, manifest, config).unwrap();
    for (number, document) in (0u32..).zip(documents) {
        let record = SampleRecord {
            sample: number,
            meta: document.sample,
            num_prompt_tokens: None,
            seed: None,
            tokens: document.tokens,
            decisions: document.decisions.unwrap(),
        };
        writer.append(record).unwrap();
        writer.end_batch().unwrap();
    }
    writer.finish(CaptureSummary::default()).unwrap();
}

#[test]
fn traces_on_disk_compare_like_those_in_memory_whatever_their_order_and_shards() {
    let (early, last) = (
        Synthetic::default(),
        Synthetic {
            effect: 2.0,
            ..Synthetic::default()
        },
    );
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let mut reversed = early.documents();
    reversed.reverse();
    write(&early.model(), reversed, &path("early"));
    write(&last.model(), last.documents(), &path("last"));
    let open = |name: &str| TraceData::open(&path(name)).unwrap();
    assert!(
        fs::read_dir(path("early/routing")).unwrap().count() > 3,
        "several shards"
    );
    let stored = set(vec![("early", open("early")), ("last", open("last"))]);
    let memory = set(vec![("early", early.data()), ("last", last.data())]);
    for name in ["router_saturation", "routing_drift", "expert_matching"] {
        let (stored, memory) = (
            compare(&stored, name, &quick()),
            compare(&memory, name, &quick()),
        );
        assert_eq!(stored.len(), memory.len());
        for (stored, memory) in stored.iter().zip(&memory) {
            close(&stored.values, &memory.values);
            assert_eq!(stored.intervals, memory.intervals, "{name}");
        }
    }
    let stored = difference(&stored, "routing_entropy", &quick());
    let memory = difference(&memory, "routing_entropy", &quick());
    for (a, b) in stored[1].values.iter().zip(&memory[1].values) {
        // Floats are stored with 11 significant bits.
        assert!((a - b).abs() < 1e-3);
    }
}

#[test]
fn fine_tuning_drifted_as_far_as_published_counts_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/reference/olmoe/expert_counts.json");
    let Ok(text) = fs::read_to_string(path) else {
        println!("skipped: the published counts are not present");
        return;
    };
    let counts: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut spec = model(3, 64, 8);
    spec.moe_layers = [0, 7, 15].map(LayerId).to_vec();
    spec.num_layers = 16;
    let trace = |checkpoint: &str| {
        let layers: Vec<Vec<u32>> = (0..3)
            .map(|layer| {
                let cells = &counts[checkpoint]["expert_counts"]["tulu"][layer];
                let count = |e: u16| cells[e.to_string()].as_u64().unwrap_or(0);
                (0..64).map(|e| u32::try_from(count(e)).unwrap()).collect()
            })
            .collect();
        data(
            &spec,
            vec![counted(&spec, sample("tulu", "all", "tulu"), &layers)],
        )
    };
    let traces = set(vec![
        ("base", trace("olmoe")),
        ("dpo", trace("olmoe-dpo")),
        ("sft", trace("olmoe-sft")),
    ]);
    let found = compare(&traces, "routing_drift", &quick()).remove(0);
    assert_eq!(found.axes[1].labels, ["base", "dpo"]);
    // Layers 0, 7 and 15, base and DPO against SFT, in bits.
    let expected = [(0.0061, 0.00005), (0.0056, 0.00014), (0.0091, 0.00018)];
    for (layer, (base, dpo)) in expected.into_iter().enumerate() {
        assert!((found.value(&[layer, 0]) - base).abs() < 5.1e-5);
        assert!((found.value(&[layer, 1]) - dpo).abs() < 5.1e-6);
    }
    assert!(
        found
            .protocol
            .interval_method
            .contains("no interval: 1 groups")
    );
    assert!(found.intervals.is_none());
}
