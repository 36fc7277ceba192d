//! What holds for every metric of the catalogue.

use moescope_analytics::{MeasureRequest, TraceData, catalogue};
use moescope_core::{AxisKind, Measurement, NoProgress};

use crate::common::{Synthetic, quick};

/// Every metric with this request, unless it refuses a contrast, or a trace that lacks what it needs, in words.
fn each_that_can(data: &TraceData, request: &MeasureRequest, check: impl Fn(&Measurement)) {
    let mut able = 0;
    for metric in catalogue() {
        match metric.measure(data, request, &NoProgress) {
            Ok(found) => {
                able += 1;
                found.iter().for_each(&check);
            }
            Err(error) => {
                let error = error.to_string();
                assert!(
                    error.contains("contrast") || error.contains("does not hold"),
                    "{}: {error}",
                    metric.about().name
                );
            }
        }
    }
    assert!(able > 10);
}

#[test]
fn every_metric_compares_by_any_column_and_two_labels_of_it() {
    let data = Synthetic::default().data();
    let by_genre = MeasureRequest {
        by: "genre".into(),
        ..quick()
    };
    let contrast = MeasureRequest {
        contrast: Some(("textbook".into(), "abstract".into())),
        ..by_genre.clone()
    };
    for (request, is_contrast) in [(by_genre, false), (contrast, true)] {
        each_that_can(&data, &request, |found| {
            let name = &found.metric;
            assert_eq!(found.protocol.by, "genre", "{name}");
            if let Some((_, labels)) = found.axis(AxisKind::Group) {
                // A contrast is a difference of the first label from the second, in its order; what has no difference shows both.
                let expected: &[&[&str]] = if is_contrast {
                    &[&["textbook"], &["textbook", "abstract"]]
                } else {
                    &[&["abstract", "textbook"]]
                };
                assert!(
                    expected.iter().any(|expected| labels.labels == *expected),
                    "{name}: {:?}",
                    labels.labels
                );
            }
        });
    }
}

/// Metrics that are tested and state no power: the published test of tokens would promise a power that it does not have,
/// and being in a committee is no amount.
const WITHOUT_POWER: [&str; 2] = ["risk_difference_newcombe", "standing_committee"];

#[test]
fn every_tested_value_comes_with_the_power_of_its_design() {
    let without = std::cell::RefCell::new(std::collections::BTreeSet::new());
    each_that_can(&Synthetic::default().data(), &quick(), |found| {
        let mut notes = found.protocol.notes.iter();
        let has_power = notes.any(|note| note.starts_with("power:"));
        let mut nulls = found.nulls.iter().flatten();
        if !has_power && nulls.any(Option::is_some) {
            without.borrow_mut().insert(found.metric.clone());
        }
    });
    let without = without.into_inner();
    assert!(
        without.iter().eq(WITHOUT_POWER),
        "without a note on power: {without:?}"
    );
}
