//! What every kind of figure has in common: its name, its options, its size, its formats.

use std::{collections::BTreeSet, fs, path::PathBuf};

use moescope_figures::{ColorScale, FigureError, FigureOptions, Format, catalogue, draw, find};

use crate::common::drawing::{fitting, svg};

#[test]
fn every_file_of_kinds_is_in_the_catalogue() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/kinds");
    let files: BTreeSet<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            entry
                .unwrap()
                .path()
                .file_stem()
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    let listed: BTreeSet<String> = catalogue()
        .iter()
        .map(|kind| kind.about().name.to_owned())
        .collect();
    assert_eq!(files, listed);
}

#[test]
fn every_kind_says_what_it_is() {
    for kind in catalogue() {
        let about = kind.about();
        assert!(find(about.name).is_some());
        for text in [about.summary, about.axes, about.metrics] {
            assert!(
                !text.is_empty() && !text.ends_with('.'),
                "{}: '{text}'",
                about.name
            );
        }
    }
    assert!(find("pie").is_none());
}

#[test]
fn unknown_kinds_are_answered_with_the_known_ones() {
    let error = svg("pie", &fitting("layer_series"), &FigureOptions::default()).unwrap_err();
    assert!(error.to_string().contains("layer_series"), "{error}");
}

#[test]
fn figures_have_the_size_that_was_asked_for() {
    for kind in catalogue() {
        let name = kind.about().name;
        let options = FigureOptions {
            width_mm: 85.0,
            height_mm: Some(140.0),
            ..FigureOptions::default()
        };
        let drawn = svg(name, &fitting(name), &options).unwrap();
        assert!(
            drawn.contains("width=\"85.00mm\" height=\"140.00mm\""),
            "{name}: {}",
            &drawn[..300]
        );
    }
}

#[test]
fn options_are_read_with_defaults_and_without_surprises() {
    let options: FigureOptions =
        serde_json::from_str(r#"{"group": "law", "scale": "log", "limits": [0.1, 1.0]}"#).unwrap();
    let expected = FigureOptions {
        group: Some("law".into()),
        scale: ColorScale::Log,
        limits: Some([0.1, 1.0]),
        ..FigureOptions::default()
    };
    assert_eq!(options, expected);
    assert!(serde_json::from_str::<FigureOptions>(r#"{"colour": "red"}"#).is_err());
    assert!("rainbow".parse::<ColorScale>().is_err());
    assert_eq!(
        "symmetric".parse::<ColorScale>().unwrap(),
        ColorScale::Symmetric
    );
}

#[test]
fn impossible_sizes_are_refused_with_possible_ones() {
    let shares = fitting("layer_expert_heatmap");
    for options in [
        FigureOptions {
            width_mm: f64::NAN,
            ..FigureOptions::default()
        },
        FigureOptions {
            width_mm: 5.0,
            ..FigureOptions::default()
        },
        FigureOptions {
            height_mm: Some(1e9),
            ..FigureOptions::default()
        },
        FigureOptions {
            height_mm: Some(31.0),
            ..FigureOptions::default()
        },
        FigureOptions {
            png_dpi: 0,
            ..FigureOptions::default()
        },
        FigureOptions {
            limits: Some([1.0, 1.0]),
            ..FigureOptions::default()
        },
    ] {
        let error = svg("layer_expert_heatmap", &shares, &options).unwrap_err();
        assert!(matches!(error, FigureError::Size { .. }), "{error}");
    }
    let options = FigureOptions {
        width_mm: 1000.0,
        height_mm: Some(1000.0),
        png_dpi: 1200,
        ..FigureOptions::default()
    };
    assert!(matches!(
        draw("layer_expert_heatmap", &shares, &options, Format::Png),
        Err(FigureError::Size { .. })
    ));
}

#[test]
fn pdf_and_png_carry_their_size_and_no_date() {
    let options = FigureOptions {
        width_mm: 100.0,
        height_mm: Some(80.0),
        png_dpi: 254,
        ..FigureOptions::default()
    };
    let measurement = fitting("layer_series");
    let pdf = draw("layer_series", &measurement, &options, Format::Pdf).unwrap();
    assert!(pdf.starts_with(b"%PDF-"));
    for word in ["CreationDate", "ModDate"] {
        assert!(
            !pdf.windows(word.len())
                .any(|window| window == word.as_bytes()),
            "{word}"
        );
    }
    let png = draw("layer_series", &measurement, &options, Format::Png).unwrap();
    // 254 dpi are 10 pixels per millimetre.
    assert_eq!(png[16..24], [0, 0, 3, 232, 0, 0, 3, 32]);
    // pHYs follows the header: 10,000 pixels per metre.
    assert_eq!(&png[37..41], b"pHYs");
    assert_eq!(png[41..45], 10_000_u32.to_be_bytes());
}
