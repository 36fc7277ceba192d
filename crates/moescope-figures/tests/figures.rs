//! What figures do with measurements that are unusual, or not theirs.

mod common;

use std::{collections::BTreeSet, fs, path::PathBuf};

use moescope_core::{Axis, AxisKind, Interval, Measurement};
use moescope_figures::{ColorScale, FigureError, FigureOptions, Format, catalogue, draw, find};
use resvg::usvg::roxmltree::Document;

fn svg(
    kind: &str,
    measurement: &Measurement,
    options: &FigureOptions,
) -> Result<String, FigureError> {
    draw(kind, measurement, options, Format::Svg).map(|bytes| String::from_utf8(bytes).unwrap())
}

/// Draws a figure, checks that it is well formed, and returns its texts.
fn texts(kind: &str, measurement: &Measurement, options: &FigureOptions) -> Vec<String> {
    let svg = svg(kind, measurement, options).unwrap();
    assert!(
        !svg.contains("NaN") && !svg.contains("inf"),
        "{kind} wrote a number that is none"
    );
    let document = Document::parse(&svg).unwrap();
    document
        .descendants()
        .filter(|node| node.has_tag_name("text"))
        .filter_map(|node| node.text().map(str::to_owned))
        .collect()
}

fn has(texts: &[String], wanted: &str) -> bool {
    texts.iter().any(|text| text.contains(wanted))
}

/// A measurement that each kind can draw.
fn fitting(kind: &str) -> Measurement {
    match kind {
        "fingerprint_map" => common::map(30, 3),
        "group_matrix" => common::pairs(1, 4),
        "layer_series" => common::series(5, 3),
        "margin_series" => common::margins(),
        "layer_expert_heatmap" => common::shares(4, 1, 8),
        "group_expert_heatmap" => common::shares(1, 4, 8),
        other => panic!("no measurement for {other}"),
    }
}

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
fn unknown_kinds_are_answered_with_the_known_ones() {
    let error = svg("pie", &fitting("layer_series"), &FigureOptions::default()).unwrap_err();
    assert!(error.to_string().contains("layer_series"), "{error}");
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

#[test]
fn labels_of_strangers_stay_text() {
    let nasty = [
        "<script>alert('x')</script>",
        "\"quoted\" & 'single' ]]>",
        "nul\u{0}bell\u{7}esc\u{1b}[31m\r\nline\u{85}\u{2028}",
        "\u{202e}reversed\u{202c} שלום العربية",
        "\u{ffff}\u{fffe}\u{1fffe}中文标签",
        "",
    ];
    for kind in catalogue() {
        let name = kind.about().name;
        for label in nasty {
            let mut measurement = fitting(name);
            measurement.title = label.into();
            measurement.unit = label.into();
            measurement.metric = label.into();
            measurement.protocol.by = label.into();
            measurement.protocol.scope = label.into();
            measurement.protocol.notes = vec![label.into()];
            for axis in &mut measurement.axes {
                axis.labels[0] = label.into();
                if let Some(classes) = &mut axis.classes {
                    classes[0] = label.into();
                }
            }
            let options = FigureOptions {
                centroids: true,
                png_dpi: 40,
                ..FigureOptions::default()
            };
            let drawn = svg(name, &measurement, &options).unwrap();
            assert!(
                !drawn.contains("<script")
                    && !drawn.contains('\u{202e}')
                    && !drawn.contains('\u{7}')
            );
            texts(name, &measurement, &options);
            for format in [Format::Pdf, Format::Png] {
                draw(name, &measurement, &options, format).unwrap();
            }
        }
    }
}

#[test]
fn huge_labels_are_shortened() {
    for kind in catalogue() {
        let name = kind.about().name;
        let mut measurement = fitting(name);
        let huge = "electroencephalography ".repeat(20_000);
        measurement.title.clone_from(&huge);
        measurement.unit.clone_from(&huge);
        measurement.protocol.scope.clone_from(&huge);
        for axis in &mut measurement.axes {
            axis.labels[0].clone_from(&huge);
            if let Some(classes) = &mut axis.classes {
                classes[0].clone_from(&huge);
            }
        }
        let texts = texts(
            name,
            &measurement,
            &FigureOptions {
                centroids: true,
                ..FigureOptions::default()
            },
        );
        assert!(has(&texts, "…"), "{name}");
        assert!(
            texts.iter().all(|text| text.chars().count() < 300),
            "{name}"
        );
    }
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
fn no_text_leaves_the_page() {
    // Text is measured at its own anchor: nothing may begin left of the page or end right of it.
    for (kind, measurement) in [
        ("layer_expert_heatmap", common::shares(64, 1, 512)),
        ("layer_expert_heatmap", common::shares(2, 1, 4)),
        ("group_expert_heatmap", common::shares(1, 15, 64)),
        ("fingerprint_map", common::map(60, 15)),
        ("group_matrix", common::pairs(1, 15)),
        ("layer_series", common::series(26, 15)),
    ] {
        for width_mm in [60.0, 85.0, 170.0] {
            let options = FigureOptions {
                width_mm,
                centroids: true,
                ..FigureOptions::default()
            };
            let drawn = svg(kind, &measurement, &options).unwrap();
            let tree = resvg::usvg::Tree::from_str(&drawn, &roboto()).unwrap();
            let page = tree.size();
            for node in texts_of(tree.root()) {
                let bounds = node.abs_bounding_box();
                assert!(
                    bounds.left() >= -0.5
                        && bounds.top() >= -0.5
                        && bounds.right() <= page.width() + 0.5
                        && bounds.bottom() <= page.height() + 0.5,
                    "{kind} at {width_mm} mm: '{}' at {bounds:?} on {page:?}",
                    node.chunks()
                        .iter()
                        .map(resvg::usvg::TextChunk::text)
                        .collect::<String>()
                );
            }
        }
    }
}

#[test]
fn no_two_texts_overlap() {
    for (kind, measurement) in [
        ("layer_expert_heatmap", common::shares(64, 1, 512)),
        ("layer_expert_heatmap", common::shares(6, 1, 8)),
        ("group_expert_heatmap", common::shares(1, 15, 64)),
        ("group_matrix", common::pairs(1, 15)),
        ("layer_series", common::series(26, 15)),
        ("fingerprint_map", common::map(60, 15)),
    ] {
        for width_mm in [60.0, 85.0, 170.0] {
            let options = FigureOptions {
                width_mm,
                ..FigureOptions::default()
            };
            let drawn = svg(kind, &measurement, &options).unwrap();
            let tree = resvg::usvg::Tree::from_str(&drawn, &roboto()).unwrap();
            let boxes: Vec<_> = texts_of(tree.root())
                .into_iter()
                .map(|node| {
                    let text: String = node
                        .chunks()
                        .iter()
                        .map(resvg::usvg::TextChunk::text)
                        .collect();
                    (text, node.abs_stroke_bounding_box())
                })
                .collect();
            for (i, (a, area)) in boxes.iter().enumerate() {
                for (b, other) in &boxes[..i] {
                    // Boxes are as high as the font's tallest letters; what counts is half a letter.
                    let across = area.right().min(other.right()) - area.left().max(other.left());
                    let down = area.bottom().min(other.bottom()) - area.top().max(other.top());
                    let slack = 0.45
                        * area
                            .height()
                            .min(other.height())
                            .min(area.width().min(other.width()));
                    assert!(
                        across <= 0.3 || down <= slack,
                        "{kind} at {width_mm} mm: '{a}' {area:?} over '{b}' {other:?}"
                    );
                }
            }
        }
    }
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

fn roboto() -> resvg::usvg::Options<'static> {
    let mut options = resvg::usvg::Options::default();
    let fonts = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../assets/fonts");
    for face in ["Regular", "Bold"] {
        let path = fonts.join(format!("Roboto-{face}.ttf"));
        options.fontdb_mut().load_font_data(fs::read(path).unwrap());
    }
    options
}

fn texts_of(group: &resvg::usvg::Group) -> Vec<&resvg::usvg::Text> {
    group
        .children()
        .iter()
        .flat_map(|node| match node {
            resvg::usvg::Node::Group(group) => texts_of(group),
            resvg::usvg::Node::Text(text) => vec![text.as_ref()],
            _ => vec![],
        })
        .collect()
}
