//! Metrics of one trace as differences of two.

use super::{close, compare, data, difference, set};
use crate::common::{NAMES, Synthetic, measure, quick};
use moescope_analytics::{MeasureRequest, MemoryDocument, difference_of_traces, find};
use moescope_core::{AxisKind, Discipline, Measurement, NoProgress, Scope};

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
    let own =
        |synthetic: Synthetic| measure(&synthetic.data(), "assignment_share", &by_label).remove(0);
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
        let found = measure(&synthetic.data(), "mutual_information", &quick()).remove(0);
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

/// The documents that are abstracts, with one name for the first two labels.
fn abstracts_of_science(synthetic: Synthetic) -> Vec<MemoryDocument> {
    let mut documents = synthetic.documents();
    documents.retain(|document| document.sample.genre.as_deref() == Some("abstract"));
    for document in &mut documents {
        let discipline = document.sample.discipline.as_ref();
        if discipline.is_some_and(|own| NAMES[..2].contains(&own.as_str())) {
            document.sample.discipline = Some(Discipline::new("science").unwrap());
        }
    }
    documents
}

#[test]
fn filters_and_groups_choose_documents_of_every_trace() {
    let early = Synthetic {
        groups_per_label: 12,
        ..Synthetic::default()
    };
    let last = Synthetic {
        effect: 1.4,
        ..early
    };
    let both = set(vec![("early", early.data()), ("last", last.data())]);
    let of = |synthetic: Synthetic| data(&synthetic.model(), abstracts_of_science(synthetic));
    let chosen = set(vec![("early", of(early)), ("last", of(last))]);
    let group = format!("science={},{}", NAMES[0], NAMES[1]);
    let scoped = MeasureRequest {
        scope: Scope {
            only: vec!["genre=abstract".parse().unwrap()],
            ..Scope::default()
        },
        merge: vec![group.parse().unwrap()],
        ..quick()
    };
    let same = |found: &[Measurement], expected: &[Measurement]| {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert_eq!(found.axes, expected.axes);
            close(&found.values, &expected.values);
            assert_eq!(found.intervals, expected.intervals);
            assert!(found.protocol.scope.contains("genre is abstract"));
        }
    };
    let found = difference(&both, "assignment_share", &scoped);
    let of_labels = found[1].axis(AxisKind::Group).unwrap().1;
    assert!(of_labels.labels.contains(&"science".to_owned()));
    same(&found, &difference(&chosen, "assignment_share", &quick()));
    for name in ["router_saturation", "routing_drift"] {
        same(
            &compare(&both, name, &scoped),
            &compare(&chosen, name, &quick()),
        );
    }
    let mut nothing = quick();
    nothing.scope.labels = vec![NAMES[1].to_owned()];
    nothing.scope.only = vec![format!("discipline={}", NAMES[0]).parse().unwrap()];
    let metric = find("assignment_share").unwrap();
    let refused = difference_of_traces(&both, metric, &nothing, &NoProgress).unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("0 documents of early and 0 of last are in scope")
    );
    let mut twice = scoped.clone();
    twice.merge.extend_from_within(..);
    let refused = difference_of_traces(&both, metric, &twice, &NoProgress).unwrap_err();
    assert!(refused.to_string().contains("two groups of labels"));
    let mut unknown = scoped;
    unknown.scope.only = vec!["genre=letter".parse().unwrap()];
    let refused = difference_of_traces(&both, metric, &unknown, &NoProgress).unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("no document has genre 'letter'")
    );
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
