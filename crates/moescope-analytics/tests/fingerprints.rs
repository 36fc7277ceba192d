//! Metrics of documents as fingerprints, on traces that are computed by hand and on synthetic ones.

use moescope_analytics::{ExpertsOrder, FingerprintKind, MeasureRequest, TraceData};
use moescope_core::Measurement;

use crate::common::{Synthetic, counted, fails, measure, model, quick, sample};

/// Directions (0, 1) and (0, 1) of math, (1, 0) and (0.6, 0.8) of law; every document is its own group.
fn four() -> TraceData {
    let model = model(1, 2, 1);
    let rows = [
        ("math", [0, 5]),
        ("math", [0, 5]),
        ("law", [5, 0]),
        ("law", [3, 4]),
    ];
    let documents = rows.iter().enumerate().map(|(i, (label, counts))| {
        let id = format!("{label}-{i}");
        counted(&model, sample(&id, label, &id), &[counts.to_vec()])
    });
    let documents = documents.collect();
    TraceData::in_memory(model, ExpertsOrder::ByWeight, documents).unwrap()
}

fn frequency() -> MeasureRequest {
    MeasureRequest {
        fingerprint: FingerprintKind::SelectionFrequency,
        ..quick()
    }
}

#[track_caller]
fn check(found: &Measurement, expected: &[f64]) {
    found.check().unwrap();
    assert_eq!(found.values.len(), expected.len(), "{:?}", found.values);
    for (value, expected) in found.values.iter().zip(expected) {
        let is_equal = (value.is_nan() && expected.is_nan()) || (value - expected).abs() < 1e-9;
        assert!(is_equal, "found {:?}, expected {expected}", found.values);
    }
}

#[test]
fn separation_compares_distances_within_and_across() {
    // Silhouettes: math 1 and 1 (a = 0, b = 0.6); law (1 − 0.4) / 1 = 0.6 and (0.2 − 0.4) / 0.4 = −0.5.
    // Within: 1 and 0.6, mean 0.8; across: 0, 0, 0.8, 0.8, mean 0.4.
    // Squares around the means 0.08 + 0.64 over 2 + 4 − 2 pairs: d = 0.4 / √0.18.
    let found = measure(&four(), "fingerprint_separation", &frequency());
    let d = 0.4 / 0.18_f64.sqrt();
    check(&found[0], &[0.525, 0.8, 0.4, 0.4, d, 0.525]);
    check(&found[1], &[1.0, 1.0, 0.4, 0.05, 0.6, 0.4]);
    let by_layer = measure(&four(), "fingerprint_by_layer", &frequency()).remove(0);
    // Of three neighbours each, two are of the other label.
    check(&by_layer, &[0.525, 0.0]);
}

#[test]
fn the_published_effect_size_is_pooled_over_pairs() {
    // Routing signatures (arXiv 2603.11114): 0.8435 ± 0.0879 within and 0.6225 ± 0.1687 across four categories give d = 1.44.
    // With n prompts a category there are 4 n (n − 1) / 2 pairs within and 6 n² across, about 1 to 3.
    let pooled = ((0.0879_f64.powi(2) + 3.0 * 0.1687_f64.powi(2)) / 4.0).sqrt();
    let by_pairs = (0.8435 - 0.6225) / pooled;
    let by_kinds = (0.8435 - 0.6225) / f64::midpoint(0.0879_f64.powi(2), 0.1687_f64.powi(2)).sqrt();
    assert!((by_pairs - 1.44).abs() < 0.02, "{by_pairs}");
    assert!((by_kinds - 1.44).abs() > 0.15, "{by_kinds}");
}

#[test]
fn documents_are_identified_by_profiles_without_their_group() {
    // law (0.6, 0.8) is nearer to math (0.8) than to the other law document (0.6); the others are right.
    let found = measure(&four(), "profile_identification", &frequency());
    // Tokens are unknown; lengths 5, 5, 5, 7: both labels without the 7 have ln 5, so math (first) is taken; 7 is nearer to none.
    let values = &found[0].values;
    assert!(
        (values[0] - 0.75).abs() < 1e-12 && values[1].is_nan(),
        "{values:?}"
    );
    assert_eq!(found[0].reference, Some(0.5));
    check(&found[1], &[1.0, 0.0, 0.5, 0.5]);
    // Four documents are too few for Wilson as for any interval.
    assert!(found[0].intervals.is_none());
}

#[test]
fn a_label_of_one_group_cannot_be_identified() {
    let model = model(1, 2, 1);
    let documents = [("math", "m"), ("law", "l"), ("law", "k")]
        .iter()
        .map(|(label, group)| counted(&model, sample(group, label, group), &[vec![1, 2]]));
    let documents = documents.collect();
    let data = TraceData::in_memory(model.clone(), ExpertsOrder::ByWeight, documents).unwrap();
    let found = measure(&data, "profile_identification", &frequency());
    // Math has no other group: 0. The law documents can be math or law: ½ each.
    assert!((found[0].reference.unwrap() - 1.0 / 3.0).abs() < 1e-12);
}

#[test]
fn every_classifier_finds_a_strong_effect_and_none_where_there_is_none() {
    let strong = Synthetic {
        effect: 3.0,
        ..Synthetic::default()
    };
    let none = Synthetic {
        effect: 0.0,
        groups_per_label: 10,
        ..Synthetic::default()
    };
    for name in [
        "fingerprint_logistic",
        "profile_identification",
        "fingerprint_knn",
    ] {
        let found = measure(&strong.data(), name, &quick()).remove(0);
        assert!((found.values[0] - 1.0).abs() < 1e-12, "{name}: {found:?}");
        let null = found.nulls.as_ref().unwrap()[0].unwrap();
        assert!(null.p < 0.05 && null.null_mean < 0.6, "{name}: {null:?}");
        let found = measure(&none.data(), name, &quick()).remove(0);
        let null = found.nulls.as_ref().unwrap()[0].unwrap();
        assert!(null.p > 0.05, "{name}: {null:?}");
    }
    let found = measure(&strong.data(), "fingerprint_separation", &quick());
    assert!(found[0].values[0] > 0.3, "{:?}", found[0].values);
    let nulls = found[0].nulls.as_ref().unwrap();
    // Similarity across labels is small: that counts as well.
    assert!(nulls[2].unwrap().p < 0.05 && nulls[2].unwrap().null_mean > found[0].values[2]);
    let interval = found[0].intervals.as_ref().unwrap()[0].unwrap();
    assert!(interval.low > 0.0 && interval.low < found[0].values[0]);
    let layers = measure(&strong.data(), "fingerprint_by_layer", &quick()).remove(0);
    assert_eq!(layers.axes[0].labels, ["1", "3"]);
    let nulls = layers.nulls.as_ref().unwrap();
    assert!(
        nulls
            .iter()
            .all(|null| null.unwrap().p_corrected.unwrap() < 0.05)
    );
}

#[test]
fn calibrated_probabilities_are_right_as_often_as_they_say() {
    let synthetic = Synthetic {
        labels: 4,
        groups_per_label: 30,
        tokens: 64,
        effect: 0.4,
        between_groups: 0.5,
        ..Synthetic::default()
    };
    let request = MeasureRequest {
        window: 16,
        ..quick()
    };
    let found = measure(&synthetic.data(), "label_drift", &request);
    let overall = &found[2];
    let value = |name: &str| {
        let place = overall.axes[0]
            .labels
            .iter()
            .position(|l| l == name)
            .unwrap();
        overall.values[place]
    };
    // 480 windows: a share near 0.5 has a standard error of 0.023, more for windows of one document.
    assert!(
        (value("probability") - value("right")).abs() < 0.08,
        "{overall:?}"
    );
    assert!(
        value("raw_probability") > value("right") + 0.15,
        "{overall:?}"
    );
    assert!(value("calibration_error") < value("raw_calibration_error"));
    assert!(value("loss_bits") < value("raw_loss_bits"));
    assert!((0.01..0.9).contains(&value("beta")), "{overall:?}");
    // Tenths rise in probability.
    let (rows, variants) = (found[1].axes[0].len(), found[1].axes[1].len());
    assert_eq!((rows, variants), (10, 4));
    let probabilities: Vec<f64> = found[1].values.iter().step_by(4).copied().collect();
    assert!(probabilities.is_sorted(), "{probabilities:?}");
}

#[test]
fn classifiers_refuse_what_cannot_be_told_apart() {
    let model = model(1, 2, 1);
    let one = vec![counted(&model, sample("a", "law", "a"), &[vec![1, 2]])];
    let data = TraceData::in_memory(model, ExpertsOrder::ByWeight, one).unwrap();
    for name in [
        "fingerprint_logistic",
        "profile_identification",
        "fingerprint_separation",
        "fingerprint_by_layer",
        "fingerprint_knn",
    ] {
        let refused = fails(&data, name, &frequency());
        assert!(
            refused.contains("1 labels in 1 groups"),
            "{name}: {refused}"
        );
        let refused = fails(&four(), name, &quick());
        assert!(refused.contains("profiles.prob_sum"), "{name}: {refused}");
    }
}
