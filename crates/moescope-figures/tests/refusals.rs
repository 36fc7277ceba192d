//! What figures answer to measurements that are not theirs.

use moescope_core::AxisKind;
use moescope_figures::{FigureError, FigureOptions, catalogue};

use crate::common::{
    self,
    drawing::{fitting, svg},
};

#[test]
fn wrong_axes_are_named_beside_the_needed_ones() {
    for kind in catalogue() {
        let name = kind.about().name;
        let alien = common::measurement(
            "co_activation",
            "Co-activation",
            "share",
            vec![
                common::numbered(AxisKind::ExpertB, 3),
                common::numbered(AxisKind::Variant, 1),
            ],
            vec![0.0; 3],
        );
        let error = svg(name, &alien, &FigureOptions::default())
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with(&format!("{name} needs axes "))
                && error.ends_with("'co_activation' has expert B (3) × variant (1)"),
            "{error}"
        );
    }
}

#[test]
fn a_single_number_is_no_heat_map() {
    let single = common::measurement("x", "X", "bits", vec![], vec![1.0]);
    let error = svg("layer_expert_heatmap", &single, &FigureOptions::default()).unwrap_err();
    assert!(
        error.to_string().ends_with("has none (a single number)"),
        "{error}"
    );
}

#[test]
fn a_missing_choice_lists_what_there_is() {
    let shares = common::shares(3, 4, 8);
    let error = svg("group_expert_heatmap", &shares, &FigureOptions::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "group_expert_heatmap draws one layer at a time; choose layer from 0, 1, 2"
    );
    let error = svg("layer_expert_heatmap", &shares, &FigureOptions::default()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("choose group from math, physics, chemistry, materials"),
        "{error}"
    );
    let unknown = FigureOptions {
        layer: Some(9),
        ..FigureOptions::default()
    };
    let error = svg("group_expert_heatmap", &shares, &unknown).unwrap_err();
    assert_eq!(
        error.to_string(),
        "'9' is not a choice for layer; choose one of 0, 1, 2"
    );
}

#[test]
fn a_choice_without_its_axis_is_not_ignored() {
    let mut shares = common::shares(2, 1, 4);
    shares.axes.remove(1);
    let options = FigureOptions {
        group: Some("law".into()),
        ..FigureOptions::default()
    };
    let error = svg("layer_expert_heatmap", &shares, &options).unwrap_err();
    assert!(error.to_string().contains("has no group axis"), "{error}");
}

#[test]
fn empty_axes_are_named() {
    for kind in catalogue() {
        let name = kind.about().name;
        let mut empty = fitting(name);
        empty.axes[0].labels.clear();
        empty.axes[0].classes = None;
        empty.values.clear();
        empty.intervals = None;
        empty.nulls = None;
        assert!(
            matches!(
                svg(name, &empty, &FigureOptions::default()),
                Err(FigureError::Empty { .. })
            ),
            "{name}"
        );
    }
}

#[test]
fn inconsistent_measurements_are_refused() {
    for kind in catalogue() {
        let name = kind.about().name;
        let mut broken = fitting(name);
        broken.values.pop();
        assert!(
            matches!(
                svg(name, &broken, &FigureOptions::default()),
                Err(FigureError::Measurement(_))
            ),
            "{name}"
        );
    }
}
