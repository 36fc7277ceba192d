//! Every kind of figure, byte for byte against a stored drawing.
//!
//! After a wanted change, run with `MOESCOPE_UPDATE_GOLDEN=1` and look at the difference before committing it.

use std::{fs, path::PathBuf};

use moescope_core::Measurement;
use moescope_figures::{ColorScale, FigureOptions, Format, catalogue, draw};

use crate::common::{self, structures};

struct Case {
    kind: &'static str,
    name: &'static str,
    measurement: Measurement,
    options: FigureOptions,
}

fn cases() -> Vec<Case> {
    let case = |kind, name, measurement, options| Case {
        kind,
        name,
        measurement,
        options,
    };
    let narrow = || FigureOptions {
        width_mm: 120.0,
        ..FigureOptions::default()
    };
    let mut with_gaps = common::shares(1, 4, 6);
    with_gaps.values[8] = f64::NAN;
    with_gaps.intervals.as_mut().unwrap()[9] = None;
    let mut log = common::shares(3, 1, 8);
    log.values[5] = 0.0;
    vec![
        case(
            "layer_expert_heatmap",
            "layer_expert_heatmap",
            common::shares(6, 3, 8),
            FigureOptions {
                group: Some("physics".into()),
                ..narrow()
            },
        ),
        case(
            "layer_expert_heatmap",
            "layer_expert_heatmap-difference",
            common::shares(4, 3, 8),
            FigureOptions {
                group: Some("physics".into()),
                group_b: Some("math".into()),
                ..narrow()
            },
        ),
        case(
            "layer_expert_heatmap",
            "layer_expert_heatmap-log",
            log,
            FigureOptions {
                scale: ColorScale::Log,
                ..narrow()
            },
        ),
        case(
            "group_expert_heatmap",
            "group_expert_heatmap",
            with_gaps,
            narrow(),
        ),
        case(
            "fingerprint_map",
            "fingerprint_map",
            common::map(45, 15),
            FigureOptions {
                centroids: true,
                ..narrow()
            },
        ),
        case(
            "group_matrix",
            "group_matrix",
            common::pairs(2, 5),
            narrow(),
        ),
        case(
            "layer_series",
            "layer_series",
            common::series(8, 3),
            narrow(),
        ),
        case(
            "margin_series",
            "margin_series",
            common::margins(),
            narrow(),
        ),
    ]
    .into_iter()
    .chain(cases_of_structure())
    .collect()
}

fn cases_of_structure() -> Vec<Case> {
    let case = |name: &'static str, measurement, change: &dyn Fn(&mut FigureOptions)| {
        let mut options = FigureOptions {
            width_mm: 120.0,
            ..FigureOptions::default()
        };
        change(&mut options);
        Case {
            kind: name.split('-').next().unwrap_or(name),
            name,
            measurement,
            options,
        }
    };
    vec![
        case(
            "co_activation_matrix",
            structures::co_activation(1, 9),
            &|_| {},
        ),
        case("fingerprint_map-hulls", common::map(60, 4), &|o| {
            o.hulls = true;
        }),
        case("group_effects", structures::effects(3), &|_| {}),
        case(
            "group_matrix-significance",
            structures::with_nulls(common::pairs(1, 5)),
            &|_| {},
        ),
        case("lag_profile", structures::lags(1, 2, 8), &|_| {}),
        case("layer_flow", structures::transitions(3, 8), &|o| {
            o.top = Some(4);
        }),
        case("layer_series-highlight", common::series(8, 6), &|o| {
            o.highlight = vec!["physics".into()];
        }),
        case(
            "lollipop",
            structures::with_nulls(common::shares(3, 3, 8)),
            &|o| o.top = Some(8),
        ),
        case("position_profile", structures::positions(1, 4, 8), &|_| {}),
        case("reliability_curve", structures::reliability(), &|_| {}),
        case("saturation_curves", structures::saturation(4, 5), &|_| {}),
        case("small_multiples", common::shares(3, 4, 6), &|_| {}),
        case("small_multiples-curves", common::series(6, 3), &|_| {}),
        case("vocabulary_table", structures::tokens(1, 3, 9), &|o| {
            o.top = Some(4);
        }),
    ]
}

#[test]
fn drawings_are_the_stored_ones() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let is_update = std::env::var_os("MOESCOPE_UPDATE_GOLDEN").is_some_and(|value| value == "1");
    let mut different = Vec::new();
    for case in cases() {
        let drawn = draw(case.kind, &case.measurement, &case.options, Format::Svg).unwrap();
        let path = folder.join(format!("{}.svg", case.name));
        if is_update {
            fs::write(&path, &drawn).unwrap();
        } else if fs::read(&path).ok().as_deref() != Some(drawn.as_slice()) {
            different.push(case.name);
        }
    }
    assert!(
        different.is_empty(),
        "{different:?} are not drawn as stored; if that is wanted, run with MOESCOPE_UPDATE_GOLDEN=1 and read the \
         difference"
    );
}

#[test]
fn every_kind_has_a_stored_drawing() {
    let cases = cases();
    for kind in catalogue() {
        let name = kind.about().name;
        assert!(
            cases.iter().any(|case| case.kind == name),
            "{name} has no golden case"
        );
    }
}

#[test]
fn drawing_twice_gives_the_same_bytes_in_every_format() {
    for case in cases() {
        let options = FigureOptions {
            png_dpi: 72,
            ..case.options
        };
        for format in Format::ALL {
            let first = draw(case.kind, &case.measurement, &options, format).unwrap();
            let second = draw(case.kind, &case.measurement, &options, format).unwrap();
            assert!(first == second, "{} as {}", case.name, format.extension());
        }
    }
}
