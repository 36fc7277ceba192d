//! Properties that hold whatever the numbers are, on synthetic traces with a known dependence.

use moescope_analytics::{
    ExpertsOrder, FingerprintKind, MeasureRequest, MemoryDocument, TraceData, catalogue, table,
};
use moescope_core::{AxisKind, Measurement, NoProgress};

use crate::common::{NAMES, NEED_MORE, Synthetic, counted, fails, measure, model, quick, sample};

/// Everything the catalogue says of a trace, as text, so that NaN equals NaN.
fn everything(data: &TraceData, request: &MeasureRequest) -> String {
    let all: Vec<Measurement> = catalogue()
        .iter()
        .filter(|metric| !NEED_MORE.contains(&metric.about().name))
        .flat_map(|metric| metric.measure(data, request, &NoProgress).unwrap())
        .collect();
    format!("{all:#?}")
}

#[test]
fn every_metric_gives_consistent_measurements_with_protocol() {
    let data = Synthetic::default().data();
    for metric in catalogue() {
        let about = metric.about();
        if NEED_MORE.contains(&about.name) {
            continue;
        }
        for found in metric.measure(&data, &quick(), &NoProgress).unwrap() {
            found.check().unwrap();
            assert_eq!(found.metric, about.name);
            let protocol = &found.protocol;
            assert_eq!(protocol.n_tokens, 3 * 6 * 24, "{}", about.name);
            assert_eq!((protocol.n_documents, protocol.n_groups), (18, 18));
            assert!(!protocol.scope.is_empty() && !protocol.interval_method.is_empty());
            assert!(table(&found).contains(&found.title));
        }
        let kinds: Vec<AxisKind> = metric.measure(&data, &quick(), &NoProgress).unwrap()[0]
            .axes
            .iter()
            .map(|axis| axis.kind)
            .collect();
        assert_eq!(kinds, about.axes, "{}", about.name);
    }
}

#[test]
fn order_of_documents_changes_nothing() {
    let synthetic = Synthetic::default();
    let mut documents = synthetic.documents();
    documents.reverse();
    let reversed =
        TraceData::in_memory(synthetic.model(), ExpertsOrder::ByWeight, documents).unwrap();
    assert_eq!(
        everything(&synthetic.data(), &quick()),
        everything(&reversed, &quick())
    );
}

#[test]
fn a_document_given_twice_within_its_group_changes_no_value() {
    let synthetic = Synthetic::default();
    let mut documents = synthetic.documents();
    let copies: Vec<MemoryDocument> = documents
        .iter()
        .cloned()
        .map(|mut copy| {
            copy.sample.id.push_str("-copy");
            copy
        })
        .collect();
    documents.extend(copies);
    let doubled =
        TraceData::in_memory(synthetic.model(), ExpertsOrder::ByWeight, documents).unwrap();
    for name in [
        "assignment_share",
        "aux_loss",
        "entropy_surprisal_correlation",
        "first_choice_repetition",
        "gini",
        "jsd",
        "selection_margin",
        "mutual_information",
        "routing_entropy",
    ] {
        let once = measure(&synthetic.data(), name, &quick()).remove(0);
        let twice = measure(&doubled, name, &quick()).remove(0);
        for (once, twice) in once.values.iter().zip(&twice.values) {
            assert!((once - twice).abs() < 1e-12, "{name}: {once} {twice}");
        }
        // Copies are no new groups, so the intervals are as wide as before.
        let width = |m: &Measurement| {
            let first = m
                .intervals
                .as_ref()
                .unwrap()
                .iter()
                .flatten()
                .next()
                .unwrap();
            first.high - first.low
        };
        assert!((width(&once) - width(&twice)).abs() < 1e-9, "{name}");
    }
}

#[test]
fn number_of_threads_changes_nothing() {
    let data = Synthetic::default().data();
    let with = |threads| {
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap()
            .install(|| everything(&data, &quick()))
    };
    assert_eq!(with(1), with(3));
}

#[test]
fn names_of_experts_do_not_matter_to_information() {
    let synthetic = Synthetic::default();
    let renamed: Vec<MemoryDocument> = synthetic
        .documents()
        .into_iter()
        .map(|mut document| {
            for profile in &mut document.profiles {
                profile.counts.rotate_left(3);
            }
            document
        })
        .collect();
    let renamed = TraceData::in_memory(synthetic.model(), ExpertsOrder::ByWeight, renamed).unwrap();
    for name in [
        "mutual_information",
        "nmi",
        "jsd",
        "load_entropy",
        "effective_experts",
        "gini",
        "coverage_count",
        "cramers_v",
    ] {
        let a = measure(&synthetic.data(), name, &quick()).remove(0);
        let b = measure(&renamed, name, &quick()).remove(0);
        for (a, b) in a.values.iter().zip(&b.values) {
            assert!((a - b).abs() < 1e-12, "{name}: {a} {b}");
        }
    }
}

#[test]
fn a_real_dependence_is_found_and_an_absent_one_is_not() {
    let request = MeasureRequest {
        resamples: 300,
        permutations: 300,
        ..MeasureRequest::default()
    };
    let real = measure(&Synthetic::default().data(), "mutual_information", &request).remove(0);
    let nulls = real.nulls.as_ref().unwrap();
    assert!(nulls[0].unwrap().p_corrected.unwrap() < 0.01, "{nulls:?}");
    let interval = real.intervals.as_ref().unwrap()[1].unwrap();
    assert!(interval.low > 0.0, "{interval:?}");

    let absent = Synthetic {
        effect: 0.0,
        ..Synthetic::default()
    };
    let absent = measure(&absent.data(), "mutual_information", &request).remove(0);
    let nulls = absent.nulls.as_ref().unwrap();
    assert!(
        nulls.iter().flatten().all(|null| null.p > 0.01),
        "{nulls:?}"
    );
    // The plug-in is as large as its null mean; what is left after subtraction is small.
    assert!(absent.value(&[0, 1]).abs() < 0.5 * absent.value(&[0, 0]));
}

#[test]
fn few_groups_have_no_interval_and_the_reason_is_given() {
    let few = Synthetic {
        groups_per_label: 3,
        ..Synthetic::default()
    };
    let found = measure(&few.data(), "assignment_share", &quick()).remove(0);
    assert_eq!(found.intervals, None);
    assert_eq!(
        found.protocol.interval_method,
        "no interval: 3 groups (math), 3 groups (physics), 3 groups (chemistry)"
    );
    // A label with few groups takes the interval from its own values only.
    let mut documents = Synthetic::default().documents();
    documents.retain(|d| {
        d.sample.discipline.as_ref().unwrap().as_str() != "math" || d.sample.id.as_str() < "math-2"
    });
    let data = TraceData::in_memory(
        Synthetic::default().model(),
        ExpertsOrder::ByWeight,
        documents,
    )
    .unwrap();
    let found = measure(&data, "load_entropy", &quick()).remove(0);
    let intervals = found.intervals.unwrap();
    assert_eq!((intervals[0], intervals[1].is_some()), (None, true));
    assert!(
        found
            .protocol
            .interval_method
            .ends_with("no interval: 2 groups (math)")
    );
}

#[test]
fn chunks_of_one_document_do_not_vote_for_each_other() {
    // Without any effect of the label, six chunks of one group still look alike; leaving the group out, they do not help.
    let synthetic = Synthetic {
        effect: 0.0,
        between_groups: 2.0,
        documents_per_group: 6,
        groups_per_label: 5,
        ..Synthetic::default()
    };
    let found = measure(&synthetic.data(), "fingerprint_knn", &quick()).remove(0);
    assert!(found.values[0] < 0.6, "{:?}", found.values);
    // With every document a group of its own, the same documents leak.
    let leaky = MeasureRequest {
        resample_by: "id".into(),
        ..quick()
    };
    let found = measure(&synthetic.data(), "fingerprint_knn", &leaky).remove(0);
    assert!(found.values[0] > 0.8, "{:?}", found.values);
}

#[test]
fn baselines_stand_beside_the_fingerprint() {
    let request = MeasureRequest {
        permutations: 200,
        ..quick()
    };
    let found = measure(&Synthetic::default().data(), "fingerprint_knn", &request).remove(0);
    let value = |name: &str| {
        let place = found.axes[0].labels.iter().position(|l| l == name).unwrap();
        (found.values[place], found.nulls.as_ref().unwrap()[place])
    };
    let (fingerprint, null) = value("fingerprint");
    assert!(
        fingerprint > 0.8 && null.unwrap().p < 0.01,
        "{:?}",
        found.values
    );
    assert!(value("length_only").0 < 0.7);
    assert!((value("majority").0 - 1.0 / 3.0).abs() < 1e-12);
    assert!((value("label_shuffle").0 - 1.0 / 3.0).abs() < 0.12);
    let (difference, _) = value("fingerprint_minus_bag_of_tokens");
    assert!((difference - (fingerprint - value("bag_of_tokens").0)).abs() < 1e-12);
    assert!(found.protocol.interval_method.starts_with("Wilson"));
}

#[test]
fn a_trace_without_tokens_has_no_token_baseline_and_says_so() {
    let model = model(1, 4, 2);
    let documents = (0..12u32)
        .map(|i| {
            let label = NAMES[(i % 2) as usize];
            let counts = if i % 2 == 0 {
                vec![9, 3, i, 0]
            } else {
                vec![0, i, 3, 9]
            };
            counted(
                &model,
                sample(&format!("d{i:02}"), label, &format!("g{i}")),
                &[counts],
            )
        })
        .collect();
    let data = TraceData::in_memory(model, ExpertsOrder::ByWeight, documents).unwrap();
    let request = MeasureRequest {
        fingerprint: FingerprintKind::SelectionFrequency,
        ..quick()
    };
    let found = measure(&data, "fingerprint_knn", &request).remove(0);
    assert!(
        (found.values[0] - 1.0).abs() < 1e-12 && found.values[1].is_nan(),
        "{found:?}"
    );
    assert!(
        found
            .protocol
            .notes
            .iter()
            .any(|note| note.starts_with("no bag-of-tokens baseline"))
    );
    assert!(fails(&data, "fingerprint_knn", &quick()).contains("selection_frequency"));
    let maps = measure(&data, "fingerprint_map", &request);
    assert_eq!(maps.len(), 3);
    assert_eq!(maps[0].axes[0].classes.as_ref().unwrap()[1], "physics");
}

#[test]
fn contrasts_find_the_favourite_expert() {
    let request = MeasureRequest {
        contrast: Some(("math".into(), "physics".into())),
        resamples: 300,
        permutations: 300,
        ..MeasureRequest::default()
    };
    let found = measure(&Synthetic::default().data(), "assignment_share", &request).remove(0);
    // Expert 0 is the favourite of math, expert 1 that of physics.
    assert!(found.value(&[0, 0, 0, 0]) > 0.05 && found.value(&[0, 0, 0, 1]) < -0.05);
    let null = found.nulls.as_ref().unwrap()[0].unwrap();
    assert!(null.p < 0.02 && null.p_corrected.unwrap() >= null.p);
    let interval = found.intervals.as_ref().unwrap()[0].unwrap();
    assert!(interval.low > 0.0);
    assert!(
        found
            .protocol
            .notes
            .iter()
            .any(|note| note.starts_with("power:"))
    );
}

#[test]
fn document_weighting_reaches_every_metric_of_labels() {
    let mut request = quick();
    request.scope.weighting = moescope_core::Weighting::Document;
    // All documents have the same length, so weighting changes nothing but the protocol.
    let data = Synthetic::default().data();
    for name in [
        "assignment_share",
        "routing_entropy",
        "any_overlap_repetition",
        "mutual_information",
        "aux_loss",
        "entropy_surprisal_correlation",
        "risk_difference",
        "weight_ratio",
    ] {
        let by_token = measure(&data, name, &quick()).remove(0);
        let by_document = measure(&data, name, &request).remove(0);
        for (a, b) in by_token.values.iter().zip(&by_document.values) {
            assert!((a - b).abs() < 1e-9, "{name}: {a} {b}");
        }
        assert!(by_document.protocol.scope.contains("document weighting"));
    }
}
