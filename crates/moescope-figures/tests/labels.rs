//! Labels: harmless, within the page, apart from one another.

use std::{fs, path::PathBuf};

use moescope_core::Measurement;
use moescope_figures::{FigureOptions, Format, Panels, catalogue, draw};

use crate::common::{
    self,
    drawing::{fitting, has, svg, texts},
    structures,
};

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

/// Measurements of the sizes that real models have, for every kind.
fn realistic() -> Vec<(&'static str, Measurement, FigureOptions)> {
    let plain = FigureOptions::default;
    let named = || FigureOptions {
        centroids: true,
        hulls: true,
        ..plain()
    };
    let mut long = common::shares(48, 15, 64);
    for (i, label) in long.axes[1].labels.iter_mut().enumerate() {
        *label = format!("a discipline with the long name number {i}");
    }
    let by_layer = FigureOptions {
        panels: Panels::Layer,
        ..plain()
    };
    let highlight = FigureOptions {
        highlight: vec!["law".into(), "code".into()],
        ..plain()
    };
    vec![
        ("layer_expert_heatmap", common::shares(64, 1, 512), plain()),
        ("layer_expert_heatmap", common::shares(6, 1, 8), plain()),
        ("layer_expert_heatmap", common::shares(2, 1, 4), plain()),
        ("group_expert_heatmap", common::shares(1, 15, 64), plain()),
        ("group_matrix", common::pairs(1, 15), plain()),
        (
            "group_matrix",
            structures::with_nulls(common::pairs(1, 4)),
            plain(),
        ),
        ("layer_series", common::series(26, 15), plain()),
        ("layer_series", common::series(26, 15), highlight.clone()),
        ("fingerprint_map", common::map(60, 15), named()),
        (
            "co_activation_matrix",
            structures::co_activation(1, 8),
            plain(),
        ),
        (
            "co_activation_matrix",
            structures::co_activation(1, 192),
            plain(),
        ),
        ("lag_profile", structures::lags(1, 15, 32), plain()),
        ("lag_profile", structures::lags(1, 1, 32), plain()),
        ("layer_flow", structures::transitions(1, 8), plain()),
        ("layer_flow", structures::transitions(63, 64), plain()),
        ("lollipop", common::shares(6, 15, 64), plain()),
        ("lollipop", structures::with_nulls(long.clone()), plain()),
        ("position_profile", structures::positions(1, 9, 64), plain()),
        ("reliability_curve", structures::reliability(), plain()),
        ("saturation_curves", structures::saturation(48, 8), plain()),
        ("saturation_curves", structures::saturation(1, 2), plain()),
        ("small_multiples", common::shares(6, 15, 8), plain()),
        ("small_multiples", common::shares(1, 2, 512), plain()),
        ("small_multiples", long, plain()),
        ("small_multiples", common::shares(64, 15, 8), by_layer),
        ("small_multiples", common::series(26, 15), plain()),
        ("vocabulary_table", structures::tokens(2, 16, 40), plain()),
        ("vocabulary_table", structures::tokens(1, 1, 3), plain()),
    ]
}

fn text_of(node: &resvg::usvg::Text) -> String {
    let chunks = node.chunks().iter();
    chunks.map(resvg::usvg::TextChunk::text).collect()
}

#[test]
fn no_text_leaves_the_page_and_no_two_overlap() {
    let fonts = roboto();
    for (kind, measurement, options) in realistic() {
        for width_mm in [60.0, 85.0, 170.0] {
            let options = FigureOptions {
                width_mm,
                ..options.clone()
            };
            let drawn = svg(kind, &measurement, &options).unwrap();
            let tree = resvg::usvg::Tree::from_str(&drawn, &fonts).unwrap();
            let figure = format!("{kind} at {width_mm} mm");
            check_within(&figure, &tree);
            check_apart(&figure, &tree);
        }
    }
}

/// Text is measured at its own anchor: nothing may begin left of the page or end right of it.
fn check_within(figure: &str, tree: &resvg::usvg::Tree) {
    let page = tree.size();
    for node in texts_of(tree.root()) {
        let bounds = node.abs_bounding_box();
        assert!(
            bounds.left() >= -0.5
                && bounds.top() >= -0.5
                && bounds.right() <= page.width() + 0.5
                && bounds.bottom() <= page.height() + 0.5,
            "{figure}: '{}' at {bounds:?} on {page:?}",
            text_of(node)
        );
    }
}

fn check_apart(figure: &str, tree: &resvg::usvg::Tree) {
    let boxes: Vec<_> = texts_of(tree.root())
        .into_iter()
        .map(|node| (text_of(node), node.abs_stroke_bounding_box()))
        .collect();
    for (i, (a, area)) in boxes.iter().enumerate() {
        for (b, other) in &boxes[..i] {
            // Boxes are as high as the font's tallest letters; what counts is half a letter.
            let across = area.right().min(other.right()) - area.left().max(other.left());
            let down = area.bottom().min(other.bottom()) - area.top().max(other.top());
            let least = area.height().min(other.height());
            let slack = 0.45 * least.min(area.width().min(other.width()));
            assert!(
                across <= 0.3 || down <= slack,
                "{figure}: '{a}' {area:?} over '{b}' {other:?}"
            );
        }
    }
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
