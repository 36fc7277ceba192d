//! Metrics of load, of the router's confidence and of labels' experts: by hand, and on synthetic traces.

use moescope_analytics::{ExpertsOrder, LoadMass, MeasureRequest, TraceData};
use moescope_core::{AxisKind, Weighting};

use crate::common::{
    Synthetic, close, counted, fails, first, measure, model, of_counts, quick, sample, with_mass,
};

/// math chooses experts 1, 0, 3, 2 times, physics 3, 2, 1, 0 times, of six assignments each.
fn tiny() -> TraceData {
    of_counts(4, &[vec![1, 0, 3, 2], vec![3, 2, 1, 0]])
}

#[test]
fn concentration_of_six_assignments_by_hand() {
    let data = tiny();
    let check = |name: &str, of_each: &[f64]| {
        let found = first(&data, name);
        close(&found.values, &[of_each, of_each].concat(), 1e-12);
    };
    // The largest share is ½, twice the balanced ¼.
    check("max_violation", &[1.0, 2.0]);
    // Relative loads 2/3, 0, 2, 4/3: squares of the distance to 1 are (1 + 9 + 9 + 1)/9, over 4: 5/9.
    check("load_cv", &[(5.0f64 / 9.0).sqrt(), 5.0 / 9.0]);
    // (−3 · 0 − 1 · 1 + 1 · 2 + 3 · 3) / (4 · 6).
    check("gini", &[10.0 / 24.0]);
    check("lorenz_curve", &[0.0, 1.0 / 6.0, 0.5, 1.0]);
    // 3 of 6; 5 of 6 is above 0.8 and below 0.9.
    check("coverage_count", &[1.0, 2.0, 3.0]);
    // One expert without any; the next has 2/3 of the balanced load.
    check("rare_experts", &[1.0, 1.0, 1.0]);
    let lists = measure(&data, "rare_experts", &quick());
    close(&lists[1].values, &[1.0, 3.0], 0.0);
    close(&lists[2].values, &[0.0, 0.0], 0.0);
    assert_eq!(lists[1].axes[2].kind, AxisKind::Rank);
}

#[test]
fn association_of_two_labels_by_hand() {
    let data = tiny();
    // Mixture (1/3, 1/6, 1/3, 1/6), differences ±1/6: φ² = (3 + 6 + 3 + 6)/36 = ½, over min(1, 3).
    close(
        &first(&data, "cramers_v").values[..1],
        &[0.5f64.sqrt()],
        1e-12,
    );
    // The bias adds to the square.
    let found = first(&data, "cramers_v");
    let nulls = found.nulls.as_ref().unwrap();
    let squares = 0.5 - nulls[0].unwrap().null_mean.powi(2);
    close(&found.values[1..2], &[squares.max(0.0).sqrt()], 1e-12);
    close(&[nulls[1].unwrap().null_mean], &[0.0], 1e-12);
    let found = measure(&data, "label_lift", &quick());
    // p(e, D) = 1/12, 0, 3/12, 2/12 beside 1/6, 1/12, 1/6, 1/12.
    let twelfths = |p: f64, expected: f64| (p / expected).ln() / -(p / 12.0).ln();
    let expected = [
        twelfths(1.0, 2.0),
        -1.0,
        twelfths(3.0, 2.0),
        twelfths(2.0, 1.0),
    ];
    close(&found[0].values[..4], &expected, 1e-12);
    // Expert 0: 1 and 5 of math, 3 and 3 of physics: ln(1.5 · 3.5 / (5.5 · 3.5)).
    close(&found[1].values[..1], &[(1.5f64 / 5.5).ln()], 1e-12);
    // Of three tokens each, 1, 0, 3, 2 and 3, 2, 1, 0.
    let difference = [-2.0, -2.0, 2.0, 2.0].map(|n| n / 3.0);
    let found = first(&data, "risk_difference");
    close(&found.values[..4], &difference, 1e-12);
    assert_eq!(found.axes[1].labels, ["math", "physics"]);
    let contrast = MeasureRequest {
        contrast: Some(("physics".into(), "math".into())),
        ..quick()
    };
    for name in ["risk_difference", "risk_difference_newcombe"] {
        let found = measure(&data, name, &contrast).remove(0);
        close(&found.values, &difference.map(|d| -d), 1e-12);
        let kinds: Vec<AxisKind> = found.axes.iter().map(|axis| axis.kind).collect();
        assert_eq!(
            kinds[1..],
            [AxisKind::Group, AxisKind::GroupB, AxisKind::Expert]
        );
        assert!(found.title.ends_with("physics minus math"));
    }
}

#[test]
fn leading_experts_of_two_labels_by_hand() {
    // math leads with {2, 3}, physics with {0, 1}, chemistry with {0, 2}: shared 0, 1 and 1.
    let data = of_counts(4, &[vec![1, 0, 3, 2], vec![3, 2, 1, 0], vec![4, 0, 4, 0]]);
    let found = first(&data, "shared_top_experts");
    close(
        &found.values,
        &[2.0, 0.0, 1.0, 0.0, 2.0, 1.0, 1.0, 1.0, 2.0],
        0.0,
    );
    let found = measure(&data, "top_set_jaccard", &with_mass(LoadMass::Counts)).remove(0);
    let third = 1.0 / 3.0;
    close(
        &found.values,
        &[1.0, 0.0, third, 0.0, 1.0, third, third, third, 1.0],
        1e-12,
    );
    let note = "over layers and pairs of labels: mean 0.2222, least 0.0000";
    assert!(
        found.protocol.notes.iter().any(|n| n == note),
        "{:?}",
        found.protocol.notes
    );
    // No expert leads in 80 % of three labels.
    let found = measure(&data, "standing_committee", &with_mass(LoadMass::Counts));
    close(&found[0].values, &[0.0; 4], 0.0);
    assert!(found[1].values.is_empty() && found[2].values.is_empty());
}

#[test]
fn a_committee_lists_its_members_and_how_they_lead() {
    // Expert 1 is second everywhere, expert 0 first in two labels and third in one: not a candidate, since 2/3 < 0.8.
    let data = of_counts(4, &[vec![6, 3, 1, 0], vec![6, 3, 1, 0], vec![1, 3, 6, 0]]);
    let found = measure(&data, "standing_committee", &with_mass(LoadMass::Counts));
    // Coverage 0.3; 0.3 / (0.7 / 3).
    close(&found[0].values, &[1.0, 1.0, 0.3, 0.9 / 0.7], 1e-12);
    close(&found[1].values, &[1.0], 0.0);
    close(&found[2].values[..4], &[1.0, 2.0, 0.0, 1.2], 1e-12);
    assert!(
        found[2].values[4].is_nan(),
        "no stability from one group per label"
    );
    let notes = &found[0].protocol.notes;
    assert!(
        notes
            .iter()
            .any(|note| note.contains("at least 0.8 of 3 labels")),
        "{notes:?}"
    );
}

#[test]
fn a_real_difference_is_found_with_group_intervals() {
    let data = Synthetic {
        effect: 2.0,
        ..Synthetic::default()
    }
    .data();
    let request = MeasureRequest {
        resamples: 200,
        permutations: 200,
        ..MeasureRequest::default()
    };
    let found = measure(&data, "risk_difference", &request).remove(0);
    // Expert 0 is the favourite of the first label.
    assert!(found.value(&[0, 0, 0]) > 0.2);
    assert!(found.intervals.as_ref().unwrap()[0].unwrap().low > 0.0);
    assert!(
        found.nulls.as_ref().unwrap()[0]
            .unwrap()
            .p_corrected
            .unwrap()
            < 0.05
    );
    let found = measure(&data, "label_lift", &request);
    assert!(
        found
            .iter()
            .all(|table| table.nulls.as_ref().unwrap()[0].unwrap().p < 0.05)
    );
    let found = measure(&data, "cramers_v", &request).remove(0);
    assert!(found.nulls.as_ref().unwrap()[0].unwrap().p < 0.05);
    // Intervals stay within the range of each variant.
    let found = measure(&data, "max_violation", &request).remove(0);
    for (place, interval) in found.intervals.as_ref().unwrap().iter().enumerate() {
        assert!(interval.unwrap().low >= [0.0, 1.0][place % 2]);
    }
}

#[test]
fn a_contrast_of_concentrations_is_their_difference() {
    let data = Synthetic::default().data();
    let contrast = MeasureRequest {
        contrast: Some(("math".into(), "physics".into())),
        ..quick()
    };
    for name in [
        "max_violation",
        "load_cv",
        "gini",
        "lorenz_curve",
        "coverage_count",
        "rare_experts",
        "aux_loss",
        "z_loss",
        "topk_mass",
        "weight_ratio",
        "selection_margin",
    ] {
        let each = measure(&data, name, &quick()).remove(0);
        let difference = measure(&data, name, &contrast).remove(0);
        let width = difference.values.len() / 2;
        let expected: Vec<f64> = (0..2 * width)
            .map(|i| {
                let (layer, value) = (i / width, i % width);
                let label = |label: usize| each.values[(3 * layer + label) * width + value];
                label(0) - label(1)
            })
            .collect();
        close(&difference.values, &expected, 1e-12);
        assert!(difference.nulls.is_some(), "{name}");
    }
    let single = measure(&data, "top_set_jaccard", &contrast).remove(0);
    assert_eq!(single.values.len(), 2);
    let correlation = measure(&data, "entropy_surprisal_correlation", &contrast).remove(0);
    assert!(correlation.values.iter().all(|value| value.is_finite()));
}

#[test]
fn what_is_missing_or_makes_no_sense_is_named() {
    let data = tiny();
    let says = |name: &str, request: &MeasureRequest, words: &str| {
        let message = fails(&data, name, request);
        assert!(message.contains(words), "{name}: {message}");
    };
    says("aux_loss", &quick(), "profiles.prob_sum");
    for name in ["top_set_jaccard", "standing_committee"] {
        says(name, &quick(), "profiles.last_prob");
        says(name, &quick(), "--mass counts");
    }
    says("gini", &with_mass(LoadMass::Weights), "profiles.weight_sum");
    for name in ["z_loss", "topk_mass", "weight_ratio", "selection_margin"] {
        says(name, &quick(), "it holds sums only");
    }
    for name in ["assignment_share", "domain_specialization"] {
        says(name, &with_mass(LoadMass::Probabilities), "relative_load");
    }
    let contrast = MeasureRequest {
        contrast: Some(("math".into(), "physics".into())),
        mass: Some(LoadMass::Counts),
        ..quick()
    };
    says("standing_committee", &contrast, "leave out the contrast");
    let mut by_document = quick();
    by_document.scope.weighting = Weighting::Document;
    says(
        "risk_difference_newcombe",
        &by_document,
        "use risk_difference",
    );
    let mut one = quick();
    one.scope.labels = vec!["math".into()];
    for name in [
        "cramers_v",
        "label_lift",
        "risk_difference",
        "shared_top_experts",
    ] {
        says(name, &one, "one discipline only");
    }
    let top_1 = model(1, 4, 1);
    let document = counted(&top_1, sample("a", "law", "a"), &[vec![1, 1, 0, 0]]);
    let data = TraceData::in_memory(top_1, ExpertsOrder::ByWeight, vec![document]).unwrap();
    assert!(fails(&data, "weight_ratio", &quick()).contains("one expert per token"));
}
