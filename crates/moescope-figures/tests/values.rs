//! What figures do with unusual values, and what they say about the usual ones.

use moescope_core::{Axis, AxisKind, Interval};
use moescope_figures::{ColorScale, FigureOptions, catalogue};

use crate::common::{
    self,
    drawing::{fitting, has, svg, texts},
};

#[test]
fn undefined_values_are_grey_and_explained() {
    for name in [
        "layer_expert_heatmap",
        "group_expert_heatmap",
        "group_matrix",
    ] {
        let mut measurement = fitting(name);
        measurement.values[3] = f64::NAN;
        measurement.values[4] = f64::INFINITY;
        let texts = texts(name, &measurement, &FigureOptions::default());
        assert!(has(&texts, "not defined"), "{name}: {texts:?}");
        let drawn = svg(name, &measurement, &FigureOptions::default()).unwrap();
        assert!(drawn.contains("#C4C4C4"));
    }
    let mut series = fitting("layer_series");
    series.values[3] = f64::NAN;
    assert!(has(
        &texts("layer_series", &series, &FigureOptions::default()),
        "1 value is not defined"
    ));
    let mut map = fitting("fingerprint_map");
    map.values[3] = f64::NAN;
    assert!(has(
        &texts("fingerprint_map", &map, &FigureOptions::default()),
        "drawn: 1 of 30 documents"
    ));
}

#[test]
fn nothing_but_undefined_values_is_still_a_figure() {
    for kind in catalogue() {
        let name = kind.about().name;
        let mut measurement = fitting(name);
        measurement.values.fill(f64::NAN);
        for scale in [
            ColorScale::Auto,
            ColorScale::Linear,
            ColorScale::Log,
            ColorScale::Symmetric,
        ] {
            texts(
                name,
                &measurement,
                &FigureOptions {
                    scale,
                    ..FigureOptions::default()
                },
            );
        }
    }
}

#[test]
fn extreme_values_are_drawn_on_every_scale() {
    for kind in catalogue() {
        let name = kind.about().name;
        let mut measurement = fitting(name);
        for (i, extreme) in [f64::MAX, f64::MIN, 0.0, -0.0, 1e-310, -1.0]
            .into_iter()
            .enumerate()
        {
            measurement.values[i % 4] = extreme;
            for scale in [
                ColorScale::Auto,
                ColorScale::Linear,
                ColorScale::Log,
                ColorScale::Symmetric,
            ] {
                texts(
                    name,
                    &measurement,
                    &FigureOptions {
                        scale,
                        centroids: true,
                        ..FigureOptions::default()
                    },
                );
            }
        }
    }
}

#[test]
fn one_value_is_enough() {
    let one = |kinds: [AxisKind; 2]| {
        let axes = kinds.map(|kind| Axis::new(kind, vec!["0".into()])).to_vec();
        common::measurement("m", "M", "bits", axes, vec![0.3])
    };
    for (name, kinds) in [
        ("layer_expert_heatmap", [AxisKind::Layer, AxisKind::Expert]),
        ("group_expert_heatmap", [AxisKind::Group, AxisKind::Expert]),
        ("group_matrix", [AxisKind::Group, AxisKind::GroupB]),
        ("layer_series", [AxisKind::Layer, AxisKind::Group]),
    ] {
        let texts = texts(name, &one(kinds), &FigureOptions::default());
        assert!(has(&texts, "bits"), "{name}: {texts:?}");
    }
    let mut document = common::map(1, 1);
    document.values = vec![2.0, 2.0];
    texts("fingerprint_map", &document, &FigureOptions::default());
}

#[test]
fn dots_mark_exactly_the_intervals_that_exclude_the_reference() {
    let interval = |low, high| Some(Interval { low, high });
    let mut shares = common::measurement(
        "assignment_share",
        "Shares",
        "share of assignments",
        vec![
            Axis::new(AxisKind::Group, vec!["law".into()]),
            common::numbered(AxisKind::Expert, 5),
        ],
        vec![0.1, 0.5, 0.3, 0.05, 0.05],
    );
    shares.reference = Some(0.2);
    // Below, above, around, touching (does not exclude), none: two dots, and one in the key.
    shares.intervals = Some(vec![
        interval(0.05, 0.15),
        interval(0.4, 0.6),
        interval(0.1, 0.4),
        interval(0.01, 0.2),
        None,
    ]);
    let options = FigureOptions::default();
    let drawn = svg("group_expert_heatmap", &shares, &options).unwrap();
    assert_eq!(drawn.matches("<circle").count(), 3);
    let texts = texts("group_expert_heatmap", &shares, &options);
    assert!(has(&texts, "95\u{a0}% interval excludes the reference 0.2"));
    assert!(has(&texts, "Without an interval: 1 of 5 cells"));
}

#[test]
fn a_difference_is_the_first_group_minus_the_second() {
    let mut shares = common::shares(1, 2, 2);
    shares.values = vec![0.75, 0.25, 0.5, 0.5];
    let options = FigureOptions {
        group: Some("math".into()),
        group_b: Some("physics".into()),
        ..FigureOptions::default()
    };
    let texts = texts("layer_expert_heatmap", &shares, &options);
    // 0.75 − 0.5 and 0.25 − 0.5.
    assert!(has(&texts, "0.25") && has(&texts, "−0.25"), "{texts:?}");
    assert!(has(&texts, "Discipline: math minus physics"));
    assert!(has(&texts, "difference in share of assignments"));
}

#[test]
fn the_mean_over_layers_is_unweighted_and_says_so() {
    let mut pairs = common::pairs(2, 2);
    pairs.values = vec![0.0, 0.2, 0.2, 0.0, 0.0, 0.6, 0.6, 0.0];
    let mean = texts("group_matrix", &pairs, &FigureOptions::default());
    assert!(
        has(&mean, "0.40") && has(&mean, "Unweighted mean over 2 layers"),
        "{mean:?}"
    );
    let options = FigureOptions {
        layer: Some(1),
        ..FigureOptions::default()
    };
    let one = texts("group_matrix", &pairs, &options);
    assert!(has(&one, "0.60") && has(&one, "Layer 1"), "{one:?}");
}

#[test]
fn a_series_explains_band_reference_and_null() {
    let mut series = common::series(6, 2);
    series.reference = Some(0.05);
    let texts = texts("layer_series", &series, &FigureOptions::default());
    for wanted in [
        "95\u{a0}% interval",
        "reference 0.05",
        "mean of the null",
        "share of adjacent token pairs",
        "Layer",
    ] {
        assert!(has(&texts, wanted), "{wanted}: {texts:?}");
    }
}

#[test]
fn captions_say_what_is_not_drawn() {
    let shares = fitting("layer_expert_heatmap");
    let drawn = texts("layer_expert_heatmap", &shares, &FigureOptions::default());
    assert!(
        drawn.join(" ").contains("Intervals (not drawn): 95"),
        "{drawn:?}"
    );
    let options = FigureOptions {
        caption: false,
        ..FigureOptions::default()
    };
    assert!(!has(
        &texts("layer_expert_heatmap", &shares, &options),
        "Scope"
    ));
}

#[test]
fn zeros_on_a_log_scale_are_explained() {
    let mut shares = common::shares(3, 1, 8);
    shares.values[2] = 0.0;
    let options = FigureOptions {
        scale: ColorScale::Log,
        ..FigureOptions::default()
    };
    assert!(has(
        &texts("layer_expert_heatmap", &shares, &options),
        "zero or less"
    ));
    let mut series = common::series(4, 1);
    series.values[2] = 0.0;
    assert!(has(
        &texts("layer_series", &series, &options),
        "1 value is zero or less"
    ));
}
